"""Wait until every live worker of the data plane decides by a version, or say which don't."""

from __future__ import annotations

import time
from dataclasses import dataclass

from baluarte.core.registry import WorkerState
from baluarte.ports import Clock, Registry

LIVE_S = 10.0  #: who wasn't heard of for so long is not waited for
LIMIT_S = 10.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Which of the workers that live decide by the version."""

    by: tuple[WorkerState, ...]
    not_yet: tuple[WorkerState, ...]
    seconds: float


def wait_for_workers(
    registry: Registry, clock: Clock, detector: str, version: int, *, limit_s: float = LIMIT_S
) -> Acknowledged:
    """Return when all workers that live decide by the version, or after the limit.

    A worker is one that the registry heard of within ten seconds; each says at once when another
    version decides there.
    """
    started = time.monotonic()
    while True:
        since = clock.now_us() - round(LIVE_S * 1e6)
        live = [state for state in registry.workers() if state.seen_at > since]
        by = tuple(state for state in live if state.deciding.get(detector) == version)
        not_yet = tuple(state for state in live if state.deciding.get(detector) != version)
        seconds = time.monotonic() - started
        if not not_yet or seconds > limit_s:
            return Acknowledged(by=by, not_yet=not_yet, seconds=seconds)
        time.sleep(_POLL_S)
