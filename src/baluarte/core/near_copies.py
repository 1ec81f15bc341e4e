"""Rows that are another one but for a few fields: what is near, and which rows are.

If two rows of d fields differ in at most k, then of k + 1 bands that the fields are shared out to,
one is equal in both. So rows that agree in a band are candidates, and each is compared in full: all
that is found is true, and a pair is missed only in a crowd, where a row meets but its nearest
neighbours in the order of the bands' keys.

With fewer than ten fields each is left out in turn, and rows are near that are equal in all others.
So few fields may agree by accident: only rows count whose values are too rare together for that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baluarte.core.event import Column
from baluarte.core.row_keys import Keys, mixed
from baluarte.core.telling import bins_of

FEWEST_FIELDS = 4
MANY_FIELDS = 10  #: from which rows are compared in bands
FIELDS_APART = 10  #: of so many fields one may differ
MAX_BANDS = 8
NEIGHBOURS = 6  #: that a row is compared with in each band
ACCIDENT = 0.01  #: other rows so like one that are expected, were the fields independent
ROUNDS = 16  #: of leaving out, at most; each finds fewer
_PIECE = 65_536  #: pairs compared at a time

Codes = NDArray[np.int32]  #: (n, d) of each row's value in each field
Rows = NDArray[np.bool_]
Mates = NDArray[np.int64]


def codes_of(columns: Sequence[Column]) -> Codes:
    """(n, d) codes that are equal where values count as equal.

    With ten fields or more numbers are equal within the same 256th of their values, with fewer
    exactly.
    """
    of = _exact if len(columns) < MANY_FIELDS else bins_of
    return np.stack([of(column).astype(np.int32) for column in columns], axis=1)


def near_rows(codes: Codes, whose: Rows, among: Rows) -> Mates:
    """(n,) for each row of ``whose`` one of ``among`` that is near to it; -1 for all others."""
    few = codes.shape[1] < MANY_FIELDS
    return (_mates_of_few if few else _mates)(codes, whose, among)


def left_out(codes: Codes, fit: Rows, held: Rows) -> Rows:
    """(n,) which fit rows are near to a held-out one, asked until no more are found."""
    out = np.zeros(len(codes), dtype=np.bool_)
    for _ in range(ROUNDS):
        found = near_rows(codes, fit & ~out, held) >= 0
        if not found.any():
            break
        out |= found
    return out


def surplus(codes: Codes, fit: Rows) -> Rows:
    """(n,) which fit rows are near to an earlier one, so that one of like rows stays.

    Of a long chain of near rows every second or so goes in a round, and the rest are asked again.
    """
    out = np.zeros(len(codes), dtype=np.bool_)
    rows = np.arange(len(codes))
    for round_ in range(ROUNDS):
        mate = near_rows(codes, fit & ~out, fit & ~out)
        paired = np.flatnonzero(mate >= 0)
        if not len(paired):
            break
        later, earlier = np.maximum(rows, mate)[paired], np.minimum(rows, mate)[paired]
        asked = np.zeros(len(codes), dtype=np.bool_)
        asked[later] = True
        gone = np.zeros(len(codes), dtype=np.bool_)
        gone[later[~asked[earlier]]] = True
        coin = (mixed(rows.astype(np.uint64) ^ np.uint64(round_ << 32)) & 1) == 1
        gone[later[coin[later] & ~coin[earlier] & ~gone[earlier]]] = True
        out |= gone
    return out


def _mates(codes: Codes, whose: Rows, among: Rows) -> Mates:
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
                near = _differ(codes, one, other) <= apart
                mate[one[near]] = other[near]
    return mate


def _differ(codes: Codes, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """(pairs,) in how many fields the rows of each pair differ."""
    out = np.empty(len(one), dtype=np.int64)
    for start in range(0, len(one), _PIECE):
        piece = slice(start, start + _PIECE)
        out[piece] = (codes[one[piece]] != codes[other[piece]]).sum(axis=1)
    return out


def _mates_of_few(codes: Codes, whose: Rows, among: Rows) -> Mates:
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


def _firsts(group: NDArray[np.int64], among: Rows) -> Mates:
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


def _keys(codes: Codes) -> Keys:
    keys = np.zeros(len(codes), dtype=np.uint64)
    for j in range(codes.shape[1]):
        keys = mixed(keys ^ mixed(codes[:, j].astype(np.uint64) + np.uint64(1)))
    return keys
