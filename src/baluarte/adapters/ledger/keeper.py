"""Keeping a ledger beside its writers: settle shards without an owner, compress, drop.

Only segments that no writer touches again are rewritten: those before the one that the shard's
anchored head names, so that no power cut can make a recovery ask for one of them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from baluarte.adapters.disk import LOCAL, make_folders, outside
from baluarte.adapters.ledger import cold
from baluarte.adapters.ledger import head as heads
from baluarte.adapters.ledger.headroom import keep_headroom
from baluarte.adapters.ledger.layout import (
    cold_path,
    index_path,
    segment_path,
    segments,
    tags,
)
from baluarte.adapters.ledger.segment import entries_of, leaves_of, open_cold
from baluarte.adapters.ledger.shard import SEGMENT_BYTES, SegmentShard
from baluarte.core.merkle import leaf_hash
from baluarte.core.retention import Dropped, RecordClass, oldest_of
from baluarte.errors import OutsideError, TrustError
from baluarte.ports import Disk, SegmentInfo

_LEFT_OVER = re.compile(r"\.[0-9]{20}\.cold\.[0-9]+")


class SegmentKeeper:
    """The one keeper of a ledger, until it is closed.

    Raises:
        OutsideError: another process keeps this ledger now.
    """

    def __init__(
        self, root: Path, *, segment_bytes: int = SEGMENT_BYTES, disk: Disk = LOCAL
    ) -> None:
        self._root, self._segment_bytes, self._disk = root, segment_bytes, disk
        with outside("the ledger's folder can't be used", root):
            make_folders(root, disk)
            lock = try_lock(root, disk)
        if lock is None:
            raise OutsideError(
                "another process sweeps or settles this ledger now", where=str(root), retryable=True
            )
        self._lock = lock

    def reserve(self) -> bool:
        """Keep room for acts and checkpoints on a disk that others fill; whether it is kept."""
        with outside("the ledger's headroom can't be kept", self._root):
            return keep_headroom(self._root, self._disk)

    def settle(self) -> list[str]:
        """Recover every shard that nobody holds and that was not closed cleanly; their tags.

        Raises:
            TrustError: one of them lost committed records.
        """
        return [tag for tag in tags(self._root, self._disk) if self._settle(self._root / tag)]

    def _settle(self, folder: Path) -> bool:
        if is_clean(folder, self._disk):
            return False
        lock = try_lock(folder, self._disk)
        if lock is None:
            return False
        self._open(folder, lock).close()
        return True

    def _anchor(self, folder: Path) -> heads.Head | None:
        return heads.read_anchor(folder / "head", self._disk)

    def _open(self, folder: Path, lock: int) -> SegmentShard:
        return SegmentShard(
            folder, lock, segment_bytes=self._segment_bytes, disk=self._disk, in_turn=True
        )

    def end_segments(self, older_than: Mapping[RecordClass, int]) -> None:
        """End the last segment of each free shard whose records are older than these times."""
        for tag in tags(self._root, self._disk):
            folder = self._root / tag
            head = heads.read(folder / "head", self._disk)
            if head is None or head.size == head.segment:
                continue
            entries = entries_of(folder, head.segment, head.segment, head.size, self._disk)
            oldest = oldest_of(entry for entry in entries if not isinstance(entry, Dropped))
            if any(at < older_than.get(kind, at) for kind, at in oldest.items()):
                lock = try_lock(folder, self._disk)
                if lock is not None:
                    with self._open(folder, lock) as shard:
                        shard.end_segment()

    def closed(self, tag: str) -> list[SegmentInfo]:
        """The segments of a shard that no writer will touch again, in order."""
        folder = self._root / tag
        with outside("the ledger can't be read", folder):
            anchor = self._anchor(folder)
            end = 0 if anchor is None else anchor.segment
            self._tidy(folder)
            firsts = [first for first in segments(folder, self._disk) if first < end]
            found = []
            for first, stop in zip(firsts, [*firsts, end][1:], strict=True):
                segment = open_cold(folder, first, self._disk)
                if segment is None:
                    found.append(SegmentInfo(first, stop, is_cold=False, oldest=None))
                else:
                    with segment:
                        oldest = segment.facts.oldest
                    found.append(SegmentInfo(first, stop, is_cold=True, oldest=oldest))
        return found

    def _tidy(self, folder: Path) -> None:
        """Finish what a keeper that died left: files that a cold segment took the place of."""
        names = set(self._disk.names(folder))
        gone = [folder / name for name in names if _LEFT_OVER.fullmatch(name)]
        for name in names:
            if name.endswith(".cold") and not name.startswith("."):
                first = int(name.removesuffix(".cold"))
                rest = (segment_path(folder, first), index_path(folder, first))
                gone += [path for path in rest if path.name in names]
        if gone:
            self._disk.sync_folder(folder)
            for path in gone:
                self._disk.unlink(path)
            self._disk.sync_folder(folder)

    def cool(self, tag: str, first: int, drop: Mapping[int, str]) -> None:
        """Compress a closed segment; records at these indexes are dropped by these sweeps.

        Raises:
            TrustError: a record is not the one that was indexed; nothing was changed.
        """
        folder, disk = self._root / tag, self._disk
        stop = next(info.stop for info in self.closed(tag) if info.first == first)
        expected = leaves_of(folder, first, first, stop, disk)
        entries = list(entries_of(folder, first, first, stop, disk))
        found = [e.leaf if isinstance(e, Dropped) else leaf_hash(e) for e in entries]
        if found != expected:
            at = next(i for i, leaf in enumerate(expected) if found[i] != leaf)
            raise TrustError(
                "the record is not the one that was indexed", where=f"{tag}/{first + at}"
            )
        with outside("the cold segment can't be written", folder):
            cold.write(cold_path(folder, first), cold.dropping(entries, drop, first), disk)
            with contextlib.suppress(FileNotFoundError):
                disk.unlink(segment_path(folder, first))
            with contextlib.suppress(FileNotFoundError):
                disk.unlink(index_path(folder, first))
            disk.sync_folder(folder)

    def close(self) -> None:
        """Let another keeper begin."""
        if self._lock >= 0:
            self._disk.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_settled(folder: Path, *, segment_bytes: int = SEGMENT_BYTES, disk: Disk = LOCAL) -> bool:
    """Whether nobody writes to a shard; what its owner left behind its head is then recovered.

    Raises:
        TrustError: it lost committed records.
        OutsideError: it can't be recovered now.
    """
    lock = try_lock(folder, disk)
    if lock is None:
        return False
    if is_clean(folder, disk):
        disk.close(lock)
    else:
        SegmentShard(folder, lock, segment_bytes=segment_bytes, disk=disk, in_turn=True).close()
    return True


def is_clean(folder: Path, disk: Disk) -> bool:
    """Whether a shard was closed, and so has nothing behind its head."""
    try:
        head, anchor = heads.read(folder / "head", disk), heads.read_anchor(folder / "head", disk)
        if head is None or anchor is None or head.size != anchor.size:
            return False
        return disk.size(segment_path(folder, head.segment)) == head.offset
    except FileNotFoundError:
        return False


def try_lock(folder: Path, disk: Disk) -> int | None:
    """Descriptor of a shard's or a ledger's lock file, locked; None where another holds it."""
    descriptor = disk.open_or_new(folder / "lock")
    try:
        if disk.lock(descriptor):
            return descriptor
    except BaseException:
        disk.close(descriptor)
        raise
    disk.close(descriptor)
    return None
