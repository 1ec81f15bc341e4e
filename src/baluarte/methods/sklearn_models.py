"""scikit-learn's fitted estimators as sums over treated columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baluarte.core.adopted import Scale
from baluarte.core.program.draft import Draft
from baluarte.errors import DataError
from baluarte.methods.foreign_columns import Column, InFloat32
from baluarte.methods.foreign_sums import Additive
from baluarte.methods.foreign_trees import AT_MOST, ForeignTree
from baluarte.methods.sklearn_dense import kernel_machine, network
from baluarte.methods.sklearn_machines import check_machine, in_full
from baluarte.ports import Matrix

_LINEAR = frozenset(
    {
        *("LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "RidgeClassifier"),
        *("LinearSVC", "Perceptron", "PassiveAggressiveClassifier", "LinearDiscriminantAnalysis"),
        *("RidgeClassifierCV",),
    }
)
_LINEAR_NUMBERS = frozenset(
    {
        *("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet"),
        *("ElasticNetCV", "LinearSVR", "SGDRegressor", "BayesianRidge", "HuberRegressor"),
    }
)
_FORESTS = frozenset({"RandomForestClassifier", "ExtraTreesClassifier"})
_TREES = frozenset({"DecisionTreeClassifier", "ExtraTreeClassifier"})
_EDGE = float(np.finfo(np.float64).max)  #: "missing against the rest" is a cut at infinity
_LEAF = -1  #: TREE_LEAF, sklearn/tree/_tree.pyx
SUPPORTED = (
    *sorted(_FORESTS | _TREES),
    "AdaBoostClassifier",
    "GradientBoostingClassifier",
    "HistGradientBoostingClassifier",
    "MLPClassifier",
    "SVC",
    *("CalibratedClassifierCV", "IsolationForest", "StackingClassifier", "VotingClassifier"),
    *sorted(_LINEAR),
    *sorted(_LINEAR_NUMBERS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """An estimator as a sum, and how its library says the same.

    Attributes:
        says: the method of the estimator, or of the pipeline around it.
        column: of what the method gives; None where it gives one number a row.
        sign: of what it gives.
        columns: what trees read.
        dense: the draft of what is no sum of trees and weighted columns, from rows.
        then: what is done to what the method gives, before its sign.
    """

    sum: Additive
    scale: Scale
    says: str
    columns: tuple[Column, ...]
    column: int | None = None
    sign: float = 1.0
    dense: Callable[[Matrix], Draft] | None = None
    then: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None


def estimated(model: Any, columns: list[Column], positive: str | None, where: str) -> Estimated:
    """The estimator over its columns.

    Raises:
        DataError: an estimator that is no sum, or of which no one class is the attack.
    """
    kind = type(model).__name__
    if not type(model).__module__.startswith("sklearn."):
        kind = f"{type(model).__module__}.{kind}"
    if len(columns) != int(model.n_features_in_):
        raise DataError(
            f"expected {model.n_features_in_} columns for {kind}, found {len(columns)}", where=where
        )
    if kind in _FORESTS | _TREES:
        return _shares(model, columns, positive, where, forest=kind in _FORESTS)
    if kind in _LINEAR_NUMBERS:
        return _weighted(model, columns, sign=1.0, says="predict")
    if kind in _BOOSTED:
        return _BOOSTED[kind](model, columns, _sign(model, positive, where))
    if kind == "SVC":
        check_machine(model)
    if kind in _LINEAR or (kind == "SVC" and model.kernel == "linear"):
        sign = _sign(model, positive, where)
        return _weighted(model, columns, sign=sign, says="decision_function")
    if kind in {"SVC", "MLPClassifier"}:
        return _dense(model, columns, _sign(model, positive, where))
    raise DataError(
        f"the estimator {kind!r:.100} can't be adopted",
        where=where,
        hint=f"Supported: {', '.join(SUPPORTED)}; LightGBM and XGBoost by their own files.",
    )


def _shares(
    model: Any, columns: list[Column], positive: str | None, where: str, *, forest: bool
) -> Estimated:
    place = _class(model, positive, where)
    trees = [one.tree_ for one in model.estimators_] if forest else [model.tree_]
    seen = single(columns)
    shares = tuple(grown(tree, tree.value[:, 0, place] / len(trees), seen) for tree in trees)
    return Estimated(
        sum=Additive(trees=shares),
        scale="probability",
        says="predict_proba",
        column=place,
        columns=tuple(seen),
    )


def _gradient_boosted(model: Any, columns: list[Column], sign: float) -> Estimated:
    rate, seen = float(model.learning_rate), single(columns)
    stages = tuple(
        grown(stage[0].tree_, sign * rate * stage[0].tree_.value[:, 0, 0], seen)
        for stage in model.estimators_
    )
    return _boosted(Additive(base=sign * _start(model), trees=stages), seen, sign, "log-odds")


def _histogram_boosted(model: Any, columns: list[Column], sign: float) -> Estimated:
    if model.is_categorical_ is not None:
        raise DataError(
            "histogram boosting with categories of its own can't be adopted",
            hint="Code the categories before it, by a OneHotEncoder or an OrdinalEncoder.",
        )
    trees = tuple(_histogram_tree(row[0].nodes, sign, columns) for row in model._predictors)  # noqa: SLF001 - the trees have no public name
    start = float(np.ravel(model._baseline_prediction)[0])  # noqa: SLF001 - likewise
    return _boosted(Additive(base=sign * start, trees=trees), columns, sign, "log-odds")


def _adaboost(model: Any, columns: list[Column], sign: float) -> Estimated:
    """Each tree votes with its weight. Source: Zhu et al., Statistics and Its Interface 2, 2009."""
    trees = [one.tree_ for one in model.estimators_]
    weights = model.estimator_weights_[: len(trees)]
    seen = single(columns)
    stages = tuple(
        grown(
            tree,
            sign
            * (2.0 * weight / weights.sum())
            * np.where(np.argmax(tree.value[:, 0, :], axis=1) == 1, 1.0, -1.0),
            seen,
        )
        for tree, weight in zip(trees, weights, strict=True)
    )
    return _boosted(Additive(trees=stages), seen, sign, "raw")


def _boosted(found: Additive, columns: list[Column], sign: float, scale: Scale) -> Estimated:
    return Estimated(
        sum=found, scale=scale, says="decision_function", sign=sign, columns=tuple(columns)
    )


def _weighted(model: Any, columns: list[Column], *, sign: float, says: str) -> Estimated:
    weights = np.ravel(in_full(model.coef_))
    base = float(np.ravel(model.intercept_)[0])
    terms = tuple(
        (column, sign * float(weight)) for column, weight in zip(columns, weights, strict=True)
    )
    return Estimated(
        sum=Additive(base=sign * base, terms=terms),
        scale="log-odds" if type(model).__name__.startswith("Logistic") else "raw",
        says=says,
        sign=sign,
        columns=tuple(columns),
    )


def _dense(model: Any, columns: list[Column], sign: float) -> Estimated:
    svm = type(model).__name__ == "SVC"
    convert = kernel_machine if svm else network
    return Estimated(
        sum=Additive(),
        scale="raw" if svm else "log-odds",
        says="decision_function" if svm else "log_odds",
        sign=sign,
        columns=tuple(columns),
        dense=lambda rows: convert(model, columns, rows, sign),
    )


def single(columns: Sequence[Column]) -> list[Column]:
    """As scikit-learn's trees see them: rounded to float32."""
    return [column.then(InFloat32()) for column in columns]


