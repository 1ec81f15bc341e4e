"""Exact reasons: path-dependent Shapley values by quadrature, apportioned to whole score units.

One leaf of value v pays a row v·Π over its path's distinct columns of o (whether the row satisfies
all of that column's splits) where the column is known, z (the share of training weight that does)
where it is not. The Shapley value of column k is the integral over t in [0, 1] of
v·(o_k − z_k)·Π_{m≠k}(t·o_m + (1 − t)·z_m), a polynomial of degree one less than the number of
columns on the path: Gauss–Legendre quadrature with half as many nodes is exact.

``docs/concepts/program.md`` states the order of every float64 operation here.

Source: Lundberg et al., Nature Machine Intelligence 2, 2020 (path-dependent TreeSHAP); Owen,
Management Science 18, 1972 (the multilinear extension); Yu et al., Linear TreeSHAP, NeurIPS 2022
(one pass over the edges).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.model import LinearPart, Program, TreePart
from baluarte.core.program.quadrature import gauss_legendre
from baluarte.core.program.reason_plan import Plan, TreePlan
from baluarte.core.program.vector import (
    Mask,
    Rows,
    Scores,
    check_arithmetic,
    goes_left,
    linear_terms,
    score,
)

_CELLS = 1 << 20  #: nodes x rows x quadrature nodes in flight: bounds memory
_TOTALS = 1 << 22  #: columns x rows x quadrature nodes together: likewise
_MAX_ROWS = 64


def reasons(program: Program, plan: Plan, X: Rows) -> Scores:
    """(n, n_features) rows to (n, n_features) reasons: ``plan.base + Σ reasons == score``."""
    check_arithmetic()
    target = score(program, X) - plan.base
    phi = np.zeros(X.shape, np.int64)
    for part in program.parts:
        if isinstance(part, LinearPart):
            for column, mean, terms in linear_terms(part, X):
                phi[:, column] += terms - mean
    together = max(1, min(_MAX_ROWS, _TOTALS // max(1, X.shape[1] * plan.max_order)))
    for start in range(0, len(X), together):
        rows = slice(start, start + together)
        sums = _tree_sums(program, plan, X[rows])
        _apportion(target[rows], sums, phi[rows], plan.used)
    return phi


def _tree_sums(program: Program, plan: Plan, X: Rows) -> Rows:
    """(n, n_features) float64 Shapley values of all trees."""
    n, d = X.shape
    q = plan.max_order
    sums: Rows = np.zeros((d, n, q))
    for part, trees in zip(program.parts, plan.trees, strict=True):
        if not isinstance(part, TreePart) or trees is None:
            continue
        for first, last in _groups(trees, max(1, _CELLS // max(1, n * q))):
            group = _group(part, trees, first, last, q)
            holds, product = _go_down(group, X)
            earned = _come_up(group, holds, product)
            where = np.concatenate([np.arange(d), part.feature[group.nodes[group.order]]])
            cells = where[:, None] * (n * q) + np.arange(n * q)
            weights = np.concatenate([sums, earned[group.order]]).ravel()
            summed = np.bincount(cells.ravel(), weights, d * n * q)  # adds in the order given
            sums = summed.astype(np.float64, copy=False).reshape((d, n, q))
    total = np.zeros((d, n))
    for j in range(q):
        total = total + sums[:, :, j]
    return total.T


def _groups(trees: TreePlan, most: int) -> list[tuple[int, int]]:
    """Ranges of whole trees of at most ``most`` nodes, or of one tree."""
    groups: list[tuple[int, int]] = []
    start = 0
    for tree in range(1, len(trees.first)):
        if tree + 1 == len(trees.first) or trees.first[tree + 1] - trees.first[start] > most:
            groups.append((start, tree))
            start = tree
    return [group for group in groups if trees.first[group[0]] < trees.first[group[1]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Some whole trees of a part, their nodes counted from the first."""

    part: TreePart
    nodes: NDArray[np.int64]  #: (G,) in the part
    before: NDArray[np.int64]  #: (G,) as TreePlan.before, in the group
    children: NDArray[np.int64]  #: (G, 2) in the group; below 0 leaves of the part
    levels: tuple[NDArray[np.int64], ...]
    order: NDArray[np.int64]  #: (G,) in which sums are made: trees rising, nodes falling
    weight: Rows  #: (G, q)
    rate: Rows  #: (G, 2 sides, 3 states, q) multiplies a path's product
    gain: Rows  #: (G, 2 sides, 3 states, q) what a column earns of the sum below


def _group(part: TreePart, trees: TreePlan, first: int, last: int, q: int) -> _Group:
    start, end = int(trees.first[first]), int(trees.first[last])
    nodes = np.arange(start, end)
    sizes = np.diff(trees.first[first : last + 1])
    t, w = _quadrature(trees.order[first:last], sizes, q)
    rate, gain = _tables(trees, nodes, t)
    levels = [level[(level >= start) & (level < end)] - start for level in trees.levels]
    children = np.stack([part.left, part.right], axis=1)[nodes].astype(np.int64)
    before = trees.before[nodes]
    return _Group(
        part=part,
        nodes=nodes,
        before=np.where(before < 0, -1, before - 2 * start),
        children=np.where(children < 0, children, children - start),
        levels=tuple(level for level in levels if len(level)),
        order=np.lexsort((-nodes, np.repeat(np.arange(last - first), sizes))),
        weight=w,
        rate=rate,
        gain=gain,
    )


