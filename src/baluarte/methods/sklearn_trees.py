"""scikit-learn's fitted trees as a draft: one conversion for all of its forests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import DraftTrees
from baluarte.core.program.model import MISSING_LEFT


def draft_trees(trees: Sequence[Any], leaves: Sequence[NDArray[np.float64]]) -> DraftTrees:
    """The ensemble's inner nodes and leaves in flat arrays.

    scikit-learn numbers a node before its children, and that order is kept.

    Args:
        trees: the estimators' ``tree_`` objects.
        leaves: for each tree a value a node, shape (nodes,); those of inner nodes are ignored.
    """
    inner = [tree.children_left >= 0 for tree in trees]
    n_nodes = np.array([int(mask.sum()) for mask in inner])
    n_leaves = np.array([len(mask) - int(mask.sum()) for mask in inner])
    first_node, first_leaf = np.cumsum(n_nodes) - n_nodes, np.cumsum(n_leaves) - n_leaves

    # Every library node's reference: its number among inner nodes, or the complement among leaves.
    refs = [
        np.where(mask, np.cumsum(mask) - 1 + node, ~(np.cumsum(~mask) - 1 + leaf))
        for mask, node, leaf in zip(inner, first_node, first_leaf, strict=True)
    ]

    def of_nodes(values: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
        picked = [value[mask] for value, mask in zip(values, inner, strict=True)]
        return np.concatenate(picked).astype(dtype)

    def of_leaves(values: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        picked = [value[~mask] for value, mask in zip(values, inner, strict=True)]
        return np.concatenate(picked).astype(np.float64)

    def child(name: str) -> NDArray[np.int32]:
        return of_nodes(
            [ref[getattr(tree, name)] for tree, ref in zip(trees, refs, strict=True)], np.int32
        )

    covers = [tree.weighted_n_node_samples for tree in trees]
    missing = [tree.missing_go_to_left * MISSING_LEFT for tree in trees]
    # "Missing against the rest" is a cut at infinity; every finite x is as well below the largest.
    edge = np.finfo(np.float64).max
    thresholds = [np.clip(tree.threshold, -edge, edge) for tree in trees]
    return DraftTrees(
        rule="sklearn",
        root=np.array([ref[0] for ref in refs], dtype=np.int32),
        feature=of_nodes([tree.feature for tree in trees], np.int32),
        threshold=of_nodes(thresholds, np.float64),
        left=child("children_left"),
        right=child("children_right"),
        flags=of_nodes(missing, np.uint8),
        set_index=np.full(int(n_nodes.sum()), -1, dtype=np.int32),
        set_start=np.zeros(1, dtype=np.int32),
        set_bits=np.zeros(0, dtype=np.uint32),
        leaf=of_leaves(leaves),
        node_cover=of_nodes(covers, np.float64),
        leaf_cover=of_leaves(covers),
    )
