"""Fit: families compete on trials, the best of each is fitted on all fit rows, and they add up."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.beyond_chance import within_errors
from baluarte.core.candidate import Member, TrialRow
from baluarte.core.contract import Contract
from baluarte.core.encode import Encoder
from baluarte.core.program.draft import add, seal
from baluarte.core.program.model import Program
from baluarte.core.promise_value import TuningRows
from baluarte.core.row_keys import Keys
from baluarte.core.search import FitTask, SearchBudget, Trial
from baluarte.ports import Fitted, Matrix, Model, Params, Search
from baluarte.stages.blend import best_weights
from baluarte.stages.trials import FINAL_ROWS, TRIAL_ROWS, Trials, sample_rows

_ERRORS = 1.0  #: standard errors by which a trial must be better than the defaults


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRows:
    """The rows that fit, encoded."""

    X: Matrix  #: (n, d)
    tuning: TuningRows
    keys: Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """The fitted families, their weighted sum as a program, and how they were found."""

    members: tuple[tuple[Member, Fitted], ...]
    program: Program
    value: float
    trials: tuple[TrialRow, ...]
    stopped_early: bool

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) the libraries' own output: what the program must reproduce."""
        parts = [member.weight * fitted.margin(X) for member, fitted in self.members]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)


def learn(
    contract: Contract, rows: FitRows, encoder: Encoder, *, models: Sequence[Model], search: Search
) -> Learned:
    """Search, blend and fit with labels.

    Args:
        models: in the contract's order of families; at least one.
    """
    learner = contract.learner
    task = _task(contract, encoder)
    evaluate, last = (
        _evaluator(contract, rows, task, max_rows=n) for n in (TRIAL_ROWS, FINAL_ROWS)
    )
    if len(rows.X) <= TRIAL_ROWS:
        last = evaluate
    trials = search.run(
        models,
        budget=SearchBudget(
            trials=max(learner.trials, len(models)),
            seed=learner.seed,
            max_minutes=learner.max_minutes,
        ),
        evaluate=evaluate,
        key=_search_key(contract, rows),
    )
    by_name = {model.name: model for model in models}
    best = {
        model.name: _best_params(model, [t for t in trials if t.model == model.name], last)
        for model in models
        if any(trial.model == model.name for trial in trials)
    }
    margins = {name: last.margins(by_name[name], params) for name, params in best.items()}
    weights, value = best_weights(contract, last.rows.tuning, margins, blend=learner.blend)
    return _fitted(
        [(by_name[name], best[name], weight) for name, weight in weights.items()],
        rows,
        task,
        value=value,
        trials=tuple(TrialRow(**msgspec.structs.asdict(trial)) for trial in trials),
        stopped_early=len(trials) < learner.trials,
    )


def _evaluator(contract: Contract, rows: FitRows, task: FitTask, *, max_rows: int) -> Trials:
    sample = sample_rows(
        X=rows.X,
        tuning=rows.tuning,
        keys=rows.keys,
        folds=contract.learner.folds,
        seed=contract.learner.seed,
        max_rows=max_rows,
    )
    return Trials(contract=contract, rows=sample, task=task)


def _best_params(model: Model, own: Sequence[Trial], evaluate: Trials) -> Params:
    """A family's best trial; its defaults, unless it is better by more than chance.

    The more trials there are, the more the best of them owes to chance.
    """
    first, best = own[0], max(own, key=lambda trial: trial.value)
    as_good = within_errors(
        evaluate.contract,
        evaluate.rows.tuning,
        evaluate.margins(model, best.params),
        evaluate.margins(model, first.params),
        errors=_ERRORS,
    )
    return first.params if as_good else best.params


def learn_without_labels(
    contract: Contract, rows: FitRows, encoder: Encoder, *, models: Sequence[Model]
) -> Learned:
    """The first model that needs no labels, at its defaults: nothing says which would be better."""
    model = models[0]
    return _fitted(
        [(model, model.defaults(), 1.0)],
        rows,
        _task(contract, encoder),
        value=0.0,
        trials=(),
        stopped_early=False,
    )


def _fitted(
    chosen: Sequence[tuple[Model, Params, float]],
    rows: FitRows,
    task: FitTask,
    *,
    value: float,
    trials: tuple[TrialRow, ...],
    stopped_early: bool,
) -> Learned:
    members = tuple(
        (
            Member(model=model.name, weight=weight, params=dict(params)),
            model.fit(rows.X, rows.tuning.labels, params=params, task=task),
        )
        for model, params, weight in chosen
    )
    program = seal(add([(member.weight, fitted.compile()) for member, fitted in members]))
    return Learned(
        members=members, program=program, value=value, trials=trials, stopped_early=stopped_early
    )


def _task(contract: Contract, encoder: Encoder) -> FitTask:
    return FitTask(
        categorical=tuple(column.categorical for column in encoder.columns),
        monotone=(0,) * len(encoder.columns),
        seed=contract.learner.seed,
        threads=contract.learner.threads,
        class_weight=contract.learner.class_weight,
    )


def _search_key(contract: Contract, rows: FitRows) -> str:
    """The same for the same promise, learner and rows; the wall clock's stop is no part of it."""
    learner = msgspec.structs.replace(contract.learner, max_minutes=None)
    said = msgspec.json.encode((contract.objective, learner), order="sorted")
    key = hashlib.sha256(said)
    key.update(np.ascontiguousarray(rows.X).view(np.uint8).tobytes())
    key.update(rows.tuning.labels.tobytes())
    return key.hexdigest()[:32]
