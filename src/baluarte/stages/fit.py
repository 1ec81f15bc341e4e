"""Fit: families compete on trials, the best of each is fitted on all fit rows, and they add up."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from baluarte.core.beyond_chance import within_errors
from baluarte.core.candidate import Member, TrialRow
from baluarte.core.contract import Contract
from baluarte.core.encode import Encoder
from baluarte.core.program.draft import Draft, add, seal, stack
from baluarte.core.program.draft import Member as StackMember
from baluarte.core.program.draft_dense import background_of
from baluarte.core.program.model import Program
from baluarte.core.promise_value import TuningRows
from baluarte.core.row_keys import Keys, digest
from baluarte.core.search import FitTask, SearchBudget, Trial
from baluarte.ports import Fitted, Matrix, Model, Params, Search
from baluarte.stages.combine import Combined, Curve, Share, combine
from baluarte.stages.trials import FINAL_ROWS, TRIAL_ROWS, Trials, sample_rows

_ERRORS = 1.0  #: standard errors by which a trial must be better than the defaults
_FEW_ROWS = 20_000  #: up to which a third fit of the mean is worth its trees in every decision


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRows:
    """The rows that fit, encoded."""

    X: Matrix  #: (n, d)
    tuning: TuningRows
    keys: Keys
    contents: Keys  #: (n,) of each row's content: which rows they were


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """The fitted families, what became of them as a program, and how they were found."""

    members: tuple[tuple[Member, Fitted, Share], ...]
    base: float
    program: Program
    value: float
    trials: tuple[TrialRow, ...]
    stopped_early: bool

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) the libraries' own output: what the program must reproduce."""
        parts = [share(fitted.margin(X)) for _, fitted, share in self.members]
        return np.asarray(np.sum(parts, axis=0) + self.base, dtype=np.float64)

    def off_by_float32(self, X: Matrix) -> dict[str, float]:
        """By name, how far a library that adds up in float32 is from the true sum of its terms."""
        found = {}
        for member, fitted, _ in self.members:
            single = getattr(fitted, "margin_in_float32", None)
            if single is not None and len(X):
                off = float(np.abs(single(X) - fitted.margin(X)).max())
                found[f"{member.model}_float32_difference"] = off
        return found


def learn(
    contract: Contract, rows: FitRows, encoder: Encoder, *, models: Sequence[Model], search: Search
) -> Learned:
    """Search, combine and fit with labels.

    Args:
        models: in the contract's order of families; at least one.
    """
    learner = contract.learner
    budget = SearchBudget(
        trials=max(learner.trials, len(models)),
        seed=learner.seed,
        max_minutes=learner.max_minutes,
        prune=learner.prune is True,
    )
    planned = search.size(models, budget=budget)
    task = fit_task(contract, encoder)
    final = msgspec.structs.replace(task, repeats=repeats(len(rows.X)))
    evaluate = _evaluator(contract, rows, task, max_rows=TRIAL_ROWS)
    # The last choices are between what would be fitted: means, which want less of a sum.
    last = _evaluator(contract, rows, final, max_rows=FINAL_ROWS)
    trials = search.run(models, budget=budget, evaluate=evaluate, key=_search_key(contract, rows))
    by_name = {model.name: model for model in models}
    best = {
        model.name: _best_params(model, [t for t in trials if t.model == model.name], last)
        for model in models
        if any(trial.model == model.name for trial in trials)
    }
    margins = {name: last.margins(by_name[name], params) for name, params in best.items()}
    combined = combine(contract, last.rows.tuning, margins)
    return _fitted(
        [(by_name[name], best[name], share) for name, share in combined.shares.items()],
        rows,
        final,
        combined=combined,
        trials=tuple(TrialRow(**msgspec.structs.asdict(trial)) for trial in trials),
        stopped_early=len(trials) < planned,
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
    whole = [trial for trial in own if not trial.pruned]
    first, best = own[0], max(whole, key=lambda trial: trial.value)
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
    model, alone = models[0], Share(weight=1.0)
    return _fitted(
        [(model, model.defaults(), alone)],
        rows,
        msgspec.structs.replace(fit_task(contract, encoder), repeats=repeats(len(rows.X))),
        combined=Combined(shares={model.name: alone}, base=0.0, value=0.0),
        trials=(),
        stopped_early=False,
    )


def _fitted(
    chosen: Sequence[tuple[Model, Params, Share]],
    rows: FitRows,
    task: FitTask,
    *,
    combined: Combined,
    trials: tuple[TrialRow, ...],
    stopped_early: bool,
) -> Learned:
    members = []
    for model, params, share in chosen:
        fitted = model.fit(rows.X, rows.tuning.labels, params=params, task=task)
        members.append((_member(model, params, share, fitted, rows), fitted, share))
    return Learned(
        members=tuple(members),
        base=combined.base,
        program=seal(_draft([(f, share) for _, f, share in members], combined.base, rows.X)),
        value=combined.value,
        trials=trials,
        stopped_early=stopped_early,
    )


def _member(model: Model, params: Params, share: Share, fitted: Fitted, rows: FitRows) -> Member:
    sample = getattr(fitted, "sample", None)  # of a learner that fits on some of the rows only
    curve = share.curve
    return Member(
        model=model.name,
        weight=share.weight,
        params=dict(params),
        slope=UNSET if curve is None else curve.slope,
        offset=UNSET if curve is None else curve.offset,
        rows=UNSET if sample is None else len(sample),
        sample=UNSET if sample is None else digest(rows.contents[sample]),
    )


def _draft(members: Sequence[tuple[Fitted, Share]], base: float, X: Matrix) -> Draft:
    """The sum of the members' shares, before its one rounding."""
    plain = [(share.weight, fitted.compile()) for fitted, share in members if not share.curve]
    voting = [
        StackMember(
            draft=_bent(fitted.compile(), share.curve), weight=share.weight, link="logistic"
        )
        for fitted, share in members
        if share.curve
    ]
    if not voting:
        return add([*plain, (1.0, Draft(n_features=X.shape[1], base=base, parts=()))])
    return stack(
        [
            *voting,
            *(StackMember(draft=draft, weight=w, link="identity") for w, draft in plain),
        ],
        base=base,
        background=background_of(X),
    )


def _bent(draft: Draft, curve: Curve) -> Draft:
    constant = Draft(n_features=draft.n_features, base=curve.offset, parts=())
    return add([(curve.slope, draft), (1.0, constant)])


def repeats(n_rows: int) -> int:
    """Fits of the final mean (ADR 13): trials make do with one, so that there can be many."""
    return 3 if n_rows <= _FEW_ROWS else 2


def fit_task(contract: Contract, encoder: Encoder) -> FitTask:
    """What every family is fitted with, beside the rows."""
    schema, signs = contract.events, {"up": 1, "down": -1}
    return FitTask(
        categorical=tuple(column.categorical for column in encoder.columns),
        monotone=tuple(signs.get(str(schema[c.field].monotone), 0) for c in encoder.columns),
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
