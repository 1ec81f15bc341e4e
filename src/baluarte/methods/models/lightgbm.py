"""LightGBM: gradient-boosted trees, categories as they are, compiled from the model's own text.

The model string prints every double with 17 significant digits, so thresholds and leaves come back
exactly; ``dump_model`` says the same in a form that is slower to walk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft, DraftTrees
from baluarte.core.program.model import CATEGORICAL, MISSING_LEFT, MISSING_NAN, MISSING_ZERO
from baluarte.core.search import FitTask
from baluarte.methods.libraries import library
from baluarte.ports import Fitted, Matrix, Params, Suggest, Target

_CATEGORICAL_BIT, _DEFAULT_LEFT_BIT = 1, 2  # decision_type, LightGBM include/LightGBM/tree.h
_ZERO = float(np.float32(1e-35))  # kZeroThreshold, LightGBM include/LightGBM/meta.h
_PARALLEL_ROWS = 200_000  #: below this a second thread saves little and burns much
_MISSING_FLAGS = (0, MISSING_ZERO, MISSING_NAN)  # decision_type bits 2-3, in this order


class LightGBM:
    """Gradient-boosted trees on the log-odds scale."""

    name: ClassVar[str] = "lightgbm"
    needs_labels: ClassVar[bool] = True

    def defaults(self) -> Params:
        """More, smaller and more different steps than the library's own defaults."""
        return {
            "rounds": 300,
            "learning_rate": 0.03,
            "num_leaves": 40,
            "min_data_in_leaf": 4,
            "feature_fraction": 0.4,
            "bagging_fraction": 0.9,
            "lambda_l2": 0.2,
        }

    def suggest(self, suggest: Suggest) -> Params:
        """The parameters that matter, within ranges that stay quick."""
        return {
            "rounds": suggest.integer("rounds", 80, 400, log=True),
            "learning_rate": suggest.number("learning_rate", 0.02, 0.2, log=True),
            "num_leaves": suggest.integer("num_leaves", 7, 63, log=True),
            "min_data_in_leaf": suggest.integer("min_data_in_leaf", 3, 100, log=True),
            "feature_fraction": suggest.number("feature_fraction", 0.3, 1.0),
            "bagging_fraction": suggest.number("bagging_fraction", 0.5, 1.0),
            "lambda_l2": suggest.number("lambda_l2", 0.01, 30.0, log=True),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:
        """Fit by rows, with fixed threads and seeds: the same model every time."""
        lgb = library("lightgbm")
        threads = task.threads if len(X) >= _PARALLEL_ROWS else 1
        options: dict[str, Any] = {
            **params,
            "objective": "binary",
            "bagging_freq": 1,
            "seed": task.seed,
            "num_threads": threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
        rounds = int(options.pop("rounds"))
        positives = int(np.count_nonzero(y))
        if task.class_weight == "balanced" and 0 < positives < len(y):
            options["scale_pos_weight"] = (len(y) - positives) / positives
        if any(task.monotone):
            # A category has no order to be monotone in.
            options["monotone_constraints"] = [
                0 if category else sign
                for sign, category in zip(task.monotone, task.categorical, strict=True)
            ]
        rows = lgb.Dataset(
            X,
            y,
            categorical_feature=[j for j, category in enumerate(task.categorical) if category],
            params={"verbose": -1, "min_data_in_bin": 1 if len(X) < 5_000 else 3},
        )
        return FittedLightGBM(booster=lgb.train(options, rows, rounds), threads=threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLightGBM:
    """A booster and its compiled form."""

    booster: Any
    threads: int

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) log-odds, as ``Booster.predict(raw_score=True)`` says."""
        raw = self.booster.predict(X, raw_score=True, num_threads=self.threads)
        return np.asarray(raw, dtype=np.float64)

    def compile(self) -> Draft:
        """The booster's trees; what boosting starts from is already in the first tree's leaves."""
        return draft_of_text(self.booster.model_to_string())


def draft_of_text(text: str) -> Draft:
    """A draft from a LightGBM model string of one class, format v4.

    Source: LightGBM src/boosting/gbdt_model_text.cpp and src/io/tree.cpp, Tree::ToString.
    """
    header, *blocks = text.split("\nTree=")
    blocks[-1] = blocks[-1].split("\nend of trees")[0]
    trees = [dict(_pairs(block)) for block in blocks]
    head = dict(_pairs(header))
    part = _joined(trees)
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
