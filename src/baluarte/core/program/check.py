"""Whether a program may be evaluated: ``docs/concepts/program.md``, all faults at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program import model
from baluarte.core.program.model import LinearPart, Program, TreePart
from baluarte.core.program.shape import Shape, shape_of
from baluarte.errors import Fault

MAX_FEATURES = 1 << 20
MAX_PARTS = 64
MAX_ITEMS = 1 << 26  #: nodes, leaves, table values, cuts, set words of a part
MAX_SCALE_BITS = 52
MAX_SUM = 1 << 60  #: of absolute terms: no int64 sum overflows, no reason does
MAX_COVER = 2.0**1000  #: the sum of two covers stays finite
MAX_TREE_WORK = 1 << 25  #: nodes of a tree x its quadrature nodes: scratch memory of the reasons
MAX_WORK = 1 << 32  #: the same over all trees: time of one row's reasons

_FLAGS = {
    "lightgbm": {
        model.MISSING_LEFT | model.MISSING_ZERO,
        model.MISSING_LEFT | model.MISSING_NAN,
        model.MISSING_LEFT,
        model.MISSING_ZERO,
        model.MISSING_NAN,
        0,
        model.CATEGORICAL,
    },
    "sklearn": {0, model.MISSING_LEFT},
    "xgboost": {
        0,
        model.MISSING_LEFT,
        model.CATEGORICAL,
        model.CATEGORICAL | model.MISSING_LEFT,
    },
}


def faults(program: Program) -> list[Fault]:
    """Everything that is wrong with a program; empty if it may be evaluated."""
    found: list[Fault] = []
    if not 1 <= program.n_features <= MAX_FEATURES:
        found.append(
            Fault(f"expected 1 to {MAX_FEATURES} features, found {program.n_features}", "program")
        )
    if not 0 <= program.scale_bits <= MAX_SCALE_BITS:
        found.append(
            Fault(f"expected scale_bits 0..{MAX_SCALE_BITS}, found {program.scale_bits}", "program")
        )
    if len(program.parts) > MAX_PARTS:
        found.append(
            Fault(f"expected at most {MAX_PARTS} parts, found {len(program.parts)}", "program")
        )
    if found:
        return found
    total = abs(program.base)
    for i, part in enumerate(program.parts):
        where = f"program.parts[{i}]"
        try:
            found += [Fault(text, where) for text in _part_faults(part, program.n_features)]
        except ValueError as error:
            found.append(Fault(str(error), where))
        else:
            total += 0 if found else largest(part)
    if not found and total > MAX_SUM:
        found.append(
            Fault(f"expected a sum of largest terms up to {MAX_SUM}, found {total}", "program")
        )
    return found


def largest(part: TreePart | LinearPart) -> int:
    """The largest absolute sum that the terms of a checked part can reach."""
    if isinstance(part, TreePart):
        if not len(part.root):
            return 0
        # In canonical order the leaves of a tree are contiguous.
        inner = part.root >= 0
        sizes = np.ones(len(part.root), np.int64)
        starts = np.append(part.root[inner], len(part.left))
        sizes[inner] += np.diff(starts)
        first = np.cumsum(sizes) - sizes
        return sum(np.maximum.reduceat(np.abs(part.leaf), first).tolist())
    total = 0
    low, high = _numeric_ends(part)
    numeric = np.maximum(np.maximum(np.abs(low), np.abs(high)), np.abs(part.missing))
    total += sum(int(value) for value in np.maximum(numeric, np.abs(part.mean)).tolist())
    for k in range(len(part.table_column)):
        values = part.table_value[part.table_start[k] : part.table_start[k + 1]]
        total += max(
            abs(int(part.table_missing[k])),
            abs(int(part.table_other[k])),
            abs(int(part.table_mean[k])),
            int(np.abs(values).max(initial=0)),
        )
    return total


def _numeric_ends(part: LinearPart) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with np.errstate(all="ignore"):
        ends = [
            np.rint(((x - part.center) / part.scale) * part.weight) for x in (part.low, part.high)
        ]
    return ends[0], ends[1]


def _part_faults(part: TreePart | LinearPart, n_features: int) -> Iterator[str]:
    """Raises ValueError where nothing further can be said."""
    for name in part.__slots__:
        array = getattr(part, name)
        if isinstance(array, np.ndarray) and array.size > MAX_ITEMS:
            raise ValueError(f"{name}: expected at most {MAX_ITEMS} items, found {array.size}")
    check: Callable[..., Iterator[str]] = (
        _tree_faults if isinstance(part, TreePart) else _linear_faults
    )
    yield from check(part, n_features)


def _same_length(part: TreePart | LinearPart, names: tuple[str, ...]) -> None:
    lengths = {name: len(getattr(part, name)) for name in names}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"expected arrays of one length, found {lengths}")


def _ranges(name: str, starts: NDArray[np.int32], n_ranges: int, n_items: int) -> None:
    if len(starts) != n_ranges + 1:
        raise ValueError(f"{name}: expected {n_ranges + 1} starts, found {len(starts)}")
    if starts[0] != 0 or starts[-1] != n_items or (np.diff(starts.astype(np.int64)) < 0).any():
        raise ValueError(f"{name}: expected starts ascending from 0 to {n_items}")


def _too_large(values: NDArray[np.int64]) -> bool:
    return bool(((values > MAX_SUM) | (values < -MAX_SUM)).any())


def _tree_faults(part: TreePart, n_features: int) -> Iterator[str]:
    if part.rule not in _FLAGS:
        raise ValueError(f"rule: expected one of {sorted(_FLAGS)}, found {part.rule!r}")
    _same_length(
        part, ("feature", "threshold", "left", "right", "flags", "set_index", "node_cover")
    )
    _same_length(part, ("leaf", "leaf_cover"))
    _ranges("set_start", part.set_start, max(len(part.set_start) - 1, 0), len(part.set_bits))
    shape = shape_of(part.root, part.left, part.right, len(part.leaf))
    if (shape.node_at != np.arange(len(part.left))).any():
        raise ValueError("nodes are not in canonical order (parent, left subtree, right subtree)")
    if (shape.leaf_at != np.arange(len(part.leaf))).any():
        raise ValueError("leaves are not in canonical order (left to right)")
    yield from _work_faults(shape, n_features)
    yield from _node_faults(part, n_features)
    for name, cover in (("node_cover", part.node_cover), ("leaf_cover", part.leaf_cover)):
        if not ((cover > 0) & (cover <= MAX_COVER)).all():
            yield f"{name}: expected numbers in (0, 2**1000]"
    if _too_large(part.leaf):
        yield f"leaf: expected values within {MAX_SUM}"


def _node_faults(part: TreePart, n_features: int) -> Iterator[str]:
    if ((part.feature < 0) | (part.feature >= n_features)).any():
        yield f"feature: expected columns in [0, {n_features})"
    if np.isnan(part.threshold).any():
        yield "threshold: expected numbers, found NaN"
    if part.rule == "xgboost" and (part.threshold == -np.inf).any():
        yield "threshold: nothing is below -inf"
    if not np.isin(part.flags, list(_FLAGS[part.rule])).all():
        yield f"flags: found a combination that rule {part.rule} does not have"
    categorical = (part.flags & model.CATEGORICAL) != 0
    n_sets = len(part.set_start) - 1
    named = part.set_index[categorical]
    if ((named < 0) | (named >= n_sets)).any() or (part.set_index[~categorical] != -1).any():
        yield f"set_index: expected [0, {n_sets}) where categorical and -1 elsewhere"
    if part.threshold[categorical].view(np.int64).any():
        yield "threshold: expected 0.0 where categorical"


def _work_faults(shape: Shape, n_features: int) -> Iterator[str]:
    nodes = np.bincount(shape.tree, minlength=len(shape.depth))
    work = nodes * ((np.minimum(shape.depth, n_features) + 1) // 2)
    if (work > MAX_TREE_WORK).any() or work.sum() > MAX_WORK:
        yield "the trees are too large for exact reasons in bounded memory and time"


def _linear_faults(part: LinearPart, n_features: int) -> Iterator[str]:
    _same_length(part, ("column", "center", "scale", "low", "high", "weight", "missing", "mean"))
    _same_length(part, ("table_column", "table_missing", "table_other", "table_mean"))
    n_tables = len(part.table_column)
    _ranges("table_start", part.table_start, n_tables, len(part.table_value))
    _ranges("cut_start", part.cut_start, n_tables, len(part.cut))
    for name, column in (("column", part.column), ("table_column", part.table_column)):
        if ((column < 0) | (column >= n_features)).any():
            yield f"{name}: expected columns in [0, {n_features})"
    finite = True
    for name in ("center", "scale", "low", "high", "weight", "cut"):
        if not np.isfinite(getattr(part, name)).all():
            finite = False
            yield f"{name}: expected finite numbers"
    if not (part.scale > 0).all():
        yield "scale: expected numbers above 0"
    elif finite:
        ends = np.abs(np.concatenate(_numeric_ends(part)))
        if not (ends <= float(MAX_SUM)).all():
            yield f"weight: expected terms within {MAX_SUM} between low and high"
    if not (part.low <= part.high).all():
        yield "low: expected low <= high"
    for name in ("missing", "mean", "table_value", "table_missing", "table_other", "table_mean"):
        if _too_large(getattr(part, name)):
            yield f"{name}: expected values within {MAX_SUM}"
    yield from _cut_faults(part)


def _cut_faults(part: LinearPart) -> Iterator[str]:
    n_cuts = np.diff(part.cut_start)
    n_values = np.diff(part.table_start)
    if ((n_cuts > 0) & (n_values != n_cuts + 1)).any():
        yield "table_start: expected one value more than there are cuts"
    rising = part.cut[1:] > part.cut[:-1]
    inner = np.ones(len(rising), bool)
    ends_at = part.cut_start[1:-1]
    inner[ends_at[(ends_at > 0) & (ends_at < len(part.cut))] - 1] = False
    if not rising[inner].all():
        yield "cut: expected cuts strictly ascending within a term"
