"""ONNX's model operations as sums: tree ensembles and linear models, with their own numbers.

Source: https://onnx.ai/onnx/operators/index.html#ai-onnx-ml, TreeEnsembleClassifier,
TreeEnsembleRegressor, TreeEnsemble, LinearClassifier, LinearRegressor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from baluarte.core.adopted import Scale
from baluarte.errors import DataError
from baluarte.methods.foreign_trees import AMONG, AT_MOST, BELOW, ForeignTree
from baluarte.methods.onnx_graph import Attribute, Node

MAX_NODES = 1 << 24
_MODES = {
    "BRANCH_LEQ": (AT_MOST, False),
    "BRANCH_LT": (BELOW, False),
    "BRANCH_GTE": (BELOW, True),
    "BRANCH_GT": (AT_MOST, True),
    "BRANCH_EQ": (AMONG, False),
    "BRANCH_NEQ": (AMONG, True),
    "BRANCH_MEMBER": (AMONG, False),
}  #: the comparison, and whether it is of the opposite
_OF_TREE_ENSEMBLE = (
    *("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"),
    "BRANCH_MEMBER",
)  #: nodes_modes of TreeEnsemble, in the order of its numbers
_MODELS = {
    "TreeEnsembleClassifier": 1,
    "TreeEnsembleRegressor": 0,
    "TreeEnsemble": 0,
    "LinearClassifier": 1,
    "LinearRegressor": 0,
}  #: which output holds the scores

Named = Mapping[str, Attribute]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """A model as a sum: of trees' leaves, or of weighted columns."""

    base: float
    scale: Scale
    place: int  #: of the score among the outputs' columns
    trees: tuple[ForeignTree, ...] = ()
    weights: NDArray[np.float64] | None = None  #: (columns,) of a linear model


def is_model(node: Node) -> bool:
    """Whether this operation is a model, and not a treatment of its inputs."""
    return node.op in _MODELS


def scores_of(node: Node) -> str:
    """The name of a model's scores."""
    return node.outputs[_MODELS[node.op]]


def summed(node: Node, positive: str | None) -> Summed:
    """The model as a sum.

    Raises:
        DataError: its output is no sum, or several classes and none was named.
    """
    a = node.attributes
    if node.op == "LinearClassifier":
        return _linear_classifier(a, positive)
    if node.op == "LinearRegressor":
        weights = _numbers(a, "coefficients")
        if int(_one(a, "targets", 1)) != 1:
            raise _several(int(_one(a, "targets", 1)))
        base = float(_numbers(a, "intercepts", [0.0])[0])
        return Summed(base=base, scale=_scale(a), place=0, weights=weights)
    if node.op == "TreeEnsemble":
        return _tree_ensemble(a)
    return _ensemble(a, positive, classes=node.op == "TreeEnsembleClassifier")


# --- linear ------------------------------------------------------------------------------------


def _linear_classifier(a: Named, positive: str | None) -> Summed:
    labels = _labels(a, "classlabels_ints")
    rows = _numbers(a, "coefficients")
    bases = _numbers(a, "intercepts", [0.0])
    n = len(bases)
    if len(rows) % n:
        raise ValueError(f"expected coefficients of {n} classes, found {len(rows)}")
    weights = rows.reshape(n, -1)
    place = _place(labels, positive)
    softmax = a.get("post_transform", "NONE") not in ("NONE", "LOGISTIC")
    if n == 1:
        sign = 1.0 if place == 1 else -1.0
        return Summed(
            base=sign * float(bases[0]), scale=_scale(a), place=place, weights=sign * weights[0]
        )
    if softmax:
        if n != 2:
            raise _softmax(n)
        return Summed(
            base=float(bases[place] - bases[1 - place]),
            scale="log-odds",
            place=-1,
            weights=weights[place] - weights[1 - place],
        )
    return Summed(base=float(bases[place]), scale=_scale(a), place=place, weights=weights[place])


# --- trees -------------------------------------------------------------------------------------


