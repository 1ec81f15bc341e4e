"""What would have made a decision come out otherwise, found and then decided by the sealed flow.

Whatever a search finds is put into the event's own fields and decided again like any event: only
what then comes out otherwise is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.bundle import SealedBundle
from baluarte.core.candidate import Candidate
from baluarte.core.counterfactual import (
    UNIT,
    Answer,
    Axis,
    Goal,
    Question,
    axes_of,
    on_grid,
)
from baluarte.core.event import Value, Values, record_number
from baluarte.core.program.cells import cells_of
from baluarte.core.raw_value import raw_value
from baluarte.core.schema import Schema
from baluarte.core.window_plan import compile_windows
from baluarte.errors import BaluarteError, DataError
from baluarte.ports import CounterfactualSearch
from baluarte.stages.score import Scorer

DIGITS = 6  #: significant digits in which a value is said


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One field that would have had another value.

    Attributes:
        before: the event's own value; null where it was missing.
        after: the nearest value that does it.
        said: the same in few digits; the outcome is the same with it.
        reaches: ``all_below`` or ``all_above``: every value from ``after`` to that end of the range
            the detector has seen does it, the rest of the event as in this counterfactual; else
            ``this``.
    """

    field: str
    before: Value | None
    after: Value
    said: Value
    reaches: str = "this"


class Counterfactual(msgspec.Struct, frozen=True, kw_only=True):
    """The least change found that makes the outcome another.

    Attributes:
        cost: 1 is the middle half of a field's usual values, or one category.
        gap: share of the cost by which a cheaper change may still exist: 0 where this is proved to
            be the least, null where nothing was proved.
        nodes: boxes that the proof looked at.
    """

    outcome: str
    would_be: str
    score: int
    would_score: int
    changes: tuple[Change, ...]
    cost: float
    gap: float | None
    nodes: int = 0


