"""Cleaning steps of a field: declared once, sealed in the encoder, the same for a column and a row.

A step is written as a word and its arguments; they are taken in the order given.

========================  ========================================================================
``trim``                  without ASCII white space at its ends; what is then empty is missing
``lower``, ``upper``      ASCII letters in one case; other letters stay, as Unicode's tables change
``missing VALUE``         a value that stands for a missing one is missing: ``missing -1``
``unit FACTOR``           in another unit: the value times the factor, above 0
``clip LOW HIGH``         the nearest value within
``log``                   sign(x) ln(1 + abs(x)), from exact operations
                          (:mod:`baluarte.core.exact_log`)
``impute VALUE``          in place of a missing one; ``median``, ``mean`` or ``most_frequent`` of
                          the fit rows
``scale HOW``             ``standard`` is (x - mean) / standard deviation, ``robust`` (x - median) /
                          interquartile range, ``range`` (x - least) / (greatest - least), all of
                          the fit rows; a spread of 0 counts as 1
========================  ========================================================================

``trim``, ``lower`` and ``upper`` are for categories and texts; ``missing`` is for these and for
numbers; ``impute`` is for categories and numbers; the others are for numbers. What a record keeps
is the value before them.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast, get_args

import numpy as np
from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from numpy.typing import NDArray

from baluarte.core.event import Column
from baluarte.core.event_value import ValueRefusedError
from baluarte.core.exact_log import log, log_array
from baluarte.core.nearest import did_you_mean
from baluarte.core.schema import Cleaning, FieldType, Learnt, Operation

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
SCALES = ("standard", "robust", "range")
FITTED_VALUES = ("median", "mean", "most_frequent")

_SPACE = " \t\n\r\f\v"
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_TEXT_STEPS: dict[Operation, Callable[[str], str]] = {
    "trim": lambda text: text.strip(_SPACE),
    "lower": lambda text: text.translate(_LOWER),
    "upper": lambda text: text.translate(_UPPER),
}
_OF_TYPE: dict[FieldType, frozenset[str]] = {
    "number": frozenset({"missing", "unit", "clip", "log", "impute", "scale"}),
    "integer": frozenset({"missing", "unit", "clip", "log", "impute", "scale"}),
    "category": frozenset({"trim", "lower", "upper", "missing", "impute"}),
    "text": frozenset({"trim", "lower", "upper", "missing"}),
}

CleanNumber = Callable[[float], float]
CleanText = Callable[[str | None], str | None]


def parse_step(said: str, kind: FieldType) -> Cleaning:
    """A step as it is written in ``detector.toml``.

    >>> parse_step("clip 0 1e4", "number")
    Cleaning(op='clip', low=0.0, high=10000.0)

    Raises:
        ValueRefusedError: it is no step, or none for fields of this type.
    """
    word, _, argument = said.strip().partition(" ")
    argument = argument.strip()
    allowed = sorted(_OF_TYPE.get(kind, frozenset()))
    if word not in OPERATIONS:
        raise ValueRefusedError(
            f"expected one of {', '.join(OPERATIONS)}; found {said!r}",
            did_you_mean(word, list(OPERATIONS)),
        )
    if word not in allowed:
        steps = ", ".join(allowed) or "no step"
        raise ValueRefusedError(f"expected {steps} for a field of type {kind}; found {said!r}")
    match word:
        case "unit":
            (factor,) = _numbers(said, argument, 1)
            if factor <= 0:
                raise ValueRefusedError(f"expected a factor above 0; found {said!r}")
            return Cleaning(op="unit", factor=factor)
        case "clip":
            low, high = _numbers(said, argument, 2)
            if low >= high:
                raise ValueRefusedError(f"expected a low bound below the high one; found {said!r}")
            return Cleaning(op="clip", low=low, high=high)
        case "missing":
            return _stand_in(said, argument, kind)
        case "impute":
            return _imputation(said, argument, kind)
        case "scale":
            if argument not in SCALES:
                raise ValueRefusedError(
                    f"expected scale and one of {', '.join(SCALES)}; found {said!r}"
                )
            return Cleaning(op="scale", how=cast("Learnt", argument))
    if argument:
        raise ValueRefusedError(f"expected {word} alone; found {said!r}")
    return Cleaning(op=word)


def fit_steps(steps: Sequence[Cleaning], column: Column) -> tuple[Cleaning, ...]:
    """The steps with what they learn from the (n,) values of the fit rows, each after those before.

    A column without a value teaches 0, a category ``missing`` and a spread of 1.
    """
    out: list[Cleaning] = []
    for step in steps:
        with np.errstate(over="ignore", invalid="ignore"):  # then a stated number stands for it
            step = _fitted(step, column)  # noqa: PLW2901 - the same step, now complete
        out.append(step)
        column = clean_column((step,), column)
    return tuple(out)


def declared(steps: Sequence[Cleaning]) -> tuple[Cleaning, ...]:
    """The steps without what they learnt: as the contract has them."""
    return tuple(
        replace(
            step,
            centre=UNSET,
            spread=UNSET,
            value=UNSET if step.how is not UNSET else step.value,
        )
        for step in steps
    )


def clean_column(steps: Sequence[Cleaning], column: Column) -> Column:
    """(n,) canonical values after the steps; NaN and None are missing."""
    if column.dtype == object:
        clean = text_cleaner(steps)
        table = {value: clean(value) for value in set(column.tolist())}
        out = np.empty(len(column), dtype=object)
        out[:] = [table[value] for value in column.tolist()]
        return out
    with np.errstate(over="ignore"):  # beyond float64 is infinite, for one number, too
        for step in steps:
            column = _step_column(step, column)
    return column


def number_cleaner(steps: Sequence[Cleaning]) -> CleanNumber:
    """The same for one number; NaN is missing."""
    parts = [_number_step(step) for step in steps]

    def clean(x: float) -> float:
        for part in parts:
            x = part(x)
        return x

    return clean


def text_cleaner(steps: Sequence[Cleaning]) -> CleanText:
    """The same for one category or text; None is missing."""

    def clean(text: str | None) -> str | None:
        for step in steps:
            if step.op == "impute":
                text = str(step.value) if text is None else text
            elif step.op == "missing":
                text = None if text == step.value else text
            elif text is not None:
                text = _TEXT_STEPS[step.op](text) or None
        return text

    return clean


def step_faults(steps: Sequence[Cleaning], kind: FieldType) -> list[str]:
    """What is wrong with the steps of a sealed encoder."""
    out = []
    for step in steps:
        needed: dict[str, tuple[Any, ...]] = {
            "unit": (step.factor,),
            "clip": (step.low, step.high),
            "impute": (step.value,),
            "missing": (step.value,),
            "scale": (step.centre, step.spread),
        }
        values = needed.get(step.op, ())
        textual = kind in ("category", "text")
        right = (str,) if textual else (int, float)
        if step.op not in _OF_TYPE.get(kind, frozenset()):
            out.append(f"no step {step.op} is for a field of type {kind}")
        elif not all(isinstance(value, right) for value in values) or (
            not textual and not all(math.isfinite(value) for value in values)
        ):
            out.append(f"expected the numbers that {step.op} works with")
        elif step.op in ("unit", "scale") and not values[-1] > 0:
            out.append(f"expected a number above 0 for {step.op}")
    return out


def _numbers(said: str, argument: str, n: int) -> list[float]:
    try:
        found = [float(text) for text in argument.split()]
    except ValueError:
        found = []
    if len(found) != n or not all(map(math.isfinite, found)):
        raise ValueRefusedError(
            f"expected {said.split(maxsplit=1)[0]} and {n} {'number' if n == 1 else 'numbers'}; "
            f"found {said!r}"
        )
    return found


def _stand_in(said: str, argument: str, kind: FieldType) -> Cleaning:
    if not argument:
        raise ValueRefusedError(f"expected missing and a value; found {said!r}")
    textual = kind in ("category", "text")
    return Cleaning(op="missing", value=argument if textual else _numbers(said, argument, 1)[0])


def _imputation(said: str, argument: str, kind: FieldType) -> Cleaning:
    if not argument:
        raise ValueRefusedError(f"expected impute and a value; found {said!r}")
    if argument == "most_frequent" or (argument in FITTED_VALUES and kind != "category"):
        return Cleaning(op="impute", how=cast("Learnt", argument))
    if kind == "category":
        return Cleaning(op="impute", value=argument)
    (value,) = _numbers(said, argument, 1)
    return Cleaning(op="impute", value=value)


def _fitted(step: Cleaning, column: Column) -> Cleaning:
    if step.op == "impute" and isinstance(step.value, UnsetType):
        return replace(step, value=_fitted_value(step.how, column))
    if step.op == "scale":
        centre, spread = _fitted_scale(step.how, column)
        return replace(
            step,
            centre=centre if math.isfinite(centre) else 0.0,
            spread=spread if spread > 0 and math.isfinite(spread) else 1.0,
        )
    return step


def _fitted_value(how: Any, column: Column) -> float | str:
    if column.dtype == object:
        counts = Counter(value for value in column.tolist() if value is not None)
        return min(counts, key=lambda text: (-counts[text], text)) if counts else "missing"
    known = np.sort(column[np.isfinite(column)])
    if not len(known):
        return 0.0
    if how == "most_frequent":
        values, counts_ = np.unique(known, return_counts=True)
        return float(values[int(np.argmax(counts_))])
    found = _quantile(known, 0.5) if how == "median" else _mean(known)
    return found if math.isfinite(found) else 0.0


def _fitted_scale(how: Any, column: Column) -> tuple[float, float]:
    """Centre and spread of the known, finite values."""
    known = np.sort(column[np.isfinite(column)])
    if not len(known):
        return 0.0, 1.0
    if how == "standard":
        centre = _mean(known)
        spread = math.sqrt(_mean((known - centre) * (known - centre)))
    elif how == "robust":
        centre = _quantile(known, 0.5)
        spread = _quantile(known, 0.75) - _quantile(known, 0.25)
    else:
        centre, spread = float(known[0]), float(known[-1]) - float(known[0])
    return centre, spread


def _mean(known: NDArray[np.float64]) -> float:
    try:
        return math.fsum(known.tolist()) / len(known)  # correctly rounded, so the order is free
    except (OverflowError, ValueError):
        return math.inf


def _quantile(ordered: NDArray[np.float64], q: float) -> float:
    """Linear between the two nearest, as Hyndman and Fan's type 7."""
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    below, above = float(ordered[low]), float(ordered[high])
    return below + (above - below) * (at - low) if below != above else below


