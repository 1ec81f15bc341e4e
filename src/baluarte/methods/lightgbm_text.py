"""LightGBM's own model text as a draft.

The text prints every double with 17 significant digits, so thresholds and leaves come back exactly;
``dump_model`` says the same in a form that is slower to walk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft, DraftTrees
from baluarte.core.program.model import CATEGORICAL, MISSING_LEFT, MISSING_NAN, MISSING_ZERO
from baluarte.errors import DataError

_CATEGORICAL_BIT, _DEFAULT_LEFT_BIT = 1, 2  # decision_type, LightGBM include/LightGBM/tree.h
_ZERO = float(np.float32(1e-35))  # kZeroThreshold, LightGBM include/LightGBM/meta.h
_MISSING_FLAGS = (0, MISSING_ZERO, MISSING_NAN)  # decision_type bits 2-3, in this order


def draft_of_text(text: str, *, n_rounds: int | None = None) -> Draft:
    """A draft from a LightGBM model string of one output, format v3 or v4.

    What boosting starts from is already in the first tree's leaves. A random forest's
    log-odds are the mean of its trees, as its probability has it; its ``raw_score`` is their sum.

    Args:
        text: what ``model_to_string`` or ``save_model`` gives.
        n_rounds: how many trees count; all when None.

    Raises:
        DataError: no such text, several outputs, or linear models in the leaves.

    Source: LightGBM src/boosting/gbdt_model_text.cpp and src/io/tree.cpp, Tree::ToString.
    """
    header, *blocks = text.replace("\r\n", "\n").split("\nTree=")
    head = dict(_pairs(header))
    if not header.startswith("tree\n") or not blocks or "max_feature_idx" not in head:
        raise DataError(
            "expected a LightGBM model's text with at least one tree, found other text",
            hint='Write it with Booster.save_model("model.txt").',
        )
    if int(head["num_tree_per_iteration"]) != 1:
        raise DataError(
            f"expected a model of one output, found {head['num_tree_per_iteration']}",
            hint="A detector needs one score an event: fit it with objective=binary.",
        )
    blocks[-1] = blocks[-1].split("\nend of trees")[0]
    trees = [dict(_pairs(block)) for block in blocks[:n_rounds]]
    if any(tree.get("is_linear", "0") != "0" for tree in trees):
        raise DataError(
            "expected constant leaves, found linear trees: a sum in each leaf is no fixed number",
            hint="Fit it without linear_tree.",
        )
    try:
        part = _joined(trees)
    except (KeyError, ValueError) as error:
        raise DataError(f"a tree of the LightGBM text is not complete: {error}") from error
    if "average_output" in header.split("\n"):
        part = replace(part, leaf=part.leaf / len(trees))
    return Draft(n_features=int(head["max_feature_idx"]) + 1, base=0.0, parts=(part,))


def _pairs(block: str) -> list[tuple[str, str]]:
    lines = (line.partition("=") for line in block.split("\n"))
    return [(key, value) for key, equals, value in lines if equals]


def _joined(trees: list[dict[str, str]]) -> DraftTrees:
    """All trees in flat arrays, nodes and leaves renumbered by what came before them."""
    parts = [_one_tree(tree) for tree in trees]
    n_nodes = np.array([len(part["feature"]) for part in parts])
    n_leaves = np.array([len(part["leaf"]) for part in parts])
    n_sets = np.array([len(part["set_sizes"]) for part in parts])
    first_node, first_leaf, first_set = (np.cumsum(n) - n for n in (n_nodes, n_leaves, n_sets))

    def all_of(key: str, dtype: Any) -> NDArray[Any]:
        return np.concatenate([part[key] for part in parts]).astype(dtype)

    def moved(key: str) -> NDArray[np.int32]:
        refs = all_of(key, np.int64)
        node, leaf = np.repeat(first_node, n_nodes), np.repeat(first_leaf, n_nodes)
        renumbered: NDArray[np.int32] = np.where(refs >= 0, refs + node, refs - leaf).astype("i4")
        return renumbered

    set_index = all_of("set_index", np.int64)
    set_index = np.where(set_index >= 0, set_index + np.repeat(first_set, n_nodes), -1)
    return DraftTrees(
        rule="lightgbm",
        root=np.where(n_nodes > 0, first_node, ~first_leaf).astype(np.int32),
        feature=all_of("feature", np.int32),
        threshold=all_of("threshold", np.float64),
        left=moved("left"),
        right=moved("right"),
        flags=all_of("flags", np.uint8),
        set_index=set_index.astype(np.int32),
        set_start=np.concatenate([[0], np.cumsum(all_of("set_sizes", np.int64))]).astype(np.int32),
        set_bits=all_of("set_bits", np.uint32),
        leaf=all_of("leaf", np.float64),
        node_cover=all_of("node_cover", np.float64),
        leaf_cover=all_of("leaf_cover", np.float64),
    )


def _one_tree(tree: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """The arrays of one tree, in its own numbering."""

    def integers(key: str) -> NDArray[np.int64]:
        return np.array(tree.get(key, "").split(), dtype=np.int64)

    def numbers(key: str) -> NDArray[np.float64]:
        return np.array(tree.get(key, "").split(), dtype=np.float64)

    if int(tree["num_leaves"]) == 1:  # a constant: no split improved anything
        return _constant(numbers("leaf_value"))
    kind = integers("decision_type")
    categorical = (kind & _CATEGORICAL_BIT) > 0
    threshold = numbers("threshold")
    missing_left = ((kind & _DEFAULT_LEFT_BIT) > 0) & ~categorical
    missing = np.array(_MISSING_FLAGS)[(kind >> 2) & 3]
    return {
        "feature": integers("split_feature"),
        "threshold": np.where(categorical, 0.0, _past_zero(threshold)),
        "left": integers("left_child"),
        "right": integers("right_child"),
        "flags": np.where(categorical, CATEGORICAL, missing | (missing_left * MISSING_LEFT)),
        "set_index": np.where(categorical, threshold, -1.0).astype(np.int64),
        "set_sizes": np.diff(integers("cat_boundaries")),
        "set_bits": integers("cat_threshold"),
        "leaf": numbers("leaf_value"),
        # Counts are those of the bagged rows; a cover of zero would have no share to give.
        "node_cover": np.maximum(numbers("internal_count"), 1.0),
        "leaf_cover": np.maximum(numbers("leaf_count"), 1.0),
    }


def _past_zero(threshold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thresholds that send what the library reads as zero the way that it sends zero.

    It drops values up to ``_ZERO`` when it reads a row, so they are compared as zero at every node.

    Source: LightGBM src/c_api.cpp, RowPairFunctionFromDenseMatric.
    """
    below = (threshold >= -_ZERO) & (threshold < 0.0)
    above = (threshold >= 0.0) & (threshold < _ZERO)
    return np.where(below, np.nextafter(-_ZERO, -np.inf), np.where(above, _ZERO, threshold))


def _constant(leaf: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    none = np.zeros(0)
    keys = ("feature", "threshold", "left", "right", "flags", "set_index", "set_sizes", "set_bits")
    return dict.fromkeys((*keys, "node_cover"), none) | {"leaf": leaf, "leaf_cover": np.ones(1)}
