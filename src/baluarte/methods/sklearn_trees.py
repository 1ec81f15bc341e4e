"""scikit-learn's fitted trees as drafts: one function for each kind of ensemble.

Its trees cast a row to float32 and compare with float64 thresholds; only histogram gradient
boosting compares float64 and knows categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft, DraftTrees
from baluarte.core.program.model import MISSING_LEFT
from baluarte.errors import DataError
from baluarte.methods.tree_nodes import TreeNodes, draft_of_nodes

_EDGE = float(np.finfo(np.float64).max)


def draft_trees(
    trees: Sequence[Any],
    values: Sequence[NDArray[np.float64]],
    *,
    columns: Sequence[NDArray[np.int64]] | None = None,
    missing_is_lowest: bool = False,
) -> DraftTrees:
    """The ensemble's inner nodes and leaves in flat arrays.

    Args:
        trees: the estimators' ``tree_`` objects.
        values: for each tree a value a node, shape (nodes,); those of inner nodes are ignored.
        columns: for each tree the columns that it was given; all when None.
        missing_is_lowest: a missing value was given to the library as the lowest number, so it is
            below every threshold.
    """
    return draft_of_nodes(
        [
            TreeNodes(
                left=tree.children_left,
                right=tree.children_right,
                feature=(tree.feature if given is None else given[np.maximum(tree.feature, 0)]),
                # "Missing against the rest" is a cut at infinity; every finite x is as well below
                # the largest.
                threshold=np.clip(tree.threshold, -_EDGE, _EDGE),
                flags=(
                    np.full(tree.node_count, MISSING_LEFT)
                    if missing_is_lowest
                    else tree.missing_go_to_left * MISSING_LEFT
                ),
                value=value,
                cover=tree.weighted_n_node_samples,
                sets={},
            )
            for tree, value, given in zip(
                trees, values, columns or repeat(None, len(trees)), strict=True
            )
        ],
        "sklearn",
    )


def draft_of_forest(forest: Any, *, missing_is_lowest: bool = False) -> Draft:
    """A random forest or extra trees: the mean over trees of the positive class's share.

    Args:
        forest: a fitted classifier of two classes; the second one is the attack.
    """
    _two_classes(forest)
    trees = [estimator.tree_ for estimator in forest.estimators_]
    values = [tree.value[:, 0, 1] / len(trees) for tree in trees]
    return _draft(forest, 0.0, draft_trees(trees, values, missing_is_lowest=missing_is_lowest))


def draft_of_boosting(model: Any, *, missing_is_lowest: bool = False) -> Draft:
    """Gradient boosting: the raw score from which it started, and the trees by its learning rate.

    Args:
        model: a fitted ``GradientBoostingClassifier`` of two classes.

    Raises:
        DataError: it starts from another model's predictions.
    """
    _two_classes(model)
    trees = [row[0].tree_ for row in model.estimators_]
    values = [model.learning_rate * tree.value[:, 0, 0] for tree in trees]
    part = draft_trees(trees, values, missing_is_lowest=missing_is_lowest)
    return _draft(model, _start(model), part)


def _start(model: Any) -> float:
    """The constant that gradient boosting starts from, as the library computes it."""
    if isinstance(model.init_, str):  # "zero"
        return 0.0
    if type(model.init_).__name__ != "DummyClassifier":
        raise DataError(
            "expected gradient boosting that starts from a constant, "
            f"found init={type(model.init_).__name__}",
            hint='Fit it with init=None or init="zero".',
        )
    return float(model._raw_predict_init(np.zeros((1, model.n_features_in_)))[0, 0])  # noqa: SLF001 - no public name gives it


def draft_of_adaboost(model: Any, *, missing_is_lowest: bool = False) -> Draft:
    """AdaBoost (SAMME) over decision trees: each votes with its weight, as ``decision_function``.

    Args:
        model: a fitted ``AdaBoostClassifier`` of two classes.

    Raises:
        DataError: its estimators are no decision trees.

    Source: Zhu, Zou, Rosset & Hastie, "Multi-class AdaBoost", Statistics and Its Interface 2, 2009.
    """
    _two_classes(model)
    if not all(hasattr(estimator, "tree_") for estimator in model.estimators_):
        found = type(model.estimators_[0]).__name__
        raise DataError(f"expected AdaBoost over decision trees, found it over {found}")
    # Boosting stops early at a perfect tree; weights beyond the last estimator are zero.
    weights = model.estimator_weights_[: len(model.estimators_)]
    trees = [estimator.tree_ for estimator in model.estimators_]
    votes = [2.0 * weight / weights.sum() for weight in weights]
    values = [
        vote * np.where(np.argmax(tree.value[:, 0, :], axis=1) == 1, 1.0, -1.0)
        for vote, tree in zip(votes, trees, strict=True)
    ]
    return _draft(model, 0.0, draft_trees(trees, values, missing_is_lowest=missing_is_lowest))


def draft_of_isolation_forest(forest: Any) -> Draft:
    """Minus the sum of path lengths: a leaf's depth, and the mean path of the rows left in it.

    Source: Liu, Ting & Zhou, "Isolation Forest", ICDM 2008, section 3.
    """
    trees = [estimator.tree_ for estimator in forest.estimators_]
    values = [
        -(depths(tree) + average_path_length(tree.n_node_samples.astype(np.float64)))
        for tree in trees
    ]
    part = draft_trees(trees, values, columns=forest.estimators_features_)
    return _draft(forest, 0.0, part)


def average_path_length(n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean path length of an unsuccessful search in a binary tree of ``n`` rows: c(n).

    Source: Liu, Ting & Zhou 2008, equation 1, with c(2) = 1 and c(1) = 0.
    """
    many = np.maximum(n, 3.0)
    length = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.where(n > 2, length, np.where(n == 2, 1.0, 0.0))


def depths(tree: Any) -> NDArray[np.float64]:
    """Cuts from the root to each node; scikit-learn numbers a node before its children."""
    depth = np.zeros(tree.node_count)
    for node in np.flatnonzero(tree.children_left >= 0):
        depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1.0
    return depth


def with_missing_lowest(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """X for a library that knows no missing values: they are the lowest float32, below all cuts."""
    return np.where(np.isnan(X), -float(np.finfo(np.float32).max), X)


def _two_classes(model: Any) -> None:
    if len(model.classes_) != 2:
        raise DataError(f"expected a classifier of two classes, found {len(model.classes_)}")


def _draft(model: Any, start: float, part: DraftTrees) -> Draft:
    return Draft(n_features=int(model.n_features_in_), base=start, parts=(part,))