def _ensemble(a: Named, positive: str | None, *, classes: bool) -> Summed:
    """TreeEnsembleClassifier and TreeEnsembleRegressor, which list nodes and leaves apart."""
    kind: Literal["class", "target"] = "class" if classes else "target"
    ids = _integers(a, f"{kind}_ids")
    base = _numbers(a, "base_values", [])
    place, own, at = _which(a, ids, positive, classes=classes)
    trees = _integers(a, "nodes_treeids")
    keys = _node_keys(trees, _integers(a, "nodes_nodeids"))
    leaf_keys = _node_keys(_integers(a, f"{kind}_treeids"), _integers(a, f"{kind}_nodeids"))
    order = np.argsort(keys, kind="stable")
    weights = _numbers(a, f"{kind}_weights")
    found = order[np.searchsorted(keys[order], leaf_keys).clip(max=len(keys) - 1)]
    if (keys[found] != leaf_keys).any():
        raise ValueError("a leaf's weight names a node that there isn't")
    value = np.zeros(len(keys))
    np.add.at(value, found[own], weights[own])
    value *= _share(a, len(np.unique(trees)))
    return Summed(
        base=float(base[at]) if base.size else 0.0,
        scale=_scale(a),
        place=place,
        trees=_listed(a, trees, keys, order, value),
    )


def _which(
    a: Named, ids: NDArray[np.int64], positive: str | None, *, classes: bool
) -> tuple[int, NDArray[np.bool_], int]:
    """The output's column, the weights that go into it, and which base value does."""
    if not classes:
        n = int(_one(a, "n_targets", 1))
        if n != 1:
            raise _several(n)
        return 0, np.ones(len(ids), dtype=bool), 0
    labels = _labels(a, "classlabels_int64s")
    place = _place(labels, positive)
    if len(labels) == 2 and len(np.unique(ids)) == 1:  # one score: of the second class
        if place != 1:
            raise DataError(
                f"the model scores the class {labels[1]}, the attack is said to be {labels[0]}",
                where="--positive",
                hint=f"Take --positive {labels[1]}, or train with the labels the other way round.",
            )
        return 1, np.ones(len(ids), dtype=bool), 0
    if a.get("post_transform", "NONE") not in ("NONE", "LOGISTIC"):
        raise _softmax(len(labels))
    base = _numbers(a, "base_values", [])
    return place, ids == place, place if base.size > 1 else 0


def _listed(
    a: Named,
    trees: NDArray[np.int64],
    keys: NDArray[np.int64],
    order: NDArray[np.int64],
    value: NDArray[np.float64],
) -> tuple[ForeignTree, ...]:
    size = len(keys)
    modes = a["nodes_modes"]
    if not isinstance(modes, list) or len(modes) != size or size > MAX_NODES:
        raise ValueError(f"expected {size} modes of at most {MAX_NODES} nodes")
    split = np.array([mode != "LEAF" for mode in modes])
    unknown = {mode for mode in modes if mode != "LEAF" and mode not in _MODES}
    if unknown:
        raise DataError(f"the comparison {min(unknown)!r:.40} can't be put as a program")
    how = np.array([_MODES.get(mode, (0, False))[0] for mode in modes])
    opposite = np.array([_MODES.get(mode, (0, False))[1] for mode in modes])
    threshold = _numbers(a, "nodes_values")
    tracks = _integers(a, "nodes_missing_value_tracks_true", [0] * size) != 0

    def child(name: str) -> NDArray[np.int64]:
        wanted = _node_keys(trees, _integers(a, name))
        at = order[np.searchsorted(keys[order], wanted).clip(max=size - 1)]
        if (keys[at] != wanted)[split].any():
            raise ValueError("a node names a child that there isn't")
        return np.where(split, at, -1)

    yes, no = child("nodes_truenodeids"), child("nodes_falsenodeids")
    left, right = np.where(opposite, no, yes), np.where(opposite, yes, no)
    found = []
    for tree in np.unique(trees).tolist():
        members = np.flatnonzero(trees == tree)
        root = members[~np.isin(members, np.concatenate([left[members], right[members]]))]
        if len(root) != 1:
            raise ValueError("a tree has no one root")
        members = np.concatenate([root, members[members != root[0]]])
        place = np.full(size, -1)
        place[members] = np.arange(len(members))
        inner = split[members]
        found.append(
            ForeignTree(
                left=np.where(inner, place[left[members]], -1),
                right=np.where(inner, place[right[members]], -1),
                column=_integers(a, "nodes_featureids")[members],
                how=how[members],
                threshold=threshold[members],
                nan_left=(tracks ^ opposite)[members],
                value=value[members],
                sets={
                    i: threshold[[node]]
                    for i, node in enumerate(members.tolist())
                    if split[node] and how[node] == AMONG
                },
            )
        )
    return tuple(found)


