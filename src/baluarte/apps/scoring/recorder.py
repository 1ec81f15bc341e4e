"""The worker's hold on its ledger shard: one thread that makes records durable.

Records are queued by the event loop and made durable by the writer's thread, all that wait at once;
requests that came together share one fdatasync. When the shard fails nothing more is accepted, the
shard is given up, and the thread tries to take one again: opening recovers what was durable.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from baluarte.apps.scoring.counts import Counts
from baluarte.apps.scoring.settings import Durability
from baluarte.errors import BaluarteError, OutsideError
from baluarte.ports import LedgerShard

LOG = logging.getLogger("baluarte.scoring")
REOPEN_S = 0.5  #: between two tries to take a shard again
IDLE_S = 1.0  #: the thread looks up even if nobody called
ROOM_S = 1.0  #: between two looks at the room that is left

Done = Callable[[OutsideError | None], None]


class Recorder:
    """Queues records, and says when they are durable.

    Args:
        open_shard: takes a shard that nobody holds.
        loop: the event loop that calls :meth:`append` and is called back.
        durability: with ``commit`` ``done`` is called after fdatasync, with ``interval`` at once.
        interval_s: with ``interval``, time between two fdatasyncs.
        shed_below_bytes: room on the disk below which no decision is to be recorded any more; acts
            are, in the room that the shard reserved.

    Raises:
        TrustError: the shard that is to be opened lost committed records.
    """

    def __init__(
        self,
        open_shard: Callable[[], LedgerShard],
        *,
        loop: asyncio.AbstractEventLoop,
        durability: Durability,
        interval_s: float,
        counts: Counts,
        shed_below_bytes: int = 0,
    ) -> None:
        self._open_shard = open_shard
        self._loop = loop
        self._at_once = durability == "interval"
        self._pause_s = interval_s if self._at_once else 0.0
        self._counts = counts
        self._shed_below_bytes = shed_below_bytes
        self._has_room = True
        self._looked_s = 0.0
        self.on_turn: Callable[[], None] | None = None  #: in the loop, once a second or more
        self.last_failure: BaluarteError | None = None  #: also when all is well again
        # (shard, how many of its records must be durable, done)
        self._waiting: deque[tuple[LedgerShard, int, Done]] = deque()
        self._called = threading.Event()
        self._stopping = False
        self._failure: BaluarteError | None = None
        self._shard: LedgerShard | None = None
        try:
            self._shard = open_shard()
            self._look_at_room(self._shard)
        except OutsideError as error:
            self._failure = self.last_failure = error
        self._tell(None)
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    @property
    def shard(self) -> LedgerShard | None:
        """The shard in use; None while there is none."""
        return self._shard

    @property
    def failure(self) -> BaluarteError | None:
        """Why nothing can be recorded; None while all is well."""
        return self._failure

    @property
    def accepts(self) -> bool:
        """Whether decisions may be recorded: there is a shard, and room."""
        return self._shard is not None and self._has_room

    def append(
        self, records: Sequence[bytes], done: Done, *, lost: Callable[[], None] | None = None
    ) -> None:
        """Queue records of the shard; ``done`` is called in the loop, with None or the failure.

        Args:
            lost: called in the loop where ``done`` was told None and the records did not become
                durable after all; that happens with ``interval`` only.

        Raises:
            OutsideError: nothing can be recorded; nothing was queued.
        """
        shard = self._shard
        if shard is None:
            raise OutsideError("the ledger takes no records", retryable=True) from self._failure
        shard.append(records)
        if self._at_once:
            done(None)
            if lost is not None:
                tell = lost  # its own name, so that it is known not to be None
                self._waiting.append((shard, shard.size, lambda e: None if e is None else tell()))
        else:
            self._waiting.append((shard, shard.size, done))
        if not self._called.is_set():  # far cheaper than to set it again
            self._called.set()

    def after_commit(self, done: Done) -> None:
        """``done`` is called in the loop when all that is queued now is durable, or has failed."""
        shard = self._shard
        if shard is not None:
            self._waiting.append((shard, shard.size, done))
            self._called.set()

    def close(self) -> None:
        """Make everything durable and give up the shard; the loop no longer runs."""
        self._stopping = True
        self._called.set()
        self._thread.join()
        shard, self._shard = self._shard, None
        if shard is not None:
            shard.close()

    # --- the writer's thread ----------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            self._called.wait(IDLE_S)
            self._called.clear()
            shard = self._shard
            if shard is None:
                time.sleep(REOPEN_S)
                if not self._stopping:
                    self._try_open()
                    self._call(self._tell, None)
                continue
            self._commit(shard)
            if self._pause_s and not self._stopping:
                time.sleep(self._pause_s)

    def _commit(self, shard: LedgerShard) -> None:
        upto = shard.size
        started = time.perf_counter()
        try:
            shard.commit()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            failure = error if isinstance(error, OutsideError) else _broken(error)
            self._failure = self.last_failure = failure
            self._shard = None
            self._call(self._fail, shard, failure)
            with contextlib.suppress(BaluarteError):
                shard.close()
            self._called.set()
        else:
            self._look_at_room(shard)
            self._call(self._committed, shard, upto, time.perf_counter() - started)

    def _try_open(self) -> None:
        try:
            self._shard = self._open_shard()
            self._failure = None
            self._looked_s = 0.0
            self._look_at_room(self._shard)
        except BaluarteError as error:
            self._failure = self.last_failure = error

    def _look_at_room(self, shard: LedgerShard) -> None:
        now_s = time.monotonic()
        if self._looked_s and now_s - self._looked_s < ROOM_S:
            return
        self._looked_s = now_s
        try:
            room = shard.room()
        except OSError as error:
            LOG.error("the room that is left is not known: %s", error)  # noqa: TRY400 - likewise
            return
        self._has_room = room.next_is_reserved and room.free_bytes >= self._shed_below_bytes
        self._counts.room(room, accepts=self._has_room)

    def _call(self, function: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop has ended: nobody waits any more
            if not self._stopping and not self._loop.is_closed():
                raise

    # --- in the loop ------------------------------------------------------------------------

    def _committed(self, shard: LedgerShard, upto: int, seconds: float) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0] is shard and waiting[0][1] <= upto:
            waiting.popleft()[2](None)
        self._tell(seconds)

    def _fail(self, shard: LedgerShard, error: OutsideError) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0] is shard:
            waiting.popleft()[2](error)
        self._tell(None)

    def _tell(self, lag_s: float | None) -> None:
        self._counts.ledger(
            waiting=len(self._waiting), lag_s=lag_s, writable=self._shard is not None
        )
        if self.on_turn is not None:
            self.on_turn()


def _broken(error: Exception) -> OutsideError:
    LOG.error("the ledger's writer failed", exc_info=error)
    return OutsideError("the ledger failed", hint="The server's log says why.")
