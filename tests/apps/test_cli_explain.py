"""baluarte explain: the whole story of a decision, checked again as it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspace_ground import Ground, Shell

from baluarte.apps.catalogue import LANGUAGES
from baluarte.testing.bundles import sample_events

EVENTS = sample_events(40)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path / "w")


@pytest.fixture
def shell(ground: Ground, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(ground.root, capsys)


def test_the_story_adds_up_replays_and_names_what_comes_next(ground: Ground, shell: Shell) -> None:
    version = ground.seal()
    ground.promote(version)
    ids = ground.decide(version, EVENTS, reasons="all")
    status, said = shell.json("explain", ids[3])
    assert status == 0
    assert said["base"] + sum(reason["score"] for reason in said["reasons"]) == said["score"]
    assert said["adds_up"]
    assert said["replay"] == {"identical": True, "difference": None}
    assert said["event"]["id"] == "e3"
    assert said["promoted"]["by"] == "ana"
    assert said["evidence"]["gates"][0]["bound"] == 0.91
    assert said["ledger"]["checkpoint"] is None
    assert said["next"] == ["baluarte ledger checkpoint"]


def test_a_checkpoint_over_the_record_is_checked_and_told(ground: Ground, shell: Shell) -> None:
    version = ground.seal()
    ids = ground.decide(version, EVENTS)
    assert shell.text("ledger", "checkpoint")[0] == 0
    _, said = shell.json("explain", ids[-1])
    assert said["ledger"]["checkpoint"]["size"] == said["ledger"]["index"] + 1
    assert said["next"] == [f"baluarte ledger proof {ids[-1]}"]
    ground.decide(version, EVENTS)  # what comes later changes nothing of it
    assert shell.json("explain", ids[-1])[1]["ledger"] == said["ledger"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_fits_a_hundred_columns(ground: Ground, shell: Shell, language: str) -> None:
    version = ground.seal()
    ids = ground.decide(version, EVENTS, reasons="all")
    for decision in ids[:8]:
        _, said = shell.text("explain", decision, "--lang", language)
        assert max(map(len, said.splitlines())) <= 100
        assert decision in said


def test_reasons_that_were_not_recorded_are_computed_and_said_to_be(
    ground: Ground, shell: Shell
) -> None:
    version = ground.seal()
    recorded = ground.decide(version, EVENTS, reasons="all")
    bare = ground.decide(version, EVENTS, reasons="none")
    for i in range(0, 40, 7):
        first, second = shell.json("explain", recorded[i])[1], shell.json("explain", bare[i])[1]
        assert first["reasons"] == second["reasons"]
        assert (first["reasons_computed_now"], second["reasons_computed_now"]) == (False, True)
    assert "computed now" in shell.text("explain", bare[0])[1]


def test_the_strongest_reason_comes_first(ground: Ground, shell: Shell) -> None:
    ids = ground.decide(ground.seal(), EVENTS, reasons="all")
    for decision in ids[:10]:
        moved = [abs(reason["score"]) for reason in shell.json("explain", decision)[1]["reasons"]]
        assert moved == sorted(moved, reverse=True)


def test_last_is_the_newest_alert(ground: Ground, shell: Shell) -> None:
    ids = ground.decide(ground.seal(), EVENTS)
    _, said = shell.json("explain", "LAST")
    assert said["outcome"] == "alert"
    assert said["id"] in ids


def test_reasons_that_do_not_add_up_are_told_in_the_open(ground: Ground, shell: Shell) -> None:
    version = ground.seal()
    ids = ground.decide(version, EVENTS[:1], reasons="all", change={"base": 12_345})
    status, said = shell.json("explain", ids[0])
    assert status == 1
    assert not said["adds_up"]
    assert not said["replay"]["identical"]
    assert "✗" not in shell.text("explain", ids[0])[1]
    assert "add up to" in shell.text("explain", ids[0])[1]


def test_a_changed_score_is_named_by_the_replay(ground: Ground, shell: Shell) -> None:
    ids = ground.decide(ground.seal(), EVENTS[:1], change={"score": 7})
    status, said = shell.json("explain", ids[0])
    assert status == 1
    assert said["replay"]["difference"].startswith("score: 7 →")


def test_who_approved_and_who_promoted_are_named(ground: Ground, shell: Shell) -> None:
    version = ground.seal()
    ground.approve(version, "olga", reason="read the evidence")
    before = ground.decide(version, EVENTS[:1])
    ground.promote(version, reason="go live")
    after = ground.decide(version, EVENTS[:1])
    said = shell.text("explain", after[0])[1]
    assert "approved by olga: read the evidence" in said
    assert "by ana: go live" in said
    assert "never been promoted" in shell.text("explain", before[0])[1]


def test_what_was_scored_is_shown_where_it_is_another_value(ground: Ground, shell: Shell) -> None:
    ids = ground.decide(ground.seal(), EVENTS)
    said = " ".join(shell.text("explain", ids[1])[1].split())
    assert "service=ssh" in said
    assert "Encoded service → 1" in said
    assert "bytes_out →" not in said


def test_an_unknown_id_is_an_error_with_a_hint(ground: Ground, shell: Shell) -> None:
    ground.decide(ground.seal(), EVENTS)
    status, said = shell.text("explain", "nonsense")
    assert status == 3
    assert "no event of that id" in said


def test_the_page_is_written_where_asked(ground: Ground, shell: Shell, tmp_path: Path) -> None:
    ids = ground.decide(ground.seal(), EVENTS)
    status, said = shell.json("explain", ids[0], "--page", str(tmp_path / "d.html"))
    assert status == 0
    assert said["page"] == str(tmp_path / "d.html")
    assert ids[0] in (tmp_path / "d.html").read_text("utf-8")
