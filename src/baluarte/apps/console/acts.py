"""The shard that administrative acts are written to: opened with the first, anew when it failed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from baluarte.errors import BaluarteError
from baluarte.ports import LedgerShard, Room

T = TypeVar("T")


class Acts:
    """Meets :class:`baluarte.ports.LedgerShard`; safe to share between threads.

    What failed once is closed: its disk is asked again by a fresh shard, and what was not committed
    was not acknowledged.

    Args:
        opens: a free shard of the ledger.
    """

    def __init__(self, opens: Callable[[], LedgerShard]) -> None:
        self._opens = opens
        self._lock = threading.RLock()
        self._shard: LedgerShard | None = None

    @property
    def tag(self) -> str:
        """The shard's tag."""
        return self._with(lambda shard: shard.tag)

    @property
    def size(self) -> int:
        """Records so far."""
        return self._with(lambda shard: shard.size)

    def append(self, records: Sequence[bytes]) -> int:
        """Queue records and return the first one's index."""
        return self._with(lambda shard: shard.append(records))

    def commit(self) -> None:
        """Make everything appended durable.

        Raises:
            OutsideError: no room or the disk failed.
        """
        self._with(lambda shard: shard.commit())

    def root(self) -> bytes:
        """The tree head over all records."""
        return self._with(lambda shard: shard.root())

    def room(self) -> Room:
        """The room that is left."""
        return self._with(lambda shard: shard.room())

    def close(self) -> None:
        """Commit and give up the writer's lock."""
        with self._lock:
            shard, self._shard = self._shard, None
            if shard is not None:
                shard.close()

    def _with(self, ask: Callable[[LedgerShard], T]) -> T:
        with self._lock:
            if self._shard is None:
                self._shard = self._opens()
            try:
                return ask(self._shard)
            except (BaluarteError, OSError):
                with contextlib.suppress(BaluarteError, OSError):
                    self.close()
                raise
