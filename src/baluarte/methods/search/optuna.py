"""Optuna's tree-structured Parzen estimator, made repeatable and safe to kill at any moment.

Which family a trial belongs to and what it tries are a function of the completed trials, the seed
and the trial's number, and of nothing else: a sampler is made anew for each trial. Only completed
trials are kept, in Optuna's journal file, so a search that was killed tries the unfinished one
again under the same number. Where the contract says ``prune``, a trial ends after a fold at which
its family's median trial was better.

Source: Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from baluarte.core.search import SearchBudget, Trial
from baluarte.methods.libraries import library
from baluarte.methods.trial_journal import TrialJournal, frozen, judged
from baluarte.ports import Behind, Evaluate, Model, Params, Progress, Suggest

_STARTUP = 4  #: trials of a family that are drawn at random before the estimator has a say


class Optuna:
    """A search whose trials survive in a journal file, or in memory without one.

    Args:
        journal: path of the journal file; None keeps nothing after the process.
        progress: told after every trial.
    """

    name: ClassVar[str] = "optuna"

    def __init__(self, journal: str | None = None, progress: Progress | None = None) -> None:
        self._journal = journal
        self._progress = progress

    def size(self, models: Sequence[Model], *, budget: SearchBudget) -> int:
        """As many as the budget has, one a family at least."""
        return max(budget.trials, len(models))

    def run(
        self, models: Sequence[Model], *, budget: SearchBudget, evaluate: Evaluate, key: str
    ) -> list[Trial]:
        """Run or resume up to the budget's trials; all of them, oldest first.

        Raises:
            OutsideError: the journal can't be read.
        """
        journal = TrialJournal(self._journal)
        done = journal.completed(key)[: budget.trials]
        started = time.monotonic()
        while len(done) < budget.trials:
            number = len(done)
            late = time.monotonic() - started > 60.0 * (budget.max_minutes or math.inf)
            if late and number >= len(models):
                break
            model = _next_family(models, done, budget.trials)
            own = [trial for trial in done if trial.model == model.name]
            asked = _proposal(model, own, seed=trial_seed(budget.seed, number))
            trial = judged(
                evaluate, model, asked.params, number=number, budget=budget, behind=asked.behind
            )
            journal.keep(key, trial, asked.space)
            done.append(trial)
            if self._progress is not None:
                best = max(done, key=lambda trial: trial.value)
                self._progress.step(len(done), budget.trials, f"best: {best.model}")
        return done


def trial_seed(seed: int, number: int) -> int:
    """The seed of one trial's sampler, from the search's seed and the trial's number."""
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def _next_family(models: Sequence[Model], done: Sequence[Trial], trials: int) -> Model:
    """In turn for the first half; then the two best families by turns."""
    if 2 * len(done) < trials or len(done) < 2 * len(models) or len(models) == 1:
        return models[len(done) % len(models)]
    best = {
        model.name: max(trial.value for trial in done if trial.model == model.name)
        for model in models
    }
    ranked = sorted(models, key=lambda model: -best[model.name])  # stable: the contract's order
    return ranked[len(done) % 2]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proposal:
    """What a trial tries, the space it was drawn from, and whether it falls behind its family."""

    params: Params
    space: Mapping[str, Any]
    behind: Behind


def _proposal(model: Model, own: Sequence[Trial], *, seed: int) -> _Proposal:
    """A family's next trial: the defaults first."""
    optuna = library("optuna")
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=0),
    )
    space = _Space(model.defaults())
    model.suggest(space)
    for trial in own:
        study.add_trial(frozen(trial, space.distributions))
    asked = study.ask()

    def behind(folds: int, value: float) -> bool:
        asked.report(value, folds)
        return bool(asked.should_prune())

    params = model.suggest(_Asked(asked)) if own else model.defaults()
    return _Proposal(params=params, space=space.distributions, behind=behind)


class _Asked(Suggest):
    """Draws from an Optuna trial."""

    def __init__(self, trial: Any) -> None:
        self._trial = trial

    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return int(self._trial.suggest_int(name, low, high, log=log))

    def number(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self._trial.suggest_float(name, low, high, log=log))

    def choice(
        self, name: str, options: Sequence[str | int | float | bool]
    ) -> str | int | float | bool:
        drawn: str | int | float | bool = self._trial.suggest_categorical(name, list(options))
        return drawn

    def option(
        self,
        name: str,  # noqa: ARG002 - the port's
        options: Sequence[str | int | float | bool],
    ) -> str | int | float | bool:
        return options[0]


class _Space(Suggest):
    """Answers with the defaults and notes the space that a model would draw from."""

    def __init__(self, defaults: Params) -> None:
        self._defaults = defaults
        self.distributions: dict[str, Any] = {}
        self._kinds = library("optuna.distributions")

    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self.distributions[name] = self._kinds.IntDistribution(low, high, log=log)
        return int(self._defaults[name])

    def number(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.distributions[name] = self._kinds.FloatDistribution(low, high, log=log)
        return float(self._defaults[name])

    def choice(
        self, name: str, options: Sequence[str | int | float | bool]
    ) -> str | int | float | bool:
        self.distributions[name] = self._kinds.CategoricalDistribution(list(options))
        return self._defaults[name]

    def option(
        self,
        name: str,
        options: Sequence[str | int | float | bool],  # noqa: ARG002 - the port's
    ) -> str | int | float | bool:
        return self._defaults[name]
