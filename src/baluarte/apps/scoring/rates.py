"""How many requests a key may make: one count for all workers, in a file that they map.

A key's limit is kept as one number, the time at which its next request would be on schedule; a lock
on that number's bytes makes a change of it one step, and goes with the process that holds it.

Source: ITU-T I.371 (1996), annex A: the generic cell rate algorithm, virtual scheduling form.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from pathlib import Path

_SLOT = struct.Struct("<q")
_SLOTS = 65_536
_NS = 1_000_000_000


class Rates:
    """The shared count.

    Args:
        folder: a private one that the workers of a server share; it is not kept over a restart.
    """

    def __init__(self, folder: str | Path) -> None:
        path = Path(folder) / "rates.bin"
        self._descriptor = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        if os.fstat(self._descriptor).st_size < _SLOTS * _SLOT.size:
            os.ftruncate(self._descriptor, _SLOTS * _SLOT.size)
        self._map = mmap.mmap(self._descriptor, _SLOTS * _SLOT.size)

    def take(
        self, slot: int, *, rate_per_s: float, burst: int, now_ns: int | None = None
    ) -> float | None:
        """Count one request of the key in this slot.

        Args:
            slot: the key's place, from 0; the same for every worker.
            burst: requests that may come at once, at least 1.
            now_ns: nanoseconds of the machine's monotonic clock.

        Returns:
            None where it may go on, else the seconds until one may.
        """
        now = time.monotonic_ns() if now_ns is None else now_ns
        interval = round(_NS / rate_per_s)
        offset = slot % _SLOTS * _SLOT.size
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, _SLOT.size, offset)
        try:
            due = max(_SLOT.unpack_from(self._map, offset)[0], now)
            early: int = due - now - (burst - 1) * interval
            if early > 0:
                return early / _NS
            _SLOT.pack_into(self._map, offset, due + interval)
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, _SLOT.size, offset)
        return None

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()
        os.close(self._descriptor)