def _tree_ensemble(a: Named) -> Summed:
    """TreeEnsemble of ai.onnx.ml 5: nodes and leaves in lists of their own."""
    if int(_one(a, "n_targets", 1)) != 1:
        raise _several(int(_one(a, "n_targets", 1)))
    roots = _integers(a, "tree_roots")
    modes = _integers(a, "nodes_modes")
    splits = _numbers(a, "nodes_splits")
    leaf = _numbers(a, "leaf_weights") * _share(a, len(roots))
    members = _member_sets(_numbers(a, "membership_values", []), modes)
    sides = [
        (_integers(a, f"nodes_{side}nodeids"), _integers(a, f"nodes_{side}leafs") != 0)
        for side in ("true", "false")
    ]
    tracks = _integers(a, "nodes_missing_value_tracks_true", [0] * len(modes)) != 0
    feature = _integers(a, "nodes_featureids")
    found, total = [], 0
    for root in roots.tolist():
        tree = _Unfolded()
        tree.add(root, leaf=False)
        at = 0
        while at < len(tree.nodes):
            node, is_leaf = tree.nodes[at]
            if not is_leaf:
                opposite = _MODES[_OF_TREE_ENSEMBLE[modes[node]]][1]
                for ids, leafs in sides[::-1] if opposite else sides:
                    tree.children[at].append(tree.add(int(ids[node]), leaf=bool(leafs[node])))
            at += 1
            total += 1
            if total > MAX_NODES:
                raise ValueError(f"expected at most {MAX_NODES} nodes")
        found.append(_unfolded(tree, modes, splits, feature, tracks, leaf, members))
    return Summed(base=0.0, scale=_scale(a), place=0, trees=tuple(found))


class _Unfolded:
    """A tree whose leaves may be shared in the file: each way to a node makes its own."""

    def __init__(self) -> None:
        self.nodes: list[tuple[int, bool]] = []
        self.children: list[list[int]] = []

    def add(self, node: int, *, leaf: bool) -> int:
        self.nodes.append((node, leaf))
        self.children.append([])
        return len(self.nodes) - 1


def _unfolded(  # noqa: PLR0917 - the columns of one table
    tree: _Unfolded,
    modes: NDArray[np.int64],
    splits: NDArray[np.float64],
    feature: NDArray[np.int64],
    tracks: NDArray[np.bool_],
    leaf: NDArray[np.float64],
    members: dict[int, NDArray[np.float64]],
) -> ForeignTree:
    kinds = [
        _MODES[_OF_TREE_ENSEMBLE[modes[n]]] if not last else (0, False) for n, last in tree.nodes
    ]
    at = np.array([n for n, _ in tree.nodes])
    inner = np.array([not last for _, last in tree.nodes])
    opposite = np.array([kind[1] for kind in kinds])
    safe = np.where(inner, at, 0)
    return ForeignTree(
        left=np.array([c[0] if c else -1 for c in tree.children]),
        right=np.array([c[1] if c else -1 for c in tree.children]),
        column=feature[safe],
        how=np.array([kind[0] for kind in kinds]),
        threshold=splits[safe],
        nan_left=tracks[safe] ^ opposite,
        value=np.where(inner, 0.0, leaf[np.where(inner, 0, at)]),
        sets={
            i: members.get(node, splits[[node]])
            for i, ((node, last), kind) in enumerate(zip(tree.nodes, kinds, strict=True))
            if not last and kind[0] == AMONG
        },
    )