def _step_column(step: Cleaning, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """As :func:`_number_step`, operation for operation."""
    low, high = _known(step.low), _known(step.high)
    match step.op:
        case "unit":
            return _plus_zero(x * _known(step.factor))
        case "clip":
            return np.where(x < low, low, np.where(x > high, high, x))
        case "log":
            size = np.abs(x) + 1.0
            infinite = np.isinf(size)
            logs = log_array(np.where(infinite, 1.0, size))
            found = np.where(infinite, size, logs)
            return _plus_zero(np.where(x < 0, -found, found))
        case "missing":
            return np.where(x == _known(step.value), np.nan, x)
        case "impute":
            return np.where(np.isnan(x), _known(step.value), x)
        case _:
            return _plus_zero((x - _known(step.centre)) / _known(step.spread))


def _plus_zero(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Negative zero is zero."""
    return x + 0.0


def _number_step(step: Cleaning) -> CleanNumber:
    """One step for one number."""
    low, high, factor = _known(step.low), _known(step.high), _known(step.factor)
    centre, spread = _known(step.centre), _known(step.spread)

    def clip(x: float) -> float:
        return low if x < low else high if x > high else x

    def log_of(x: float) -> float:
        size = abs(x) + 1.0
        found = log(size) if size < math.inf else size
        return (-found if x < 0 else found) + 0.0

    match step.op:
        case "unit":
            return lambda x: x * factor + 0.0
        case "clip":
            return clip
        case "log":
            return log_of
        case "missing":
            code = _known(step.value)
            return lambda x: math.nan if x == code else x
        case "impute":
            value = _known(step.value)
            return lambda x: value if x != x else x  # noqa: PLR0124 - NaN
        case _:
            return lambda x: (x - centre) / spread + 0.0


def _known(value: float | str | UnsetType) -> float:
    """A number that the step has; 0 for one that it has no use for."""
    return float(value) if isinstance(value, int | float) else 0.0
