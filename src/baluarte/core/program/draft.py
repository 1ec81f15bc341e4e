"""A draft program: the compiled model before its one rounding to fixed point.

Learners compile to drafts; drafts add up (that is what a blend is); :func:`seal` rounds each term
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import frexp, isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.check import faults, stack_terms
from baluarte.core.program.draft_dense import (
    N_PAIRS,
    NO_BACKGROUND,
    DraftKernel,
    DraftNetwork,
    kernel_part,
    largest_dense,
    network_part,
    scaled_kernel,
    scaled_network,
    with_background,
)
from baluarte.core.program.model import (
    CATEGORICAL,
    IDENTITY,
    LOGISTIC,
    KernelPart,
    LinearPart,
    NetworkPart,
    Part,
    Program,
    Rule,
    StackPart,
    TreePart,
)
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
    parts: tuple[DraftPart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One model of a stack: ``weight * link(margin)``."""

    draft: Draft
    weight: float
    link: Literal["identity", "logistic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftStack:
    """The sum of members whose link is not a sum itself."""

    members: tuple[Member, ...]
    background: NDArray[np.float64]  #: (B, n_features) rows; see :func:`background_of`
    pairs: int = N_PAIRS


DraftPart = DraftTrees | DraftLinear | DraftKernel | DraftNetwork | DraftStack


def stack(members: Sequence[Member], *, base: float, background: NDArray[np.float64]) -> Draft:
    """``base + Σ weight * link(margin)``: soft voting, and stacking with a linear last estimator.

    Soft voting over classifiers whose margin is the log-odds is ``logistic`` with the votes'
    shares as weights and base 0; stacking on probabilities by a logistic regression is
    ``logistic`` with its coefficients and its intercept; on decision functions ``identity``.
    Members whose link is the identity (a forest's margin that is a probability already, say) are
    added as they are, so that their reasons stay exact.

    Args:
        members: at least one, over the same columns; a draft may itself be a stack, three deep.
        base: the constant on the sum's scale.
        background: (B, n_features) rows of the fit, against which the reasons of the other
            members are estimated; :func:`~baluarte.core.program.draft_dense.background_of`
            picks them. The bundle keeps them.

    Raises:
        ValueError: no member, different numbers of columns, or a number that is not finite.
    """
    n_features = {member.draft.n_features for member in members}
    if len(n_features) != 1:
        raise ValueError("expected drafts over the same columns, at least one")
    if not all(isfinite(value) for value in (base, *(member.weight for member in members))):
        raise ValueError("expected finite weights")
    inner = tuple(member for member in members if member.link == "logistic")
    linked = (DraftStack(members=inner, background=background),) if inner else ()
    constant = Draft(n_features=n_features.pop(), base=base, parts=linked)
    plain = [(member.weight, member.draft) for member in members if member.link == "identity"]
    return add([(1.0, constant), *plain])


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
    parts: list[DraftPart] = []
    for weight, draft in weighted:
        base += weight * draft.base
        parts += [_times(part, weight) for part in draft.parts]
    return Draft(n_features=weighted[0][1].n_features, base=base, parts=tuple(parts))


def _times(part: DraftPart, weight: float) -> DraftPart:
    if isinstance(part, DraftStack):
        members = [replace(member, weight=member.weight * weight) for member in part.members]
        return replace(part, members=tuple(members))
    return replace(part, **{name: getattr(part, name) * weight for name in _SCALED[type(part)]})


def seal(draft: Draft) -> Program:
    """The program of a draft: every leaf, weight and table value rounded once, half to even.

    The scale is the finest, up to 2**-40, at which the largest possible score fits in 2**50.
    Nodes and leaves are put in canonical order.

    Raises:
        ValueError: the draft breaks a rule of ``docs/concepts/program.md``: our bug, or the
            learner's.
    """
    parts = [_unscaled(part) for part in draft.parts]
    size = abs(draft.base) + sum(_largest(part) for part in parts)
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
        parts=tuple(_scaled(part, unit) for part in parts),
    )
    found = faults(program)
    if found:
        raise ValueError("\n".join(str(fault) for fault in found))
    return program


_LINEAR_SCALED = (
    "weight",
    "missing",
    "mean",
    "table_value",
    "table_missing",
    "table_other",
    "table_mean",
)
#: what a factor on a part multiplies
_SCALED: dict[type, tuple[str, ...]] = {
    DraftTrees: ("leaf",),
    DraftLinear: _LINEAR_SCALED,
    DraftKernel: ("weight",),
    DraftNetwork: ("weight",),
}

_Unscaled = DraftTrees | DraftLinear | KernelPart | NetworkPart | StackPart


def _unscaled(part: DraftPart) -> _Unscaled:
    """A part whose weights are on the margin's scale still."""
    if isinstance(part, DraftKernel):
        return kernel_part(part)
    if isinstance(part, DraftNetwork):
        return network_part(part)
    if isinstance(part, DraftStack):
        return _stack_part(part)
    return part


def _scaled(part: _Unscaled, unit: float) -> Part:
    if isinstance(part, DraftTrees):
        return _seal_trees(part, unit)
    if isinstance(part, DraftLinear):
        return _seal_linear(part, unit)
    if isinstance(part, KernelPart):
        return scaled_kernel(part, unit)
    if isinstance(part, NetworkPart):
        return scaled_network(part, unit)
    return replace(part, weight=part.weight * unit)


def _stack_part(draft: DraftStack) -> StackPart:
    links = [LOGISTIC if member.link == "logistic" else IDENTITY for member in draft.members]
    part = StackPart(
        link=np.array(links, np.int32),
        weight=np.array([member.weight for member in draft.members]),
        members=tuple(seal(member.draft) for member in draft.members),
        **NO_BACKGROUND,
    )
    return with_background(part, draft.background, draft.pairs)


def _largest(part: _Unscaled) -> float:
    """The largest absolute sum that a part's terms can reach, on the margin's scale."""
    if isinstance(part, KernelPart | NetworkPart):
        return largest_dense(part)
    if isinstance(part, StackPart):
        return sum(stack_terms(part))
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
    for name in _LINEAR_SCALED:
        values[name] = values[name] * unit if name == "weight" else _fixed(values[name], unit)
    return LinearPart(**values)
