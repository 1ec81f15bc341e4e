"""What the reasons of a program need that no row changes: shares, orders and the base."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.limits import MAX_SCORE
from baluarte.core.program.model import LinearPart, Program, TreePart, distinct
from baluarte.core.program.quadrature import gauss_legendre
from baluarte.core.program.shape import shape_of
from baluarte.core.program.vector import Rows, check_arithmetic


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePlan:
    """What the reasons of an ensemble need; edge 2i leads left from node i, 2i + 1 right."""

    before: NDArray[np.int64]  #: (N,) nearest earlier edge that splits the same column, or -1
    share: NDArray[np.float64]  #: (2N,) training weight of an edge, of its node's
    merged: NDArray[np.float64]  #: (2N,) product of the shares of this and the earlier edges
    order: NDArray[np.int32]  #: (T,) quadrature nodes
    first: NDArray[np.int64]  #: (T + 1,) first node of each tree
    levels: tuple[NDArray[np.int64], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A program made ready for reasons."""

    base: int  #: expectation over the training weights, in score units
    used: NDArray[np.int64]  #: columns that some split or term reads, ascending
    max_order: int
    trees: tuple[TreePlan | None, ...]  #: one a part; None for linear parts


def plan_reasons(program: Program) -> Plan:
    """Everything about a program's reasons that no row changes.

    Raises:
        TypeError: a part whose reasons are estimated.
    """
    check_arithmetic()
    base, expected = program.base, 0.0
    used: set[int] = set()
    plans: list[TreePlan | None] = []
    for part in program.parts:
        if isinstance(part, TreePart):
            plan = _plan_trees(part)
            plans.append(plan)
            constant, means = _means(part, plan)
            base += constant
            for mean in means:
                expected += mean
            used.update(distinct(part.feature).tolist())
        elif not isinstance(part, LinearPart):
            raise TypeError("reasons of such a part are estimated, not exact")
        else:
            plans.append(None)
            base += sum(part.mean.tolist()) + sum(part.table_mean.tolist())
            used.update(part.column.tolist(), part.table_column.tolist())
    base += int(np.rint(expected))
    return Plan(
        base=max(-MAX_SCORE, min(MAX_SCORE, base)),
        used=np.array(sorted(used), np.int64),
        max_order=max((int(plan.order.max(initial=0)) for plan in plans if plan), default=0),
        trees=tuple(plans),
    )


def _plan_trees(part: TreePart) -> TreePlan:
    n = len(part.left)
    shape = shape_of(part.root, part.left, part.right, len(part.leaf))
    children = np.stack([part.left, part.right], axis=1)
    inner = children >= 0
    up = np.full(n, -1, np.int64)  # the edge into each node
    up[children[inner]] = np.flatnonzero(inner.ravel())
    before = up.copy()
    seeking = np.flatnonzero(before >= 0)
    while seeking.size:
        above = before[seeking] >> 1
        seeking = seeking[part.feature[above] != part.feature[seeking]]
        before[seeking] = up[before[seeking] >> 1]
        seeking = seeking[before[seeking] >= 0]
    cover = np.empty((n, 2))
    cover[inner] = part.node_cover[children[inner]]
    cover[~inner] = part.leaf_cover[~children[~inner]]
    with np.errstate(under="ignore"):
        share = cover / (cover[:, :1] + cover[:, 1:])
        merged = share.copy()
        distinct = np.zeros(n, np.int64)
        for nodes in shape.levels:
            again = nodes[before[nodes] >= 0]
            merged[again] = merged.ravel()[before[again], None] * share[again]
            distinct[nodes] = np.where(up[nodes] >= 0, distinct[up[nodes] >> 1], 0)
            distinct[nodes] += before[nodes] < 0
    most = np.zeros(len(part.root), np.int64)
    np.maximum.at(most, shape.tree, distinct)
    sizes = np.bincount(shape.tree, minlength=len(part.root))
    return TreePlan(
        before=before,
        share=share.ravel(),
        merged=merged.ravel(),
        order=((most + 1) // 2).astype(np.int32),
        first=np.concatenate([[0], np.cumsum(sizes)]),
        levels=shape.levels,
    )


def _means(part: TreePart, plan: TreePlan) -> tuple[int, list[float]]:
    """The sum of the trees that are one leaf, and the expectation of each other tree in order."""
    share = plan.share.reshape(-1, 2)
    leaf = part.leaf.astype(np.float64)
    mean = np.zeros(len(part.left))

    def value(refs: NDArray[np.int32]) -> Rows:
        padded = np.append(mean, 0.0)
        return np.where(refs >= 0, padded[np.maximum(refs, -1)], leaf[~np.minimum(refs, -1)])

    with np.errstate(under="ignore"):
        for nodes in reversed(plan.levels):
            mean[nodes] = share[nodes, 0] * value(part.left[nodes])
            mean[nodes] += share[nodes, 1] * value(part.right[nodes])
    constant = part.leaf[~part.root[part.root < 0]]
    return sum(constant.tolist()), mean[part.root[part.root >= 0]].tolist()


def quadrature_tables(max_order: int) -> tuple[Rows, Rows, Rows]:
    """Points t, 1 − t and weights of orders 1 … ``max_order``, one after another."""
    orders = [gauss_legendre(n) for n in range(1, max_order + 1)]
    t = np.array([point for points, _ in orders for point in points])
    w = np.array([weight for _, weights in orders for weight in weights])
    return t, 1.0 - t, w
