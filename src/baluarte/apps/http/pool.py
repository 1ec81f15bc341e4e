"""How many workers there should be on a shared machine: as the load asks, and not to and fro."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

GROW_ABOVE = 0.75  #: share of a core that workers use on average
GROW_AFTER_S = 3.0  #: for so long without a pause
SHRINK_BELOW = 0.5  #: what the others would use without one of them
SHRINK_AFTER_S = 60.0
SETTLE_S = 5.0  #: after a change, before anything is counted again


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most workers."""

    least: int
    most: int


class Pool:
    """Says how many workers there should be, from how busy they are.

    More come soon and one at a time, fewer only after a minute, and fewer only where those that
    stay would be well below the share at which one more comes: a load that is steady changes
    nothing.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._busy_since: float | None = None
        self._idle_since: float | None = None
        self._settled_at = 0.0

    def wish(self, n: int, busy: float, *, now_s: float) -> int:
        """How many there should be now.

        Args:
            n: how many there are.
            busy: share of a core that they use on average, in [0, 1].
            now_s: of a clock that never goes back.
        """
        bounds = self._bounds
        if not bounds.least <= n <= bounds.most:
            return self._change(min(max(n, bounds.least), bounds.most), now_s)
        if now_s < self._settled_at:
            return n
        grows = busy > GROW_ABOVE and n < bounds.most
        shrinks = n > bounds.least and busy * n / (n - 1) < SHRINK_BELOW
        self._busy_since = _since(self._busy_since, now_s) if grows else None
        self._idle_since = _since(self._idle_since, now_s) if shrinks else None
        if self._busy_since is not None and now_s - self._busy_since >= GROW_AFTER_S:
            return self._change(n + 1, now_s)
        if self._idle_since is not None and now_s - self._idle_since >= SHRINK_AFTER_S:
            return self._change(n - 1, now_s)
        return n

    def _change(self, n: int, now_s: float) -> int:
        self._busy_since = self._idle_since = None
        self._settled_at = now_s + SETTLE_S
        return n


def _since(since: float | None, now_s: float) -> float:
    return now_s if since is None else since


class CpuMeter:
    """How busy processes are, by the processor time that the system counts for each.

    Source: proc_pid_stat(5): utime and stime, fields 14 and 15, in clock ticks.
    """

    def __init__(self) -> None:
        self._ticks_per_s = os.sysconf("SC_CLK_TCK")
        self._last: dict[int, int] = {}
        self._at_s = 0.0

    def busy(self, pids: Iterable[int], *, now_s: float) -> float | None:
        """Share of a core used on average since the last call; None where nothing is known yet."""
        ticks = {pid: n for pid in pids if (n := _ticks(pid)) is not None}
        known = [pid for pid in ticks if pid in self._last]
        used = sum(ticks[pid] - self._last[pid] for pid in known)
        seconds, self._last, self._at_s = now_s - self._at_s, ticks, now_s
        if not known or seconds <= 0:
            return None
        return used / self._ticks_per_s / seconds / len(known)


def _ticks(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    except (OSError, IndexError, ValueError):
        return None