def _member_sets(
    values: NDArray[np.float64], modes: NDArray[np.int64]
) -> dict[int, NDArray[np.float64]]:
    """The set of each BRANCH_MEMBER node, in their order; NaN ends a set."""
    nodes = np.flatnonzero(modes == _OF_TREE_ENSEMBLE.index("BRANCH_MEMBER")).tolist()
    sets = np.split(values, np.flatnonzero(np.isnan(values)) + 1)
    if len(sets) <= len(nodes) and nodes:
        raise ValueError("expected a set of members for each such node")
    return {node: own[~np.isnan(own)] for node, own in zip(nodes, sets, strict=False)}


# --- attributes --------------------------------------------------------------------------------


def _node_keys(trees: NDArray[np.int64], nodes: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(trees) != len(nodes) or (len(nodes) and not 0 <= nodes.min() <= nodes.max() < 1 << 31):
        raise ValueError("expected a tree and a number of each node")
    return (trees << 31) | nodes


def _numbers(a: Named, name: str, absent: Any = None) -> NDArray[np.float64]:
    """A list of numbers, or its double-precision form ``…_as_tensor``."""
    found = a.get(f"{name}_as_tensor", a.get(name, absent))
    if found is None:
        raise KeyError(name)
    return np.asarray(found, dtype=np.float64).ravel()


def _integers(a: Named, name: str, absent: Any = None) -> NDArray[np.int64]:
    found = a.get(name, absent)
    if found is None:
        raise KeyError(name)
    return np.asarray(found).astype(np.int64).ravel()


def _one(a: Named, name: str, absent: int) -> int:
    found = a.get(name, absent)
    if not isinstance(found, int):
        raise TypeError(f"expected one number for {name}")
    return found


def _labels(a: Named, integers: str) -> list[str]:
    texts = a.get("classlabels_strings")
    if isinstance(texts, list) and texts:
        return texts
    return [str(value) for value in _integers(a, integers, []).tolist()]


def _place(labels: list[str], positive: str | None) -> int:
    """Which class is the attack: the second of two, unless another is named."""
    if positive is None:
        if len(labels) == 2:
            return 1
        raise DataError(
            f"which of the {len(labels)} classes is the attack?",
            where="--positive",
            hint=f"Name one of {', '.join(labels)[:200]}.",
        )
    if positive not in labels:
        raise DataError(
            f"expected one of {', '.join(labels)[:200]}; found {positive!r}", where="--positive"
        )
    return labels.index(positive)


def _scale(a: Named) -> Scale:
    transform = a.get("post_transform", "NONE")
    if transform in ("LOGISTIC", 2):
        return "log-odds"
    if transform in ("NONE", 0):
        return "raw"
    raise DataError(
        f"the transform {transform!r:.40} of the scores is not one of NONE and LOGISTIC",
        hint="Train it with two classes and export it again.",
    )


def _share(a: Named, n_trees: int) -> float:
    said = a.get("aggregate_function", "SUM")
    if said in ("SUM", 1):
        return 1.0
    if said in ("AVERAGE", 0):
        return 1.0 / n_trees
    raise DataError(f"trees that are joined by {said!r:.20} give no sum")


def _softmax(n: int) -> DataError:
    return DataError(
        f"a softmax over {n} classes has no additive score: a class's probability depends on the "
        "scores of all",
        hint="Train it with two classes (attack or not), or one against the rest.",
    )


def _several(n: int) -> DataError:
    return DataError(f"expected a model of one output, found {n}", hint="Adopt them one by one.")
