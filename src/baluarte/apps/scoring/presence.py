"""What a worker says of itself in the registry: that it lives, and which versions it decides by."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Callable, Iterable, Mapping

from baluarte.core.registry import WorkerState
from baluarte.errors import OutsideError
from baluarte.ports import Clock, Registry

BEAT_US = 1_000_000  #: between two words where nothing changed


class Presence:
    """Tells the registry, at once when something changed and once a second besides.

    Args:
        deciding: detector to the version that decides, as of now.
        shadowing: detector to the versions beside it.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        clock: Clock,
        pid: int,
        deciding: Callable[[], Mapping[str, int]],
        shadowing: Callable[[], Mapping[str, tuple[int, ...]]],
    ) -> None:
        self._registry, self._clock, self._pid = registry, clock, pid
        self._deciding, self._shadowing = deciding, shadowing
        self._host = socket.gethostname()
        self._said: WorkerState | None = None
        self.worker = secrets.token_hex(8)

    def tell(self) -> None:
        """Say it if there is something to say; a registry that is away hears it later."""
        state = WorkerState(
            worker=self.worker,
            host=self._host,
            pid=self._pid,
            seen_at=self._clock.now_us(),
            deciding=dict(self._deciding()),
            shadowing=dict(self._shadowing()),
        )
        said = self._said
        if (
            said is not None
            and state.seen_at - said.seen_at < BEAT_US
            and (said.deciding, said.shadowing) == (state.deciding, state.shadowing)
        ):
            return
        with contextlib.suppress(OutsideError):
            self._registry.beat(state)
            self._said = state

    def leave(self, workers: Iterable[str] = ()) -> None:
        """This worker ends; or others did, that could not say so."""
        for worker in tuple(workers) or (self.worker,):
            with contextlib.suppress(OutsideError):
                self._registry.leave(worker)
