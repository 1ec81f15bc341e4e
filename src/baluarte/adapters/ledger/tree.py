"""A shard's tree on disk: one file a row above the leaves, which the segments' indexes hold.

::

    ROOT/3fa04c/tree/1     the head of each 256 records, 32 bytes each
    ROOT/3fa04c/tree/2     of each 65,536, and so on

A row is the tiles of the C2SP layout one after the other. It grows when a tree is asked for, by
what is new, and is made again from the leaves where a power cut tore it: nothing rests on it but
speed, since every proof is held against a signed head, and a new head is signed over the leaves
alone. Two processes that grow it write the same bytes at the same places.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from baluarte.adapters.disk import LOCAL, make_folders
from baluarte.core.merkle import HASH_BYTES
from baluarte.core.tiles import TILE, Tree, next_row
from baluarte.ports import Disk

FOLDER = "tree"
_STEP = 256 * TILE  #: leaves in memory at a time

ReadLeaves = Callable[[int, int], Sequence[bytes]]


def shard_tree(folder: Path, size: int, leaves: ReadLeaves, disk: Disk = LOCAL) -> Tree:
    """The tree over a shard's first ``size`` records; a folder that can't be written is only read.

    Args:
        leaves: the leaf hashes from start up to stop.
    """
    rows = _Rows(folder, leaves, disk)
    below, row = size, 1
    while below >= TILE:
        rows.grow(row, below // TILE)
        below, row = below // TILE, row + 1
    return Tree(size, rows.read)


def forget(folder: Path, disk: Disk = LOCAL) -> None:
    """Remove a shard's rows: they are made again from the leaves."""
    rows = folder / FOLDER
    for name in disk.names(rows) if disk.is_folder(rows) else []:
        with contextlib.suppress(OSError):
            disk.unlink(rows / name)


class _Rows:
    """The rows of one tree: leaves from the indexes, those above from their files."""

    def __init__(self, folder: Path, leaves: ReadLeaves, disk: Disk) -> None:
        self._folder, self._leaves, self._disk = folder / FOLDER, leaves, disk
        self._made: dict[int, list[bytes]] = {}  # rows that can't be kept

    def read(self, row: int, start: int, stop: int) -> Sequence[bytes]:
        """Hashes of a row; fewer where it has not so many."""
        if row == 0:
            return self._leaves(start, stop)
        if row in self._made:
            return self._made[row][start:stop]
        descriptor = self._disk.open_existing(self._folder / str(row))
        try:
            length = (stop - start) * HASH_BYTES
            data = self._disk.read_at(descriptor, length, start * HASH_BYTES)
        finally:
            self._disk.close(descriptor)
        return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]

    def grow(self, row: int, wanted: int) -> None:
        """Make what a row lacks, from the row below; in memory where it can't be kept."""
        try:
            have = self._disk.size(self._folder / str(row)) // HASH_BYTES
        except OSError:
            have = 0
        if have >= wanted:
            return
        try:
            make_folders(self._folder, self._disk)
            descriptor = self._disk.open_or_new(self._folder / str(row))
        except OSError:
            self._made[row] = [*self._some(row, 0, wanted)]
            return
        try:
            for start in range(have, wanted, _STEP // TILE):
                hashes = self._some(row, start, min(start + _STEP // TILE, wanted))
                self._disk.write_at(descriptor, b"".join(hashes), start * HASH_BYTES)
        finally:
            self._disk.close(descriptor)

    def _some(self, row: int, start: int, stop: int) -> list[bytes]:
        hashes: list[bytes] = []
        for at in range(start, stop, _STEP // TILE):
            end = min(at + _STEP // TILE, stop)
            hashes += next_row(self.read(row - 1, at * TILE, end * TILE))
        return hashes
