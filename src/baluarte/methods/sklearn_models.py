"""scikit-learn's fitted estimators as sums over treated columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baluarte.core.adopted import Scale
from baluarte.errors import DataError
from baluarte.methods.foreign_columns import Column, InFloat32
from baluarte.methods.foreign_sums import Additive
from baluarte.methods.foreign_trees import AT_MOST, ForeignTree

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
_LEAF = -1  #: TREE_LEAF, sklearn/tree/_tree.pyx
SUPPORTED = (
    *sorted(_FORESTS | _TREES),
    "GradientBoostingClassifier",
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
    """

    sum: Additive
    scale: Scale
    says: str
    columns: tuple[Column, ...]
    column: int | None = None
    sign: float = 1.0


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
    # Its trees compare what a row rounds to in float32.
    single = [column.then(InFloat32()) for column in columns]
    if kind in _FORESTS or kind in _TREES:
        place = _class(model, positive, where)
        trees = [one.tree_ for one in model.estimators_] if kind in _FORESTS else [model.tree_]
        shares = tuple(_tree(tree, tree.value[:, 0, place] / len(trees), single) for tree in trees)
        return Estimated(
            sum=Additive(trees=shares),
            scale="probability",
            says="predict_proba",
            column=place,
            columns=tuple(single),
        )
    if kind == "GradientBoostingClassifier":
        sign = _sign(model, positive, where)
        rate = float(model.learning_rate)
        grown = tuple(
            _tree(stage[0].tree_, sign * rate * stage[0].tree_.value[:, 0, 0], single)
            for stage in model.estimators_
        )
        return Estimated(
            sum=Additive(base=sign * _start(model), trees=grown),
            scale="log-odds",
            says="decision_function",
            sign=sign,
            columns=tuple(single),
        )
    if kind in _LINEAR or kind in _LINEAR_NUMBERS:
        sign = _sign(model, positive, where) if kind in _LINEAR else 1.0
        weights = np.ravel(model.coef_)
        base = float(np.ravel(model.intercept_)[0])
        terms = tuple(
            (column, sign * float(weight)) for column, weight in zip(columns, weights, strict=True)
        )
        return Estimated(
            sum=Additive(base=sign * base, terms=terms),
            scale="log-odds" if kind.startswith("Logistic") else "raw",
            says="decision_function" if kind in _LINEAR else "predict",
            sign=sign,
            columns=tuple(columns),
        )
    raise DataError(
        f"the estimator {kind!r:.100} can't be adopted",
        where=where,
        hint=f"Supported: {', '.join(SUPPORTED)}; LightGBM and XGBoost by their own files.",
    )


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


def _sign(model: Any, positive: str | None, where: str) -> float:
    """1 where the model's score is of the attack, -1 where it is of the other of two classes."""
    if len(model.classes_) != 2:
        raise DataError(
            f"a {type(model).__name__} of {len(model.classes_)} classes has no additive score",
            where=where,
            hint="Train it with two classes (attack or not), or one against the rest.",
        )
    return 1.0 if _class(model, positive, where) == 1 else -1.0


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


def _tree(tree: Any, value: NDArray[np.float64], columns: list[Column]) -> ForeignTree:
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
