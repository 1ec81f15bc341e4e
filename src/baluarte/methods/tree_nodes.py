"""All nodes of a fitted ensemble in flat arrays, and from there to a draft: one way for everyone.

Libraries number nodes as they please, keep deleted ones, and store a value for inner nodes too.
Here only what is reached from a root counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import DraftTrees
from baluarte.core.program.model import Rule

_LEAF = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNodes:
    """One tree's nodes in the library's numbering; node 0 is the root.

    A leaf has a negative ``left``; what a leaf says of cuts and an inner node of values is ignored.
    """

    left: NDArray[np.int64]  #: (m,) number of the left child, negative at a leaf
    right: NDArray[np.int64]  #: (m,)
    feature: NDArray[np.int64]  #: (m,)
    threshold: NDArray[np.float64]  #: (m,)
    flags: NDArray[np.int64]  #: (m,) flags of :mod:`baluarte.core.program.model`
    value: NDArray[np.float64]  #: (m,) what a leaf gives
    cover: NDArray[np.float64]  #: (m,) training weight that arrived
    sets: dict[int, NDArray[np.int64]]  #: category codes in the set of each categorical node


def draft_of_nodes(trees: Sequence[TreeNodes], rule: Rule) -> DraftTrees:
    """The ensemble's reachable nodes as a draft: a parent before its children, level by level."""
    sizes = np.array([len(tree.left) for tree in trees])
    first = np.cumsum(sizes) - sizes

    def joined(name: str, dtype: Any) -> NDArray[Any]:
        return np.concatenate([getattr(tree, name) for tree in trees]).astype(dtype)

    offset = np.repeat(first, sizes)
    left = joined("left", np.int64)
    inner = left >= 0
    left = np.where(inner, left + offset, _LEAF)
    right = np.where(inner, joined("right", np.int64) + offset, _LEAF)
    order = _from_the_roots(first, left, right)
    nodes, leaves = order[inner[order]], order[~inner[order]]

    ref = np.zeros(len(left), np.int64)
    ref[nodes] = np.arange(len(nodes))
    ref[leaves] = ~np.arange(len(leaves))
    sets = {
        int(start) + node: codes
        for start, tree in zip(first, trees, strict=True)
        for node, codes in tree.sets.items()
    }
    named = [node for node in nodes.tolist() if node in sets]
    words = [set_words(sets[node]) for node in named]
    set_index = np.full(len(left), -1)
    set_index[named] = np.arange(len(named))
    cover = np.maximum(joined("cover", np.float64), np.finfo(np.float64).tiny)
    return DraftTrees(
        rule=rule,
        root=ref[first].astype(np.int32),
        feature=joined("feature", np.int32)[nodes],
        threshold=np.where(set_index >= 0, 0.0, joined("threshold", np.float64))[nodes],
        left=ref[left[nodes]].astype(np.int32),
        right=ref[right[nodes]].astype(np.int32),
        flags=joined("flags", np.uint8)[nodes],
        set_index=set_index[nodes].astype(np.int32),
        set_start=np.cumsum([0, *(len(word) for word in words)]).astype(np.int32),
        set_bits=np.concatenate([np.zeros(0, np.uint32), *words]),
        leaf=joined("value", np.float64)[leaves],
        node_cover=cover[nodes],
        leaf_cover=cover[leaves],
    )


def set_words(codes: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The set of these category codes as a program keeps it: bit c mod 32 of word c div 32."""
    words = np.zeros(int(codes.max(initial=-1)) // 32 + 1, np.uint32)
    np.bitwise_or.at(words, codes // 32, np.uint32(1) << (codes % 32).astype(np.uint32))
    return words


def _from_the_roots(
    roots: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Every node that is reached, level by level.

    Raises:
        ValueError: the children make a cycle.
    """
    levels = [roots]
    seen = len(roots)
    while levels[-1].size:
        inner = levels[-1][left[levels[-1]] >= 0]
        levels.append(np.concatenate([left[inner], right[inner]]))
        seen += len(levels[-1])
        if seen > len(left):
            raise ValueError("expected trees, found nodes that are reached twice")
    return np.concatenate(levels)
