"""The ledger in folders of append-only segments: one folder a shard, one writer a shard.

A shard is taken by its lock, never by a number: a worker that starts takes any shard that nobody
holds, or makes a new one with a random tag. See ``docs/concepts/ledger.md``.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path
from typing import ClassVar

from baluarte.adapters.disk import open_or_new, outside, sync_folder
from baluarte.adapters.ledger.layout import tags
from baluarte.adapters.ledger.reader import SegmentReader
from baluarte.adapters.ledger.shard import SEGMENT_BYTES, SegmentShard


class Segments:
    """A ledger under one root folder.

    Args:
        segment_bytes: size at which a segment ends; so much room is reserved ahead in each shard.
    """

    name: ClassVar[str] = "segments"

    def __init__(self, root: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._root, self._segment_bytes = root, segment_bytes

    def open_shard(self) -> SegmentShard:
        """Any free shard, recovered and locked for this process, or a new one.

        Raises:
            OutsideError: the folder can't be written or has no room.
            TrustError: a free shard has lost committed records.
        """
        return open_shard(self._root, segment_bytes=self._segment_bytes)

    def reader(self) -> SegmentReader:
        """Reads all shards, beside their writers."""
        return SegmentReader(self._root)


def open_shard(root: Path, *, segment_bytes: int = SEGMENT_BYTES) -> SegmentShard:
    """As :meth:`Segments.open_shard`."""
    with outside("the ledger's folder can't be used", root):
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for tag in tags(root):
            lock = _try_lock(root / tag)
            if lock is not None:
                return SegmentShard(root / tag, lock, segment_bytes=segment_bytes)
        while True:
            folder = root / secrets.token_hex(3)
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                continue
            lock = _try_lock(folder)  # None where another process was quicker
            if lock is not None:
                sync_folder(root)
                return SegmentShard(folder, lock, segment_bytes=segment_bytes)


def _try_lock(folder: Path) -> int | None:
    """Descriptor of the shard's lock file, locked; None where another writer holds it."""
    descriptor = open_or_new(folder / "lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
