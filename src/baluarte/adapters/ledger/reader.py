"""Reading a ledger beside its writers: only what is committed."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from pathlib import Path

from baluarte.adapters.disk import LOCAL, make_folders, outside, write_aside
from baluarte.adapters.ledger import head as heads
from baluarte.adapters.ledger.frames import read_frame, scan
from baluarte.adapters.ledger.layout import (
    note_path,
    notes,
    read_index,
    segment_path,
    segments,
    tags,
)
from baluarte.core.ids import is_tag
from baluarte.core.merkle import leaf_hash
from baluarte.errors import DataError, TrustError
from baluarte.ports import Disk

MAX_NOTE_BYTES = 1 << 20


class SegmentReader:
    """All shards under one root; opens files as it reads and holds none."""

    def __init__(self, root: Path, *, disk: Disk = LOCAL) -> None:
        self._root, self._disk = root, disk

    def shards(self) -> list[str]:
        """Tags of all shards, sorted."""
        return tags(self._root, self._disk)

    def size(self, tag: str) -> int:
        """Durable records of a shard."""
        head = heads.read(self._folder(tag) / "head", self._disk)
        return 0 if head is None else head.size

    def records(self, tag: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The records' bytes, in order.

        Raises:
            TrustError: a committed record is missing or damaged; where says which.
        """
        folder = self._folder(tag)
        size = self.size(tag)
        stop = size if stop is None else min(stop, size)
        firsts = segments(folder, self._disk)
        while start < stop:
            number = bisect.bisect_right(firsts, start) - 1
            if number < 0:
                raise TrustError("a committed segment is missing", where=f"{tag}/{start}")
            last = firsts[number + 1] if number + 1 < len(firsts) else stop
            for record in self._of_segment(folder, firsts[number], start, min(last, stop)):
                yield record
                start += 1

    def record(self, tag: str, index: int) -> bytes:
        """One record, found through the index without reading others.

        Raises:
            DataError: there is no such record.
            TrustError: it is missing or damaged.
        """
        folder = self._folder(tag)
        if not 0 <= index < self.size(tag):
            raise DataError(f"shard {tag} has no record {index}")
        firsts = segments(folder, self._disk)
        first = firsts[bisect.bisect_right(firsts, index) - 1] if firsts else 0
        found = read_index(folder, first, index - first, 1, self._disk)
        if found is None:
            return next(self.records(tag, index, index + 1))
        (offset, leaf), *_ = found
        with outside("the ledger can't be read", folder):
            descriptor = self._disk.open_existing(segment_path(folder, first))
        try:
            record = read_frame(descriptor, offset, where=f"{tag}/{index}", disk=self._disk)
        finally:
            self._disk.close(descriptor)
        if leaf_hash(record) != leaf:
            raise TrustError("the record is not the one that was indexed", where=f"{tag}/{index}")
        return record

    def leaf_hashes(self, tag: str, stop: int | None = None) -> list[bytes]:
        """Leaf hashes of the first ``stop`` records (all when None), for proofs."""
        folder = self._folder(tag)
        size = self.size(tag)
        stop = size if stop is None else min(stop, size)
        firsts = segments(folder, self._disk)
        leaves: list[bytes] = []
        for number, first in enumerate(firsts):
            last = firsts[number + 1] if number + 1 < len(firsts) else stop
            count = min(last, stop) - first
            if count <= 0:
                break
            found = read_index(folder, first, 0, count, self._disk)
            if found is None:
                leaves.extend(leaf_hash(r) for r in self.records(tag, first, first + count))
            else:
                leaves.extend(leaf for _, leaf in found)
        return leaves

    def notes(self, tag: str | None) -> list[bytes]:
        """Signed checkpoints of a shard by size, or (None) over all heads by time; oldest first."""
        folder = self._notes_folder(tag)
        with outside("the checkpoints can't be read", folder):
            return [self._read_note(note_path(folder, n)) for n in notes(folder, self._disk)]

    def put_note(self, tag: str | None, number: int, note: bytes) -> None:
        """Keep a signed checkpoint under its size (of a shard) or time (over all heads)."""
        folder = self._notes_folder(tag)
        with outside("the checkpoint can't be written", folder):
            make_folders(folder, self._disk)
            write_aside(note_path(folder, number), note, self._disk)

    # --- within -----------------------------------------------------------------------------

    def _folder(self, tag: str) -> Path:
        if not is_tag(tag) or not self._disk.is_folder(self._root / tag):
            raise DataError(f"the ledger has no shard {tag!r}", where=str(self._root))
        return self._root / tag

    def _notes_folder(self, tag: str | None) -> Path:
        return self._root / "heads" if tag is None else self._folder(tag) / "checkpoints"

    def _of_segment(self, folder: Path, first: int, start: int, stop: int) -> Iterator[bytes]:
        found = read_index(folder, first, start - first, 1, self._disk)
        offset, at = (found[0][0], start) if found else (0, first)
        with outside("the ledger can't be read", folder):
            descriptor = self._disk.open_existing(segment_path(folder, first))
        try:
            for _, record in scan(descriptor, offset, self._disk):
                if at >= stop:
                    return
                if at >= start:
                    yield record
                at += 1
        finally:
            self._disk.close(descriptor)
        if at < stop:
            raise TrustError("a committed record is damaged", where=f"{folder.name}/{at}")

    def _read_note(self, path: Path) -> bytes:
        descriptor = self._disk.open_existing(path)
        try:
            return self._disk.read_at(descriptor, MAX_NOTE_BYTES, 0)
        finally:
            self._disk.close(descriptor)
