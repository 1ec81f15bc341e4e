"""Reading a ledger beside its writers: only what is committed."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from pathlib import Path

from baluarte.adapters.disk import LOCAL, make_folders, outside, write_aside
from baluarte.adapters.ledger import head as heads
from baluarte.adapters.ledger.headroom import with_headroom
from baluarte.adapters.ledger.heads_log import append_heads, read_heads_log
from baluarte.adapters.ledger.layout import note_path, notes, segments, tags
from baluarte.adapters.ledger.segment import entries_of, leaves_of, record_of
from baluarte.adapters.ledger.tree import forget, shard_tree
from baluarte.core.ids import is_tag
from baluarte.core.retention import Dropped
from baluarte.core.tiles import Tree
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

    def entries(
        self, tag: str, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes | Dropped]:
        """The records' bytes in order, and of each dropped one what stays of it.

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
            yield from entries_of(folder, firsts[number], start, min(last, stop), self._disk)
            start = min(last, stop)

    def records(self, tag: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes of the records that are kept, in order.

        Raises:
            TrustError: a committed record is missing or damaged; where says which.
        """
        for entry in self.entries(tag, start, stop):
            if not isinstance(entry, Dropped):
                yield entry

    def record(self, tag: str, index: int) -> bytes:
        """One record, found through the index without reading others.

        Raises:
            DataError: there is no such record, or a sweep dropped it.
            TrustError: it is missing or damaged.
        """
        folder = self._folder(tag)
        if not 0 <= index < self.size(tag):
            raise DataError(f"shard {tag} has no record {index}")
        firsts = segments(folder, self._disk)
        first = firsts[bisect.bisect_right(firsts, index) - 1] if firsts else 0
        return record_of(folder, first, index, self._disk)

    def leaf_hashes(self, tag: str, stop: int | None = None, *, start: int = 0) -> list[bytes]:
        """Leaf hashes of the records from ``start`` up to ``stop`` (all when None)."""
        folder = self._folder(tag)
        size = self.size(tag)
        stop = size if stop is None else min(stop, size)
        firsts = segments(folder, self._disk)
        leaves: list[bytes] = []
        for number, first in enumerate(firsts):
            last = firsts[number + 1] if number + 1 < len(firsts) else stop
            begin, end = max(first, start), min(last, stop)
            if begin < end:
                leaves += leaves_of(folder, first, begin, end, self._disk)
        return leaves

    def tree(self, tag: str, *, fresh: bool = False) -> Tree:
        """The tree over a shard's durable records; makes the rows of tiles that are missing."""
        folder = self._folder(tag)
        if fresh:
            forget(folder, self._disk)

        def leaves(start: int, stop: int) -> list[bytes]:
            return self.leaf_hashes(tag, stop, start=start)

        with outside("the ledger's tree can't be read", folder):
            return shard_tree(folder, self.size(tag), leaves, self._disk)

    def heads(self) -> list[bytes]:
        """Entries of the log of heads, in order."""
        return read_heads_log(self._notes_folder(None), self._disk)

    def add_heads(self, entries: Sequence[bytes], *, after: int) -> None:
        """Append to the log of heads, durably, where it has ``after`` entries."""
        folder = self._notes_folder(None)

        def append() -> None:
            append_heads(folder, entries, after=after, disk=self._disk)

        with_headroom(self._root, append, self._disk)

    def notes(self, tag: str | None) -> list[bytes]:
        """Signed checkpoints of a shard by size, or (None) over all heads by time; oldest first."""
        folder = self._notes_folder(tag)
        with outside("the checkpoints can't be read", folder):
            return [self._read_note(note_path(folder, n)) for n in notes(folder, self._disk)]

    def put_note(self, tag: str | None, number: int, note: bytes) -> None:
        """Keep a signed checkpoint under its size (of a shard) or time (over all heads)."""
        folder = self._notes_folder(tag)

        def write() -> None:
            with outside("the checkpoint can't be written", folder):
                make_folders(folder, self._disk)
                write_aside(note_path(folder, number), note, self._disk)

        with_headroom(self._root, write, self._disk)

    # --- within -----------------------------------------------------------------------------

    def _folder(self, tag: str) -> Path:
        if not is_tag(tag) or not self._disk.is_folder(self._root / tag):
            raise DataError(f"the ledger has no shard {tag!r}", where=str(self._root))
        return self._root / tag

    def _notes_folder(self, tag: str | None) -> Path:
        return self._root / "heads" if tag is None else self._folder(tag) / "checkpoints"

    def _read_note(self, path: Path) -> bytes:
        descriptor = self._disk.open_existing(path)
        try:
            return self._disk.read_at(descriptor, MAX_NOTE_BYTES, 0)
        finally:
            self._disk.close(descriptor)
