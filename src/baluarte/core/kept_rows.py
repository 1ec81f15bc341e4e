"""What is kept of more rows than are kept: an even sample, groups of equal rows, and a digest.

All three have a bound that does not grow with the rows. The sample is the rows whose numbers hash
lowest, so that it is even and needs no random numbers. The groups are those whose keys hash lowest,
each whole and with its count, so that how many different ones there are is known to one part in the
square root of how many are kept. The digest is exact: its keys go to a spill, sorted, and are read
back a share of the key space at a time.

Source: Bar-Yossef, Jayram, Kumar, Sivakumar & Trevisan, "Counting distinct elements in a data
stream", RANDOM 2002 (the lowest hashes).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from baluarte.core.row_keys import Keys, mixed

if TYPE_CHECKING:
    from baluarte.ports import Spill

MAX_KEPT = 1_000_000  #: rows of the sample, groups, and keys between two spills
_ALL = 2**64 - 1
_SALT = np.uint64(0xD1B54A32D192ED03)  # groups are drawn by another hash than rows
_SHARES = 256  #: of the key space, read back one at a time

Columns = Mapping[str, NDArray[np.generic]]


class Lowest:
    """Rows with the lowest hashes of all that were added; a quarter more than ``most`` are held."""

    def __init__(self, most: int) -> None:
        self._most, self._below = most, np.uint64(_ALL)
        self._parts: list[tuple[Keys, dict[str, NDArray[np.generic]]]] = []
        self._held = 0

    def add(self, hashes: Keys, columns: Columns) -> None:
        """Some rows, each with its hash."""
        low = hashes <= self._below
        every = bool(low.all())
        kept = {name: c if every else c[low] for name, c in columns.items()}
        self._parts.append((hashes if every else hashes[low], kept))
        self._held += len(self._parts[-1][0])
        if self._held > self._most + self._most // 4:
            self._trim()

    def result(self) -> dict[str, NDArray[np.generic]]:
        """The columns that every part has, of the rows kept, in the order they came."""
        if self._held > self._most:
            self._trim()
        return self._joined()[1]

    def _joined(self) -> tuple[Keys, dict[str, NDArray[np.generic]]]:
        if not self._parts:
            return np.zeros(0, dtype=np.uint64), {}
        shared = set.intersection(*(set(columns) for _, columns in self._parts))
        return np.concatenate([hashes for hashes, _ in self._parts]), {
            name: np.concatenate([columns[name] for _, columns in self._parts])
            for name in self._parts[0][1]
            if name in shared
        }

    def _trim(self) -> None:
        hashes, columns = self._joined()
        self._below = np.partition(hashes, self._most - 1)[self._most - 1]
        low = hashes <= self._below
        self._parts = [(hashes[low], {name: c[low] for name, c in columns.items()})]
        self._held = int(low.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Groups of rows that are equal in all but id and time, with what is known of each."""

    repeats: Keys  #: (groups,) their key
    features: Keys  #: (groups,) of the features alone
    labels: NDArray[np.int8]  #: (groups,)
    counts: NDArray[np.int64]  #: (groups,) rows of each
    below: int  #: all groups are here whose features hash to this or less
    n: int  #: rows of all groups, also of those that are not here

    @property
    def share(self) -> float:
        """Which share of all groups is here."""
        return (self.below + 1) / (_ALL + 1)

    @property
    def is_all(self) -> bool:
        """Whether every group is here, so that counts are exact."""
        return self.below == _ALL

    def n_repeats(self) -> int:
        """Rows that repeat an earlier one; all but one of each group."""
        here = int(self.counts.sum()) - len(self.counts)
        if self.is_all or here == 0:
            return here
        return max(self.n - round(len(self.repeats) / self.share), 0)

    def estimate(self, here: int) -> int:
        """How many rows there are of what so many are of the groups that are here."""
        return min(round(here / self.share), self.n)

    def n_in(self, others: Groups) -> int:
        """Rows that repeat one of the others."""
        below = np.uint64(min(self.below, others.below))
        mine, theirs = (group_hashes(g.features) <= below for g in (self, others))
        found = np.isin(self.repeats[mine], others.repeats[theirs])
        here = int(self.counts[mine][found].sum())
        return min(round(here * (_ALL + 1) / (int(below) + 1)), self.n)