_BOOSTED: dict[str, Callable[[Any, list[Column], float], Estimated]] = {
    "GradientBoostingClassifier": _gradient_boosted,
    "HistGradientBoostingClassifier": _histogram_boosted,
    "AdaBoostClassifier": _adaboost,
}


def _class(model: Any, positive: str | None, where: str) -> int:
    """The number of the class that is the attack: the second of two, unless one is named."""
    names = [str(one) for one in model.classes_.tolist()]
    if positive is None and len(names) == 2:
        return 1
    if positive is None or positive not in names:
        raise DataError(
            f"which of the classes {', '.join(names)[:200]} is the attack? found {positive!r}",
            where="--positive" if positive else where,
            hint="Name it: --positive CLASS.",
        )
    return names.index(positive)


def second_of_two(model: Any, positive: str | None, where: str) -> int:
    """The number of the class that is the attack: 1, unless the first of the two is named.

    Raises:
        DataError: not two classes, or none of this name.
    """
    if len(model.classes_) != 2:
        raise DataError(
            f"a {type(model).__name__} of {len(model.classes_)} classes has no additive score",
            where=where,
            hint="Train it with two classes (attack or not), or one against the rest.",
        )
    return _class(model, positive, where)


def _sign(model: Any, positive: str | None, where: str) -> float:
    """1 where the model's score is of the attack, -1 where it is of the other of two classes."""
    return 1.0 if second_of_two(model, positive, where) == 1 else -1.0


