"""Kernel machines, networks and stacks in NumPy: elementwise operations in the stated order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program import functions
from baluarte.core.program.model import (
    LOGISTIC,
    RBF,
    RELU,
    TANH,
    Inputs,
    KernelPart,
    NetworkPart,
    Program,
    StackPart,
)

_CELLS = 1 << 17  #: rows x support vectors or units in flight: they stay in the cache

Rows = NDArray[np.float64]
Scores = NDArray[np.int64]
Score = Callable[[Program, Rows], Scores]


def prepared(part: Inputs, X: Rows) -> Rows:
    """(n, n_features) rows to their (n, n_inputs) prepared numbers."""
    x = X[:, part.column]
    missing = np.isnan(x)
    clipped = np.minimum(np.maximum(np.where(missing, 0.0, x), part.low), part.high)
    with np.errstate(under="ignore"):
        numeric = np.where(missing, part.missing, (clipped - part.center) / part.scale)
    asked = X[:, part.flag_column]
    holds = np.where(part.code < 0, np.isnan(asked), asked == part.code)
    return np.concatenate([numeric, np.where(holds, part.on, part.off)], axis=1)


def kernel_machine(part: KernelPart, X: Rows) -> Scores:
    """(n,) values of a kernel machine, in score units."""
    found = np.empty(len(X), np.int64)
    for rows, terms in kernel_terms(part, X):
        sums = np.rint(terms).astype(np.int64).sum(axis=1)
        found[rows] = _rounded_shift(sums, int(part.kernel[2]))
    return found


def kernel_terms(part: KernelPart, X: Rows) -> Iterator[tuple[slice, Rows]]:
    """Some rows at a time and their (rows, vectors) terms, not rounded."""
    n_vectors = len(part.weight)
    vectors = np.ascontiguousarray(part.vector.reshape(n_vectors, part.n_inputs).T)
    step = max(1, _CELLS // max(1, n_vectors))
    for start in range(0, len(X), step):
        rows = slice(start, start + step)
        with np.errstate(under="ignore"):
            terms = _kernel(part, prepared(part, X[rows]), vectors) * part.weight
        yield rows, terms


def _kernel(part: KernelPart, z: Rows, vectors: Rows) -> Rows:
    """(n, vectors) of K(z, v)."""
    gamma, coef0 = part.coefficient.tolist()
    total = np.zeros((len(z), vectors.shape[1]))
    radial = part.kernel[0] == RBF
    for k in range(part.n_inputs):
        one, other = z[:, k, None], vectors[k]
        if radial:
            difference = one - other
            total = total + difference * difference
        else:
            total = total + one * other
    if radial:
        return functions.exp(-(gamma * total))
    once: Rows = gamma * total + coef0
    value = once
    for _ in range(int(part.kernel[1]) - 1):
        value = value * once
    return value


def _rounded_shift(sums: Scores, shift: int) -> Scores:
    """Sums divided by 2**shift, rounded half to even."""
    if not shift:
        return sums
    whole = sums >> shift
    rest = sums - (whole << shift)
    half = 1 << (shift - 1)
    rounded: Scores = whole + ((rest > half) | ((rest == half) & ((whole & 1) == 1)))
    return rounded


def network(part: NetworkPart, X: Rows) -> Scores:
    """(n,) values of a network, in score units."""
    return np.rint(network_values(part, X)).astype(np.int64)


def network_values(part: NetworkPart, X: Rows) -> Rows:
    """(n,) values of a network, not rounded."""
    step = max(1, _CELLS // int(part.size.max()))
    found = np.empty(len(X))
    for start in range(0, len(X), step):
        with np.errstate(under="ignore"):
            last = _units(part, prepared(part, X[start : start + step]))
            found[start : start + step] = last * part.output[0]
    return found


def _units(part: NetworkPart, values: Rows) -> Rows:
    """(n,) values of the last unit."""
    weights, biases = part.layer_weight, part.bias
    for n_units, activation in zip(part.size.tolist(), part.activation.tolist(), strict=True):
        n = values.shape[1]
        matrix, weights = weights[: n * n_units].reshape(n, n_units), weights[n * n_units :]
        units = np.repeat(biases[None, :n_units], len(values), axis=0)
        biases = biases[n_units:]
        for k in range(n):
            units = units + matrix[k] * values[:, k, None]
        values = activated(units, activation)
    return values[:, 0]


def activated(units: Rows, activation: int) -> Rows:
    """A layer's function, elementwise."""
    if activation == RELU:
        return np.where(units > 0.0, units, 0.0)
    if activation == TANH:
        return functions.tanh(units)
    return functions.logistic(units) if activation == LOGISTIC else units


def stack(part: StackPart, X: Rows, score: Score) -> Scores:
    """(n,) values of a stack, in score units; ``score`` scores a member."""
    found = np.zeros(len(X), np.int64)
    for link, weight, member in zip(
        part.link.tolist(), part.weight.tolist(), part.members, strict=True
    ):
        margin = score(member, X).astype(np.float64) * 2.0**-member.scale_bits
        with np.errstate(under="ignore"):
            found += np.rint(activated(margin, link) * weight).astype(np.int64)
    return found
