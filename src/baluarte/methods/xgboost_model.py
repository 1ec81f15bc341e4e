"""XGBoost's own model, JSON or UBJSON, as a draft.

Its rows and thresholds are float32 and compared with ``<``; leaves are float32 too and are kept
exactly. XGBoost adds them in float32, so its margin differs from their true sum by its rounding; a
program gives the sum.

Source: XGBoost, doc/model.schema; include/xgboost/tree_model.h; src/common/categorical.h.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft
from baluarte.core.program.model import CATEGORICAL, MISSING_LEFT
from baluarte.errors import DataError
from baluarte.methods.tree_nodes import TreeNodes, draft_of_nodes
from baluarte.methods.ubjson import read_ubjson

_LOGIT = ("binary:logistic", "reg:logistic")
_LOG = ("count:poisson", "reg:gamma", "reg:tweedie")
_AS_IS = (
    *("binary:logitraw", "binary:hinge", "reg:squarederror", "reg:squaredlogerror"),
    *("reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror"),
    *("rank:pairwise", "rank:ndcg", "rank:map"),
)
Saved = Mapping[str, Any]


def read_model(data: bytes) -> Saved:
    """A saved model as XGBoost structures it.

    Raises:
        DataError: neither JSON nor UBJSON of an XGBoost model, such as the old binary format.
    """
    if data[:1] != b"{":
        raise DataError(
            "expected an XGBoost model in JSON or UBJSON, found other bytes",
            hint='Load it in XGBoost and write it with save_model("model.json").',
        )
    if data[1:2] in (b'"', b" ", b"\n", b"\r", b"\t"):
        try:
            model = msgspec.json.decode(data)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise DataError(f"not readable as JSON: {error}") from error
    else:
        model = read_ubjson(data)
    if not isinstance(model, dict) or "learner" not in model:
        raise DataError("expected an XGBoost model, found JSON without a learner")
    return model


def draft_of_model(model: Saved, *, n_rounds: int | None = None) -> Draft:
    """The margin of a saved model of one output.

    Args:
        model: as :func:`read_model` gives it.
        n_rounds: how many boosting rounds count; all when None.

    Raises:
        DataError: another booster than trees, several outputs, or an objective whose base score has
            no known scale.
    """
    try:
        return _draft(model["learner"], n_rounds)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise DataError(f"expected XGBoost's model schema, {error!r} doesn't fit it") from error


def leaf_values(model: Saved) -> list[NDArray[np.float64]]:
    """For each tree the value of each node, by XGBoost's numbers: what ``pred_leaf`` points into.

    Float64 products of float32 leaves and, under DART, float32 weights: exact.
    """
    trees, weights = _trees(model["learner"], None)
    return [weight * _leaf(tree) for tree, weight in zip(trees, weights, strict=True)]


def base_margin(model: Saved) -> float:
    """The constant of the margin, from the base score by the objective's own link.

    ``base_score`` is a float32 in the space of predictions, in brackets since 3.1. The link is
    computed in float32, as XGBoost does.

    Raises:
        DataError: several outputs, or an unknown objective.
    """
    learner = model["learner"]
    objective = str(learner["objective"]["name"])
    said = str(learner["learner_model_param"]["base_score"]).strip("[]").split(",")
    if len(said) != 1:
        raise DataError(f"expected a model of one output, found {len(said)} base scores")
    score = np.float32(said[0])
    if objective in _AS_IS:
        return float(score)
    if objective in _LOG:
        return float(np.float32(math.log(float(score))))
    if objective in _LOGIT:
        odds = np.float32(1.0) / score - np.float32(1.0)
        return float(-np.float32(math.log(float(odds))))
    raise DataError(
        f"expected one of the objectives {', '.join((*_LOGIT, *_LOG, *_AS_IS))}; found {objective}",
        hint="A detector needs one score an event: fit it with binary:logistic.",
    )


def _draft(learner: Saved, n_rounds: int | None) -> Draft:
    trees, weights = _trees(learner, n_rounds)
    nodes = [_nodes(tree, weight) for tree, weight in zip(trees, weights, strict=True)]
    return Draft(
        n_features=int(learner["learner_model_param"]["num_feature"]),
        base=base_margin({"learner": learner}),
        parts=(draft_of_nodes(nodes, "xgboost"),) if nodes else (),
    )


def _trees(learner: Saved, n_rounds: int | None) -> tuple[list[Saved], list[float]]:
    """The trees that count and each one's weight."""
    booster = learner["gradient_booster"]
    if booster["name"] not in ("gbtree", "dart"):
        raise DataError(f"expected an XGBoost model of trees, found {booster['name']}")
    n_targets = int(learner["learner_model_param"].get("num_target", 1))
    n_classes = int(learner["learner_model_param"].get("num_class", 0))
    if n_targets > 1 or n_classes > 1:
        raise DataError(f"expected a model of one output, found {max(n_targets, n_classes)}")
    dart = booster["name"] == "dart"
    model = (booster["gbtree"] if dart else booster)["model"]
    trees = list(model["trees"])
    weights = [float(np.float32(w)) for w in booster["weight_drop"]] if dart else [1.0] * len(trees)
    if n_rounds is not None:
        a_round = max(1, int(model["gbtree_model_param"].get("num_parallel_tree", 1)))
        trees, weights = trees[: n_rounds * a_round], weights[: n_rounds * a_round]
    return trees, weights


def _leaf(tree: Saved) -> NDArray[np.float64]:
    return np.asarray(tree["split_conditions"]).astype(np.float32).astype(np.float64)


def _nodes(tree: Saved, weight: float) -> TreeNodes:
    def integers(key: str) -> NDArray[np.int64]:
        return np.asarray(tree[key]).astype(np.int64)

    left = integers("left_children")
    threshold = _leaf(tree)
    categorical = np.zeros(len(left), bool)
    if "split_type" in tree:  # since 1.3
        categorical = (integers("split_type") == 1) & (left >= 0)
    flags = integers("default_left") * MISSING_LEFT + categorical * CATEGORICAL
    return TreeNodes(
        left=left,
        right=integers("right_children"),
        feature=integers("split_indices"),
        threshold=threshold,
        flags=flags,
        value=weight * threshold,
        cover=np.asarray(tree["sum_hessian"]).astype(np.float32),
        sets=_sets(tree) if categorical.any() else {},
    )


def _sets(tree: Saved) -> dict[int, NDArray[np.int64]]:
    codes = np.asarray(tree["categories"]).astype(np.int64)
    start, size, node = (
        np.asarray(tree[f"categories_{key}"]).astype(np.int64).tolist()
        for key in ("segments", "sizes", "nodes")
    )
    return {
        int(n): codes[first : first + count]
        for n, first, count in zip(node, start, size, strict=True)
    }
