"""plan on the public sets: every trap of their page is named, and clean columns are left alone."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from plan import MOST_FLAGGED, clean_columns, findings, flagged_columns, unnamed_traps
from plan_sets import SETS, PlanSet

from baluarte.core.event import Events

MOST_ROWS = 20_000  #: of a set, at even distances; benchmarks/plan.py takes all
MOST_PROOF_ROWS = 8_000
WHOLE = {"nab"}  #: whose traps are in the steps from a row to the next one


def sampled(events: Events, most: int) -> Events:
    if events.n <= most:
        return events
    return events.take(np.unique(np.linspace(0, events.n - 1, most).astype(np.int64)))


def given(name: str, data: Path) -> PlanSet:
    of = SETS[name](data)
    if name in WHOLE:
        return of
    held = of.holdout if of.holdout is None else sampled(of.holdout, MOST_PROOF_ROWS)
    return replace(of, events=sampled(of.events, MOST_ROWS), holdout=held)


@pytest.mark.parametrize("name", SETS)
def test_every_trap_is_named_and_one_clean_column_in_twenty_is_flagged_at_most(
    name: str, data: Path
) -> None:
    of = given(name, data)
    found = findings(of, max_rows=MOST_ROWS)
    assert unnamed_traps(of, found) == []
    flagged = flagged_columns(of, found)
    assert len(flagged) <= MOST_FLAGGED * len(clean_columns(of)), flagged
    assert all(finding.evidence for finding in found)


def test_a_trap_that_is_not_there_is_said_to_be_unnamed(data: Path) -> None:
    of = given("german", data)
    assert unnamed_traps(of, []) == [trap.says for trap in of.traps]
    found = [f for f in findings(of) if not f.check.startswith("codes")]
    assert unnamed_traps(of, found) == ["codes (A11 …) must be decoded"]
