"""The NumPy evaluator: the kernel's bits without a compiler, one rule a function."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program import model
from baluarte.core.program.limits import MAX_SCORE
from baluarte.core.program.model import (
    KernelPart,
    LinearPart,
    NetworkPart,
    Program,
    TreePart,
)
from baluarte.core.program.vector_dense import kernel_machine, network, stack

ZERO_THRESHOLD = float(np.float32(1e-35))  #: LightGBM, include/LightGBM/meta.h: kZeroThreshold
_CELLS = 1 << 21  #: walks in flight: bounds memory

Rows = NDArray[np.float64]
Scores = NDArray[np.int64]
Mask = NDArray[np.bool_]
Nodes = NDArray[np.int64] | NDArray[np.int32]


def check_arithmetic() -> None:
    """Refuse to evaluate where the rounding mode is another or subnormals are flushed.

    A foreign library may have set them, and the bits would differ.

    Raises:
        RuntimeError: float64 arithmetic is not IEEE-754 round-to-nearest with subnormals.
    """
    one, half_ulp, tiny = np.float64(1.0), np.float64(2.0**-53), np.float64(2.0**-1022)
    nearest = one + half_ulp == one and -one - half_ulp == -one and one + half_ulp * 1.5 > one
    if not nearest or tiny * np.float64(0.5) == 0.0:
        raise RuntimeError("the floating-point environment is not IEEE-754's default")


def score(program: Program, X: Rows) -> Scores:
    """(n, n_features) rows to (n,) scores."""
    check_arithmetic()
    sums = np.full(len(X), program.base, np.int64)
    for part in program.parts:
        if isinstance(part, TreePart):
            step = max(1, _CELLS // max(1, len(part.root)))
            for start in range(0, len(X), step):
                sums[start : start + step] += _trees(part, X[start : start + step])
        elif isinstance(part, LinearPart):
            for _, _, terms in linear_terms(part, X):
                sums += terms
        elif isinstance(part, KernelPart):
            sums += kernel_machine(part, X)
        elif isinstance(part, NetworkPart):
            sums += network(part, X)
        else:
            sums += stack(part, X, score)
    return np.clip(sums, -MAX_SCORE, MAX_SCORE)


def _trees(part: TreePart, X: Rows) -> Scores:
    """(n,) sums of the leaves that the rows reach."""
    n, n_trees = len(X), len(part.root)
    at = np.broadcast_to(part.root, (n, n_trees)).astype(np.int32).ravel()
    walking = np.flatnonzero(at >= 0)
    while walking.size:
        nodes = at[walking]
        left = goes_left(part, nodes, X[walking // n_trees, part.feature[nodes]])
        reached = np.where(left, part.left[nodes], part.right[nodes])
        at[walking] = reached
        walking = walking[reached >= 0]
    sums: Scores = part.leaf[~at].reshape(n, n_trees).sum(axis=1)
    return sums


def goes_left(part: TreePart, nodes: Nodes, x: Rows) -> Mask:
    """Whether values ``x`` go left at ``nodes`` (arrays of one shape), by the part's rule."""
    flags, threshold = part.flags[nodes], part.threshold[nodes]
    to_left = (flags & model.MISSING_LEFT) != 0
    missing = np.isnan(x)
    if part.rule == "lightgbm":
        by_nan = (flags & model.MISSING_NAN) != 0
        by_zero = (flags & model.MISSING_ZERO) != 0
        value = np.where(missing & ~by_nan, 0.0, x)
        to_default = (missing & by_nan) | (by_zero & (np.abs(value) <= ZERO_THRESHOLD))
        left = np.where(to_default, to_left, value <= threshold)
    else:
        with np.errstate(over="ignore", under="ignore"):
            x = x.astype(np.float32).astype(np.float64)
        below = x <= threshold if part.rule == "sklearn" else x < threshold
        left = np.where(missing, to_left, below)
    by_set = (flags & model.CATEGORICAL) != 0
    if by_set.any():
        member = _in_set(part, nodes[by_set], x[by_set])
        if part.rule == "lightgbm":
            left[by_set] = member
        else:
            inside = member & (x[by_set] >= 0)
            left[by_set] = np.where(missing[by_set], to_left[by_set], ~inside)
    return left


def _in_set(part: TreePart, nodes: Nodes, x: Rows) -> Mask:
    """Whether the category int(x) is in the node's set; NaN and codes below 0 never are."""
    start = part.set_start[part.set_index[nodes]].astype(np.int64)
    end = part.set_start[part.set_index[nodes] + 1].astype(np.int64)
    inside = (x > -1.0) & (x < (end - start) * 32.0) & (end > start)  # -0.5 is code 0
    code = np.where(inside, x, 0.0).astype(np.int64)
    words = np.append(part.set_bits, np.uint32(0))
    word = words[np.where(inside, start + (code >> 5), len(part.set_bits))]
    member: Mask = ((word >> (code & 31).astype(np.uint32)) & np.uint32(1)) != 0
    return member


def linear_terms(part: LinearPart, X: Rows) -> list[tuple[int, int, Scores]]:
    """(column, mean, (n,) terms) of each term in stored order."""
    found: list[tuple[int, int, Scores]] = []
    for m, column in enumerate(part.column.tolist()):
        x = X[:, column]
        missing = np.isnan(x)
        clipped = np.minimum(np.maximum(np.where(missing, 0.0, x), part.low[m]), part.high[m])
        with np.errstate(under="ignore"):
            exact = ((clipped - part.center[m]) / part.scale[m]) * part.weight[m]
        terms = np.where(missing, part.missing[m], np.rint(exact).astype(np.int64))
        found.append((column, int(part.mean[m]), terms))
    for k, column in enumerate(part.table_column.tolist()):
        found.append((column, int(part.table_mean[k]), _table_terms(part, k, X[:, column])))
    return found


def _table_terms(part: LinearPart, k: int, x: Rows) -> Scores:
    values = part.table_value[part.table_start[k] : part.table_start[k + 1]]
    cuts = part.cut[part.cut_start[k] : part.cut_start[k + 1]]
    missing = np.isnan(x)
    if len(cuts):
        found = np.searchsorted(cuts, np.where(missing, 0.0, x), side="right")
        return np.where(missing, part.table_missing[k], values[found])
    inside = (x >= 0) & (x < len(values)) & (np.floor(x) == x)
    code = np.where(inside, x, 0.0).astype(np.int64)
    known = np.append(values, 0)[code]
    return np.where(inside, known, np.where(missing, part.table_missing[k], part.table_other[k]))
