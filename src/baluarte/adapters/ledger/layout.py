"""Where a ledger's files stand, and the index beside each segment.

::

    ROOT/heads/00001700000000000000.note        signed checkpoints over all shards' heads, by time
    ROOT/3fa04c/lock                            held by the shard's one writer
    ROOT/3fa04c/head                            how far it is committed
    ROOT/3fa04c/spare                           room reserved for the next segment
    ROOT/3fa04c/00000000000000000000.seg        records from this index on, framed
    ROOT/3fa04c/00000000000000000000.idx        offset and leaf hash of each, rebuilt where missing
    ROOT/3fa04c/00000000000000000000.cold       the same records, compressed, in the place of both
    ROOT/3fa04c/00000000000000000000.8192.torn  bytes that no commit covers, kept aside
    ROOT/3fa04c/checkpoints/00000000000000004096.note   signed checkpoints, by size
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from pathlib import Path

from baluarte.adapters.disk import LOCAL
from baluarte.core.ids import is_tag
from baluarte.core.merkle import HASH_BYTES
from baluarte.ports import Disk

OFFSET = struct.Struct("<Q")
ENTRY_BYTES = OFFSET.size + HASH_BYTES
_SEGMENT = re.compile(r"([0-9]{20})\.(?:seg|cold)")
_NOTE = re.compile(r"([0-9]{20})\.note")


def tags(root: Path, disk: Disk = LOCAL) -> list[str]:
    """Tags of the shards under a ledger's root, sorted."""
    try:
        names = disk.names(root)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if is_tag(name) and disk.is_folder(root / name))


def segments(folder: Path, disk: Disk = LOCAL) -> list[int]:
    """First indexes of a shard's segments, hot or cold, ascending."""
    found = (_SEGMENT.fullmatch(name) for name in disk.names(folder))
    return sorted({int(match[1]) for match in found if match})


def segment_path(folder: Path, first: int) -> Path:
    """The segment whose first record has this index."""
    return folder / f"{first:020d}.seg"


def index_path(folder: Path, first: int) -> Path:
    """The index of that segment."""
    return folder / f"{first:020d}.idx"


def cold_path(folder: Path, first: int) -> Path:
    """The same segment, cold."""
    return folder / f"{first:020d}.cold"


def spare_path(folder: Path) -> Path:
    """The file whose room is reserved for the next segment."""
    return folder / "spare"


def note_path(folder: Path, number: int) -> Path:
    """A signed checkpoint, by its number (a size, or a time)."""
    return folder / f"{number:020d}.note"


def notes(folder: Path, disk: Disk = LOCAL) -> list[int]:
    """Numbers of the signed checkpoints in a folder, ascending."""
    if not disk.is_folder(folder):
        return []
    found = (_NOTE.fullmatch(name) for name in disk.names(folder))
    return sorted(int(match[1]) for match in found if match)


def entry(offset: int, leaf: bytes) -> bytes:
    """One record's entry in the index: where its frame starts, and its leaf hash."""
    return OFFSET.pack(offset) + leaf


def rewrite_index(
    folder: Path, first: int, entries: Iterable[bytes], *, keep: int = 0, disk: Disk = LOCAL
) -> None:
    """Keep ``keep`` entries of a segment's index and write these after them, durably."""
    descriptor = disk.open_or_new(index_path(folder, first))
    try:
        disk.truncate(descriptor, keep * ENTRY_BYTES)
        disk.write_at(descriptor, b"".join(entries), keep * ENTRY_BYTES)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)


def read_index(
    folder: Path, first: int, start: int, count: int, disk: Disk = LOCAL
) -> list[tuple[int, bytes]] | None:
    """(offset, leaf hash) of ``count`` records from ``start`` (counted within the segment) on.

    None where the index doesn't hold them all.
    """
    try:
        descriptor = disk.open_existing(index_path(folder, first))
    except FileNotFoundError:
        return None
    try:
        data = disk.read_at(descriptor, count * ENTRY_BYTES, start * ENTRY_BYTES)
    finally:
        disk.close(descriptor)
    if len(data) != count * ENTRY_BYTES:
        return None
    return [
        (OFFSET.unpack_from(data, at)[0], data[at + OFFSET.size : at + ENTRY_BYTES])
        for at in range(0, len(data), ENTRY_BYTES)
    ]
