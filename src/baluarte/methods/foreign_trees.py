"""Trees of foreign models over treated inputs, as a draft over the inputs themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import DraftTrees
from baluarte.core.program.draft_value import covers
from baluarte.core.program.model import CATEGORICAL, MISSING_LEFT, MISSING_NAN
from baluarte.errors import DataError
from baluarte.methods.foreign_columns import Coded, Column, Number, cuts
from baluarte.methods.tree_nodes import TreeNodes, draft_of_nodes
from baluarte.ports import Matrix

AT_MOST, BELOW, AMONG = 0, 1, 2  #: how a node compares: x <= t, x < t, x in a set
MAX_CODE = 1 << 16  #: codes of categories that a model compares with


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignTree:
    """One tree's nodes; node 0 is the root and a leaf has a negative ``left``.

    A node sends left what its comparison is true of, and NaN by ``nan_left``.
    """

    left: NDArray[np.int64]  #: (m,)
    right: NDArray[np.int64]  #: (m,)
    column: NDArray[np.int64]  #: (m,) which treated column it compares
    how: NDArray[np.int64]  #: (m,) one of the three above
    threshold: NDArray[np.float64]  #: (m,)
    nan_left: NDArray[np.bool_]  #: (m,)
    value: NDArray[np.float64]  #: (m,) of leaves
    sets: dict[int, NDArray[np.float64]]  #: members, of each node that compares with a set
    cover: NDArray[np.float64] | None = None  #: (m,) training weight, where the file has it


def draft_trees(
    trees: Sequence[ForeignTree], columns: Sequence[Column], rows: Matrix
) -> DraftTrees:
    """The ensemble over the inputs.

    Args:
        rows: (n, inputs) for covers, where the file has none.

    Raises:
        DataError: a set of codes on an input that can't hold them.
        ValueError: nodes that make no trees, or read columns that there aren't.
    """
    part = draft_of_nodes([_nodes(tree, columns) for tree in trees], "lightgbm")
    if all(tree.cover is not None for tree in trees):
        return part
    nodes, leaves = covers(part, rows)
    return replace(part, node_cover=nodes, leaf_cover=leaves)


def _nodes(tree: ForeignTree, columns: Sequence[Column]) -> TreeNodes:
    left, right = tree.left.copy(), tree.right.copy()
    size = len(left)
    inner = np.flatnonzero(left >= 0)
    read = tree.column[inner]
    if read.size and not (read.min() >= 0 and read.max() < len(columns)):
        raise ValueError(f"expected columns in [0, {len(columns)}), found others")
    if ((left >= size) | (right >= size) | ((left >= 0) & (right < 0))).any():
        raise ValueError("a node names a child that there isn't")
    feature = np.zeros(size, np.int64)
    threshold = np.zeros(size)
    flags = np.zeros(size, np.int64)
    sets: dict[int, NDArray[np.int64]] = {}
    for k in np.unique(read).tolist():
        column = columns[k]
        own = inner[read == k]
        feature[own] = column.input
        if isinstance(column, Coded):
            for node in own.tolist():
                codes, nan_left = _codes(tree, node, column)
                if nan_left:  # in a program a missing category goes right: turn the node round
                    rest = np.setdiff1d(np.arange(len(column.values)), codes)
                    codes = rest
                    left[node], right[node] = right[node], left[node]
                sets[node] = codes
                flags[node] = CATEGORICAL
            continue
        _compare_number(tree, own, column, threshold, flags, sets)
    cover = tree.cover if tree.cover is not None else np.ones(size)
    return TreeNodes(
        left=left,
        right=right,
        feature=feature,
        threshold=threshold,
        flags=flags,
        value=tree.value,
        cover=cover,
        sets=sets,
    )


def _compare_number(  # noqa: PLR0917 - what the loop over columns fills
    tree: ForeignTree,
    own: NDArray[np.int64],
    column: Number,
    threshold: NDArray[np.float64],
    flags: NDArray[np.int64],
    sets: dict[int, NDArray[np.int64]],
) -> None:
    missing = float(column.value(np.array([np.nan]))[0])
    for how in (AT_MOST, BELOW):
        nodes = own[tree.how[own] == how]
        if nodes.size:
            wanted = tree.threshold[nodes]
            threshold[nodes] = cuts(column, wanted, strict=how == BELOW)
            held = missing < wanted if how == BELOW else missing <= wanted
            to_left = tree.nan_left[nodes] if np.isnan(missing) else held
            flags[nodes] = MISSING_NAN | np.where(to_left, MISSING_LEFT, 0)
    for node in own[tree.how[own] == AMONG].tolist():
        members = tree.sets[node]
        whole = (members >= 0) & (members == np.floor(members)) & (members < MAX_CODE)
        if not whole.all() or tree.nan_left[node] or not np.isnan(missing):
            raise DataError(
                "the model compares an input with a set that is not of whole numbers from 0 up, or "
                "fills missing ones",
                hint="Train it on codes of categories from 0 up.",
            )
        sets[node] = np.unique(members.astype(np.int64))
        flags[node] = CATEGORICAL


def _codes(tree: ForeignTree, node: int, column: Coded) -> tuple[NDArray[np.int64], bool]:
    """Codes that go left, and whether a missing category does."""
    values = np.array([*column.values, column.missing])
    how, wanted = int(tree.how[node]), float(tree.threshold[node])
    if how == AMONG:
        held = np.isin(values, tree.sets[node])
    else:
        held = values < wanted if how == BELOW else values <= wanted
    held = np.where(np.isnan(values), bool(tree.nan_left[node]), held)
    return np.flatnonzero(held[:-1]), bool(held[-1])
