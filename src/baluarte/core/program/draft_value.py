"""A draft's value in float64, before anything is rounded: what a certificate compares with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft, DraftLinear, DraftPart, DraftStack, DraftTrees
from baluarte.core.program.draft_dense import (
    DraftKernel,
    DraftNetwork,
    kernel_part,
    network_part,
)
from baluarte.core.program.functions import logistic
from baluarte.core.program.model import TreePart
from baluarte.core.program.shape import shape_of
from baluarte.core.program.vector import goes_left
from baluarte.core.program.vector_dense import kernel_terms, network_values

_CELLS = 1 << 21  #: walks in flight: bounds memory

Rows = NDArray[np.float64]


def value(draft: Draft, X: Rows) -> tuple[Rows, Rows]:
    """(n,) sums of a draft's terms, and (n,) sums of their absolute values."""
    total = np.full(len(X), draft.base)
    size = np.full(len(X), abs(draft.base))
    for part in draft.parts:
        for rows, terms in _terms(part, X):
            total[rows] += terms.sum(axis=1)
            size[rows] += np.abs(terms).sum(axis=1)
    return total, size


def n_terms(draft: Draft) -> int:
    """Terms that one row's sum has, the base among them."""
    return 1 + sum(_n_terms(part) for part in draft.parts)


def _n_terms(part: DraftPart) -> int:
    if isinstance(part, DraftTrees):
        return len(part.root)
    if isinstance(part, DraftLinear):
        return len(part.column) + len(part.table_column)
    if isinstance(part, DraftStack):
        return sum(n_terms(member.draft) for member in part.members)
    return len(part.weight) if isinstance(part, DraftKernel) else 1


def _terms(part: DraftPart, X: Rows) -> Iterator[tuple[slice, Rows]]:
    """Some rows at a time and their (rows, terms) terms."""
    everything = slice(0, len(X))
    if isinstance(part, DraftTrees):
        step = max(1, _CELLS // max(1, len(part.root)))
        for start in range(0, len(X), step):
            rows = slice(start, start + step)
            yield rows, part.leaf[reached(part, X[rows])]
    elif isinstance(part, DraftLinear):
        for term in _linear(part, X):
            yield everything, term[:, None]
    elif isinstance(part, DraftKernel):
        yield from kernel_terms(kernel_part(part), X)
    elif isinstance(part, DraftNetwork):
        yield everything, network_values(network_part(part), X)[:, None]
    else:
        for member in part.members:
            margin = value(member.draft, X)[0]
            linked = logistic(margin) if member.link == "logistic" else margin
            yield everything, (linked * member.weight)[:, None]


def reached(part: DraftTrees, X: Rows) -> NDArray[np.int64]:
    """(n, trees) the leaf that each row reaches in each tree."""
    n, n_trees = len(X), len(part.root)
    at = np.broadcast_to(part.root, (n, n_trees)).astype(np.int64).ravel()
    nodes_of = cast("TreePart", part)  # the fields that a comparison reads have the same names
    walking = np.flatnonzero(at >= 0)
    while walking.size:
        nodes = at[walking]
        left = goes_left(nodes_of, nodes, X[walking // n_trees, part.feature[nodes]])
        at[walking] = np.where(left, part.left[nodes], part.right[nodes])
        walking = walking[at[walking] >= 0]
    return (~at).reshape(n, n_trees)


def covers(part: DraftTrees, X: Rows) -> tuple[Rows, Rows]:
    """Node and leaf covers from rows, for a model that brings none: one more than rows a leaf."""
    counts = np.ones(len(part.leaf))
    step = max(1, _CELLS // max(1, len(part.root)))
    for start in range(0, len(X), step):
        hit = reached(part, X[start : start + step]).ravel()
        counts += np.bincount(hit, minlength=len(counts))
    nodes = np.zeros(len(part.left))
    for level in reversed(shape_of(part.root, part.left, part.right, len(part.leaf)).levels):
        for child in (part.left[level], part.right[level]):
            inner = child >= 0
            nodes[level[inner]] += nodes[child[inner]]
            nodes[level[~inner]] += counts[~child[~inner]]
    return nodes, counts


def _linear(part: DraftLinear, X: Rows) -> list[Rows]:
    terms: list[Rows] = []
    for m, column in enumerate(part.column.tolist()):
        x = X[:, column]
        clipped = np.minimum(np.maximum(x, part.low[m]), part.high[m])
        exact = ((clipped - part.center[m]) / part.scale[m]) * part.weight[m]
        terms.append(np.where(np.isnan(x), part.missing[m], exact))
    for k, column in enumerate(part.table_column.tolist()):
        terms.append(_table(part, k, X[:, column]))
    return terms


def _table(part: DraftLinear, k: int, x: Rows) -> Rows:
    values: NDArray[Any] = part.table_value[part.table_start[k] : part.table_start[k + 1]]
    cuts = part.cut[part.cut_start[k] : part.cut_start[k + 1]]
    missing = np.isnan(x)
    if len(cuts):
        found = np.searchsorted(cuts, np.where(missing, 0.0, x), side="right")
        return np.where(missing, part.table_missing[k], values[found])
    inside = (x >= 0) & (x < len(values)) & (np.floor(x) == x)
    code = np.where(inside, x, 0.0).astype(np.int64)
    known = np.append(values, 0.0)[code]
    return np.where(inside, known, np.where(missing, part.table_missing[k], part.table_other[k]))
