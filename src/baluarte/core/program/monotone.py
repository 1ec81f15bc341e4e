"""Whether a sealed program never falls, or never rises, as one column grows: shown by its form.

The proof is for every row at once, of present values. A sum is monotone if each of its terms is:

- a tree: at every split of the column the largest leaf on the lower side is at most the smallest on
  the upper one, so two rows that part there keep their order; where this fails, any two leaves that
  are out of order lie behind splits of other columns that no row can pass both of;
- a numeric term: its weight has the sign; a table with cuts: its values rise; a table of categories
  has no order, so it must be constant;
- a stack: each member is, turned round where its weight is negative, since both links rise.

Kernel machines and networks are not shown to be monotone in a column that they read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.model import (
    CATEGORICAL,
    MISSING_LEFT,
    MISSING_ZERO,
    LinearPart,
    Part,
    Program,
    StackPart,
    TreePart,
    columns_read,
)
from baluarte.core.program.shape import shape_of

_MOST_PAIRS = 1 << 18  #: of leaves that are compared at one split; beyond, nothing is shown


def is_monotone(program: Program, column: int, sign: int) -> bool:
    """Whether the score never falls (``sign`` 1) or never rises (-1) as the column grows.

    False also means "not shown": the conditions are sufficient.
    """
    return all(_part(part, column, sign) for part in program.parts)


def _part(part: Part, column: int, sign: int) -> bool:
    if isinstance(part, TreePart):
        return _trees(part, column, sign)
    if isinstance(part, LinearPart):
        return _linear(part, column, sign)
    if isinstance(part, StackPart):
        signs = np.sign(part.weight).astype(int).tolist()
        return all(
            turn == 0 or is_monotone(member, column, sign * turn)
            for member, turn in zip(part.members, signs, strict=True)
        )
    return column not in columns_read(part)


def _linear(part: LinearPart, column: int, sign: int) -> bool:
    weights = part.weight[part.column == column]
    if (weights * sign < 0).any():
        return False
    for k in np.flatnonzero(part.table_column == column).tolist():
        values = part.table_value[part.table_start[k] : part.table_start[k + 1]]
        if part.cut_start[k] < part.cut_start[k + 1]:
            if (np.diff(values) * sign < 0).any():
                return False
        elif (values != part.table_other[k]).any():
            return False
    return True


def _trees(part: TreePart, column: int, sign: int) -> bool:
    splits = np.flatnonzero(part.feature == column)
    if not len(splits):
        return True
    if (part.flags[splits] & (CATEGORICAL | MISSING_ZERO)).any():
        return False  # a category has no order, and a zero that is missing leaves its place
    leaf = part.leaf * sign
    low, high = _ranges(part, leaf)
    left, right = part.left[splits], part.right[splits]
    unsure = splits[_of(left, high, leaf) > _of(right, low, leaf)]
    return all(_apart(part, node, leaf) for node in unsure.tolist())


def _of(
    refs: NDArray[np.int32], nodes: NDArray[np.int64], leaf: NDArray[np.int64]
) -> NDArray[np.int64]:
    inner = refs >= 0
    return np.where(inner, nodes[np.where(inner, refs, 0)], leaf[np.where(inner, 0, ~refs)])


def _ranges(part: TreePart, leaf: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(N,) the smallest and the largest leaf below each node."""
    low, high = np.zeros(len(part.left), np.int64), np.zeros(len(part.left), np.int64)
    for level in reversed(shape_of(part.root, part.left, part.right, len(part.leaf)).levels):
        left, right = part.left[level], part.right[level]
        low[level] = np.minimum(_of(left, low, leaf), _of(right, low, leaf))
        high[level] = np.maximum(_of(left, high, leaf), _of(right, high, leaf))
    return low, high


def _apart(part: TreePart, node: int, leaf: NDArray[np.int64]) -> bool:
    """Whether no two rows that differ in one column alone are put out of order by its split."""
    lower = _boxes(part, int(part.left[node]))
    upper = _boxes(part, int(part.right[node]))
    if len(lower) * len(upper) > _MOST_PAIRS:
        return False
    column = int(part.feature[node])
    return not any(
        leaf[below] > leaf[above] and _meet(box, other, column)
        for below, box in lower
        for above, other in upper
    )


@dataclass(frozen=True, slots=True)
class _Range:
    """The values of a column on the way to a leaf: above low, up to high, missing or not."""

    low: float = -np.inf
    high: float = np.inf
    missing: bool = True

    def meets(self, other: _Range) -> bool:
        present = max(self.low, other.low) < min(self.high, other.high)
        return present or (self.missing and other.missing)


_Box = dict[int, _Range]


def _boxes(part: TreePart, ref: int) -> list[tuple[int, _Box]]:
    """Each leaf below, and the ranges of the columns on the way; categories are let pass."""
    found: list[tuple[int, _Box]] = []
    waiting: list[tuple[int, _Box]] = [(ref, {})]
    while waiting:
        at, box = waiting.pop()
        if at < 0:
            found.append((~at, box))
            continue
        left, right, flags = int(part.left[at]), int(part.right[at]), int(part.flags[at])
        if flags & (CATEGORICAL | MISSING_ZERO):
            waiting += [(left, box), (right, box)]
            continue
        column, cut = int(part.feature[at]), float(part.threshold[at])
        own = box.get(column, _Range())
        # LightGBM compares a missing value as zero where the node doesn't know of missing ones.
        by_flag = part.rule != "lightgbm"
        goes_left = bool(flags & MISSING_LEFT)
        below = _Range(own.low, min(own.high, cut), own.missing and (goes_left or not by_flag))
        above = _Range(max(own.low, cut), own.high, own.missing and not (goes_left and by_flag))
        waiting += [(left, {**box, column: below}), (right, {**box, column: above})]
    return found


def _meet(a: _Box, b: _Box, column: int) -> bool:
    return all(a[j].meets(b[j]) for j in a.keys() & b.keys() if j != column)