def group_hashes(features: Keys) -> Keys:
    """(n,) by what groups are drawn; those with equal features are drawn together."""
    return mixed(features ^ _SALT)


class GroupCounts:
    """Counts the rows of each group, of at most ``most`` groups."""

    def __init__(self, most: int) -> None:
        self._most, self._below, self._n = most, np.uint64(_ALL), 0
        self._parts: list[tuple[Keys, Keys, NDArray[np.int8], NDArray[np.int64]]] = []
        self._held = 0

    def add(self, features: Keys, repeats: Keys, labels: NDArray[np.int8]) -> None:
        """Some rows."""
        self._n += len(features)
        low = group_hashes(features) <= self._below
        counts = np.ones(int(low.sum()), dtype=np.int64)
        self._parts.append((repeats[low], features[low], labels[low], counts))
        self._held += len(counts)
        if self._held > self._most + self._most // 4:
            self._compact()

    def result(self) -> Groups:
        """The groups that are here."""
        self._compact()
        repeats, features, labels, counts = self._parts[0]
        return Groups(
            repeats=repeats,
            features=features,
            labels=labels,
            counts=counts,
            below=int(self._below),
            n=self._n,
        )

    def _compact(self) -> None:
        nothing = np.zeros(0, np.uint64)
        parts = self._parts or [(nothing, nothing, np.zeros(0, np.int8), np.zeros(0, np.int64))]
        repeats, features, labels, counts = (
            np.concatenate(each) for each in zip(*parts, strict=True)
        )
        keys, first, group = np.unique(repeats, return_index=True, return_inverse=True)
        sums = np.bincount(group, weights=counts, minlength=len(keys)).astype(np.int64)
        features, labels = features[first], labels[first]
        hashes = group_hashes(features)
        if len(keys) > self._most:
            self._below = np.partition(hashes, self._most - 1)[self._most - 1]
        low = hashes <= self._below
        self._parts = [(keys[low], features[low], labels[low], sums[low])]
        self._held = int(low.sum())


class KeyDigest:
    """``sha256:…`` of a set of keys, whatever their order, as :func:`row_keys.digest` gives it.

    Args:
        spill: where sorted keys go; None keeps them in memory, 8 bytes each.
    """

    def __init__(self, spill: Spill | None, *, most: int = MAX_KEPT) -> None:
        self._spill, self._most = spill, most
        self._buffer: list[Keys] = []
        self._held = 0
        self._runs: list[tuple[int, NDArray[np.int64]]] = []

    def add(self, keys: Keys) -> None:
        """Some keys."""
        self._buffer.append(keys)
        self._held += len(keys)
        if self._spill is not None and self._held >= self._most:
            run = np.sort(np.concatenate(self._buffer))
            edges = np.arange(_SHARES, dtype=np.uint64) << np.uint64(56)
            bounds = np.append(np.searchsorted(run, edges), len(run)).astype(np.int64)
            self._runs.append((self._spill.append(run), bounds))
            self._buffer, self._held = [], 0

    def result(self) -> str:
        """The digest of all keys so far."""
        left = np.sort(np.concatenate(self._buffer)) if self._buffer else np.zeros(0, np.uint64)
        hashed = hashlib.sha256()
        if self._spill is None or not self._runs:
            hashed.update(left.astype("<u8").tobytes())
            return f"sha256:{hashed.hexdigest()}"
        for share in range(_SHARES):
            parts = [left[left >> np.uint64(56) == share]]
            for at, bounds in self._runs:
                start, stop = int(bounds[share]), int(bounds[share + 1])
                parts.append(self._spill.read(at + start, stop - start))
            hashed.update(np.sort(np.concatenate(parts)).astype("<u8").tobytes())
        return f"sha256:{hashed.hexdigest()}"
