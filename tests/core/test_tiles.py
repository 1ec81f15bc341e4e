"""baluarte.core.tiles: what is read in tiles is what the whole tree says."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from baluarte.core.tiles import TILE, Tree, entry_bundle, next_row, tile_path, tiles_of, tree_of

N = 70_000
LEAVES = [leaf_hash(b"%d" % i) for i in range(N)]
ROWS: list[Sequence[bytes]] = [LEAVES, next_row(LEAVES)]
ROWS.append(next_row(ROWS[1]))


class Counted:
    """Rows of a tree of 70,000 leaves, and how many hashes were read of them."""

    def __init__(self) -> None:
        self.read = 0

    def __call__(self, row: int, start: int, stop: int) -> Sequence[bytes]:
        self.read += stop - start
        return ROWS[row][start:stop]


def test_the_tiles_of_the_example_in_the_specification() -> None:
    # C2SP tlog-tiles, "Partial Tiles": a tree of 70,000.
    tiles = list(tiles_of(N))
    full = [[number for r, number, width in tiles if r == row and width == TILE] for row in (0, 1)]
    assert [len(numbers) for numbers in full] == [273, 1]
    partial = [(row, width) for row, _, width in tiles if width < TILE]
    assert partial == [(0, 112), (1, 17), (2, 1)]
    assert list(tiles_of(256)) == [(0, 0, 256), (1, 0, 1)]
    assert list(tiles_of(0)) == []


@pytest.mark.parametrize(
    ("number", "path"),
    [(0, "000"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")],
)
def test_a_tile_has_the_path_of_the_specification(number: int, path: str) -> None:
    assert tile_path(number) == path


@given(st.integers(0, 3_000))
def test_every_size_has_its_head(size: int) -> None:
    tree = Tree(N, Counted())
    assert tree.root(size) == root_of(LEAVES[:size])


@given(st.integers(0, 3_000), st.integers(0, 100))
def test_a_frontier_of_the_tree_grows_on(size: int, more: int) -> None:
    frontier = Tree(N, Counted()).frontier(size)
    frontier.extend(LEAVES[size : size + more])
    assert (frontier.size, frontier.root()) == (size + more, root_of(LEAVES[: size + more]))


@given(st.data())
def test_proofs_are_those_of_the_whole_tree(data: st.DataObject) -> None:
    tree = Tree(N, Counted())
    size = data.draw(st.integers(1, 2_000))
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    assert tree.inclusion(index, size) == inclusion_proof(LEAVES, index, size)
    assert tree.consistency(first, size) == consistency_proof(LEAVES, first, size)


@given(index=st.integers(0, N - 1), first=st.integers(1, N))
def test_a_proof_reads_a_few_tiles_and_never_the_tree(index: int, first: int) -> None:
    rows = Counted()
    tree = Tree(N, rows)
    root = tree.root()
    rows.read = 0
    fresh = Tree(N, rows)
    verify_inclusion(LEAVES[index], index, N, fresh.inclusion(index, N), root)
    verify_consistency(first, N, fresh.root(first), root, fresh.consistency(first, N))
    assert rows.read <= 10 * TILE


def test_a_tree_of_leaves_at_hand_is_the_same() -> None:
    tree = tree_of(LEAVES[:1_000])
    assert tree.root() == root_of(LEAVES[:1_000])
    assert tree.inclusion(700, 1_000) == inclusion_proof(LEAVES, 700, 1_000)
    assert tree_of([]).root() == EMPTY_ROOT


@pytest.mark.parametrize("size", [-1, N + 1])
def test_there_is_no_tree_of_more_leaves_than_there_are(size: int) -> None:
    tree = Tree(N, Counted())
    for ask in (tree.root, lambda n: tree.inclusion(0, n), lambda n: tree.consistency(1, n)):
        with pytest.raises(IndexError):
            ask(size)


def test_a_row_that_lacks_hashes_is_an_error_and_no_other_head() -> None:
    tree = Tree(N, lambda row, start, stop: ROWS[row][start : stop - 1])
    with pytest.raises(IndexError, match="expected"):
        tree.root()


def test_entries_stand_after_their_length() -> None:
    assert entry_bundle([b"ab", b"c"]) == b"\x00\x02ab\x00\x01c"
    assert entry_bundle([b"ab"], prefix_bytes=4) == b"\x00\x00\x00\x02ab"
