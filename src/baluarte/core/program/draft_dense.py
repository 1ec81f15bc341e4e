"""Kernel machines and networks before their one rounding to fixed point."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.check_dense import kernel_terms, network_size, work
from baluarte.core.program.limits import MAX_ESTIMATE_WORK, MAX_SHIFT, MAX_SUM
from baluarte.core.program.model import (
    IDENTITY,
    LOGISTIC,
    POLYNOMIAL,
    RBF,
    RELU,
    TANH,
    Inputs,
    KernelPart,
    NetworkPart,
    StackPart,
    columns_read,
)

D = TypeVar("D", KernelPart, NetworkPart, StackPart)
Activation = Literal["identity", "relu", "tanh", "logistic"]
ACTIVATIONS: dict[Activation, int] = {
    "identity": IDENTITY,
    "relu": RELU,
    "tanh": TANH,
    "logistic": LOGISTIC,
}

N_BACKGROUND = 64  #: rows against which reasons are estimated
N_PAIRS = 1  #: pairs of permutations a background row: another row says more than another pair


def background_of(X: NDArray[np.float64], n_rows: int = N_BACKGROUND) -> NDArray[np.float64]:
    """(n_rows, n_features) rows of X, evenly over its order: what reasons are estimated against."""
    at = np.linspace(0, len(X) - 1, max(2, min(n_rows, len(X)))).astype(np.int64)
    most = np.finfo(np.float64).max
    return np.clip(X[at], -most, most)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftKernel:
    """The sum over S support vectors of ``weight * K(z, v)``, on the margin's scale.

    K is ``exp(-gamma |z - v|²)``, or ``(gamma z·v + coef0) ** degree``.
    """

    inputs: Inputs
    kernel: Literal["rbf", "polynomial"]
    gamma: float
    vector: NDArray[np.float64]  #: (S, inputs)
    weight: NDArray[np.float64]  #: (S,)
    background: NDArray[np.float64]  #: (B, n_features) rows; see :func:`background_of`
    degree: int = 0
    coef0: float = 0.0
    pairs: int = N_PAIRS


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Units that see all of the layer before."""

    weight: NDArray[np.float64]  #: (inputs, units)
    bias: NDArray[np.float64]  #: (units,)
    activation: Activation


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftNetwork:
    """``weight`` times the one unit of the last layer, on the margin's scale."""

    inputs: Inputs
    layers: tuple[Layer, ...]
    background: NDArray[np.float64]  #: (B, n_features) rows; see :func:`background_of`
    weight: float = 1.0
    pairs: int = N_PAIRS


def kernel_part(draft: DraftKernel) -> KernelPart:
    """The kernel machine with its weights on the margin's scale still."""
    rbf = draft.kernel == "rbf"
    return with_background(
        KernelPart(
            **_inputs(draft.inputs),
            kernel=np.array([RBF if rbf else POLYNOMIAL, 0 if rbf else draft.degree, 0], np.int32),
            coefficient=np.array([draft.gamma, 0.0 if rbf else draft.coef0]),
            vector=np.asarray(draft.vector, np.float64).ravel(),
            weight=np.ascontiguousarray(draft.weight, np.float64),
            **NO_BACKGROUND,
        ),
        draft.background,
        draft.pairs,
    )


def network_part(draft: DraftNetwork) -> NetworkPart:
    """The network with its output on the margin's scale still."""
    layers = draft.layers
    return with_background(
        NetworkPart(
            **_inputs(draft.inputs),
            size=np.array([len(layer.bias) for layer in layers], np.int32),
            activation=np.array([ACTIVATIONS[layer.activation] for layer in layers], np.int32),
            layer_weight=np.concatenate([layer.weight.ravel() for layer in layers]),
            bias=np.concatenate([layer.bias for layer in layers]),
            output=np.array([draft.weight]),
            **NO_BACKGROUND,
        ),
        draft.background,
        draft.pairs,
    )


def scaled_kernel(part: KernelPart, unit: float) -> KernelPart:
    """The kernel machine in score units, its terms as much finer as their sum allows."""
    terms, shift = kernel_terms(part) * unit, 0
    while shift < MAX_SHIFT and terms * 2.0 ** (shift + 1) <= MAX_SUM:
        shift += 1
    kernel = part.kernel.copy()
    kernel[2] = shift
    return replace(part, kernel=kernel, weight=part.weight * (unit * 2.0**shift))


def scaled_network(part: NetworkPart, unit: float) -> NetworkPart:
    """The network in score units."""
    return replace(part, output=part.output * unit)


def largest_dense(part: KernelPart | NetworkPart) -> float:
    """The largest absolute value that a part can reach, in the units of its weights."""
    return kernel_terms(part) if isinstance(part, KernelPart) else network_size(part)


def with_background(part: D, rows: NDArray[np.float64], pairs: int) -> D:
    """The part with its background: as many of the (B, n_features) rows as the limits allow."""
    read = columns_read(part)
    most = MAX_ESTIMATE_WORK // max(1, 2 * pairs * (len(read) + 1) * work(part))
    kept = rows[np.linspace(0, len(rows) - 1, max(2, min(len(rows), most))).astype(np.int64)]
    values = np.ascontiguousarray(kept[:, read], np.float64)
    return replace(
        part,
        sampling=np.array([len(kept), pairs], np.int32),
        background=np.where(np.isnan(values), np.nan, values).ravel(),
    )


NO_BACKGROUND: dict[str, Any] = {"sampling": np.zeros(2, np.int32), "background": np.zeros(0)}


def _inputs(inputs: Inputs) -> dict[str, Any]:
    return {
        field.name: np.ascontiguousarray(getattr(inputs, field.name)) for field in fields(inputs)
    }
