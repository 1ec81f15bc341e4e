"""baluarte.core.kept_rows: bounded, exact where it can be, near where it can't."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from baluarte.core.kept_rows import GroupCounts, Groups, KeyDigest, Lowest
from baluarte.core.row_keys import digest, mixed


class MemorySpill:
    """Meets ``ports.Spill``."""

    def __init__(self) -> None:
        self.values = np.zeros(0, dtype=np.uint64)
        self.most_read = 0

    def append(self, values: NDArray[np.uint64]) -> int:
        at = len(self.values)
        self.values = np.concatenate([self.values, values])
        return at

    def read(self, at: int, n: int) -> NDArray[np.uint64]:
        self.most_read = max(self.most_read, n)
        return self.values[at : at + n]


def batches(n: int, of: int = 1_000) -> list[NDArray[np.uint64]]:
    rows = np.arange(n, dtype=np.uint64)
    return [rows[at : at + of] for at in range(0, n, of)]


@pytest.mark.parametrize("n", [300, 5_000])
def test_the_sample_is_even_bounded_and_in_the_order_of_the_rows(n: int) -> None:
    taken = Lowest(1_000)
    for rows in batches(n):
        taken.add(mixed(rows), {"rows": rows, "twice": rows * np.uint64(2)})
    kept = taken.result()
    assert len(kept["rows"]) == min(n, 1_000)
    assert (np.diff(kept["rows"].astype(np.int64)) > 0).all()
    np.testing.assert_array_equal(kept["twice"], kept["rows"] * np.uint64(2))
    assert 0.4 < (kept["rows"] < n / 2).mean() < 0.6


def grouped(keys: NDArray[np.uint64], most: int, *, at: int = 1_000) -> Groups:
    counts = GroupCounts(most)
    for start in range(0, len(keys), at):
        part = keys[start : start + at]
        counts.add(part, mixed(part), (part % np.uint64(2)).astype(np.int8))
    return counts.result()


def test_groups_are_exact_where_all_are_kept_and_near_where_not() -> None:
    keys = np.random.default_rng(1).integers(0, 60_000, 100_000).astype(np.uint64)
    truth = len(keys) - len(np.unique(keys))
    exact = grouped(keys, 100_000)
    assert (exact.is_all, exact.n_repeats()) == (True, truth)
    few = grouped(keys, 4_000)
    assert not few.is_all
    assert len(few.repeats) <= 4_000
    assert few.n_repeats() == pytest.approx(truth, abs=4 * len(np.unique(keys)) / 4_000**0.5)
    # What is here of a group is all of it, though it was met before the bound fell.
    whole = dict(zip(*np.unique(keys, return_counts=True), strict=True))
    assert all(whole[key] == n for key, n in zip(few.features, few.counts, strict=True))


def test_rows_that_repeat_anothers_are_counted_whatever_is_kept_of_either() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = (rng.integers(lo, lo + 50_000, 60_000).astype(np.uint64) for lo in (0, 40_000))
    truth = int(np.isin(theirs, ours).sum())
    assert grouped(theirs, 99_999).n_in(grouped(ours, 99_999)) == truth
    assert grouped(theirs, 4_000).n_in(grouped(ours, 9_000)) == pytest.approx(truth, rel=0.15)


def test_rows_without_a_repeat_have_none_by_estimate_either() -> None:
    assert grouped(np.arange(50_000, dtype=np.uint64), 2_000).n_repeats() == 0
    assert grouped(np.zeros(0, dtype=np.uint64), 2_000).n_repeats() == 0


@pytest.mark.parametrize("n", [0, 10, 2_500])
def test_the_digest_is_that_of_all_keys_and_reads_back_a_little_at_a_time(n: int) -> None:
    keys = mixed(np.arange(n, dtype=np.uint64))
    spill = MemorySpill()
    for by in (None, spill):
        told = KeyDigest(by, most=700)
        for start in range(0, n, 100):
            told.add(keys[start : start + 100])
        assert told.result() == digest(keys)
    assert spill.most_read < 50
