"""Opening a shard after anything: nothing committed is ever cut, nothing is ever deleted.

The rule: the head says how far the shard was committed. Bytes before it are never changed here; the
last segment is read again, and the shard refuses to open where a committed record is not sound.
After the head, sound frames are kept (they may have been acknowledged in the moment before a power
cut); from the first frame that is not sound, the bytes move to a ``.torn`` file and the shard says
so. If a signed checkpoint covers more records than are left, nothing is changed and the shard
refuses to open.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

from baluarte.adapters.disk import LOCAL
from baluarte.adapters.ledger import head as heads
from baluarte.adapters.ledger.frames import scan, tail
from baluarte.adapters.ledger.head import Head
from baluarte.adapters.ledger.layout import (
    ENTRY_BYTES,
    cold_path,
    entry,
    index_path,
    notes,
    rewrite_index,
    segment_path,
    segments,
)
from baluarte.core.merkle import leaf_hash
from baluarte.errors import TrustError
from baluarte.ports import Disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What opening a shard found after its last commit."""

    kept: int  #: sound records after the head, kept
    torn_bytes: int  #: bytes set aside
    torn: tuple[str, ...]  #: names of the files they are in


def recover(folder: Path, disk: Disk = LOCAL) -> tuple[Head, Recovery]:
    """Where the writer goes on, and what was found; the caller holds the shard's lock.

    Raises:
        TrustError: committed records are missing.
    """
    head = heads.read(folder / "head", disk)
    firsts = segments(folder, disk)
    if head is None:
        head = Head(generation=0, size=0, segment=0, offset=0, peaks=())
    _check_committed(folder, head, firsts, disk)
    names = set(disk.names(folder))
    for first, stop in pairwise(firsts):
        if first >= head.segment or cold_path(folder, first).name in names:
            continue
        if _index_size(folder, first, disk) != (stop - first) * ENTRY_BYTES:
            _rebuild_index(folder, first, stop - first, disk)
    _rebuild_index(folder, head.segment, head.size - head.segment, disk)
    end, rest = _walk(folder, head, firsts, disk)
    signed = max(notes(folder / "checkpoints", disk), default=0)
    if end.size < signed:
        raise TrustError(
            f"a signed checkpoint covers {signed} records, found {end.size}",
            where=str(folder),
            hint="Restore the shard from a copy.",
        )
    torn, torn_bytes = _set_aside(folder, end, rest, [f for f in firsts if f > end.segment], disk)
    return end, Recovery(kept=end.size - head.size, torn_bytes=torn_bytes, torn=torn)


def _index_size(folder: Path, first: int, disk: Disk) -> int:
    with contextlib.suppress(FileNotFoundError):
        return disk.size(index_path(folder, first))
    return -1


def _check_committed(folder: Path, head: Head, firsts: list[int], disk: Disk) -> None:
    missing = None
    if firsts[:1] != [0]:
        missing = "the first segment"
    elif head.segment not in firsts:
        missing = f"segment {head.segment:020d}"
    elif disk.size(segment_path(folder, head.segment)) < head.offset:
        missing = f"bytes of segment {head.segment:020d} before {head.offset}"
    if missing:
        raise TrustError(
            f"{head.size} records were committed; {missing} can't be found",
            where=str(folder),
            hint="Restore the shard from a copy.",
        )


def _rebuild_index(folder: Path, first: int, count: int, disk: Disk) -> None:
    """Write a segment's index again: one entry for each of its ``count`` committed records."""
    entries: list[bytes] = []
    descriptor = disk.open_existing(segment_path(folder, first))
    try:
        start = 0
        for stop, record in islice(scan(descriptor, 0, disk), count):
            entries.append(entry(start, leaf_hash(record)))
            start = stop
    finally:
        disk.close(descriptor)
    if len(entries) < count:
        raise TrustError(
            f"expected {count} committed records in segment {first:020d}, "
            f"found {len(entries)} sound ones",
            where=str(folder),
            hint="Restore the shard from a copy; `baluarte ledger verify` names the damage.",
        )
    rewrite_index(folder, first, entries, disk=disk)


def _walk(folder: Path, head: Head, firsts: list[int], disk: Disk) -> tuple[Head, bytes]:
    """The head after all sound frames, and the bytes that follow it in its segment."""
    frontier = head.frontier()
    segment, offset = head.segment, head.offset
    while True:
        keep = frontier.size - segment
        entries: list[bytes] = []
        descriptor = disk.open_existing(segment_path(folder, segment))
        try:
            for stop, record in scan(descriptor, offset, disk):
                leaf = leaf_hash(record)
                entries.append(entry(offset, leaf))
                frontier.extend((leaf,))
                offset = stop
            rest = tail(descriptor, offset, disk)
        finally:
            disk.close(descriptor)
        rewrite_index(folder, segment, entries, keep=keep, disk=disk)
        if rest or frontier.size == segment or frontier.size not in firsts:
            break
        segment, offset = frontier.size, 0
    end = Head(
        generation=head.generation,
        size=frontier.size,
        segment=segment,
        offset=offset,
        peaks=frontier.peaks,
    )
    return end, rest


def _set_aside(
    folder: Path, end: Head, rest: bytes, later: list[int], disk: Disk
) -> tuple[tuple[str, ...], int]:
    """Move what no commit covers to ``.torn`` files; the segment keeps its sound part and room."""
    torn: list[str] = []
    torn_bytes = len(rest)
    if rest:
        name = _free_name(folder, f"{end.segment:020d}.{end.offset}", disk)
        descriptor = disk.open_new(folder / name)
        try:
            disk.write_at(descriptor, rest, 0)
            disk.sync(descriptor)
        finally:
            disk.close(descriptor)
        torn.append(name)
    for first in later:
        path = segment_path(folder, first)
        name = _free_name(folder, f"{first:020d}.0", disk)
        torn_bytes += disk.size(path)
        disk.rename(path, folder / name)
        with contextlib.suppress(FileNotFoundError):
            disk.unlink(index_path(folder, first))
        torn.append(name)
    disk.sync_folder(folder)
    descriptor = disk.open_existing(segment_path(folder, end.segment), write=True)
    try:
        disk.write_at(descriptor, bytes(len(rest)), end.offset)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    return tuple(torn), torn_bytes


def _free_name(folder: Path, stem: str, disk: Disk) -> str:
    taken = set(disk.names(folder))
    number = 0
    while f"{stem}.{number}.torn" in taken:
        number += 1
    return f"{stem}.{number}.torn"
