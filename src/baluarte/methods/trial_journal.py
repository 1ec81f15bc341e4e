"""The trials of a search, kept in Optuna's journal file so that its dashboard can read them.

Only trials that ended are kept, each by one append: a search that was killed finds all of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from baluarte.core.search import SearchBudget, Trial
from baluarte.errors import OutsideError
from baluarte.methods.libraries import library
from baluarte.ports import Behind, Evaluate, Model, Params


class TrialJournal:
    """Trials under a key: what they were made on.

    Args:
        path: of the journal file; None keeps nothing after the process.

    Raises:
        OutsideError: the journal can't be read.
    """

    def __init__(self, path: str | None) -> None:
        optuna = library("optuna")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if path is None:
            self._storage: Any = optuna.storages.InMemoryStorage()
            return
        journal = library("optuna.storages.journal")
        try:
            self._storage = optuna.storages.JournalStorage(journal.JournalFileBackend(path))
        except (OSError, ValueError) as error:  # JSON that doesn't decode is a ValueError
            raise OutsideError(
                f"expected a journal of trials, found: {error}",
                where=path,
                hint="Delete it to begin the search again.",
            ) from error

    def completed(self, key: str) -> list[Trial]:
        """The trials kept under this key, in the order of their numbers."""
        trials = [
            msgspec.json.decode(one.user_attrs["trial"], type=Trial)
            for study in self._storage.get_all_studies()
            if study.study_name.startswith(f"{key}/")
            for one in self._storage.get_all_trials(study._study_id)  # noqa: SLF001 - Optuna's storage asks for it
        ]
        return sorted(trials, key=lambda trial: trial.number)

    def keep(self, key: str, trial: Trial, space: Mapping[str, Any]) -> None:
        """One append to the journal: the trial is there whole or not at all."""
        study = library("optuna").create_study(
            storage=self._storage,
            study_name=f"{key}/{trial.model}",
            direction="maximize",
            load_if_exists=True,
        )
        study.add_trial(frozen(trial, space))


def frozen(trial: Trial, space: Mapping[str, Any]) -> Any:
    """A trial as Optuna has it, over the distributions of its space."""
    optuna = library("optuna")
    state = optuna.trial.TrialState
    return optuna.trial.create_trial(
        state=state.PRUNED if trial.pruned else state.COMPLETE,
        params={name: trial.params[name] for name in space},
        distributions=dict(space),
        value=trial.value,
        intermediate_values=dict(enumerate(trial.folds, start=1)),
        user_attrs={"trial": msgspec.json.encode(trial).decode()},
    )


def judged(
    evaluate: Evaluate,
    model: Model,
    params: Params,
    *,
    number: int,
    budget: SearchBudget,
    behind: Behind,
) -> Trial:
    """Evaluate one trial; where the budget says so, break it off when it falls behind."""
    folds: list[float] = []
    pruned = False

    def ask(n_folds: int, value: float) -> bool:
        nonlocal pruned
        folds.append(value)
        pruned = behind(n_folds, value)
        return pruned

    began = time.monotonic()
    asked = {"behind": ask} if budget.prune else {}
    value, figures = evaluate(model, params, seed=budget.seed, **asked)
    return Trial(
        number=number,
        model=model.name,
        params=dict(params),
        value=value,
        seconds=time.monotonic() - began,
        figures=figures,
        pruned=pruned,
        folds=tuple(folds),
    )
