"""Grid search: every combination of the values that the contract lists, families by turns.

A family's grid is the product of the parameters for which ``[learner.params]`` lists several
values; the others stay as told, or at the defaults. Of a family for which nothing is listed, the
defaults are tried and then one parameter at a time: the ends of its range and the middle.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from itertools import product, zip_longest
from typing import ClassVar

from baluarte.core.search import SearchBudget, Trial
from baluarte.errors import ContractError
from baluarte.methods.trial_journal import TrialJournal, judged
from baluarte.ports import Evaluate, Model, Params, Progress, Suggest

Values = tuple[int | float | str | bool, ...]


class Grid:
    """A search whose trials survive in a journal file, or in memory without one.

    Args:
        journal: path of the journal file; None keeps nothing after the process.
        progress: told after every trial.
    """

    name: ClassVar[str] = "grid"

    def __init__(self, journal: str | None = None, progress: Progress | None = None) -> None:
        self._journal = journal
        self._progress = progress

    def size(self, models: Sequence[Model], *, budget: SearchBudget) -> int:
        """All points of all grids.

        Raises:
            ContractError: more than the trials of the budget.
        """
        points = len(_plan(models))
        if points > max(budget.trials, len(models)):
            raise ContractError(
                f"the grid has {points} points, more than the {budget.trials} trials allowed",
                where="learner.trials",
                hint=f"Write trials = {points}, or list fewer values in learner.params.",
            )
        return points

    def run(
        self, models: Sequence[Model], *, budget: SearchBudget, evaluate: Evaluate, key: str
    ) -> list[Trial]:
        """Run or resume all points; all trials, oldest first.

        Raises:
            ContractError: more points than the trials of the budget.
            OutsideError: the journal can't be read.
        """
        size, plan = self.size(models, budget=budget), _plan(models)
        journal = TrialJournal(self._journal)
        done = journal.completed(key)[:size]
        started = time.monotonic()
        while len(done) < size:
            number = len(done)
            late = time.monotonic() - started > 60.0 * (budget.max_minutes or math.inf)
            if late and number >= len(models):
                break
            model, params = plan[number]
            own = [trial for trial in done if trial.model == model.name]
            trial = judged(
                evaluate, model, params, number=number, budget=budget, behind=_Behind(own)
            )
            journal.keep(key, trial, {})
            done.append(trial)
            if self._progress is not None:
                best = max(done, key=lambda trial: trial.value)
                self._progress.step(len(done), size, f"best: {best.model}")
        return done


class _Behind:
    """Whether a trial's value is below the median of its family's at the same fold."""

    def __init__(self, own: Sequence[Trial]) -> None:
        self._own = own

    def __call__(self, folds: int, value: float) -> bool:
        others = sorted(
            trial.folds[folds - 1]
            for trial in self._own
            if len(trial.folds) >= folds and not trial.pruned
        )
        return bool(others) and value < others[len(others) // 2]


def _plan(models: Sequence[Model]) -> list[tuple[Model, Params]]:
    """Every family's points, one of each by turns; its defaults, or the first listed, first."""
    grids = [[(model, point) for point in _points(model)] for model in models]
    return [point for turn in zip_longest(*grids) for point in turn if point is not None]


def _points(model: Model) -> list[Params]:
    space = _Space(model.defaults())
    model.suggest(space)
    if space.listed:
        names = list(space.listed)
        return [
            model.suggest(_At(model.defaults(), dict(zip(names, values, strict=True))))
            for values in product(*space.listed.values())
        ]
    points = [model.defaults()]
    for name, values in space.ranged.items():
        for value in values:
            point = model.suggest(_At(model.defaults(), {name: value}))
            if point not in points:
                points.append(point)
    return points


class _At(Suggest):
    """Answers with one point: the values given, else the defaults."""

    def __init__(self, defaults: Params, values: Mapping[str, int | float | str | bool]) -> None:
        self._values = {**defaults, **values}

    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int:  # noqa: ARG002 - the port's
        return int(self._values[name])

    def number(self, name: str, low: float, high: float, *, log: bool = False) -> float:  # noqa: ARG002 - the port's
        return float(self._values[name])

    def choice(
        self,
        name: str,
        options: Sequence[str | int | float | bool],  # noqa: ARG002 - the port's
    ) -> str | int | float | bool:
        return self._values[name]

    option = choice


class _Space(_At):
    """Notes what is listed, and three values of each range."""

    def __init__(self, defaults: Params) -> None:
        super().__init__(defaults, {})
        self.listed: dict[str, Values] = {}
        self.ranged: dict[str, Values] = {}

    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self.ranged[name] = (low, round(_middle(low, high, log=log)), high)
        return super().integer(name, low, high)

    def number(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.ranged[name] = (low, _middle(low, high, log=log), high)
        return super().number(name, low, high)

    def choice(
        self, name: str, options: Sequence[str | int | float | bool]
    ) -> str | int | float | bool:
        if len(options) > 1:
            self.listed[name] = tuple(options)
        return super().choice(name, options)


def _middle(low: float, high: float, *, log: bool) -> float:
    return math.sqrt(low * high) if log else (low + high) / 2
