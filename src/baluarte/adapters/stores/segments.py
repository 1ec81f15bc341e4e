"""The ledger in folders of append-only segments: one folder a shard, one writer a shard.

A shard is taken by its lock, never by a number: a worker that starts takes any shard that nobody
holds, or makes a new one with a random tag. See ``docs/concepts/ledger.md``.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import ClassVar

from baluarte.adapters.disk import LOCAL, make_folders, outside
from baluarte.adapters.ledger.headroom import with_headroom
from baluarte.adapters.ledger.keeper import SegmentKeeper, try_lock
from baluarte.adapters.ledger.layout import tags
from baluarte.adapters.ledger.reader import SegmentReader
from baluarte.adapters.ledger.shard import SEGMENT_BYTES, SegmentShard
from baluarte.ports import Disk


class Segments:
    """A ledger under one root folder.

    Args:
        segment_bytes: size at which a segment ends; so much room is reserved ahead in each shard.
    """

    name: ClassVar[str] = "segments"

    def __init__(
        self, root: Path, *, segment_bytes: int = SEGMENT_BYTES, disk: Disk = LOCAL
    ) -> None:
        self._root, self._segment_bytes, self._disk = root, segment_bytes, disk

    def open_shard(self) -> SegmentShard:
        """Any free shard, recovered and locked for this process, or a new one.

        Raises:
            OutsideError: the folder can't be written or has no room.
            TrustError: a free shard has lost committed records.
        """
        return open_shard(self._root, segment_bytes=self._segment_bytes, disk=self._disk)

    def reader(self) -> SegmentReader:
        """Reads all shards, beside their writers."""
        return SegmentReader(self._root, disk=self._disk)

    def keeper(self) -> SegmentKeeper:
        """Compresses and drops, beside readers and writers.

        Raises:
            OutsideError: another process is at it.
        """
        return SegmentKeeper(self._root, segment_bytes=self._segment_bytes, disk=self._disk)


def open_shard(
    root: Path, *, segment_bytes: int = SEGMENT_BYTES, disk: Disk = LOCAL, in_turn: bool = False
) -> SegmentShard:
    """As :meth:`Segments.open_shard`; ``in_turn`` as :class:`SegmentShard` has it."""

    def open_one() -> SegmentShard:
        return _open_shard(root, segment_bytes=segment_bytes, disk=disk, in_turn=in_turn)

    return with_headroom(root, open_one, disk)


def _open_shard(root: Path, *, segment_bytes: int, disk: Disk, in_turn: bool) -> SegmentShard:

    def opened(folder: Path, lock: int) -> SegmentShard:
        return SegmentShard(folder, lock, segment_bytes=segment_bytes, disk=disk, in_turn=in_turn)

    with outside("the ledger's folder can't be used", root):
        make_folders(root, disk)
        for tag in tags(root, disk):
            lock = try_lock(root / tag, disk)
            if lock is not None:
                return opened(root / tag, lock)
        while True:
            folder = root / secrets.token_hex(3)
            try:
                disk.make_folder(folder)
            except FileExistsError:
                continue
            lock = try_lock(folder, disk)  # None where another process was quicker
            if lock is not None:
                disk.sync_folder(root)
                return opened(folder, lock)
