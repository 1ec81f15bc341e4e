"""Events that are another one but for a few fields: across the split, and within the fit rows.

If two rows of d fields differ in at most k, then of k + 1 bands that the fields are shared out to,
one is equal in both. So rows that agree in a band are candidates, and each is compared in full: all
that is counted is true, and a pair is missed only in a crowd, where a row meets but its nearest
neighbours in the order of the bands' keys.

With fewer than ten fields each is left out in turn, and rows are near that are equal in all others.
So few fields may agree by accident: only rows count whose values are too rare together for that.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Finding
from baluarte.core.row_keys import Keys, mixed
from baluarte.core.split import Part
from baluarte.core.survey import survey_of
from baluarte.core.telling import bins_of

MAX_ROWS = 30_000
FEWEST_FIELDS = 4
MANY_FIELDS = 10  #: from which rows are compared in bands
FIELDS_APART = 10  #: of so many fields one may differ
MAX_BANDS = 8
NEIGHBOURS = 6  #: that a row is compared with in each band
MANY = 0.25
SOME = 0.01  #: share of near copies that is noted, where it takes some
ACCIDENT = 0.01  #: other rows so like one that are expected, were the fields independent
FEWEST = 200

_Rows = NDArray[np.bool_]
_Mates = NDArray[np.int64]


class NearDuplicates:
    """Warns where a quarter of the rows have a near copy: of the proof or of the fit rows.

    Proof rows are compared with the fit rows, fit rows with each other. Near: equal in all but one
    of ten fields, where a number counts as equal within the same 256th of its values; with four to
    nine fields, in all but one, exactly. Any is noted among proof rows of ten fields or more, one
    in a hundred elsewhere. Exact copies are the check of duplicates'. Of rows of ten fields or more
    at most 30,000 are compared.
    """

    name: ClassVar[str] = "near_duplicates"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one across the split and one within the fit rows; none under four features."""
        seen = survey_of(contract, events)
        split = seen.whole.split
        names = [f.name for f in contract.events.features if f.name in events.columns]
        if split is None or len(names) < FEWEST_FIELDS or events.n < FEWEST:
            return []
        _, first = np.unique(seen.whole.features[seen.rows], return_index=True)
        parts = split.parts[seen.rows[first]]
        proof, fit = first[parts == Part.PROOF], first[parts == Part.FIT]
        if not len(fit):
            return []
        few = len(names) < MANY_FIELDS
        share = 1.0 if few else min(MAX_ROWS / (len(proof) + len(fit)), 1.0)
        proof, fit = (part[: max(round(share * len(part)), 1)] for part in (proof, fit))
        rows = np.concatenate([proof, fit])
        codes_of, mates = (_exact, _mates_of_few) if few else (bins_of, _mates)
        codes = np.stack([codes_of(events.columns[name])[rows] for name in names], axis=1)
        of_proof = np.arange(len(rows)) < len(proof)
        found = []
        if len(proof):
            n = int((mates(codes, of_proof, ~of_proof) >= 0).sum())
            if n >= max(SOME * len(proof) if few else 0, 1):
                found.append(_finding(self.name, n, len(proof), {"fit": len(fit)}))
        mate = mates(codes, ~of_proof, ~of_proof)
        near = np.flatnonzero(mate >= 0)
        if len(near) >= max(SOME * len(fit), 1):
            # Numbered from 1, as in the file without its header.
            numbers = seen.rows[rows] + 1
            one = near[np.argmin(numbers[near])]
            pair = {"one": int(numbers[one]), "other": int(numbers[mate[one]])}
            found.append(_finding(f"{self.name}.within", len(near), len(fit), pair))
        return found


def _finding(check: str, n: int, of: int, more: dict[str, int]) -> Finding:
    return Finding(
        check=check,
        level="warn" if n >= MANY * of else "note",
        values={"n": n, "of": of, "share": n / of, **more},
        evidence=(share_figure("near", n, of),),
    )


def _mates(codes: NDArray[np.int64], whose: _Rows, among: _Rows) -> _Mates:
    """(n,) for each row of ``whose`` one of ``among`` that is near to it; -1 for all others."""
    d = codes.shape[1]
    apart = max(d // FIELDS_APART, 1)
    n_bands = min(apart + 1, MAX_BANDS)
    # The fields that tell most apart are shared out first, so that no band is empty talk.
    telling = np.argsort([-len(np.unique(codes[:, j])) for j in range(d)], kind="stable")
    mate = np.full(len(codes), -1, dtype=np.int64)
    for band in range(n_bands):
        keys = _keys(codes[:, telling[band::n_bands]])
        # Within a band, neighbours by all fields are the likeliest to be near.
        order = np.lexsort((_keys(codes), codes[:, telling[0]], keys))
        for step in range(1, NEIGHBOURS + 1):
            for a, b in ((order[:-step], order[step:]), (order[step:], order[:-step])):
                asked = (keys[a] == keys[b]) & whose[a] & among[b] & (mate[a] < 0)
                one, other = a[asked], b[asked]
                near = (codes[one] != codes[other]).sum(axis=1) <= apart
                mate[one[near]] = other[near]
    return mate


def _mates_of_few(codes: NDArray[np.int64], whose: _Rows, among: _Rows) -> _Mates:
    """The same where all fields but one are equal, and by no accident."""
    n, d = codes.shape
    mate = np.full(n, -1, dtype=np.int64)
    alike = np.stack([np.bincount(codes[:, j])[codes[:, j]] - 1 for j in range(d)], axis=1)
    shares = alike / max(n - 1, 1)
    for left_out in range(d):
        others = np.arange(d) != left_out
        rare = n * shares[:, others].prod(axis=1) <= ACCIDENT
        _, group = np.unique(_keys(codes[:, others]), return_inverse=True)
        first = _firsts(group, among)
        second = _firsts(group, among & (first[group] != np.arange(n)))
        found = np.where(first[group] == np.arange(n), second[group], first[group])
        new = whose & rare & (found >= 0) & (mate < 0)
        mate[new] = found[new]
    return mate


def _firsts(group: NDArray[np.int64], among: _Rows) -> _Mates:
    """(groups,) the first row of ``among`` in each; -1 where there is none."""
    first = np.full(int(group.max()) + 1, -1, dtype=np.int64)
    rows = np.flatnonzero(among)[::-1]
    first[group[rows]] = rows
    return first


def _exact(column: Column) -> NDArray[np.int64]:
    """A code for each value, missing being one."""
    if column.dtype == object:
        return bins_of(column)
    return np.unique(column, return_inverse=True)[1].astype(np.int64)


def _keys(codes: NDArray[np.int64]) -> Keys:
    keys = np.zeros(len(codes), dtype=np.uint64)
    for j in range(codes.shape[1]):
        keys = mixed(keys ^ mixed(codes[:, j].astype(np.uint64) + np.uint64(1)))
    return keys
