"""Optuna's tree-structured Parzen estimator, made repeatable and safe to kill at any moment.

Which family a trial belongs to and what it tries are a function of the completed trials, the seed
and the trial's number, and of nothing else: a sampler is made anew for each trial. Only completed
trials are kept, in Optuna's journal file, so a search that was killed tries the unfinished one
again under the same number. The journal is Optuna's own: its dashboard can read it.

Source: Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from baluarte.core.search import SearchBudget, Trial
from baluarte.errors import OutsideError
from baluarte.methods.libraries import library
from baluarte.ports import Evaluate, Model, Params, Progress, Suggest

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

    def run(
        self, models: Sequence[Model], *, budget: SearchBudget, evaluate: Evaluate, key: str
    ) -> list[Trial]:
        """Run or resume up to the budget's trials; all of them, oldest first.

        Raises:
            OutsideError: the journal can't be read.
        """
        storage = self._storage()
        done = _completed(storage, key)[: budget.trials]
        started = time.monotonic()
        while len(done) < budget.trials:
            number = len(done)
            late = time.monotonic() - started > 60.0 * (budget.max_minutes or math.inf)
            if late and number >= len(models):
                break
            model = _next_family(models, done, budget.trials)
            own = [trial for trial in done if trial.model == model.name]
            params, space = _proposal(model, own, seed=trial_seed(budget.seed, number))
            began = time.monotonic()
            value, figures = evaluate(model, params, seed=budget.seed)
            trial = Trial(
                number=number,
                model=model.name,
                params=dict(params),
                value=value,
                seconds=time.monotonic() - began,
                figures=figures,
            )
            _keep(storage, key, trial, space)
            done.append(trial)
            if self._progress is not None:
                best = max(done, key=lambda trial: trial.value)
                self._progress.step(len(done), budget.trials, f"best: {best.model}")
        return done

    def _storage(self) -> Any:
        optuna = library("optuna")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if self._journal is None:
            return optuna.storages.InMemoryStorage()
        journal = library("optuna.storages.journal")
        try:
            return optuna.storages.JournalStorage(journal.JournalFileBackend(self._journal))
        except (OSError, ValueError) as error:  # JSON that doesn't decode is a ValueError
            raise OutsideError(
                f"expected a journal of trials, found: {error}",
                where=self._journal,
                hint="Delete it to begin the search again.",
            ) from error


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


def _proposal(model: Model, own: Sequence[Trial], *, seed: int) -> tuple[Params, dict[str, Any]]:
    """What a family's next trial tries, and its space: the defaults first."""
    optuna = library("optuna")
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP),
    )
    space = _Space(model.defaults())
    model.suggest(space)
    for trial in own:
        study.add_trial(_frozen(trial, space.distributions))
    if not own:
        return model.defaults(), space.distributions
    return model.suggest(_Asked(study.ask())), space.distributions


def _frozen(trial: Trial, space: Mapping[str, Any]) -> Any:
    return library("optuna").trial.create_trial(
        params={name: trial.params[name] for name in space},
        distributions=dict(space),
        value=trial.value,
        user_attrs={"trial": msgspec.json.encode(trial).decode()},
    )


def _keep(storage: Any, key: str, trial: Trial, space: Mapping[str, Any]) -> None:
    """One append to the journal: the trial is there whole or not at all."""
    study = library("optuna").create_study(
        storage=storage,
        study_name=f"{key}/{trial.model}",
        direction="maximize",
        load_if_exists=True,
    )
    study.add_trial(_frozen(trial, space))


def _completed(storage: Any, key: str) -> list[Trial]:
    """The trials kept under this key, in the order of their numbers."""
    trials = [
        msgspec.json.decode(frozen.user_attrs["trial"], type=Trial)
        for study in storage.get_all_studies()
        if study.study_name.startswith(f"{key}/")
        for frozen in storage.get_all_trials(study._study_id)  # noqa: SLF001 - Optuna's storage asks for it
    ]
    return sorted(trials, key=lambda trial: trial.number)


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
