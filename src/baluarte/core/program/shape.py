"""The shape of an ensemble: levels, sizes and the one canonical order of its nodes and leaves.

Everything here is vectorised by level, so a forest of millions of nodes takes as many steps as it
is deep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_DEPTH = 1024  #: inner nodes on a path

Refs = NDArray[np.int32]
Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What follows from the references alone."""

    levels: tuple[Index, ...]  #: inner nodes at each depth
    tree: Index  #: (N,) tree of each node
    size: Index  #: (N,) inner nodes of the subtree under each node, itself included
    node_at: Index  #: (N,) position in canonical order
    leaf_at: Index  #: (L,) likewise for leaves
    depth: Index  #: (T,) inner nodes on the longest path of each tree


def shape_of(root: Refs, left: Refs, right: Refs, n_leaves: int) -> Shape:
    """The shape that ``root``, ``left`` and ``right`` describe.

    Canonical order: trees in order; in a tree, nodes parent first, then the left subtree, then the
    right (pre-order); leaves from left to right.

    Raises:
        ValueError: a reference out of range, shared or unused; a child before its parent; a tree
            too deep.
    """
    n_nodes = len(left)
    _each_once(root, left, right, n_nodes, n_leaves)
    levels, tree, depth = _levels(root, left, right)
    size = np.ones(n_nodes, np.int64)
    for nodes in reversed(levels):
        for child in (left[nodes], right[nodes]):
            inner = child >= 0
            size[nodes[inner]] += size[child[inner]]
    node_at = np.zeros(n_nodes, np.int64)
    leaf_at = np.zeros(n_leaves, np.int64)
    inner_root = root >= 0
    sizes = np.zeros(len(root), np.int64)
    sizes[inner_root] = size[root[inner_root]]
    first = np.cumsum(sizes) - sizes
    first_leaf = first + np.arange(len(root))
    leaf_at[~root[~inner_root]] = first_leaf[~inner_root]
    node_at[root[inner_root]] = first[inner_root]
    under = np.zeros(n_nodes, np.int64)  # first leaf under each node
    under[root[inner_root]] = first_leaf[inner_root]
    for nodes in levels:
        left_child, right_child = left[nodes], right[nodes]
        left_size = np.where(left_child >= 0, size[np.maximum(left_child, 0)], 0)
        for child, at, leaf in (
            (left_child, node_at[nodes] + 1, under[nodes]),
            (right_child, node_at[nodes] + 1 + left_size, under[nodes] + left_size + 1),
        ):
            inner = child >= 0
            node_at[child[inner]] = at[inner]
            under[child[inner]] = leaf[inner]
            leaf_at[~child[~inner]] = leaf[~inner]
    return Shape(levels=levels, tree=tree, size=size, node_at=node_at, leaf_at=leaf_at, depth=depth)


def _each_once(root: Refs, left: Refs, right: Refs, n_nodes: int, n_leaves: int) -> None:
    refs = np.concatenate([root, left, right])
    if refs.size and (refs.max() >= n_nodes or refs.min() < -n_leaves):
        raise ValueError(
            f"references must lie in [-{n_leaves}, {n_nodes}), found {refs.min()}..{refs.max()}"
        )
    node = np.arange(n_nodes)
    for name, child in (("left", left), ("right", right)):
        early = (child >= 0) & (child <= node)
        if early.any():
            first = int(np.flatnonzero(early)[0])
            raise ValueError(f"{name} child of node {first} is {child[first]}, not after it")
    for name, used, n in (
        ("node", refs[refs >= 0], n_nodes),
        ("leaf", ~refs[refs < 0], n_leaves),
    ):
        uses = np.bincount(used, minlength=n)
        odd = np.flatnonzero(uses != 1)
        if odd.size:
            raise ValueError(f"{name} {odd[0]} has {uses[odd[0]]} parents, expected exactly one")


def _levels(root: Refs, left: Refs, right: Refs) -> tuple[tuple[Index, ...], Index, Index]:
    tree = np.zeros(len(left), np.int64)
    depth = np.zeros(len(root), np.int64)
    of = np.flatnonzero(root >= 0)
    nodes = root[of].astype(np.int64)
    levels: list[Index] = []
    while nodes.size:
        if len(levels) == MAX_DEPTH:
            raise ValueError(f"a tree is deeper than {MAX_DEPTH} nodes")
        levels.append(nodes)
        tree[nodes] = of
        depth[of] = len(levels)
        children = np.concatenate([left[nodes], right[nodes]])
        of = np.concatenate([of, of])[children >= 0]
        nodes = children[children >= 0].astype(np.int64)
    return tuple(levels), tree, depth
