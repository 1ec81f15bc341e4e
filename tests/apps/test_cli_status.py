"""baluarte status: what there is, what blocks, what next."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspace_ground import Ground, Shell, armed_parts

from baluarte.adapters.disk import write_aside
from baluarte.apps.catalogue import LANGUAGES
from baluarte.apps.making import Pending, keep_pending
from baluarte.apps.standing import last_act
from baluarte.apps.watching import Watch
from baluarte.core.decision import ActRecord
from baluarte.core.evidence import Evidence, Verdict
from baluarte.testing.bundles import sample_events, sample_parts


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path / "w")


@pytest.fixture
def shell(ground: Ground, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(ground.root, capsys)


def stands(shell: Shell) -> dict[str, object]:
    _, said = shell.json("status")
    (standing,) = said["detectors"]
    return dict(standing)


def test_nothing_is_sealed_yet(shell: Shell) -> None:
    standing = stands(shell)
    assert (standing["state"], standing["versions"]) == ("none", [])
    assert standing["next"] == "baluarte plan flows"
    assert "no version is sealed" in shell.text("status")[1]


@pytest.mark.parametrize(
    ("verdict", "state", "command"),
    [
        (None, "candidate", "baluarte prove flows"),
        ("pass", "proved", "baluarte seal flows"),
        ("not_enough_data", "proved", "baluarte seal flows"),
        ("fail", "failed", "baluarte train flows"),
    ],
)
def test_a_candidate_stands_as_far_as_it_came(
    ground: Ground, shell: Shell, verdict: Verdict | None, state: str, command: str
) -> None:
    evidence = None if verdict is None else Evidence(verdict=verdict)
    with ground.session() as session:
        session.place.drafts.mkdir(parents=True)
        keep_pending(session.place, "flows", Pending(candidate="sha256:0", evidence=evidence))
    standing = stands(shell)
    assert (standing["state"], standing["next"]) == (state, command)
    assert shell.text("status")[0] == (1 if state == "failed" else 0)


def test_a_sealed_version_waits_for_its_promotion(ground: Ground, shell: Shell) -> None:
    ground.seal()
    standing = stands(shell)
    assert (standing["state"], standing["next"]) == ("sealed", "baluarte promote flows@1")


def test_a_champion_decides_since_its_promotion(ground: Ground, shell: Shell) -> None:
    ground.promote(ground.seal())
    standing = stands(shell)
    assert (standing["state"], standing["champion"]) == ("live", 1)
    assert standing["drift_armed"] is False
    assert "drift is not watched" in shell.text("status")[1]


def test_approvals_that_are_missing_block(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ground = Ground(tmp_path / "two", settings="approvals = 2")
    shell = Shell(ground.root, capsys)
    version = ground.seal()
    ground.approve(version, "olga")
    standing = stands(shell)
    assert (standing["state"], standing["missing_approvals"]) == ("waiting", 1)
    status, said = shell.text("status")
    assert status == 1
    assert "waits for 1 approval" in said
    assert "baluarte approve flows@1" in said
    ground.approve(version, "petra")
    assert stands(shell)["state"] == "sealed"


def test_a_provisional_version_says_how_many_labelled_events_the_next_look_needs(
    ground: Ground, shell: Shell
) -> None:
    ground.seal(sample_parts(verdict="not_enough_data"))
    standing = stands(shell)
    assert standing["state"] == "provisional"
    needs = standing["needs"]
    assert isinstance(needs, dict)
    assert needs["positives"] > 50
    status, said = shell.text("status")
    assert status == 1
    assert f"{needs['positives']} labelled attacks" in said


def test_a_contract_that_cannot_be_read_is_shown_with_its_faults(
    ground: Ground, shell: Shell
) -> None:
    write_aside(ground.root / "flows" / "detector.toml", b'name = "flows"\nowner = 3\n')
    status, said = shell.text("status")
    assert status == 1
    assert "owner" in said


def test_a_bundle_that_does_not_hold_is_shown_and_the_others_go_on(
    ground: Ground, shell: Shell
) -> None:
    version = ground.seal()
    ground.promote(version)
    with ground.session() as session:
        folder = next(p for p in session.place.bundles.rglob("program.bin")).parent
    (folder / "program.bin").chmod(0o600)
    (folder / "program.bin").write_bytes(b"x")
    standing = stands(shell)
    assert standing["state"] == "broken"
    assert any("program.bin" in fault for fault in standing["faults"])  # type: ignore[attr-defined]
    assert standing["next"] == "baluarte verify flows"


def test_alarms_and_labels_are_counted(ground: Ground, shell: Shell, tmp_path: Path) -> None:
    version = ground.seal(armed_parts())
    ground.promote(version)
    assert stands(shell)["drift_armed"] is True
    ground.decide(version, [event | {"failures": 40} for event in sample_events(400)])
    assert shell.text("watch", "flows", "--once")[0] == 1
    labels = tmp_path / "labels.csv"
    labels.write_text("event_id,label\ne1,1\ne2,0\n", "utf-8")
    assert shell.text("label", str(labels))[0] == 0
    standing = stands(shell)
    assert standing["labels"] == 2
    assert standing["alarms"]
    last = standing["last_alarm"]
    assert isinstance(last, dict)
    assert "failures" in last["details"]["channels"]
    assert standing["moved"] is True


def test_a_change_that_lasts_is_one_alarm_with_a_count(ground: Ground, shell: Shell) -> None:
    version = ground.seal(armed_parts())
    ground.promote(version)
    for _ in range(3):
        ground.decide(version, [event | {"failures": 40} for event in sample_events(400)])
        code, text = shell.text("watch", "flows", "--once")
        assert code == 1
    assert stands(shell)["alarms"] == 1
    assert "still so" in text
    with ground.session() as session:
        (episode,) = Watch(session, "flows").watching.episodes
        records = [r for tag in session.reader.shards() for r in session.reader.records(tag)]
    assert episode.n > 1
    assert sum(b'"act":"alarm"' in record for record in records) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_fits_a_hundred_columns(ground: Ground, shell: Shell, language: str) -> None:
    version = ground.seal(armed_parts())
    ground.promote(version)
    ground.seal(sample_parts(verdict="not_enough_data"))
    ground.decide(version, [event | {"failures": 40} for event in sample_events(400)])
    shell.text("watch", "flows", "--once")
    _, said = shell.text("status", "--lang", language)
    assert max(map(len, said.splitlines())) <= 100


def test_a_workspace_without_detectors_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "workspace.toml").write_text("", "utf-8")
    status, said = Shell(tmp_path, capsys).text("status")
    assert status == 0
    assert said.splitlines()[-1] == "  Next: baluarte init FOLDER --events FILE"


def test_the_newest_act_is_found_behind_many_decisions(ground: Ground) -> None:
    version = ground.seal()
    with ground.session() as session:
        for at in (5, 7):
            session.record_act(ActRecord(at=at, act="alarm", actor="watch", detector="flows"))
        session.record_act(ActRecord(at=9, act="alarm", actor="watch", detector="others"))
    for _ in range(3):
        ground.decide(version, sample_events(3_000), reasons="none")
    with ground.session() as session:
        found = last_act(session.reader, "flows", "alarm")
        assert found is not None
        assert found.at == 7
        assert last_act(session.reader, "flows", "rollback") is None
