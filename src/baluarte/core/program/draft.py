"""A draft program: the compiled model before its one rounding to fixed point.

Learners compile to drafts; drafts add up (that is what a blend is); :func:`seal` rounds each term
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import frexp, isfinite

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.check import faults
from baluarte.core.program.model import CATEGORICAL, LinearPart, Program, Rule, TreePart
from baluarte.core.program.shape import shape_of

MAX_SEALED_BITS = 40  #: finer units than 2**-40 of the margin say nothing
SUM_BITS = 50  #: the largest score of a sealed program is near 2**50, far from saturation


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftTrees:
    """As :class:`~baluarte.core.program.model.TreePart`, with float64 leaves of shape (L,)."""

    rule: Rule
    root: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    flags: NDArray[np.uint8]
    set_index: NDArray[np.int32]
    set_start: NDArray[np.int32]
    set_bits: NDArray[np.uint32]
    leaf: NDArray[np.float64]
    node_cover: NDArray[np.float64]
    leaf_cover: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftLinear:
    """As :class:`~baluarte.core.program.model.LinearPart`, values float64 on the margin's scale."""

    column: NDArray[np.int32]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    weight: NDArray[np.float64]
    missing: NDArray[np.float64]
    mean: NDArray[np.float64]
    table_column: NDArray[np.int32]
    table_start: NDArray[np.int32]
    table_value: NDArray[np.float64]
    cut_start: NDArray[np.int32]
    cut: NDArray[np.float64]
    table_missing: NDArray[np.float64]
    table_other: NDArray[np.float64]
    table_mean: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A sum of parts plus a constant, on the margin's scale, over ``n_features`` columns."""

    n_features: int
    base: float
    parts: tuple[DraftTrees | DraftLinear, ...]


def add(weighted: Sequence[tuple[float, Draft]]) -> Draft:
    """The weighted sum of drafts over the same columns.

    Raises:
        ValueError: no draft, different numbers of columns, or a weight that is not finite.
    """
    if len({draft.n_features for _, draft in weighted}) != 1:
        raise ValueError("expected drafts over the same columns, at least one")
    if not all(isfinite(weight) for weight, _ in weighted):
        raise ValueError("expected finite weights")
    base = 0.0
    parts: list[DraftTrees | DraftLinear] = []
    for weight, draft in weighted:
        base += weight * draft.base
        for part in draft.parts:
            names = ("leaf",) if isinstance(part, DraftTrees) else _SCALED
            parts.append(replace(part, **{name: getattr(part, name) * weight for name in names}))
    return Draft(n_features=weighted[0][1].n_features, base=base, parts=tuple(parts))


def seal(draft: Draft) -> Program:
    """The program of a draft: every leaf, weight and table value rounded once, half to even.

    The scale is the finest, up to 2**-40, at which the largest possible score fits in 2**50.
    Nodes and leaves are put in canonical order.

    Raises:
        ValueError: the draft breaks a rule of ``docs/concepts/program.md``: our bug, or the
            learner's.
    """
    size = abs(draft.base) + sum(_largest(part) for part in draft.parts)
    if not isfinite(size):
        raise ValueError("expected finite leaves, weights and clipping ranges")
    mantissa, exponent = frexp(size)
    fits = SUM_BITS - exponent + (mantissa == 0.5)
    if fits < 0:
        raise ValueError(f"expected margins up to 2**{SUM_BITS}, found {size}")
    scale_bits = min(MAX_SEALED_BITS, fits)
    unit = 2.0**scale_bits
    program = Program(
        n_features=draft.n_features,
        scale_bits=scale_bits,
        base=int(np.rint(draft.base * unit)),
        parts=tuple(
            _seal_trees(part, unit) if isinstance(part, DraftTrees) else _seal_linear(part, unit)
            for part in draft.parts
        ),
    )
    found = faults(program)
    if found:
        raise ValueError("\n".join(str(fault) for fault in found))
    return program


_SCALED = (
    "weight",
    "missing",
    "mean",
    "table_value",
    "table_missing",
    "table_other",
    "table_mean",
)  #: what a factor on a linear part multiplies


def _largest(part: DraftTrees | DraftLinear) -> float:
    """The largest absolute sum that a part's terms can reach, on the margin's scale."""
    if isinstance(part, DraftTrees):
        tree_of_leaf = _tree_of_leaf(part)
        largest = np.zeros(len(part.root))
        with np.errstate(invalid="ignore"):  # NaN stays NaN, which seal refuses
            np.maximum.at(largest, tree_of_leaf, np.abs(part.leaf))
        return float(largest.sum())
    with np.errstate(all="ignore"):
        ends = [np.abs((x - part.center) / part.scale * part.weight) for x in (part.low, part.high)]
    total = float(np.maximum(np.maximum(*ends), np.abs(part.missing)).sum())
    for k in range(len(part.table_column)):
        values = np.abs(part.table_value[part.table_start[k] : part.table_start[k + 1]])
        others = max(abs(part.table_missing[k]), abs(part.table_other[k]))
        total += max(float(values.max(initial=0.0)), float(others))
    return total


def _tree_of_leaf(part: DraftTrees) -> NDArray[np.int64]:
    tree = np.zeros(len(part.leaf), np.int64)
    shape = shape_of(part.root, part.left, part.right, len(part.leaf))
    tree[~part.root[part.root < 0]] = np.flatnonzero(part.root < 0)
    for child in (part.left, part.right):
        tree[~child[child < 0]] = shape.tree[child < 0]
    return tree


def _fixed(values: NDArray[np.float64], unit: float) -> NDArray[np.int64]:
    return np.rint(values * unit).astype(np.int64)


def _seal_trees(part: DraftTrees, unit: float) -> TreePart:
    shape = shape_of(part.root, part.left, part.right, len(part.leaf))

    def moved(refs: NDArray[np.int32]) -> NDArray[np.int32]:
        new = np.empty(len(refs), np.int32)
        inner = refs >= 0
        new[inner] = shape.node_at[refs[inner]]
        new[~inner] = ~shape.leaf_at[~refs[~inner]]
        return new

    nodes = np.argsort(shape.node_at)
    leaves = np.argsort(shape.leaf_at)
    flags = part.flags.astype(np.uint8)
    if part.rule == "lightgbm":  # where a category is missing it goes right, whatever was stored
        flags[(flags & CATEGORICAL) != 0] = CATEGORICAL
    return TreePart(
        rule=part.rule,
        root=moved(part.root),
        feature=part.feature[nodes].astype(np.int32),
        threshold=part.threshold[nodes].astype(np.float64),
        left=moved(part.left)[nodes],
        right=moved(part.right)[nodes],
        flags=flags[nodes],
        set_index=part.set_index[nodes].astype(np.int32),
        set_start=part.set_start.astype(np.int32),
        set_bits=part.set_bits.astype(np.uint32),
        leaf=_fixed(part.leaf[leaves], unit),
        node_cover=part.node_cover[nodes].astype(np.float64),
        leaf_cover=part.leaf_cover[leaves].astype(np.float64),
    )


def _seal_linear(part: DraftLinear, unit: float) -> LinearPart:
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    for name in _SCALED:
        values[name] = values[name] * unit if name == "weight" else _fixed(values[name], unit)
    return LinearPart(**values)
