"""Linear models over treated inputs, as one term an input.

A sealed term has a range, or one wild value could overflow a score. A foreign model has none, so a
term takes the range of the user's rows, widened far on both sides; beyond it the term stays at the
range's end. Steps in float32 are computed in float64: what they would round away is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft, DraftLinear
from baluarte.core.schema import FLOAT32_MAX
from baluarte.errors import DataError
from baluarte.methods.foreign_columns import (
    Affine,
    Clipped,
    Coded,
    Column,
    Filled,
    InFloat32,
    MissingFlag,
    Number,
    Product,
    Step,
)
from baluarte.ports import Matrix

_WIDER = 8.0  #: widths of the rows' range that a term's range reaches beyond it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    """``((min(max(x, low), high) - center) / scale) * weight`` plus a constant."""

    column: int
    center: float
    scale: float
    low: float
    high: float
    weight: float
    missing: float
    constant: float


def linear_draft(
    terms: Sequence[tuple[Column, float]], *, base: float, n_inputs: int, rows: Matrix
) -> Draft:
    """The weighted sum of treated inputs.

    Args:
        terms: each column with its weight.
        rows: (n, inputs) for ranges and means.

    Raises:
        DataError: a step that no linear term can hold.
    """
    numbers = [
        _number(column, weight, rows[:, column.input])
        for column, weight in terms
        if isinstance(column, Number) and weight != 0.0
    ]
    tables = _tables([(c, w) for c, w in terms if isinstance(c, Coded)], rows)
    sizes = [len(values) for _, values, _, _ in tables]
    part = DraftLinear(
        column=np.array([t.column for t in numbers], dtype=np.int32),
        center=np.array([t.center for t in numbers], dtype=np.float64),
        scale=np.array([t.scale for t in numbers], dtype=np.float64),
        low=np.array([t.low for t in numbers], dtype=np.float64),
        high=np.array([t.high for t in numbers], dtype=np.float64),
        weight=np.array([t.weight for t in numbers], dtype=np.float64),
        missing=np.array([t.missing for t in numbers], dtype=np.float64),
        mean=np.array([_mean(t, rows[:, t.column]) for t in numbers], dtype=np.float64),
        table_column=np.array([column for column, _, _, _ in tables], dtype=np.int32),
        table_start=np.cumsum([0, *sizes]).astype(np.int32),
        table_value=np.concatenate([np.zeros(0), *(values for _, values, _, _ in tables)]),
        cut_start=np.zeros(len(tables) + 1, dtype=np.int32),
        cut=np.zeros(0),
        table_missing=np.array([missing for _, _, missing, _ in tables], dtype=np.float64),
        table_other=np.array([values[-1] for _, values, _, _ in tables], dtype=np.float64),
        table_mean=np.array([mean for _, _, _, mean in tables], dtype=np.float64),
    )
    return Draft(n_features=n_inputs, base=base + sum(t.constant for t in numbers), parts=(part,))


def _number(column: Number, weight: float, x: NDArray[np.float64]) -> _Term:
    if any(isinstance(step, MissingFlag) for step in column.steps):
        return _flag(column, weight)
    fold = Fold(*range_of(x))
    for step in column.steps:
        inner = step.step if isinstance(step, InFloat32) else step
        if inner is not None:
            fold.take(inner)
    seen = float(column.value(np.array([np.nan]))[0])
    # Where the model takes no missing value, one counts as the usual value.
    missing = fold.mean(x) if np.isnan(seen) else seen - fold.constant
    return _Term(
        column=column.input,
        center=fold.center,
        scale=fold.scale,
        low=fold.low,
        high=fold.high,
        weight=weight,
        missing=missing * weight,
        constant=fold.constant * weight,
    )


@dataclass(slots=True)
class Fold:
    """Steps folded into ``(clip(x) - center) / scale + constant``."""

    low: float
    high: float
    center: float = 0.0
    scale: float = 1.0
    constant: float = 0.0

    def take(self, step: Step) -> None:
        """One more step.

        Raises:
            DataError: it isn't affine.
        """
        first = self.scale == 1.0 and self.constant == 0.0
        match step:
            case Affine() if first:
                self.center, self.scale = self.center + step.center, step.scale
            case Affine():
                self.scale *= step.scale
                self.constant = (self.constant - step.center) / step.scale
            case Product(factor=1.0) if first:
                self.center -= step.offset
            case Product():
                self.scale /= step.factor
                self.constant = self.constant * step.factor + step.offset
            case Clipped():
                self.low = max(self.low, (step.low - self.constant) * self.scale + self.center)
                reach = (step.high - self.constant) * self.scale + self.center
                self.high = max(self.low, min(self.high, reach))
            case Filled():
                return
            case _:
                raise DataError(
                    f"a linear model on {type(step).__name__.lower()} values can't be put as terms",
                    hint="Train it on the values themselves, or use trees.",
                )

    def mean(self, x: NDArray[np.float64]) -> float:
        """Mean of what varies, over the values that are there."""
        seen = np.clip(x[~np.isnan(x)], self.low, self.high)
        return float(((seen - self.center) / self.scale).mean()) if seen.size else 0.0


def _flag(column: Number, weight: float) -> _Term:
    """A term that only says whether the value is missing, whatever is done to the flag."""
    at_number, at_missing = column.value(np.array([0.0, np.nan])).tolist()
    return _Term(
        column=column.input,
        center=0.0,
        scale=1.0,
        low=0.0,
        high=0.0,
        weight=0.0,
        missing=(at_missing - at_number) * weight,
        constant=at_number * weight,
    )


def range_of(x: NDArray[np.float64], *, wider: float = _WIDER) -> tuple[float, float]:
    """The rows' range, widened on both sides by so many of its widths."""
    seen = x[np.isfinite(x)]
    if not seen.size:
        return 0.0, 0.0
    low, high = float(seen.min()), float(seen.max())
    reach = wider * max(high - low, abs(low), abs(high), 1.0)
    return max(low - reach, -FLOAT32_MAX), min(high + reach, FLOAT32_MAX)


def _mean(term: _Term, x: NDArray[np.float64]) -> float:
    """Mean of the term over the rows."""
    clipped = np.minimum(np.maximum(x, term.low), term.high)
    values = ((clipped - term.center) / term.scale) * term.weight
    return float(np.where(np.isnan(x), term.missing, values).mean())


def _tables(
    columns: Sequence[tuple[Coded, float]], rows: Matrix
) -> list[tuple[int, NDArray[np.float64], float, float]]:
    """(input, value by code, value where missing, mean) of each category; its columns added up."""
    values: dict[int, NDArray[np.float64]] = {}
    missing: dict[int, float] = {}
    for column, weight in columns:
        own = np.array(column.values) * weight
        values[column.input] = values.get(column.input, np.zeros(len(own))) + own
        missing[column.input] = missing.get(column.input, 0.0) + column.missing * weight
    found = []
    for j, own in values.items():
        codes = rows[:, j]
        known = own[codes[~np.isnan(codes)].astype(np.int64)]
        usual = float(known.mean()) if known.size else 0.0
        at_missing = usual if np.isnan(missing[j]) else missing[j]
        share = float(np.isnan(codes).mean())
        found.append((j, own, at_missing, usual * (1.0 - share) + at_missing * share))
    return found
