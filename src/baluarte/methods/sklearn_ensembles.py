"""scikit-learn's estimators made of estimators: votes, stacks, calibrated ones; isolation forests.

A member's probability is what its own ``predict_proba`` computes: its sum itself, or the logistic
function of it. So each of these is a stack of programs; a stack of plain scores is one sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from baluarte.core.program.draft import Draft, Member, stack
from baluarte.core.program.draft_dense import background_of
from baluarte.errors import DataError
from baluarte.methods.foreign_columns import Column
from baluarte.methods.foreign_sums import Additive
from baluarte.methods.sklearn_columns import Transformers, Vector
from baluarte.methods.sklearn_machines import in_full
from baluarte.methods.sklearn_models import Estimated, estimated, grown, second_of_two, single
from baluarte.methods.sklearn_trees import average_path_length, depths
from baluarte.ports import Matrix

Link = Literal["identity", "logistic"]

#: whose probability is the logistic function of their score
_LOGISTIC = frozenset(
    {
        *("LogisticRegression", "LogisticRegressionCV", "LinearDiscriminantAnalysis"),
        *("GradientBoostingClassifier", "HistGradientBoostingClassifier", "AdaBoostClassifier"),
        "MLPClassifier",
    }
)
#: that say a score, where a calibration asks for one before it asks for a probability
_NO_SCORE = frozenset(
    {
        *("RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier"),
        *("ExtraTreeClassifier", "MLPClassifier", "VotingClassifier", "CalibratedClassifierCV"),
    }
)
_SECOND = "1"  #: the attack's class as the members of an ensemble know it


@dataclass(frozen=True, slots=True)
class Place:
    """Where an estimator stands: the columns before it, and the walk that treated them."""

    walk: Transformers
    vector: Vector
    where: str


def whole(model: Any, at: Place, positive: str | None) -> Estimated:
    """A fitted estimator or pipeline over the columns at its place.

    Raises:
        DataError: one that is no sum and no stack of sums, or of which no one class is the attack.
    """
    kind = type(model).__name__
    if kind == "Pipeline":
        vector = at.vector
        for _, step in model.steps[:-1]:
            vector = at.walk.take(step, vector)
        return whole(model.steps[-1][1], Place(at.walk, vector, at.where), positive)
    nested = _NESTED.get(kind) if type(model).__module__.startswith("sklearn.") else None
    if nested is not None:
        return nested(model, at, positive)
    return estimated(model, at.walk.numbers(at.vector), positive, at.where)


def _voted(model: Any, at: Place, positive: str | None) -> Estimated:
    """The weighted mean of the members' probabilities."""
    if model.voting != "soft":
        raise _refused("a vote by majority is no sum", "Train it with voting='soft'.", at)
    place = second_of_two(model, positive, at.where)
    weights = np.ones(len(model.estimators_))
    if model.weights is not None:
        kept = [w for w, (_, e) in zip(model.weights, model.estimators, strict=True) if e != "drop"]
        weights = np.asarray(kept, dtype=np.float64)
    shares = (weights / weights.sum()).tolist()
    members = [_probable(one, at, str(place)) for one in model.estimators_]
    return _stacked(members, shares, 0.0, says="predict_proba", column=place)


def _stacking(model: Any, at: Place, positive: str | None) -> Estimated:
    """A linear last estimator over what the members say, and over the columns if they pass."""
    sign = 1.0 if second_of_two(model, positive, at.where) == 1 else -1.0
    last = model.final_estimator_
    if not hasattr(last, "coef_") or len(getattr(last, "classes_", ())) != 2:
        name = type(last).__name__
        raise _refused(
            f"a stack whose last estimator is {name} is no sum", "Use LogisticRegression there.", at
        )
    members = [
        _probable(one, at, _SECOND) if how == "predict_proba" else _scored(one, at)
        for one, how in zip(model.estimators_, model.stack_method_, strict=True)
    ]
    weights = (sign * np.ravel(in_full(last.coef_))).tolist()
    base = sign * float(np.ravel(last.intercept_)[0])
    columns = at.walk.numbers(at.vector) if model.passthrough else []
    if len(weights) != len(members) + len(columns):
        raise ValueError("the last estimator has another number of weights")
    terms = tuple(zip(columns, weights[len(members) :], strict=True))
    return _stacked(
        members, weights[: len(members)], base, says="decision_function", sign=sign, terms=terms
    )


