"""baluarte.core.survey: one pass, and no more memory for more rows than it keeps."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from baluarte.core.contract import Budget, Objective
from baluarte.core.event import Events, concat
from baluarte.core.kept_rows import MAX_KEPT
from baluarte.core.schema import Field, Schema
from baluarte.core.survey import Survey, survey
from baluarte.methods.checks.balance import Balance
from baluarte.methods.checks.contradictions import Contradictions
from baluarte.methods.checks.duplicates import Duplicates
from baluarte.testing.checks import check_contract

BATCH = 5_000
CONTRACT = msgspec.structs.replace(
    check_contract(),
    events=Schema(
        fields=(
            Field(name="at", type="time", role="time"),
            Field(name="amount", type="number"),
            Field(name="count", type="integer"),
            Field(name="label", type="integer", role="label"),
        )
    ),
    objective=Objective(budget=Budget(kind="max_fpr", value=0.01), min_recall=0.5),
)


class Nowhere:
    """Meets ``ports.Spill`` for a look at memory: what is appended is not kept."""

    def append(self, values: np.ndarray) -> int:
        return 0

    def read(self, at: int, n: int) -> np.ndarray:
        return np.zeros(n, dtype=np.uint64)


def batches(n: int) -> Iterator[Events]:
    """A tenth are attacks, some rows repeat others in all but time."""
    for start in range(0, n, BATCH):
        rng = np.random.default_rng(start)
        yield Events(
            n=BATCH,
            columns={
                "at": (start + np.arange(BATCH)) * 1e6,
                "amount": np.floor(rng.lognormal(8, 2, BATCH)),
                "count": np.floor(rng.lognormal(3, 1, BATCH)),
                "label": (rng.random(BATCH) < 0.1).astype(np.float64),
            },
        )


def peak_bytes(n: int) -> int:
    tracemalloc.start()
    try:
        survey(CONTRACT, batches(n), max_rows=5_000, max_kept=10_000, spill=Nowhere())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_beyond_the_rows_that_are_kept_memory_does_not_grow() -> None:
    assert MAX_KEPT == 1_000_000
    small, large = peak_bytes(60_000), peak_bytes(300_000)
    assert large < 1.1 * small
    assert large < 600 * 10_000  # bytes a row that is kept, with what a trim takes


@pytest.fixture(scope="module")
def both() -> tuple[Survey, Survey]:
    """The same rows, all of them kept, and an eighth."""
    events = list(batches(240_000))
    return survey(CONTRACT, events), survey(CONTRACT, events, max_rows=5_000, max_kept=30_000)


def test_what_is_counted_and_the_digest_are_exact_whatever_is_kept(
    both: tuple[Survey, Survey],
) -> None:
    exact, few = both
    assert (exact.whole.is_all, few.whole.is_all) == (True, False)
    assert (exact.whole.n, exact.whole.counts) == (few.whole.n, few.whole.counts)
    assert exact.whole.digest == few.whole.digest
    assert exact.whole.split is not None
    assert few.whole.split is not None
    assert exact.whole.split.evidence.holdout == few.whole.split.evidence.holdout
    assert exact.whole.split.evidence.shares == few.whole.split.evidence.shares
    for part, counts in exact.whole.split.evidence.counts.items():
        for told, wanted in zip(few.whole.split.evidence.counts[part], counts, strict=True):
            # An eighth of the rows: within four standard errors.
            assert told == pytest.approx(wanted, abs=4 * (8 * wanted) ** 0.5 + 8)
    assert Balance().findings(CONTRACT, exact) == Balance().findings(CONTRACT, few)


@pytest.mark.parametrize("check", [Duplicates(), Contradictions()], ids=lambda c: c.name)
def test_repeated_rows_are_estimated_near_to_what_they_are(
    check: Duplicates | Contradictions, both: tuple[Survey, Survey]
) -> None:
    exact, few = (check.findings(CONTRACT, seen)[0] for seen in both)
    assert (exact.check, exact.level) == (few.check, few.level)
    assert few.values["n"] == pytest.approx(exact.values["n"], rel=0.1)


def test_the_sampled_rows_are_among_those_whose_facts_are_kept(both: tuple[Survey, Survey]) -> None:
    for seen in both:
        np.testing.assert_array_equal(seen.whole.rows[seen.kept], seen.rows)
        label = seen.columns["label"]
        np.testing.assert_array_equal(seen.whole.labels[seen.kept], label.astype(np.int8))
        assert seen.whole.facts.times is not None
        np.testing.assert_array_equal(seen.whole.facts.times[seen.kept], seen.columns["at"])


def test_rows_kept_apart_for_the_proof_are_counted_whole() -> None:
    held = concat(list(batches(60_000)))
    own = list(batches(120_000))[12:]
    exact = survey(CONTRACT, own, holdout=survey(CONTRACT, [held]))
    few = survey(CONTRACT, own, holdout=survey(CONTRACT, [held], max_kept=9_000), max_kept=9_000)
    assert exact.whole.split is not None
    assert few.whole.split is not None
    assert few.whole.split.evidence.counts["proof"] == exact.whole.split.evidence.counts["proof"]
    assert few.whole.split.evidence.holdout == exact.whole.split.evidence.holdout
