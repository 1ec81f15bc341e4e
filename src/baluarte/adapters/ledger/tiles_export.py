"""A log as a folder of static files, which any client of the tiles format reads.

::

    FOLDER/checkpoint                 the newest signed checkpoint
    FOLDER/tile/0/x001/234            256 hashes of a row, 8,192 bytes
    FOLDER/tile/0/x001/235.p/17       the last ones, until there are 256
    FOLDER/tile/entries/x001/234      256 entries, each after its length

What is full never changes, so that a folder grows by what is new, and can be served as it is. An
entry of more than 65,535 bytes, or of a record that a sweep dropped, has no place in a bundle of
the specification: a log with such entries has its bundles in ``tile/entries-u32``, with lengths of
four bytes. There a length of zero is a dropped record, and its leaf hash follows.

Source: C2SP tlog-tiles (https://c2sp.org/tlog-tiles).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from baluarte.adapters.disk import outside, write_aside
from baluarte.core.retention import Dropped
from baluarte.core.tiles import (
    MAX_ENTRY_BYTES,
    TILE,
    Tree,
    entry_bundle,
    tile_path,
    tiles_of,
)

#: entries from start up to stop, and what stays of dropped ones
ReadEntries = Callable[[int, int], Iterable[bytes | Dropped]]


def export_log(
    folder: Path, tree: Tree, size: int, entries: ReadEntries, *, checkpoint: bytes | None
) -> int:
    """Write the tiles and entries of a log's first ``size`` entries; how many files were new.

    Args:
        checkpoint: a signed note over this size; it is written last, so that a reader who sees it
            finds all that it covers.

    Raises:
        OutsideError: the folder can't be written.
    """
    with outside("the tiles can't be written", folder):
        n_new = _write_tiles(folder, tree, size) + _write_entries(folder, size, entries)
        if checkpoint is not None:
            write_aside(folder / "checkpoint", checkpoint)
    return n_new


def _write_tiles(folder: Path, tree: Tree, size: int) -> int:
    n_new = 0
    for row, number, width in tiles_of(size):
        path = _place(folder / "tile" / str(row), number, width)
        if not path.exists():
            hashes = tree.hashes(row, number * TILE, number * TILE + width)
            n_new += _put(path, b"".join(hashes))
    return n_new


def _write_entries(folder: Path, size: int, entries: ReadEntries) -> int:
    n_new = 0
    large = folder / "tile" / "entries-u32"
    for number in range((size + TILE - 1) // TILE):
        start = number * TILE
        width = min(TILE, size - start)
        path = _place(folder / "tile" / "entries", number, width)
        if large.is_dir() or path.exists():
            continue
        some = [one for one in entries(start, start + width) if isinstance(one, bytes)]
        if len(some) < width or any(len(entry) > MAX_ENTRY_BYTES for entry in some):
            large.mkdir(parents=True)
        else:
            n_new += _put(path, entry_bundle(some))
    return n_new + (_write_large(large, size, entries) if large.is_dir() else 0)


def _write_large(folder: Path, size: int, entries: ReadEntries) -> int:
    n_new = 0
    for number in range((size + TILE - 1) // TILE):
        width = min(TILE, size - number * TILE)
        path = _place(folder, number, width)
        if not path.exists():
            some = entries(number * TILE, number * TILE + width)
            n_new += _put(path, b"".join(map(_large_entry, some)))
    return n_new


def _large_entry(entry: bytes | Dropped) -> bytes:
    if isinstance(entry, Dropped):
        return bytes(4) + entry.leaf
    return entry_bundle([entry], prefix_bytes=4)


def _place(folder: Path, number: int, width: int) -> Path:
    path = folder / tile_path(number)
    return path if width == TILE else path.with_name(f"{path.name}.p") / str(width)


def _put(path: Path, data: bytes) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, data)
    return 1