def _go_down(group: _Group, X: Rows) -> tuple[NDArray[np.int64], Rows]:
    """The state of each edge, (G, 2, n), and the product of each node's path, (G, n, q).

    State 2: the row satisfies this and all earlier splits of the column on the path; 1: only the
    earlier ones; 0: not the earlier ones.
    """
    values = np.ascontiguousarray(X[:, group.part.feature[group.nodes]].T)
    nodes = np.broadcast_to(group.nodes[:, None], values.shape)
    left: Mask = goes_left(group.part, nodes, values)
    state = np.empty((len(left), 2, len(X)), np.int64)
    product = np.repeat(group.weight[:, None], len(X), axis=1)
    with np.errstate(under="ignore"):
        for level in group.levels:
            before = group.before[level]
            held = (before < 0)[:, None] | (state.reshape(-1, len(X))[before] == 2)
            state[level, 0] = np.where(held, 1 + left[level], 0)
            state[level, 1] = np.where(held, 2 - left[level], 0)
            for side in (0, 1):
                child = group.children[level, side]
                down = level[child >= 0]
                rate = group.rate[down[:, None], side, state[down, side]]
                product[child[child >= 0]] = product[down] * rate
    return state, product


def _come_up(group: _Group, state: NDArray[np.int64], product: Rows) -> Rows:
    """What each node earns its column, (G, n, q); ``product`` turns into the sums below."""
    leaf = group.part.leaf.astype(np.float64)
    earned = np.empty_like(product)
    with np.errstate(under="ignore"):
        for level in reversed(group.levels):
            sums: list[Rows] = []
            gains: list[Rows] = []
            for side in (0, 1):
                child = group.children[level, side]
                below = product[np.maximum(child, 0)]
                ends = level[child < 0]
                rate = group.rate[ends[:, None], side, state[ends, side]]
                below[child < 0] = (product[ends] * rate) * leaf[~child[child < 0], None, None]
                sums.append(below)
                gains.append(group.gain[level[:, None], side, state[level, side]])
            earned[level] = sums[0] * gains[0] + sums[1] * gains[1]
            product[level] = sums[0] + sums[1]
    return earned


def _quadrature(order: NDArray[np.int32], sizes: NDArray[np.int64], q: int) -> tuple[Rows, Rows]:
    """(nodes, q) points and weights of each node's tree, padded by points of no weight."""
    t, w = np.full((len(order), q), 0.5), np.zeros((len(order), q))
    for tree, n in enumerate(order.tolist()):
        if n:
            t[tree, :n], w[tree, :n] = gauss_legendre(n)
    return np.repeat(t, sizes, axis=0), np.repeat(w, sizes, axis=0)


def _tables(trees: TreePlan, nodes: NDArray[np.int64], t: Rows) -> tuple[Rows, Rows]:
    """Rates and gains of nodes, (nodes, 2 sides, 3 states, q), at their points ``t``."""
    u = 1.0 - t
    first = (trees.before[nodes] < 0)[:, None]
    earlier = np.where(first[:, 0], 1.0, trees.merged[trees.before[nodes]])[:, None]
    rate = np.empty((len(nodes), 2, 3, t.shape[1]))
    gain = np.empty_like(rate)
    with np.errstate(under="ignore"):
        was = np.where(first, 1.0, t + u * earlier)
        had = (1.0 - earlier) / was
        for side in (0, 1):
            merged = trees.merged[2 * nodes + side][:, None]
            now = t + u * merged
            rate[:, side, 0] = trees.share[2 * nodes + side][:, None]
            gain[:, side, 0] = 0.0
            rate[:, side, 1] = (u * merged) / was
            gain[:, side, 1] = (-1.0 / u) - had
            rate[:, side, 2] = now / was
            gain[:, side, 2] = (1.0 - merged) / now - had
    return rate, gain


def _apportion(target: Scores, sums: Rows, phi: Scores, used: NDArray[np.int64]) -> None:
    """Add whole numbers to ``phi`` (n, d) in place so that each row's sum is its target.

    Each used column gets the whole part of its float64 value; what is left over goes by largest
    remainder, ties by column index, after as many rounds over all of them as it takes.
    """
    if not len(used):
        return
    whole = np.floor(sums[:, used])
    fraction = sums[:, used] - whole
    phi[:, used] += whole.astype(np.int64)
    each, rest = np.divmod(target - phi[:, used].sum(axis=1), len(used))
    ranked = np.argsort(-fraction, axis=1, kind="stable")
    more = np.empty(ranked.shape, np.int64)
    np.put_along_axis(more, ranked, (np.arange(len(used)) < rest[:, None]).astype(np.int64), axis=1)
    phi[:, used] += each[:, None] + more
