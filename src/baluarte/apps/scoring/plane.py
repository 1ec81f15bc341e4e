"""The data plane without its HTTP: what is waiting is decided, recorded and answered together.

Nothing waits in order to be batched: a batch is whatever has come when the loop turns.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from baluarte.adapters.system import lone_name
from baluarte.apps.scoring.answer import Answer
from baluarte.apps.scoring.champions import Champion, Champions
from baluarte.apps.scoring.counts import Counts
from baluarte.apps.scoring.gaps import Gaps
from baluarte.apps.scoring.people import People
from baluarte.apps.scoring.problem import ProblemFault, Refusal
from baluarte.apps.scoring.recorder import Recorder
from baluarte.apps.scoring.repeats import Again, EventKeys, Repeats, own_ids
from baluarte.apps.scoring.requests import (
    Awaited,
    Batch,
    Request,
    answer_all,
    answer_plain,
    due_of,
    groups,
    settle,
    wishes,
)
from baluarte.apps.scoring.settings import Limits
from baluarte.apps.windowed import Windowed
from baluarte.core.decision import Decision
from baluarte.core.event import Value, Values
from baluarte.core.ids import format_ids
from baluarte.core.leaves import Records
from baluarte.core.plain_rows import PlainRows
from baluarte.errors import DataError, OutsideError
from baluarte.ports import Clock, LedgerShard
from baluarte.stages.score import Decisions, Identity, Reasons, Scorer

LOG = logging.getLogger("baluarte.scoring")
Told = Callable[[list[Answer] | BaseException], None]  #: of answers, or of why there are none


class Plane:
    """Decides requests by the champions and records every decision.

    Args:
        gaps: where decisions are marked that can't be recorded; without it none is made.
        repeats: gives events that were decided lately their first decision; None knows of none.
    """

    def __init__(
        self,
        *,
        champions: Champions,
        recorder: Recorder,
        clock: Clock,
        limits: Limits,
        counts: Counts,
        loop: asyncio.AbstractEventLoop,
        people: People,
        gaps: Gaps | None = None,
        repeats: Repeats | None = None,
    ) -> None:
        self.champions = champions
        self._repeats = repeats
        self._people = people
        self.recorder = recorder
        self.gaps = gaps
        self._clock = clock
        self._limits = limits
        self._counts = counts
        self._loop = loop
        self._waiting: list[Awaited] = []
        self._tasks: set[asyncio.Task[list[Answer]]] = set()  # of events that were decided before
        self._n_rows = 0  # accepted and not yet answered
        #: told of each batch whose records are queued
        self.on_decided: Callable[[str, Sequence[Values], Sequence[Identity]], None] | None = None
        self.is_watched: Callable[[str], bool] = lambda _: True  #: whether it is told of a detector

    def champion(self, detector: str) -> Champion:
        """The version that decides.

        Raises:
            Refusal: there is no such detector, or none that decides.
        """
        found = self.champions.current.get(detector)
        if found is not None:
            return found
        if detector in self.champions.names:
            raise Refusal(
                "no_champion", "promote a version, or see the server's log", retry_after_s=1
            )
        raise Refusal("not_found", "there is no such detector")

    async def decide(
        self, detector: str, rows: Sequence[dict[str, Any]], reasons: Reasons
    ) -> list[Answer]:
        """Decide the rows of a request and return when they are recorded.

        Raises:
            Refusal: faults in the rows, no champion, no room to record, or too much is waiting.
        """
        champion = self.champion(detector)
        self.require_room(len(rows))
        return await self.decide_records(champion, self.read(champion, rows), reasons)

    def read(self, champion: Champion, rows: Sequence[dict[str, Any]]) -> list[Values]:
        """Rows in record form.

        Raises:
            Refusal: faults in the rows.
        """
        opener = champion.opener
        try:
            if opener is not None:
                opener.rows(rows)
            return champion.reader.records(rows, where="$")
        except DataError as error:
            raise invalid(error if opener is None else opener.silenced(error)) from None

    async def decide_records(
        self, champion: Champion, records: list[Values], reasons: Reasons
    ) -> list[Answer]:
        """Decide rows that were read already; as :meth:`decide`."""
        self.require_room(len(records))
        if champion.pseudonyms is not None:
            champion.pseudonyms.records(records)
        (keys,) = self._keys(champion, own_ids(champion, [records]))
        try:
            return await self._decide_new(champion, records, reasons, keys)
        except Again:
            return await self._first_decisions(champion, records, keys, reasons)

    async def _first_decisions(
        self, champion: Champion, records: Sequence[Values], keys: EventKeys, reasons: Reasons
    ) -> list[Answer]:
        """Of events that were decided before the first decisions; of the others new ones."""
        repeats = self._repeats
        if repeats is None:
            raise RuntimeError("an event can't be a repeat where no claim is kept")

        def decide(rows: list[int]) -> Awaitable[list[Answer]]:
            some = [records[row] for row in rows]
            (mine,) = repeats.keys(champion, own_ids(champion, [some]))
            return self._decide_new(champion, some, reasons, mine, ordinals=rows)

        return await repeats.answers(champion, records, keys, reasons, decide)

    def waits_for_nothing(self, champion: Champion) -> bool:
        """Whether what is decided by it needs neither windows nor subjects' keys first."""
        return champion.windows is None and champion.scorer.personal is None

    def decide_now(
        self,
        champion: Champion,
        requests: Sequence[Request],
        plain: PlainRows | None = None,
    ) -> None:
        """Decide requests of a champion that waits for nothing; each is settled, now or later.

        Args:
            plain: the row of each, where each has one that is read already; at most a group.
        """
        for some in groups(requests):
            self._n_rows += sum([request.n_rows for request in some])
            try:
                if plain is None:
                    self._decide(self._identified(champion, some))
                else:
                    self._decide(self._identified_plain(champion, some, plain))
            except Exception as error:  # noqa: BLE001 - each caller gets it, and the door logs it
                _fail(some, error)

    def _identified(self, champion: Champion, requests: list[Request]) -> Batch:
        """Which events those of requests are, and what they are claimed by."""
        rows = [row for request in requests for row in request.rows]
        if champion.pseudonyms is not None:
            champion.pseudonyms.records(rows)
        identities = champion.scorer.identify_all(
            rows,
            ordinals=[i for request in requests for i in range(request.n_rows)],
            arrival_us=self._clock.now_us(),
        )
        own = own_ids(champion, [request.rows for request in requests])
        return Batch(requests, identities, self._keys(champion, own))

    def _identified_plain(
        self, champion: Champion, requests: list[Request], plain: PlainRows
    ) -> Batch:
        """As :meth:`_identified`, of requests that have one row each, which is read already."""
        identities = champion.scorer.identify_encoded(
            plain.events,
            ids=plain.ids,
            times=plain.times,
            ordinals=[0] * len(requests),
            arrival_us=self._clock.now_us(),
        )
        return Batch(requests, identities, self._keys_of_each(champion, plain.ids), plain)

    def given_back(self, requests: Sequence[Request]) -> None:
        """Requests of :meth:`decide_now` are settled."""
        self._n_rows -= sum([request.n_rows for request in requests])

    def decide_again(self, request: Request, told: Told) -> None:
        """Answer a request of :meth:`decide_now` some of whose events were decided before."""
        champion, rows = request.champion, request.rows
        task = self._loop.create_task(
            self._first_decisions(champion, rows, request.keys, request.reasons)
        )
        self._tasks.add(task)

        def done(task: asyncio.Task[list[Answer]]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                told(asyncio.CancelledError())
            else:
                told(task.exception() or task.result())

        task.add_done_callback(done)

    def _keys(self, champion: Champion, own: Sequence[Sequence[Value | None]]) -> list[EventKeys]:
        """What the events of requests are claimed by; nothing where no claim is kept.

        Args:
            own: ids of each request's events.
        """
        if self._repeats is not None:
            try:
                return self._repeats.keys(champion, own)
            except OutsideError:
                self._require_gaps()
        return [([], [len(ids)]) for ids in own]

    def _keys_of_each(self, champion: Champion, ids: Sequence[Value | None]) -> list[EventKeys]:
        """As :meth:`_keys`, of requests that have one event each."""
        if self._repeats is not None:
            try:
                return self._repeats.keys_of_each(champion, ids)
            except OutsideError:
                self._require_gaps()
        return [([], [1])] * len(ids)

    def _require_gaps(self) -> None:
        """Return if events may be decided while the ledger is away.

        Raises:
            Refusal: they may not.
        """
        if self.gaps is None:
            raise no_room() from None

    async def _decide_new(
        self,
        champion: Champion,
        records: list[Values],
        reasons: Reasons,
        keys: EventKeys,
        *,
        ordinals: Sequence[int] | None = None,
    ) -> list[Answer]:
        """Decide events that nobody has decided yet.

        Args:
            ordinals: of the events in their request, where these are only some of them.

        Raises:
            Again: one of them was claimed before; nothing was done.
        """
        subjects = champion.scorer.subjects(records, lone_name)
        # Before windows see the events: from there on nothing is waited for.
        of_people = None if subjects is None else await self._people.keys(subjects)
        now = self._clock.now_us()
        if champion.windows is not None:
            await self._reserve_and_derive(champion.windows, records, keys, now)
        identities = champion.scorer.identify_all(
            records,
            ordinals=range(len(records)) if ordinals is None else ordinals,
            arrival_us=now,
            subjects=subjects,
            keys=of_people,
        )
        future: asyncio.Future[list[Answer]] = self._loop.create_future()
        self._queue(
            Awaited(champion, reasons, len(records), records, identities, future, keys=keys)
        )
        try:
            return await future
        finally:
            self._n_rows -= len(records)

    def _queue(self, request: Awaited) -> None:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(request)
        self._n_rows += request.n_rows

    def require_room(self, n_rows: int) -> None:
        """Return if so many more rows can be decided and recorded.

        Raises:
            Refusal: they can't, or too much is waiting.
        """
        if self.gaps is None and not self.recorder.accepts:
            raise no_room() if self.recorder.shard is None else nearly_full()
        if self._n_rows + n_rows > self._limits.max_waiting_rows:
            raise Refusal("overloaded", "try again", retry_after_s=1)

    @property
    def is_deciding(self) -> bool:
        """Whether events that were seen wait for their decision."""
        return bool(self._waiting)

    async def _reserve_and_derive(
        self, windows: Windowed, records: list[Values], keys: EventKeys, now_us: int
    ) -> None:
        """Claim the events before windows see them: an event that is sent again is seen once."""
        repeats, shard = self._repeats, self.recorder.shard
        if repeats is None or shard is None or not keys[0]:
            await self._derive(windows, records, now_us)
            return
        if not repeats.reserve(shard, keys[0]):
            raise Again
        try:
            await self._derive(windows, records, now_us)
        except BaseException:
            repeats.claims.give_back(keys[0])
            raise

    async def _derive(self, windows: Windowed, records: list[Values], now_us: int) -> None:
        """Write the window features into the records; a shared state is asked in a thread.

        Raises:
            Refusal: the state is away.
        """
        try:
            if windows.state.shared:
                see = functools.partial(windows.see, records, arrived_at=now_us)
                await self._loop.run_in_executor(None, see)
            else:
                windows.see(records, arrived_at=now_us)
        except OutsideError as error:
            LOG.error("window state is away: %s", error)  # noqa: TRY400 - an answer, not a crash
            raise Refusal("state_away", "try again", retry_after_s=1) from None

    def _flush(self) -> None:
        """Decide all that is waiting, a batch a champion."""
        waiting, self._waiting = self._waiting, []
        of_champions: dict[int, list[Awaited]] = {}
        for request in waiting:
            of_champions.setdefault(id(request.champion), []).append(request)
        for some in (group for each in of_champions.values() for group in groups(each)):
            identities = [identity for request in some for identity in request.identities]
            try:
                self._decide(Batch(some, identities, [request.keys for request in some]))
            except Exception as error:  # noqa: BLE001 - each caller gets it, and the door logs it
                _fail(some, error)

    def _decide(self, batch: Batch) -> None:
        """Decide the events of a batch that nobody has decided yet, and queue their records."""
        repeats, shard = self._repeats, self.recorder.shard if self.recorder.accepts else None
        if repeats is None or not any(keys for keys, _ in batch.keys):
            self._decide_claimed(batch, shard)
            return
        reserved = batch.requests[0].champion.windows is not None
        if shard is None:
            if reserved:
                repeats.give_back(batch.claimed)
            self._decide_claimed(batch, shard)
            return
        taken = repeats.take(shard, batch.keys, reserved=reserved)
        if False in taken:
            for request, keys, is_new in zip(batch.requests, batch.keys, taken, strict=True):
                if not is_new:
                    request.keys = keys
                    request.settle(Again())
            if True not in taken:
                return
            batch = batch.those(taken)
        try:
            self._decide_claimed(batch, shard)
        except BaseException:
            repeats.give_back(batch.claimed)
            raise

    def _decide_claimed(self, batch: Batch, shard: LedgerShard | None) -> None:
        requests, identities, plain = batch.requests, batch.identities, batch.plain
        scorer = requests[0].champion.scorer
        late = self._n_rows > self._limits.reasons_above
        wish = "none" if late else wishes(requests)
        if plain is None:
            decisions = scorer.decide_records(batch.rows, reasons=wish)
        else:
            decisions = scorer.decide_encoded(plain.features, reasons=wish)
        bands = decisions.bands.tolist()
        due = due_of(requests, bands) if late else [False] * len(bands)
        now = self._clock.now_us()
        undone = _Undone(scorer, decisions, identities, due)
        if shard is None:
            self._answer_in_gap(requests, undone)
            return
        ids = format_ids(now // 1000, shard.tag, shard.size, len(bands))
        if plain is None or late:
            decided, records = undone.with_ids(ids, now)
            answer_all(requests, decided, due)
        else:
            records = scorer.records(decisions, ids, identities, decided_at=now, cells=plain.cells)
            answer_plain(requests, decisions, ids, identities)
        outcomes, points = [scorer.outcomes[band] for band in bands], decisions.points.tolist()

        def done(failure: OutsideError | None) -> None:
            if failure is not None:
                self._answer_in_gap(requests, undone)
                return
            self._counts.decided(scorer.detector, scorer.version, outcomes, points)
            if late:
                self._counts.deferred(scorer.detector, sum(due))
            settle(requests, None)

        tell = self.on_decided
        seen = batch.rows if tell is not None and self.is_watched(scorer.detector) else None
        gaps = self.gaps
        lost = None if gaps is None else functools.partial(gaps.add, scorer, records, now)
        self.recorder.append(records, done, lost=lost)
        if tell is not None and seen is not None:
            tell(scorer.detector, seen, identities)

    def _answer_in_gap(self, requests: Sequence[Request], undone: _Undone) -> None:
        """The ledger is away: answer and count what can't be recorded, or refuse."""
        if self.gaps is None:
            settle(requests, no_room())
            return
        now = self._clock.now_us()
        ids = self.gaps.ids(now, undone.decisions.n)
        decided, records = undone.with_ids(ids, now)
        self.gaps.add(undone.scorer, records, now)
        answer_all(requests, decided, undone.due)
        settle(requests, None)


class _Undone(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Scored events whose ids and records are not made yet."""

    scorer: Scorer
    decisions: Decisions
    identities: list[Identity]
    due: list[bool]

    def with_ids(self, ids: list[str], now: int) -> tuple[list[Decision], Records]:
        """The decisions and their records."""
        decided = self.scorer.answers(self.decisions, self.identities, ids)
        return decided, self.scorer.records(
            self.decisions, ids, self.identities, decided_at=now, deferred=self.due
        )


def _fail(requests: Sequence[Request], error: Exception) -> None:
    """Tell all who wait that there is no decision."""
    settle(requests, no_room() if isinstance(error, OutsideError) else error)


def no_room() -> Refusal:
    """Nothing can be recorded, so nothing is done."""
    return Refusal(
        "no_room_to_record",
        "a decision that can't be recorded is not made; the server's operator must act",
        retry_after_s=5,
    )


def nearly_full() -> Refusal:
    """What is left on the disk is kept for acts and checkpoints."""
    return Refusal(
        "nearly_full",
        "what room is left is kept for acts and checkpoints; the server's operator must act",
        retry_after_s=10,
    )


def invalid(error: DataError) -> Refusal:
    """Rows with faults, each with its path."""
    return Refusal(
        "invalid_event",
        faults=[
            ProblemFault(path=fault.where or "$", message=fault.message, hint=fault.hint or "")
            for fault in error.faults
        ],
    )
