"""What a model computes from one input before it compares or weighs it, and where that turns.

Foreign models scale, fill, round and code their inputs first. Each such step is non-decreasing in
the input, also after rounding, so "the treated input is at most t" is "the input is at most t′" for
one t′, which is found exactly, by halving the range of doubles. Nothing of the treatment is left to
be computed in production.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from baluarte.core.schema import FLOAT32_MAX

Values = NDArray[np.float64]
_HALVINGS = 65  #: more than the bits of a double
_LARGEST = np.int64(2**63 - 1)


@dataclass(frozen=True, slots=True)
class Affine:
    """``(x - center) / scale`` in float64; scale > 0."""

    center: float
    scale: float

    def __call__(self, x: Values) -> Values:
        """The step."""
        return (x - self.center) / self.scale


@dataclass(frozen=True, slots=True)
class Product:
    """``x * factor + offset`` in float64; factor > 0."""

    factor: float
    offset: float = 0.0

    def __call__(self, x: Values) -> Values:
        """The step."""
        return x * self.factor + self.offset


@dataclass(frozen=True, slots=True)
class Filled:
    """NaN becomes a value."""

    value: float

    def __call__(self, x: Values) -> Values:
        """The step."""
        return np.where(np.isnan(x), self.value, x)


@dataclass(frozen=True, slots=True)
class Clipped:
    """Values within [low, high]; NaN stays."""

    low: float
    high: float

    def __call__(self, x: Values) -> Values:
        """The step."""
        return np.minimum(np.maximum(x, self.low), self.high)


@dataclass(frozen=True, slots=True)
class MissingFlag:
    """1 where the value is missing, else 0."""

    def __call__(self, x: Values) -> Values:
        """The step."""
        return np.isnan(x).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Above:
    """1 where the value is above a threshold, else 0; NaN stays."""

    threshold: float

    def __call__(self, x: Values) -> Values:
        """The step."""
        return np.where(np.isnan(x), x, (x > self.threshold).astype(np.float64))


@dataclass(frozen=True, slots=True)
class InFloat32:
    """Another step, computed in float32: each operation rounded to it."""

    step: Affine | Product | None = None  #: None: only the rounding of the value itself

    def __call__(self, x: Values) -> Values:
        """The step."""
        single = x.astype(np.float32)
        if isinstance(self.step, Affine):
            single = (single - np.float32(self.step.center)) / np.float32(self.step.scale)
        elif self.step is not None:
            single = single * np.float32(self.step.factor) + np.float32(self.step.offset)
        return single.astype(np.float64)


Step = Affine | Product | Filled | Clipped | MissingFlag | Above | InFloat32
"""Elementwise, non-decreasing in numbers, and total: NaN gives NaN or a number."""


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric input and what is done to it, in order."""

    input: int
    steps: tuple[Step, ...] = ()

    def value(self, x: Values) -> Values:
        """What the model sees of (n,) values."""
        with np.errstate(all="ignore"):
            for step in self.steps:
                x = step(x)
        return x

    @property
    def passes_missing(self) -> bool:
        """Whether the model sees NaN where the input is missing."""
        return bool(np.isnan(self.value(np.array([np.nan]))[0]))

    def then(self, step: Step) -> Number:
        """The column after one more step."""
        return replace(self, steps=(*self.steps, step))


@dataclass(frozen=True, slots=True)
class Coded:
    """A category input: the value that the model sees for each of its texts."""

    input: int
    values: tuple[float, ...]  #: by code; the last one for a text that isn't in the table
    missing: float

    @property
    def passes_missing(self) -> bool:
        """Whether the model sees NaN where the input is missing."""
        return bool(np.isnan(self.missing))

    def then(self, step: Step) -> Coded:
        """The column after one more step."""
        with np.errstate(all="ignore"):
            known = step(np.array([*self.values, self.missing]))
        return Coded(self.input, tuple(known[:-1].tolist()), float(known[-1]))


Column = Number | Coded


def cuts(column: Number, thresholds: Values, *, strict: bool) -> Values:
    """(m,) the largest x for which the model's value is at most (below, if strict) each threshold.

    ±∞ where that is true of every number, or of none. A step may map all numbers to one.
    """
    if not column.steps:
        moved = np.nextafter(thresholds, -np.inf) if strict else thresholds.astype(np.float64)
        return np.where(np.isnan(thresholds), -np.inf, moved)

    def holds(keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        seen = column.value(_double(keys))
        return seen < thresholds if strict else seen <= thresholds

    ends = _key(np.array([-FLOAT32_MAX, FLOAT32_MAX]))
    low = np.full(len(thresholds), ends[0])
    high = np.full(len(thresholds), ends[1])
    never, always = ~holds(low), holds(high)
    for _ in range(_HALVINGS):
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        held = holds(middle)
        low, high = np.where(held, middle, low), np.where(held, high, middle)
    return np.where(never, -np.inf, np.where(always, np.inf, _double(low)))


def _key(x: Values) -> NDArray[np.int64]:
    """Integers in the order of doubles; 0.0 is above -0.0."""
    bits = x.view(np.int64)
    return np.where(bits >= 0, bits, ~(bits & _LARGEST))


def _double(keys: NDArray[np.int64]) -> Values:
    bits = np.where(keys >= 0, keys, ~keys | ~_LARGEST)
    return bits.view(np.float64)