def _calibrated(model: Any, at: Place, positive: str | None) -> Estimated:
    """The mean over folds of the sigmoid of what each fold's estimator says."""
    place = second_of_two(model, positive, at.where)
    turn = 1.0 if place == 1 else -1.0
    members: list[tuple[Estimated, Link]] = []
    for one in model.calibrated_classifiers_:
        if one.method != "sigmoid" or len(one.calibrators) != 1:
            raise _refused(
                f"a calibration by {one.method} is no sum",
                "Adopt the estimator in it: adopting calibrates on your rows. Or use "
                "method='sigmoid'.",
                at,
            )
        a, b = float(one.calibrators[0].a_), float(one.calibrators[0].b_)
        scored = type(_last(one.estimator)).__name__ not in _NO_SCORE
        inner = _scored(one.estimator, at) if scored else _probable(one.estimator, at, None)
        bent = _stacked([inner], [-turn * a], -turn * b, says="")
        members.append((bent, "logistic"))
    shares = [1.0 / len(members)] * len(members)
    return _stacked(members, shares, 0.0, says="predict_proba", column=place)


def _isolated(model: Any, at: Place, positive: str | None) -> Estimated:
    """Minus the sum of path lengths; the library's score is a power of two of it."""
    if positive is not None:
        raise _refused("an isolation forest knows no classes", "Leave --positive out.", at)
    columns = single(at.walk.numbers(at.vector))
    trees = []
    for one, features in zip(model.estimators_, model.estimators_features_, strict=True):
        own = [columns[j] for j in np.asarray(features).tolist()]
        nodes = one.tree_
        rows = np.asarray(nodes.n_node_samples, dtype=np.float64)
        path = depths(nodes) + average_path_length(rows)
        tree = grown(nodes, -path, own)
        trees.append(replace(tree, column=np.asarray(features, dtype=np.int64)[tree.column]))
    sample = np.array([float(model.max_samples_)])  # rows that a tree was grown on
    scale = len(trees) * float(average_path_length(sample)[0])
    return Estimated(
        sum=Additive(trees=tuple(trees)),
        scale="raw",
        says="score_samples",
        columns=tuple(columns),
        then=lambda said: np.log2(-said) * scale,
    )


_NESTED: dict[str, Callable[[Any, Place, str | None], Estimated]] = {
    "CalibratedClassifierCV": _calibrated,
    "IsolationForest": _isolated,
    "StackingClassifier": _stacking,
    "VotingClassifier": _voted,
}


def _probable(model: Any, at: Place, positive: str | None) -> tuple[Estimated, Link]:
    """A member's probability of the attack: its sum, or the logistic function of it."""
    found, kind = whole(model, at, positive), type(_last(model)).__name__
    if found.scale == "probability":
        return found, "identity"
    if kind in _LOGISTIC or kind == "StackingClassifier":
        return found, "logistic"
    raise _refused(
        f"the probability of {kind!r:.80} is no function of its score that a program has",
        f"Members with one: {', '.join(sorted(_LOGISTIC))}, and forests.",
        at,
    )


def _scored(model: Any, at: Place) -> tuple[Estimated, Link]:
    """A member's score, as its ``decision_function`` says."""
    return whole(model, at, None), "identity"


def _last(model: Any) -> Any:
    return model.steps[-1][1] if type(model).__name__ == "Pipeline" else model


def _stacked(
    members: Sequence[tuple[Estimated, Link]],
    weights: Sequence[float],
    base: float,
    *,
    says: str,
    column: int | None = None,
    sign: float = 1.0,
    terms: tuple[tuple[Column, float], ...] = (),
) -> Estimated:
    """``base + Σ weight * link(member)``, and the columns with weights of their own."""

    def draft(rows: Matrix) -> Draft:
        own = [
            Member(draft=_draft(one, rows), weight=weight, link=link)
            for (one, link), weight in zip(members, weights, strict=True)
        ]
        if terms:
            passed = Additive(terms=terms).draft((), n_inputs=rows.shape[1], rows=rows)
            own.append(Member(draft=passed, weight=1.0, link="identity"))
        return stack(own, base=base, background=background_of(rows))

    return Estimated(
        sum=Additive(),
        scale="probability" if says == "predict_proba" else "log-odds",
        says=says,
        column=column,
        sign=sign,
        columns=tuple(c for one, _ in members for c in one.columns) + tuple(c for c, _ in terms),
        dense=draft,
    )


def _draft(one: Estimated, rows: Matrix) -> Draft:
    if one.dense is not None:
        return one.dense(rows)
    return one.sum.draft(one.columns, n_inputs=rows.shape[1], rows=rows)


def _refused(what: str, hint: str, at: Place) -> DataError:
    return DataError(what, where=at.where, hint=hint)
