"""Whether a kernel machine, a network or a stack may be evaluated, and how large it can become.

Bounds are computed by the same float64 operations in the same order as values, on absolute values:
rounding is monotone, so no value passes its bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum, inf

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.limits import (
    MAX_DEGREE,
    MAX_INPUTS,
    MAX_LAYERS,
    MAX_NUMBER,
    MAX_PATHS,
    MAX_SHIFT,
    MAX_SUM,
    MAX_UNIT,
)
from baluarte.core.program.model import (
    LOGISTIC,
    POLYNOMIAL,
    RBF,
    RELU,
    DensePart,
    KernelPart,
    LinearPart,
    NetworkPart,
    Part,
    Prepared,
    StackPart,
    TreePart,
    columns_read,
)
from baluarte.core.program.shape import shape_of

_NAN = np.array([np.nan]).view(np.int64)[0]


def prepared_faults(part: KernelPart | NetworkPart, n_features: int) -> Iterator[str]:
    """What is wrong with a kernel machine or a network.

    Raises:
        ValueError: something after which nothing further can be said.
    """
    _same_length(part, ("column", "center", "scale", "low", "high", "missing"))
    _same_length(part, ("flag_column", "code", "on", "off"))
    if part.n_inputs > MAX_INPUTS:
        raise ValueError(f"expected at most {MAX_INPUTS} inputs, found {part.n_inputs}")
    for name, column in (("column", part.column), ("flag_column", part.flag_column)):
        if ((column < 0) | (column >= n_features)).any():
            raise ValueError(f"{name}: expected columns in [0, {n_features})")
    if (part.code < -1).any():
        yield "code: expected codes from 0, or -1"
    for name in ("center", "scale", "low", "high", "missing", "on", "off"):
        if not np.isfinite(getattr(part, name)).all():
            raise ValueError(f"{name}: expected finite numbers")
    if not (part.scale > 0).all():
        raise ValueError("scale: expected numbers above 0")
    if not (part.low <= part.high).all():
        raise ValueError("low: expected low <= high")
    if not (input_bounds(part) <= MAX_NUMBER).all():
        raise ValueError("low: expected prepared numbers within 2**200")
    yield from background_faults(part)
    if isinstance(part, KernelPart):
        _kernel_faults(part)
    else:
        _network_faults(part)


def background_faults(part: DensePart) -> Iterator[str]:
    """What is wrong with the rows and the number of permutations of an estimate."""
    if len(part.sampling) != 2:
        raise ValueError(f"sampling: expected two numbers, found {len(part.sampling)}")
    n_rows, n_pairs = part.sampling.tolist()
    if n_rows < 2 or n_pairs < 1 or 2 * n_rows * n_pairs > MAX_PATHS:
        raise ValueError(
            f"sampling: expected at least two rows, a pair, and {MAX_PATHS} permutations in all"
            f" at most, found {n_rows} rows and {n_pairs} pairs"
        )
    wanted = n_rows * len(columns_read(part))
    if len(part.background) != wanted:
        raise ValueError(f"background: expected {wanted} numbers, found {len(part.background)}")
    odd = np.isnan(part.background) & (part.background.view(np.int64) != _NAN)
    if np.isinf(part.background).any() or odd.any():
        yield "background: expected finite numbers and NaN of the usual pattern"


def _kernel_faults(part: KernelPart) -> None:
    if len(part.kernel) != 3 or len(part.coefficient) != 2:
        raise ValueError("kernel: expected three numbers, and two coefficients")
    kind, degree, shift = part.kernel.tolist()
    gamma, coef0 = part.coefficient.tolist()
    if kind not in (RBF, POLYNOMIAL) or not 0 <= shift <= MAX_SHIFT:
        raise ValueError(f"kernel: expected 0 or 1 and a shift of 0..{MAX_SHIFT}")
    if not 0 < gamma <= MAX_NUMBER or not abs(coef0) <= MAX_NUMBER:
        raise ValueError("coefficient: expected gamma above 0 and coef0, both within 2**200")
    if kind == RBF and (degree != 0 or part.coefficient.view(np.int64)[1] != 0):
        raise ValueError("kernel: a radial kernel has no degree and no coef0")
    if kind == POLYNOMIAL and not 1 <= degree <= MAX_DEGREE:
        raise ValueError(f"kernel: expected a degree of 1..{MAX_DEGREE}, found {degree}")
    if len(part.vector) != len(part.weight) * part.n_inputs:
        raise ValueError(
            f"vector: expected {len(part.weight)} x {part.n_inputs} numbers,"
            f" found {len(part.vector)}"
        )
    if not (np.abs(part.vector) <= MAX_NUMBER).all():
        raise ValueError("vector: expected numbers within 2**200")
    if not np.isfinite(part.weight).all() or not kernel_terms(part) <= 2 * MAX_SUM:
        raise ValueError("weight: expected terms whose sum is within 2**61")


def _network_faults(part: NetworkPart) -> None:
    sizes = part.size.tolist()
    if not 1 <= len(sizes) <= MAX_LAYERS or min(sizes) < 1 or sizes[-1] != 1:
        raise ValueError(f"size: expected 1 to {MAX_LAYERS} layers of units, the last of one")
    if len(part.activation) != len(sizes) or len(part.output) != 1:
        raise ValueError("activation: expected one a layer, and one output")
    if ((part.activation < 0) | (part.activation > LOGISTIC)).any():
        raise ValueError(f"activation: expected 0..{LOGISTIC}")
    n_weights = sum(a * b for a, b in zip([part.n_inputs, *sizes], sizes, strict=False))
    if len(part.layer_weight) != n_weights or len(part.bias) != sum(sizes):
        raise ValueError(
            f"layer_weight: expected {n_weights} weights and {sum(sizes)} biases,"
            f" found {len(part.layer_weight)} and {len(part.bias)}"
        )
    for name in ("layer_weight", "bias", "output"):
        if not np.isfinite(getattr(part, name)).all():
            raise ValueError(f"{name}: expected finite numbers")
    if not network_size(part) <= MAX_SUM:
        raise ValueError(f"output: expected values within {MAX_SUM}")


def input_bounds(part: Prepared) -> NDArray[np.float64]:
    """(n_inputs,) largest absolute prepared numbers."""
    with np.errstate(all="ignore"):
        ends = [np.abs((x - part.center) / part.scale) for x in (part.low, part.high)]
    numeric = np.maximum(np.maximum(*ends), np.abs(part.missing))
    return np.concatenate([numeric, np.maximum(np.abs(part.on), np.abs(part.off))])


def kernel_terms(part: KernelPart) -> float:
    """The largest sum of absolute terms, not rounded, in the units of the weights."""
    reach = np.ones(len(part.weight))
    with np.errstate(all="ignore"):
        if part.kernel[0] == POLYNOMIAL:
            gamma, coef0 = part.coefficient.tolist()
            dot = np.zeros(len(part.weight))
            vectors = np.abs(part.vector.reshape(len(part.weight), part.n_inputs))
            for k, bound in enumerate(input_bounds(part).tolist()):
                dot = dot + bound * vectors[:, k]
            once = reach = gamma * dot + abs(coef0)
            for _ in range(int(part.kernel[1]) - 1):
                reach = reach * once
        terms = np.abs(reach * part.weight)
    return fsum(terms.tolist()) if np.isfinite(terms).all() else inf


def kernel_sum(part: KernelPart) -> int:
    """The largest absolute value of a checked kernel machine, in score units."""
    return ((int(kernel_terms(part)) + len(part.weight)) >> int(part.kernel[2])) + 1


def network_size(part: NetworkPart) -> float:
    """The largest absolute value of a network, not rounded; infinite where a unit is too large."""
    bound = input_bounds(part)
    weights, biases = np.abs(part.layer_weight), np.abs(part.bias)
    with np.errstate(all="ignore"):
        for n_units, activation in zip(part.size.tolist(), part.activation.tolist(), strict=True):
            n = len(bound)
            matrix, weights = weights[: n * n_units].reshape(n, n_units), weights[n * n_units :]
            units, biases = biases[:n_units], biases[n_units:]
            for k, reach in enumerate(bound.tolist()):
                units = units + matrix[k] * reach
            if not (units <= MAX_UNIT).all():
                return inf
            bound = units if activation <= RELU else np.ones(n_units)
        return float(bound[0] * np.abs(part.output[0]))


def work(part: Part) -> int:
    """Multiplications or comparisons of a checked part, for one row."""
    if isinstance(part, TreePart):
        shape = shape_of(part.root, part.left, part.right, len(part.leaf))
        return len(part.root) + int(shape.depth.sum())
    if isinstance(part, LinearPart):
        return len(part.column) + len(part.table_column)
    if isinstance(part, StackPart):
        return sum(1 + sum(work(own) for own in member.parts) for member in part.members)
    if isinstance(part, KernelPart):
        return part.n_inputs + len(part.weight) * (part.n_inputs + 16)
    return part.n_inputs + len(part.layer_weight) + 16 * len(part.bias)


def _same_length(part: object, names: tuple[str, ...]) -> None:
    lengths = {name: len(getattr(part, name)) for name in names}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"expected arrays of one length, found {lengths}")
