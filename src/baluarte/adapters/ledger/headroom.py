"""Room that nothing uses until a disk is full: acts and checkpoints can always be written.

Servers keep decisions from filling a disk, other programs don't. ``ROOT/headroom`` is a file of
reserved room; whoever finds no room for a shard or a checkpoint removes it and tries once more. It
is made again when there is plenty.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from baluarte.adapters.disk import LOCAL
from baluarte.errors import OutsideError
from baluarte.ports import Disk

HEADROOM_BYTES = 40 << 20  #: two segments, and checkpoints for years
_PLENTY = 4  #: so many times as much must be free before it is reserved
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

T = TypeVar("T")


def keep_headroom(root: Path, disk: Disk = LOCAL, *, n_bytes: int = HEADROOM_BYTES) -> bool:
    """Reserve the room if it is not, and there is plenty; whether it is reserved now."""
    path = root / "headroom"
    with contextlib.suppress(FileNotFoundError):
        if disk.size(path) >= n_bytes:
            return True
        disk.unlink(path)
    if disk.free_bytes(root) < _PLENTY * n_bytes:
        return False
    descriptor = disk.open_new(path)
    try:
        disk.reserve(descriptor, n_bytes)
        disk.sync(descriptor)
    except OSError:
        disk.unlink(path)
        return False
    finally:
        disk.close(descriptor)
    disk.sync_folder(root)
    return True


def with_headroom(root: Path, action: Callable[[], T], disk: Disk = LOCAL) -> T:
    """What the action returns; where the disk is full, the headroom is given up for it once.

    Raises:
        OutsideError: as the action; a full disk only where there was no headroom.
    """
    try:
        return action()
    except OutsideError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in _NO_ROOM:
            raise
        try:
            disk.unlink(root / "headroom")
        except OSError:
            raise error from None
    return action()