class Counterfactuals:
    """Finds counterfactuals of one detector.

    Args:
        quick: finds some change; ``exact`` proves, and takes long.

    Raises:
        DataError: the detector was sealed without the spread of its fields.
    """

    def __init__(
        self,
        scorer: Scorer,
        bundle: SealedBundle | Candidate,
        *,
        quick: CounterfactualSearch,
        exact: CounterfactualSearch,
    ) -> None:
        if bundle.spread is None:
            raise DataError(
                "counterfactuals need the ranges of the fields; this version was sealed without",
                where=f"{scorer.detector}@{scorer.version}",
                hint="Versions sealed from now on have them: baluarte build.",
            )
        self._scorer, self._spread = scorer, bundle.spread
        self._quick, self._exact = quick, exact
        self._cells = cells_of(bundle.program)
        self._cleaned = {f.field for f in scorer.encoder.tables.fields if f.steps}
        plan = compile_windows(scorer.contract)
        self._held = frozenset(plan.fields) if plan else frozenset[str]()

    def find(
        self,
        event: Values,
        *,
        to: str | None = None,
        exact: bool = False,
        held: Collection[str] = (),
        stop: Callable[[int], bool] = lambda _: False,
    ) -> Counterfactual | None:
        """The least change found, or None where none was.

        Args:
            to: the outcome that is wanted; by default the next lower one, or of the lowest the next
                higher. A still lower (or higher) one is as good.
            held: fields that stay as they are, beside those that the contract holds.
            exact: prove that it is the least, or by how much it may not be.

        Raises:
            DataError: there is no such outcome, or it is the event's own; or the program is none
                that can be searched exactly.
        """
        scorer = self._scorer
        x = np.array(scorer.encoder.encode_row(event), np.float64)
        score = int(scorer.evaluator.score(x[None, :])[0])
        band = scorer.bands.decide_one(score)[0]
        goal = self._goal(band, to)
        still = self._held.union(held, _without_direction(event, scorer.contract.events))
        while True:
            axes = axes_of(
                scorer.contract.events, scorer.encoder, self._spread, self._cells, x, held=still
            )
            question = Question(x=x, axes=axes, goal=goal, evaluator=scorer.evaluator)
            answer = self._quick.find(question, known=None, stop=stop)
            if exact:
                answer = self._exact.find(question, known=answer, stop=stop)
            if answer is None:
                return None
            told = self._told(event, question, answer, score, band, exact=exact)
            if told is not None:
                return told
            # What a cleaned field can really be set to lies beyond, and does not do it.
            still = still.union(
                axis.field
                for axis in axes
                if axis.column in answer.values and axis.field in self._cleaned
            )

    def _goal(self, band: int, to: str | None) -> Goal:
        names, thresholds = self._scorer.outcomes, self._scorer.bands.thresholds
        if to is not None and (to not in names or to == names[band]):
            said = f"expected one of {', '.join(n for n in names if n != names[band])}"
            raise DataError(f"{said}; found {to!r}, and the event's is {names[band]!r}")
        wanted = names.index(to) if to is not None else (band - 1 if band else 1)
        if wanted < band:
            return Goal(limit=thresholds[wanted], below=True)
        return Goal(limit=thresholds[wanted - 1], below=False)

    def _told(
        self,
        event: Values,
        question: Question,
        answer: Answer,
        score: int,
        band: int,
        *,
        exact: bool,
    ) -> Counterfactual | None:
        """The answer in the event's own fields, decided again; None where they can't say it."""
        axes = {axis.column: axis for axis in question.axes}
        moved = question.x.copy()
        for column, value in answer.values.items():
            moved[column] = value
        said = moved.copy()
        changes: list[Change] = []
        for column in sorted(answer.values):
            axis = axes[column]
            after = self._value(event, axis, moved[column])
            if after is None:
                return None
            shown = after
            if axis.field not in self._cleaned:
                said[column] = _few_digits(question, axis, said, self._spread_range(column))
                shown = self._value(event, axis, said[column]) or after
            changes.append(
                Change(
                    field=axis.field,
                    before=event.get(axis.field),
                    after=after,
                    said=shown,
                    reaches=_reaches(question, axis, moved) if len(answer.values) == 1 else "this",
                )
            )
        decided = self._scorer.decide_records(
            [
                event | {c.field: c.after for c in changes},
                event | {c.field: c.said for c in changes},
            ],
            reasons="none",
        )
        if (question.goal.short(decided.scores) > 0).any():
            if any(change.field in self._cleaned for change in changes):
                return None
            raise BaluarteError("a counterfactual was found that does not change the outcome")
        return Counterfactual(
            outcome=self._scorer.outcomes[band],
            would_be=self._scorer.outcomes[int(decided.bands[0])],
            score=score,
            would_score=int(decided.scores[0]),
            changes=tuple(changes),
            cost=answer.cost / UNIT,
            gap=answer.gap if exact else None,
            nodes=answer.nodes,
        )

    def _value(self, event: Values, axis: Axis, encoded: float) -> Value | None:
        """The field's value that is encoded as this number, or of a cleaned field beyond it."""
        encoder = self._scorer.encoder
        if encoder.columns[axis.column].categorical:
            known = next(f for f in encoder.tables.fields if f.field == axis.field)
            return known.categories[int(encoded)]
        if axis.field not in self._cleaned:
            return record_number(float(encoded))
        found = raw_value(
            lambda value: encoder.encode_row({axis.field: value})[axis.column],
            float(encoded),
            start=float(event.get(axis.field) or 0.0),
            up=not encoded < axis.values[0],
            whole=self._scorer.contract.events[axis.field].type != "number",
        )
        return None if found is None else record_number(found)

    def _spread_range(self, column: int) -> tuple[float, float]:
        known = self._spread.columns[column]
        low = -math.inf if known.low is None else known.low
        return low, math.inf if known.high is None else known.high


def _without_direction(event: Values, schema: Schema) -> set[str]:
    """Fields that are missing and may only go up or down: there is nothing to go from."""
    one_way = (f.name for f in schema.fields if f.mutable in ("up", "down"))
    return {name for name in one_way if event.get(name) is None}


def _few_digits(
    question: Question, axis: Axis, row: NDArray[np.float64], ends: tuple[float, float]
) -> float:
    """The value rounded away from the event's own, where that reaches the goal as well."""
    value, own = float(row[axis.column]), float(axis.values[0])
    if axis.decimals is not None or value == 0 or math.isnan(own):
        return value
    digits = DIGITS - 1 - math.floor(math.log10(abs(value)))
    if not 0 <= digits <= 22:
        return value
    short = float(on_grid(np.array([value]), digits, up=value > own)[0])
    trial = row.copy()
    trial[axis.column] = short
    inside = ends[0] <= short <= ends[1]
    return short if inside and question.short(trial[None, :])[0] <= 0 else value


def _reaches(question: Question, axis: Axis, row: NDArray[np.float64]) -> str:
    """Whether everything beyond the one changed number, to the end of its range, does it too."""
    value, own = float(row[axis.column]), float(axis.values[0])
    if not axis.complete or axis.scale <= 0.0 or math.isnan(own):
        return "this"
    beyond = axis.values[axis.values < value] if value < own else axis.values[axis.values > value]
    rows = np.repeat(row[None, :], len(beyond), axis=0)
    rows[:, axis.column] = beyond
    if len(rows) and (question.short(rows) > 0).any():
        return "this"
    return "all_below" if value < own else "all_above"
