"""Tiles: a tree kept as rows of hashes of which every proof reads a few, never all.

Row 0 holds the leaf hashes, and row ``l`` the head of each 256 ** l leaves that are complete. 256
hashes of a row that stand together are a tile; hashes between two rows are made again from a tile.

Source: C2SP tlog-tiles (https://c2sp.org/tlog-tiles).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

from baluarte.core.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_path,
    inclusion_path,
    node_hash,
    root_of,
    split_of,
)

TILE_BITS = 8
TILE = 1 << TILE_BITS  #: hashes of a full tile
MAX_ENTRY_BYTES = 0xFFFF  #: of an entry in a bundle of the specification

ReadRow = Callable[[int, int, int], Sequence[bytes]]  #: (row, start, stop) to hashes


class Tree:
    """A tree of which rows of hashes can be read; heads and proofs of every size up to its own.

    Args:
        size: leaves.
        read: the hashes of a row from start up to stop; never asked beyond what is complete.
    """

    def __init__(self, size: int, read: ReadRow) -> None:
        self.size = size
        self._read = read
        self._tile = lru_cache(maxsize=64)(self._read_tile)

    def root(self, size: int | None = None) -> bytes:
        """32 bytes: the head over the first ``size`` leaves (all when None).

        Raises:
            IndexError: there are not so many.
        """
        size = self._checked(self.size if size is None else size)
        return self.subtree(0, size) if size else EMPTY_ROOT

    def frontier(self, size: int) -> Frontier:
        """The head over the first ``size`` leaves as one that further leaves can be added to.

        Raises:
            IndexError: there are not so many.
        """
        peaks, start = [], 0
        for height in reversed(range(self._checked(size).bit_length())):
            if size >> height & 1:
                peaks.append(self._node(height, start >> height))
                start += 1 << height
        return Frontier(size, peaks)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The audit path of a leaf in the tree over the first ``size``.

        Raises:
            IndexError: there is no such leaf, or there are not so many.
        """
        return inclusion_path(self.subtree, index, self._checked(size))

    def consistency(self, first: int, second: int) -> list[bytes]:
        """Proof that the tree over ``second`` leaves only appended to the one over ``first``.

        Raises:
            IndexError: not ``0 < first <= second``, or there are not so many.
        """
        return consistency_path(self.subtree, first, self._checked(second))

    def subtree(self, start: int, stop: int) -> bytes:
        """32 bytes: the head over the leaves from ``start`` up to ``stop``, as proofs name them."""
        width = stop - start
        if width & (width - 1) == 0 and start % width == 0:
            return self._node(width.bit_length() - 1, start // width)
        middle = start + split_of(width)
        return node_hash(self.subtree(start, middle), self.subtree(middle, stop))

    def hashes(self, row: int, start: int, stop: int) -> Sequence[bytes]:
        """Hashes of a row, from ``start`` up to ``stop``, within one tile."""
        tile, at = divmod(start, TILE)
        return self._tile(row, tile)[at : at + stop - start]

    def _node(self, height: int, number: int) -> bytes:
        """The head of a complete subtree of 2 ** height leaves."""
        row, above = divmod(height, TILE_BITS)
        first = number << above
        tile, at = divmod(first, TILE)
        count = 1 << above
        return root_of(self._tile(row, tile)[at : at + count])

    def _read_tile(self, row: int, tile: int) -> tuple[bytes, ...]:
        start = tile * TILE
        stop = min(start + TILE, self.size >> TILE_BITS * row)
        found = tuple(self._read(row, start, stop))
        if len(found) != stop - start:
            raise IndexError(f"expected {stop - start} hashes of row {row}, found {len(found)}")
        return found

    def _checked(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise IndexError(f"no tree of {size} in one of {self.size} leaves")
        return size


def tree_of(leaf_hashes: Sequence[bytes]) -> Tree:
    """The tree over leaf hashes that are at hand, each row made when it is first read."""
    rows: list[Sequence[bytes]] = [leaf_hashes]

    def read(row: int, start: int, stop: int) -> Sequence[bytes]:
        while len(rows) <= row:
            rows.append(next_row(rows[-1]))
        return rows[row][start:stop]

    return Tree(len(leaf_hashes), read)


def next_row(hashes: Sequence[bytes]) -> list[bytes]:
    """The row above: one hash for each full tile of this one."""
    full = len(hashes) // TILE
    return [root_of(hashes[at * TILE : (at + 1) * TILE]) for at in range(full)]


def tile_path(number: int) -> str:
    """A tile's number in a path: three digits a part, ``x`` before all but the last.

    >>> tile_path(1234067)
    'x001/x234/067'
    """
    parts = [f"{number % 1000:03d}"]
    while number := number // 1000:
        parts.insert(0, f"x{number % 1000:03d}")
    return "/".join(parts)


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """(row, number, width) of every tile of a tree, full and partial.

    >>> list(tiles_of(300))
    [(0, 0, 256), (0, 1, 44), (1, 0, 1)]
    """
    row, width = 0, size
    while width:
        for number in range((width + TILE - 1) // TILE):
            yield row, number, min(TILE, width - number * TILE)
        row, width = row + 1, width // TILE


def entry_bundle(records: Iterable[bytes], *, prefix_bytes: int = 2) -> bytes:
    """Entries one after the other, each after its length, big-endian."""
    return b"".join(len(r).to_bytes(prefix_bytes, "big") + r for r in records)
