"""What a decision would have taken to come out otherwise: what may move, how far, at what cost.

A change costs what it moves: for a number its distance in units of the sealed spread's scale, for a
category, a boolean or a value that was missing one unit. Costs are whole millionths, rounded up, so
that equal costs are equal; among those the change of fewer fields is the lesser.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.encode import Encoder
from baluarte.core.program.cells import Cells
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.schema import Field, Schema
from baluarte.core.spread import ColumnSpread, Spread

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UNIT = 1_000_000  #: cost of one step of the scale, of another category, of a value that was missing
MOVABLE = ("number", "integer", "boolean", "category")  #: types that a counterfactual can set
MAX_CELLS = 4_096  #: values of one column that are looked at
MAX_GRID = 512  #: values of a smooth column that are looked at one by one
_SMOOTH_STEPS = 48  #: values to each side of a smooth column with more than those


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One column that may move, and the values it may take, the cheapest first.

    Attributes:
        values: (m,) the first is the event's own, NaN where it is missing.
        costs: (m,) ascending; 0 for the event's own, above 0 for all others.
        complete: whether the score can be told everywhere from these values: no part reads the
            column between them, or its grid has no others.
        decimals: digits after the point that its values keep to; None: any float64.
    """

    column: int
    field: str
    values: Floats
    costs: Ints
    complete: bool
    decimals: int | None
    scale: float

    def cost_of(self, value: float) -> int:
        """What it costs to move there from the event's own value."""
        return int(_costs(np.array([value]), float(self.values[0]), self.scale)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Scores that would have been the other outcome."""

    limit: int
    below: bool  #: at most the limit, or else above it

    def short(self, scores: Ints) -> Ints:
        """(n,) by how many units each score misses the goal; 0 or less where it is reached."""
        return scores - self.limit if self.below else self.limit + 1 - scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which change of what may move reaches the goal at the least cost?"""

    x: Floats  #: (d,) the encoded event
    axes: tuple[Axis, ...]
    goal: Goal
    evaluator: Evaluator

    def short(self, rows: Floats) -> Ints:
        """(n,) units by which (n, d) rows miss the goal."""
        return self.goal.short(self.evaluator.score(np.ascontiguousarray(rows)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The change that was found, and what is known of its cost.

    Attributes:
        values: new value of each changed column.
        cost: of all changes, in millionths.
        bound: no change at all costs less than this.
        nodes: boxes that were looked at to say so.
    """

    values: dict[int, float]
    cost: int
    bound: int = 0
    nodes: int = 0

    @property
    def gap(self) -> float:
        """By which share of its cost a lesser change could still be cheaper; 0 is the least."""
        return max(0.0, (self.cost - self.bound) / self.cost) if self.cost else 0.0


def axes_of(
    schema: Schema,
    encoder: Encoder,
    spread: Spread,
    cells: Cells,
    x: Floats,
    *,
    held: Collection[str] = (),
) -> tuple[Axis, ...]:
    """The columns that may move from an encoded event, in the encoder's order.

    A field moves in the directions of ``mutable``, within the range and on the grid of the rows the
    detector was fitted on, or to a category it knows. Times, texts and addresses don't move, and
    nothing becomes missing.

    Args:
        held: fields that stay as they are, whatever the contract says.
    """
    cleaned = {table.field for table in encoder.tables.fields if table.steps}
    axes: list[Axis] = []
    for column, info in enumerate(encoder.columns):
        if info.field not in schema or info.field in held or column not in cells.read:
            continue
        field = schema[info.field]
        if not field.is_feature or field.type not in MOVABLE or field.mutable == "no":
            continue
        own, known = float(x[column]), spread.columns[column]
        if info.categorical:
            axis = _category_axis(column, field, own, info.n_codes - 1)
        else:
            whole = field.type in ("integer", "boolean") and field.name not in cleaned
            decimals = 0 if whole else known.decimals
            axis = _number_axis(column, field, own, known, cells=cells, decimals=decimals)
        if axis is not None:
            axes.append(axis)
    return tuple(axes)


def on_grid(x: Floats, decimals: int | None, *, up: bool) -> Floats:
    """The nearest value with so many decimals that is not below (``up``) or not above each."""
    if decimals is None:
        return x
    ten = 10.0**decimals
    whole = np.rint(x * ten)
    tries = [(whole + step) / ten for step in ((-1, 0, 1) if up else (1, 0, -1))]
    out = tries[-1]
    for each in reversed(tries):
        out = np.where(each >= x if up else each <= x, each, out)
    return out + 0.0


def _category_axis(column: int, field: Field, own: float, n_known: int) -> Axis | None:
    if field.mutable != "any":  # categories have no order to move along
        return None
    codes = np.arange(n_known, dtype=np.float64)
    return _axis(column, field, own, codes[codes != own], scale=0.0, complete=True, decimals=0)


def _number_axis(
    column: int,
    field: Field,
    own: float,
    known: ColumnSpread,
    *,
    cells: Cells,
    decimals: int | None,
) -> Axis | None:
    if known.low is None or known.high is None:
        return None
    sides: list[tuple[Floats, bool]] = []
    if math.isnan(own):
        if field.mutable == "any":
            middle = known.quantiles[2] if known.quantiles else known.low
            sides.append(_side(cells, column, middle, known.low, decimals, up=False))
            sides.append(_side(cells, column, middle, known.high, decimals, up=True))
            sides.append((on_grid(np.array([middle]), decimals, up=False), True))
    else:
        if field.mutable in ("down", "any") and own > known.low:
            start = min(own, known.high)
            sides.append(_side(cells, column, start, known.low, decimals, up=False))
        if field.mutable in ("up", "any") and own < known.high:
            start = max(own, known.low)
            sides.append(_side(cells, column, start, known.high, decimals, up=True))
    if not sides:
        return None
    values = np.unique(np.concatenate([values for values, _ in sides]))
    values = values[(values != own) & (values >= known.low) & (values <= known.high)]
    return _axis(
        column,
        field,
        own,
        values,
        scale=0.0 if field.type == "boolean" else known.scale,
        complete=all(complete for _, complete in sides),
        decimals=decimals,
    )


def _side(
    cells: Cells, column: int, start: float, end: float, decimals: int | None, *, up: bool
) -> tuple[Floats, bool]:
    """The value of each cell between ``start`` and ``end`` that is nearest to ``start``."""
    edges = cells.edges[column]
    if up:
        edges = edges[(edges >= start) & (edges < end)]
        found = np.concatenate([[start], np.nextafter(edges, np.inf)])
    else:
        edges = edges[(edges < start) & (edges >= end)]
        found = np.concatenate([edges, [start]])
    found, complete = on_grid(found, decimals, up=up), True
    if len(found) > MAX_CELLS:
        found = found[np.linspace(0, len(found) - 1, MAX_CELLS).astype(np.int64)]
        complete = False
    if column in cells.smooth:
        step = 0.0 if decimals is None else 10.0**-decimals
        complete = complete and step > 0 and abs(end - start) / step <= MAX_GRID
        n = math.ceil(abs(end - start) / step) + 1 if complete else _SMOOTH_STEPS
        spaced = np.linspace(start, end, n)
        # Rounded to both sides, so that no value of the grid is left out.
        grids = [on_grid(spaced, decimals, up=way) for way in (True, False)]
        found = np.concatenate([found, *grids])
    return found, complete


def _axis(
    column: int,
    field: Field,
    own: float,
    values: Floats,
    *,
    scale: float,
    complete: bool,
    decimals: int | None,
) -> Axis | None:
    if not len(values):
        return None
    costs = _costs(values, own, scale)
    order = np.lexsort((values, costs))
    return Axis(
        column=column,
        field=field.name,
        values=np.concatenate([[own], values[order]]),
        costs=np.concatenate([np.zeros(1, np.int64), costs[order]]),
        complete=complete,
        decimals=decimals,
        scale=scale,
    )


def _costs(values: Floats, own: float, scale: float) -> Ints:
    if math.isnan(own) or scale <= 0.0:
        return np.full(len(values), UNIT, np.int64)
    with np.errstate(over="ignore"):
        steps = np.ceil(np.abs(values - own) / scale * UNIT)
    return np.clip(steps, 1, 2**40).astype(np.int64)


def cheapest(answers: Sequence[Answer]) -> Answer | None:
    """The answer of least cost, then of fewest fields, then of the first columns and values."""
    return min(
        answers, key=lambda a: (a.cost, len(a.values), sorted(a.values.items())), default=None
    )
