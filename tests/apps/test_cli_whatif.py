"""baluarte replay --with: what another version would have decided, counted by hand beside it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from versions_ground import WIDER, Life, parts
from workspace_ground import CONTRACT, Ground, Shell

from baluarte.apps.catalogue import LANGUAGES
from baluarte.core.registry import LabelRow, Version
from baluarte.stages.score import Scorer

COSTS = CONTRACT.replace(
    "[objective]", '[objective]\ncost_missed = "bytes_out"\ncost_false_alarm = 2.5'
)
TYPED = CONTRACT.replace('number = ["bytes_out"]\n', "").replace(
    'category = ["service"]', 'category = ["service", "bytes_out"]'
)


class Asked:
    """A life of five versions, some labels, and a version to ask."""

    def __init__(self, root: Path) -> None:
        self.life = Life(root, n=700)
        ground = self.ground = self.life.ground
        self.costly = ground.seal(parts(COSTS, seed=9))
        self.wider = ground.seal(parts(WIDER, seed=10))
        self.typed = ground.seal(parts(TYPED, seed=11))
        other = WIDER.replace("window_s = 3600", "window_s = 7200")
        self.other_window = ground.seal(parts(other, seed=12))
        rng = np.random.default_rng(5)
        self.labels = {f"e{i}": int(rng.integers(2)) for i in range(0, 700, 3)}
        rows = [
            LabelRow(event_id=event, label=1 if label else 0, at=1, source="desk")
            for event, label in self.labels.items()
        ]
        with ground.session() as session:
            session.registry.add_labels("flows", rows)
            self.records = list(session.decisions())
        # A retry: the same event, decided again by another version; the first one counts.
        again = [self.records[i].event for i in (3, 4)]
        ground.decide(self.life.versions[0], again)

    def by_hand(self, version: Version) -> dict[str, Any]:
        """One event after the other, as a person would count."""
        with self.ground.session() as session:
            scorer = Scorer(session.bundle(version.digest), kernel="numpy")
        objective = scorer.contract.objective
        found: Counter[Any] = Counter()
        cost = {"old": 0.0, "new": 0.0}
        for record in self.records:
            decided = scorer.decide_records([record.event], reasons="none")
            band = int(decided.bands[0])
            found["moves", record.outcome, decided.outcomes[band]] += 1
            label = self.labels.get(record.event_id)
            old, new = record.band > 0, band > 0
            found["raised", label] += new and not old
            found["lowered", label] += old and not new
            for side, alert in (("old", old), ("new", new)):
                if label == 1 and not alert:
                    missed = objective.cost_missed
                    value = record.event.get(missed, 0) if isinstance(missed, str) else missed
                    cost[side] += float(value or 0)
                if label == 0 and alert:
                    cost[side] += float(objective.cost_false_alarm)
        return {"found": found, "cost": cost}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return Asked(tmp_path_factory.mktemp("asked") / "w")


@pytest.fixture
def shell(asked: Asked, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(asked.ground.root, capsys)


def test_changes_costs_and_labels_are_those_counted_by_hand(asked: Asked, shell: Shell) -> None:
    status, said = shell.json("replay", "--with", f"flows@{asked.costly.version}")
    assert status == 0
    hand = asked.by_hand(asked.costly)
    found = hand["found"]
    assert said["n"] == 700
    assert said["repeats"] == 2
    moves = {tuple(move[:2]): move[2] for move in said["moves"]}
    assert moves == {key[1:]: n for key, n in found.items() if key[0] == "moves"}
    for side in ("raised", "lowered"):
        assert said[side]["attacks"] == found[side, 1]
        assert said[side]["others"] == found[side, 0]
        assert said[side]["n"] == sum(found[side, label] for label in (None, 0, 1))
    for side in ("old", "new"):
        assert said[side]["cost"] == pytest.approx(hand["cost"][side], rel=1e-12)
    assert said["attacks"] == sum(asked.labels.values())
    assert said["attacks"] + said["others"] == len(asked.labels)
    assert said["unlabelled"] == 700 - len(asked.labels)
    assert said["cost_missed"] == "bytes_out"
    missing = [
        r for r in asked.records if asked.labels.get(r.event_id) == 1 and "bytes_out" not in r.event
    ]
    assert said["without_cost"] == len(missing) > 0
    assert said["gaps"] == []
    assert sum(day["n"] for day in said["days"]) == 700
    assert [sum(day[k] for day in said["days"]) for k in ("old", "new")] == said["alerts"]
    of_service = [part for part in said["segments"] if part["field"] == "service"]
    assert sum(part["n"] for part in of_service) == 700
    assert sum(part["changed"] for part in of_service) == said["changed"]
    attacks = next(pair for pair in said["paired"] if pair["kind"] == "attacks")
    assert (attacks["only_new"], attacks["only_old"]) == (found["raised", 1], found["lowered", 1])


def test_what_the_records_lack_is_said(asked: Asked, shell: Shell) -> None:
    _, said = shell.json("replay", "--with", f"flows@{asked.wider.version}")
    gaps = {(gap["field"], gap["kind"]): gap["n"] for gap in said["gaps"]}
    narrow = sum(r.version in (1, 2, 5) for r in asked.records)
    fields = ("agent", "user", "started", "source", "n_hour", "usual", "pause")
    assert gaps == {(field, "lacks"): narrow for field in fields}
    assert asked.by_hand(asked.wider)["found"]["raised", 1] == said["raised"]["attacks"]


def test_a_window_by_another_rule_is_not_taken_for_it(asked: Asked, shell: Shell) -> None:
    _, said = shell.json("replay", "--with", f"flows@{asked.other_window.version}")
    gaps = {(gap["field"], gap["kind"]): gap["n"] for gap in said["gaps"]}
    wide = sum(r.version in (3, 4) for r in asked.records)
    assert gaps["n_hour", "window"] == wide
    assert ("pause", "window") not in gaps


def test_a_field_of_another_type_is_converted_or_said_to_be_unreadable(
    asked: Asked, shell: Shell
) -> None:
    _, said = shell.json("replay", "--with", f"flows@{asked.typed.version}")
    gaps = {(gap["field"], gap["kind"]): gap["n"] for gap in said["gaps"]}
    assert gaps == {("bytes_out", "type"): sum("bytes_out" in r.event for r in asked.records)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_and_the_lines_say_the_same(
    asked: Asked, shell: Shell, tmp_path: Path, language: str
) -> None:
    page = tmp_path / "whatif.html"
    status, said = shell.text(
        "replay", "--with", f"flows@{asked.costly.version}", "--page", str(page),
        "--by", "service", "--lang", language,
    )  # fmt: skip
    assert status == 0
    assert max(map(len, said.splitlines())) <= 100
    html = page.read_text("utf-8")
    assert f"flows@{asked.costly.version}" in html
    assert "http" in html
    assert "<script" not in html


def test_a_stretch_without_decisions_and_a_wrong_question_are_errors(
    asked: Asked, shell: Shell
) -> None:
    version = f"flows@{asked.costly.version}"
    for words in (["--until", "2020-01-01"], ["--sample", "5"], ["e1"], ["--kernel", "both"]):
        assert shell.text("replay", *words, "--with", version)[0] == 3
    assert shell.text("replay", "--with", "flows@99")[0] == 3


def test_events_of_a_lost_bundle_are_said_to_be_unknown(tmp_path: Path, capsys: Any) -> None:
    ground = Ground(tmp_path / "w")
    old, new = ground.seal(parts(CONTRACT, seed=1)), ground.seal(parts(WIDER, seed=2))
    ground.decide(old, [{"id": "e1", "time": 1_700_000_000_000_000, "failures": 3}])
    lost = ground.root / ".baluarte" / "bundles" / old.digest.removeprefix("sha256:")
    (lost,) = [
        p for p in (ground.root / ".baluarte" / "bundles").iterdir() if old.digest[7:] in p.name
    ]
    lost.rename(tmp_path / "lost")
    _, said = Shell(ground.root, capsys).json("replay", "--with", f"flows@{new.version}")
    assert {gap["kind"] for gap in said["gaps"]} == {"unknown"}
    assert msgspec.json.encode(said["gaps"])
