"""Challengers at work: they score what was decided, after it was, and decide nothing.

What a batch decided is handed over; a task of the loop scores it by each challenger when no request
waits, and records what it says under the role ``challenger``. Under load that comes later, and
beyond a bound it is left out and counted: no request ever waits for a challenger.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from baluarte.apps.scoring.challengers import Challenger, Challengers
from baluarte.apps.scoring.counts import Counts
from baluarte.apps.scoring.recorder import Recorder
from baluarte.core.event import Values
from baluarte.core.ids import format_ids
from baluarte.errors import BaluarteError
from baluarte.ports import Clock
from baluarte.stages.score import Identity

LOG = logging.getLogger("baluarte.scoring")
MOST_ROWS = 20_000  #: that wait for their challengers
PART_ROWS = 64  #: scored in one turn of the loop, so that a request waits for no more than those
YIELD_S = 0.002  #: while requests wait


class _Decided(NamedTuple):
    detector: str
    rows: Sequence[Values]
    identities: Sequence[Identity]
    at: int  #: when it was decided, microseconds of UTC


class Shadows:
    """Scores by challengers what a plane decided.

    Args:
        is_busy: whether requests wait for the loop.
    """

    def __init__(
        self,
        *,
        challengers: Challengers,
        recorder: Recorder,
        clock: Clock,
        counts: Counts,
        loop: asyncio.AbstractEventLoop,
        is_busy: Callable[[], bool],
    ) -> None:
        self._challengers, self._recorder = challengers, recorder
        self._clock, self._counts, self._loop = clock, counts, loop
        self._is_busy = is_busy
        self._waiting: deque[_Decided] = deque()
        self._n_rows = 0
        self._task: asyncio.Task[None] | None = None

    def watches(self, detector: str) -> bool:
        """Whether somebody shadows it."""
        return detector in self._challengers.current

    def offer(self, detector: str, rows: Sequence[Values], identities: Sequence[Identity]) -> None:
        """These were decided just now; whoever shadows the detector scores them later."""
        if not self.watches(detector):
            return
        if self._n_rows + len(rows) > MOST_ROWS:
            self._counts.shadow_shed(detector, len(rows))
            return
        self._waiting.append(_Decided(detector, rows, identities, self._clock.now_us()))
        self._n_rows += len(rows)
        if self._task is None:
            self._task = self._loop.create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting:
                if self._is_busy():
                    await asyncio.sleep(YIELD_S)
                    continue
                decided = self._waiting.popleft()
                self._n_rows -= len(decided.rows)
                for start in range(0, len(decided.rows), PART_ROWS):
                    await self._score(
                        decided._replace(
                            rows=decided.rows[start : start + PART_ROWS],
                            identities=decided.identities[start : start + PART_ROWS],
                        )
                    )
                    await asyncio.sleep(0)
        finally:
            self._task = None

    async def _score(self, decided: _Decided) -> None:
        for challenger in self._challengers.current.get(decided.detector, ()):
            try:
                await self._score_by(challenger, decided)
            except BaluarteError as error:
                self._left_out(challenger, decided, error)
            except Exception:  # a challenger's failure is no request's
                LOG.exception("%s@%s failed", decided.detector, challenger.version.version)
                self._counts.shadow_shed(decided.detector, len(decided.rows))

    async def _score_by(self, challenger: Challenger, decided: _Decided) -> None:
        scorer = challenger.scorer
        rows = [challenger.read(row) for row in decided.rows]
        if challenger.windows is not None:
            see = functools.partial(challenger.windows.see, rows, arrived_at=decided.at)
            if challenger.windows.state.shared:
                await self._loop.run_in_executor(None, see)
            else:
                see()
        identities = decided.identities
        if not challenger.reads_alike or scorer.personal is not None:
            identities = [
                self._identified(challenger, row, identity)
                for row, identity in zip(rows, identities, strict=True)
            ]
        found = scorer.decide_records(rows, reasons="none")
        shard = self._recorder.shard if self._recorder.accepts else None
        if shard is None:
            self._counts.shadow_shed(decided.detector, len(rows))
            return
        now = self._clock.now_us()
        ids = format_ids(now // 1000, shard.tag, shard.size, len(rows))
        records = scorer.records(found, ids, identities, decided_at=now, role="challenger")
        self._recorder.append(records, lambda _: None)
        self._counts.shadowed(scorer.detector, scorer.version, len(rows))

    def _identified(self, challenger: Challenger, row: Values, champions: Identity) -> Identity:
        """The event as the challenger read it, known by the id that the champion knows it by."""
        mine = challenger.scorer.identify(
            row, ordinal=0, arrival_us=champions.event_at, key=champions.key
        )
        return msgspec.structs.replace(mine, event_id=champions.event_id)

    def _left_out(self, challenger: Challenger, decided: _Decided, error: BaluarteError) -> None:
        version = challenger.version
        LOG.error("%s@%s left events out: %s", version.detector, version.version, error)
        self._counts.shadow_shed(decided.detector, len(decided.rows))
