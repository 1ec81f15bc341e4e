"""scikit-learn's histogram gradient boosting as a draft.

It compares float64 values with ``<=``, sends a missing value to the stored side, and splits
categories by sets: members left, other known categories right, and what fit never saw goes where a
missing value goes. Our rule has one set and one other side, which is where missing values go: so
where those go left, the set is that of the known categories that go right, and the sides are
swapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft
from baluarte.core.program.model import CATEGORICAL, MISSING_LEFT, MISSING_NAN
from baluarte.errors import DataError
from baluarte.methods.tree_nodes import TreeNodes, draft_of_nodes

Codes = NDArray[np.int64]


def draft_of_histogram_boosting(model: Any, codes: Mapping[int, Codes] | None = None) -> Draft:
    """The raw score of a fitted ``HistGradientBoostingClassifier`` of two classes.

    Args:
        model: the classifier; its second class is the attack.
        codes: for each categorical column of X our code of each of the library's categories, in its
            order; by default its categories are numbers that are our codes.

    Raises:
        DataError: more classes than two, or a category that is no code.
    """
    if len(model.classes_) != 2:
        raise DataError(f"expected a classifier of two classes, found {len(model.classes_)}")
    columns, known = _columns(model, codes)
    trees = [_nodes(row[0], columns, known) for row in model._predictors]  # noqa: SLF001 - the trees have no public name
    start = float(np.ravel(model._baseline_prediction)[0])  # noqa: SLF001 - likewise
    part = draft_of_nodes(trees, "lightgbm")
    return Draft(n_features=int(model.n_features_in_), base=start, parts=(part,))


def _columns(
    model: Any, codes: Mapping[int, Codes] | None
) -> tuple[NDArray[np.int64], dict[int, Codes]]:
    """Which column of X each of the library's columns is, and our codes of its categories.

    With categories the library puts their columns first and numbers each one's values anew.
    """
    n = int(model.n_features_in_)
    if model.is_categorical_ is None:
        return np.arange(n), {}
    is_categorical = np.asarray(model.is_categorical_)
    columns = np.concatenate([np.flatnonzero(is_categorical), np.flatnonzero(~is_categorical)])
    if codes is None:
        encoder = model._preprocessor.named_transformers_["encoder"]  # noqa: SLF001 - as above
        codes = {
            int(column): _own_codes(categories, int(column))
            for column, categories in zip(columns, encoder.categories_, strict=False)
        }
    return columns, {at: codes[int(columns[at])] for at in range(int(is_categorical.sum()))}


def _own_codes(categories: NDArray[Any], column: int) -> Codes:
    """A column's categories where they are numbers; NaN, the last one, is missing."""
    if categories.dtype.kind not in "iuf":
        raise DataError(
            f"expected category codes in column {column}, found values such as {categories[0]!r}"
        )
    present = categories[~np.isnan(categories)]
    if ((present < 0) | (present != np.floor(present))).any():
        raise DataError(f"expected whole category codes from 0 in column {column}")
    codes: Codes = present.astype(np.int64)
    return codes


def _nodes(predictor: Any, columns: NDArray[np.int64], known: Mapping[int, Codes]) -> TreeNodes:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    missing_left = nodes["missing_go_to_left"] > 0
    categorical = inner & (nodes["is_categorical"] > 0)
    sets: dict[int, Codes] = {}
    for node in np.flatnonzero(categorical).tolist():
        codes = known[int(nodes["feature_idx"][node])]
        bits = predictor.raw_left_cat_bitsets[int(nodes["bitset_idx"][node])]
        number = np.arange(len(codes))
        member = (bits[number // 32] >> (number % 32).astype(np.uint32)) & np.uint32(1) != 0
        sets[node] = codes[~member] if missing_left[node] else codes[member]
    swapped = categorical & missing_left
    flags = np.where(categorical, CATEGORICAL, MISSING_NAN | (missing_left * MISSING_LEFT))
    return TreeNodes(
        left=np.where(inner, np.where(swapped, right, left), -1),
        right=np.where(inner, np.where(swapped, left, right), -1),
        feature=columns[np.where(inner, nodes["feature_idx"], 0)],
        threshold=nodes["num_threshold"],
        flags=flags,
        value=nodes["value"],
        cover=nodes["count"].astype(np.float64),
        sets=sets,
    )
