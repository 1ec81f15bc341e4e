"""Between which values a program can't tell a column's numbers apart.

A column that only trees and tables read has steps: the score changes at them and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.model import CATEGORICAL, MISSING_ZERO, LinearPart, Program, TreePart
from baluarte.core.program.vector import ZERO_THRESHOLD

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Where the score of a program can change, column by column.

    Attributes:
        edges: for each column, ascending: the last value of each cell but the highest one.
        smooth: columns that some part reads in another way than by steps.
        read: columns that some part reads at all.
    """

    edges: tuple[Floats, ...]
    smooth: frozenset[int]
    read: frozenset[int]


def cells_of(program: Program) -> Cells:
    """The cells of a program; of parts that are neither trees nor linear every column is smooth."""
    edges: list[list[Floats]] = [[] for _ in range(program.n_features)]
    smooth: set[int] = set()
    read: set[int] = set()
    for part in program.parts:
        _collect(part, edges, smooth, read)
    return Cells(
        edges=tuple(np.unique(np.concatenate([np.zeros(0), *found])) for found in edges),
        smooth=frozenset(smooth),
        read=frozenset(read),
    )


def _collect(part: object, edges: list[list[Floats]], smooth: set[int], read: set[int]) -> None:
    if isinstance(part, TreePart):
        read.update(np.unique(part.feature).tolist())
        _tree_edges(part, edges)
    elif isinstance(part, LinearPart):
        moving = part.column[part.weight != 0.0].tolist()
        smooth.update(moving)
        read.update(part.column.tolist(), part.table_column.tolist())
        _table_edges(part, edges)
    else:
        smooth.update(range(len(edges)))
        read.update(range(len(edges)))


def _tree_edges(part: TreePart, edges: list[list[Floats]]) -> None:
    by_number = (part.flags & CATEGORICAL) == 0
    last = last_to_the_left(part, part.threshold)
    by_zero = by_number & ((part.flags & MISSING_ZERO) != 0) & (part.rule == "lightgbm")
    around_zero = np.array([np.nextafter(-ZERO_THRESHOLD, -np.inf), ZERO_THRESHOLD])
    for column in np.unique(part.feature[by_number]).tolist():
        mine = part.feature == column
        found = np.unique(last[mine & by_number])
        edges[column].append(found[np.isfinite(found)])
        if (mine & by_zero).any():
            edges[column].append(around_zero)
    for column in np.unique(part.feature[~by_number]).tolist():
        words = int(np.diff(part.set_start).max(initial=0))
        codes = np.arange(words * 32 + 1, dtype=np.float64)
        if part.rule == "lightgbm":  # the code of x is int(x), where x is above -1
            edges[column].append(np.concatenate([[-1.0], np.nextafter(codes, -np.inf)]))
        else:
            edges[column].append(last_to_the_left(part, codes))


def last_to_the_left(part: TreePart, threshold: Floats) -> Floats:
    """The greatest float64 that goes left of each threshold by the part's rule."""
    if part.rule == "lightgbm":
        return threshold
    with np.errstate(over="ignore", invalid="ignore"):
        near = threshold.astype(np.float32)
        under = near.astype(np.float64)
        above = under > threshold if part.rule == "sklearn" else under >= threshold
        near = np.where(above, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)
        following = np.nextafter(near, np.float32(np.inf)).astype(np.float64)
        # What rounds to ``near``: up to the middle, and the middle itself where near is even.
        middle = near.astype(np.float64) / 2 + following / 2
        stays = middle.astype(np.float32) <= near
    return np.where(stays, middle, np.nextafter(middle, -np.inf))


def _table_edges(part: LinearPart, edges: list[list[Floats]]) -> None:
    for k, column in enumerate(part.table_column.tolist()):
        cuts = part.cut[part.cut_start[k] : part.cut_start[k + 1]]
        if len(cuts):
            edges[column].append(np.nextafter(cuts, -np.inf))
        else:
            codes = part.table_start[k + 1] - part.table_start[k]
            edges[column].append(_around(np.arange(int(codes), dtype=np.float64)))


def _around(codes: Floats) -> Floats:
    """Steps to both sides of each code."""
    return np.concatenate([np.nextafter(codes, -np.inf), codes])
