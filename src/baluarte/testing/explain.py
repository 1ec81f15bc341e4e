"""Conformance of counterfactual searches: what any of them must keep, on small random programs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from baluarte.core.counterfactual import UNIT, Goal, Question, axes_of
from baluarte.core.encode import Encoder, EncoderTables, FieldEncoding
from baluarte.core.program.cells import cells_of
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.model import Program
from baluarte.core.schema import Field, FieldType, Mutable, Schema
from baluarte.core.spread import Spread, fit_spread
from baluarte.ports import CounterfactualSearch
from baluarte.testing.expect import expect

CATEGORIES = ("a", "b", "c", "d")
TYPES: tuple[FieldType, ...] = ("integer", "integer", "boolean", "category")
MUTABLE: tuple[Mutable, ...] = ("no", "up", "down", "any", "any")
LEVELS = 8  #: whole numbers that the integers take


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallCase:
    """One event of a small detector, and every point that its fields may move to."""

    question: Question
    schema: Schema
    spread: Spread

    def points(self) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], list[int]]:
        """All points that the contract allows, with their costs, counted out one by one."""
        choices = [self._choices(j) for j in range(len(TYPES))]
        rows = list(itertools.product(*choices))
        values = np.array([[value for value, _ in row] for row in rows], np.float64)
        return values, [sum(cost for _, cost in row) for row in rows]

    def _choices(self, j: int) -> list[tuple[float, int]]:
        own, field = float(self.question.x[j]), self.schema.fields[j]
        known = self.spread.columns[j]
        found = [(own, 0)]
        if field.mutable == "no" or (field.type == "category" and field.mutable != "any"):
            return found
        if field.type == "category":
            top = len(CATEGORIES)
            return found + [(float(v), UNIT) for v in range(top) if v != own]
        for value in range(int(known.low or 0), int(known.high or 0) + 1):
            flat = field.type == "boolean" or np.isnan(own)
            cost = UNIT if flat else max(1, int(np.ceil(abs(value - own) / known.scale * UNIT)))
            may = {"any": value != own, "up": value > own, "down": value < own}[field.mutable]
            if may and (field.mutable == "any" or not np.isnan(own)):
                found.append((float(value), cost))
        return found


def small_case(rng: Generator, program: Program) -> SmallCase:
    """A case on a program of four columns whose splits lie among small whole numbers."""
    fields = tuple(
        Field(name=f"f{j}", type=kind, mutable=MUTABLE[int(rng.integers(len(MUTABLE)))])
        for j, kind in enumerate(TYPES)
    )
    encoder = Encoder(
        EncoderTables(
            fields=tuple(
                FieldEncoding(
                    field=field.name,
                    type=field.type,
                    categories=CATEGORIES if field.type == "category" else (),
                )
                for field in fields
            )
        )
    )
    tops = (LEVELS, LEVELS, 2, len(CATEGORIES))
    X = np.stack([rng.integers(0, top, 60) for top in tops], axis=1).astype(np.float64)
    X[rng.random(X.shape) < 0.08] = np.nan
    spread = fit_spread(X, np.zeros(len(X), np.int8), encoder.columns)
    evaluator = Evaluator(program, kernel="numpy")
    x, below = X[int(rng.integers(len(X)))], bool(rng.integers(2))
    limit = int(np.quantile(evaluator.score(X), 0.3 if below else 0.7))
    schema = Schema(fields=fields)
    axes = axes_of(schema, encoder, spread, cells_of(program), x)
    goal = Goal(limit=limit, below=below)
    question = Question(x=x, axes=axes, goal=goal, evaluator=evaluator)
    return SmallCase(question=question, schema=schema, spread=spread)


def check_search(search: CounterfactualSearch, case: SmallCase) -> None:
    """Every answer reaches the goal by an allowed point; one that proves is the least of all."""
    question = case.question
    if question.short(question.x[None, :])[0] <= 0:
        return
    answer = search.find(question, known=None, stop=lambda _: False)
    points, costs = case.points()
    there = question.short(points) <= 0
    least = min((cost for cost, ok in zip(costs, there, strict=True) if ok), default=None)
    if answer is None:
        expect(least is None or not search.proves, f"a change of cost {least} was not found")
        return
    row = question.x.copy()
    for column, value in answer.values.items():
        row[column] = value
    at = np.flatnonzero([np.array_equal(row, point, equal_nan=True) for point in points])
    expect(len(at) == 1, "what may not move did, or left its range or its grid")
    expect(bool(there[at[0]]), "the goal is not reached")
    expect(costs[int(at[0])] == answer.cost, f"expected cost {costs[int(at[0])]}")
    expect(least is not None and answer.cost >= least, "a cost below the least there is")
    if search.proves:
        expect(answer.cost == least, f"expected the least cost {least}, found {answer.cost}")
        expect(answer.gap == 0.0, "the least change has no gap")
    again = search.find(question, known=None, stop=lambda _: False)
    expect(again == answer, "equal questions have equal answers")
    known = search.find(question, known=answer, stop=lambda _: True)
    expect(known is not None and known.cost <= answer.cost, "a known answer is never made worse")
