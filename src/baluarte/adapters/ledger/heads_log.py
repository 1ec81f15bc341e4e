"""The log of heads: a line for each head that was signed of a shard, never changed, only added to.

It stands in ``ROOT/heads/log``. A last line without its end is the trace of a power cut before
anybody signed it: it is no entry, and goes when the next ones are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from baluarte.adapters.disk import LOCAL, make_folders, outside
from baluarte.errors import OutsideError
from baluarte.ports import Disk

_FILE, _LOCK = "log", "lock"
_CHUNK = 1 << 24


def read_heads_log(folder: Path, disk: Disk = LOCAL) -> list[bytes]:
    """Every entry, in order."""
    with outside("the log of heads can't be read", folder):
        try:
            descriptor = disk.open_existing(folder / _FILE)
        except FileNotFoundError:
            return []
        try:
            return _entries(descriptor, disk)
        finally:
            disk.close(descriptor)


def append_heads(folder: Path, entries: Sequence[bytes], *, after: int, disk: Disk = LOCAL) -> None:
    """Add entries where the log has ``after``, durably.

    Raises:
        OutsideError: it has another number by now, somebody else adds, or it can't be written.
    """
    with outside("the log of heads can't be written", folder):
        make_folders(folder, disk)
        lock = disk.open_or_new(folder / _LOCK)
        try:
            if not disk.lock(lock):
                raise _busy(folder, "another process adds to the log of heads")
            _append(folder, entries, after, disk)
        finally:
            disk.close(lock)


def _append(folder: Path, entries: Sequence[bytes], after: int, disk: Disk) -> None:
    descriptor = disk.open_or_new(folder / _FILE)
    try:
        known = _entries(descriptor, disk)
        if len(known) != after:
            said = f"expected {after} entries in the log of heads, found {len(known)}"
            raise _busy(folder, f"{said}: another process signs")
        end = sum(len(entry) + 1 for entry in known)
        disk.truncate(descriptor, end)
        disk.write_at(descriptor, b"".join(entry + b"\n" for entry in entries), end)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    disk.sync_folder(folder)
    disk.sync_folder(folder.parent)


def _busy(folder: Path, said: str) -> OutsideError:
    return OutsideError(
        f"{said} at this moment", where=str(folder), hint="Try again.", retryable=True
    )


def _entries(descriptor: int, disk: Disk) -> list[bytes]:
    parts: list[bytes] = []
    while part := disk.read_at(descriptor, _CHUNK, sum(map(len, parts))):
        parts.append(part)
    return b"".join(parts).split(b"\n")[:-1]