def _start(model: Any) -> float:
    """What boosting starts from, as ``_raw_predict_init`` gives it."""
    if model.init_ == "zero":
        return 0.0
    if type(model.init_).__name__ != "DummyClassifier":
        raise DataError(
            f"boosting that starts from a {type(model.init_).__name__} is no sum of trees"
        )
    row = np.zeros((1, int(model.n_features_in_)), dtype=np.float32)
    return float(np.ravel(model._raw_predict_init(row))[0])  # noqa: SLF001 - it has no public name


def grown(tree: Any, value: NDArray[np.float64], columns: Sequence[Column]) -> ForeignTree:
    """A tree of scikit-learn's with its leaves' values.

    Raises:
        ValueError: a node reads a column or names a child that there isn't.
    """
    size = int(tree.node_count)
    left = np.asarray(tree.children_left, dtype=np.int64)
    feature = np.asarray(tree.feature, dtype=np.int64)
    inner = left != _LEAF
    if (left < _LEAF).any() or not ((feature >= 0) & (feature < len(columns)))[inner].all():
        raise ValueError("a node reads a column or names a child that there isn't")
    return ForeignTree(
        left=left,
        right=np.asarray(tree.children_right, dtype=np.int64),
        column=np.maximum(feature, 0),
        how=np.full(size, AT_MOST),
        threshold=np.asarray(tree.threshold, dtype=np.float64),
        nan_left=np.asarray(tree.missing_go_to_left).astype(bool),
        value=np.asarray(value, dtype=np.float64),
        sets={},
        cover=np.maximum(np.asarray(tree.weighted_n_node_samples, dtype=np.float64), 1e-9),
    )


def _histogram_tree(nodes: Any, sign: float, columns: list[Column]) -> ForeignTree:
    """A tree of histogram boosting, which compares in float64."""
    size = len(nodes)
    inner = nodes["is_leaf"] == 0
    feature = nodes["feature_idx"].astype(np.int64)
    if (nodes["is_categorical"] != 0).any() or not ((feature >= 0) & (feature < len(columns)))[
        inner
    ].all():
        raise ValueError("a node reads a column that there isn't, or a category")
    threshold = np.clip(nodes["num_threshold"].astype(np.float64), -_EDGE, _EDGE)
    return ForeignTree(
        left=np.where(inner, nodes["left"].astype(np.int64), _LEAF),
        right=np.where(inner, nodes["right"].astype(np.int64), _LEAF),
        column=np.where(inner, feature, 0),
        how=np.full(size, AT_MOST),
        threshold=threshold,
        nan_left=nodes["missing_go_to_left"] != 0,
        value=sign * nodes["value"].astype(np.float64),
        sets={},
        cover=np.maximum(nodes["count"].astype(np.float64), 1.0),
    )
