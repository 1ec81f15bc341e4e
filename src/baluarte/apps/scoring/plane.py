"""The data plane without its HTTP: what is waiting is decided, recorded and answered together.

Nothing waits in order to be batched: a batch is whatever has come when the loop turns.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from baluarte.adapters.system import lone_name
from baluarte.apps.scoring.answer import Answer, answer
from baluarte.apps.scoring.champions import Champion, Champions
from baluarte.apps.scoring.counts import Counts
from baluarte.apps.scoring.gaps import Gaps
from baluarte.apps.scoring.people import People
from baluarte.apps.scoring.problem import ProblemFault, Refusal
from baluarte.apps.scoring.recorder import Recorder
from baluarte.apps.scoring.repeats import Again, EventKeys, Repeats
from baluarte.apps.scoring.settings import Limits
from baluarte.apps.windowed import Windowed
from baluarte.core.decision import Decision
from baluarte.core.event import Values
from baluarte.core.ids import format_ids
from baluarte.errors import BaluarteError, DataError, OutsideError
from baluarte.ports import Clock, LedgerShard
from baluarte.stages.score import Decisions, Identity, Reasons, Scorer

LOG = logging.getLogger("baluarte.scoring")
GROUP_ROWS = 256  #: rows of different requests that are decided and recorded together


class _Request:
    """One request's events, from its arrival to its answer."""

    __slots__ = ("answers", "champion", "future", "identities", "keys", "reasons", "rows")

    def __init__(
        self,
        champion: Champion,
        rows: list[Values],
        identities: list[Identity],
        reasons: Reasons,
        *,
        keys: EventKeys,
        future: asyncio.Future[list[Answer]],
    ) -> None:
        self.keys = keys
        self.champion = champion
        self.rows = rows
        self.identities = identities
        self.reasons = reasons
        self.future = future
        self.answers: list[Answer] = []

    def settle(self, failure: BaseException | None) -> None:
        """Answer the caller; one that has gone away is not told."""
        if self.future.done():
            return
        if failure is None:
            self.future.set_result(self.answers)
        else:
            self.future.set_exception(failure)


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
        self._waiting: list[_Request] = []
        self._n_rows = 0  # accepted and not yet answered
        #: told of each batch whose records are queued
        self.on_decided: Callable[[str, Sequence[Values], Sequence[Identity]], None] | None = None

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
        self._require_room(len(rows))
        opener = champion.opener
        try:
            if opener is not None:
                opener.rows(rows)
            records = champion.reader.records(rows, where="$")
        except DataError as error:
            raise invalid(error if opener is None else opener.silenced(error)) from None
        return await self.decide_records(champion, records, reasons)

    async def decide_records(
        self, champion: Champion, records: list[Values], reasons: Reasons
    ) -> list[Answer]:
        """Decide rows that were read already; as :meth:`decide`."""
        self._require_room(len(records))
        if champion.pseudonyms is not None:
            champion.pseudonyms.records(records)
        repeats, keys = self._repeats, self._keys(champion, records)
        if repeats is None:
            return await self._decide_new(champion, records, reasons, keys)
        try:
            return await self._decide_new(champion, records, reasons, keys)
        except Again:

            def decide(rows: list[int]) -> Awaitable[list[Answer]]:
                some = [records[row] for row in rows]
                mine = repeats.keys(champion, some)
                return self._decide_new(champion, some, reasons, mine, ordinals=rows)

            return await repeats.answers(champion, records, keys, reasons, decide)

    def _keys(self, champion: Champion, records: list[Values]) -> EventKeys:
        """What the events are claimed by; nothing where no claim is kept."""
        if self._repeats is not None:
            try:
                return self._repeats.keys(champion, records)
            except OutsideError:
                if self.gaps is None:
                    raise no_room() from None
        return [], [len(records)]

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
        identify = champion.scorer.identify_all
        identities = (
            identify(records, first_ordinal=0, arrival_us=now, subjects=subjects, keys=of_people)
            if ordinals is None
            else [
                identify(
                    [records[i]],
                    first_ordinal=ordinal,
                    arrival_us=now,
                    subjects=None if subjects is None else [subjects[i]],
                    keys=None if of_people is None else [of_people[i]],
                )[0]
                for i, ordinal in enumerate(ordinals)
            ]
        )
        future: asyncio.Future[list[Answer]] = self._loop.create_future()
        request = _Request(champion, records, identities, reasons, keys=keys, future=future)
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(request)
        self._n_rows += len(records)
        try:
            return await future
        finally:
            self._n_rows -= len(records)

    def _require_room(self, n_rows: int) -> None:
        """Return if so many rows can be decided and recorded.

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
        batches: dict[int, list[_Request]] = {}
        for request in waiting:
            batches.setdefault(id(request.champion), []).append(request)
        for batch in (group for each in batches.values() for group in _groups(each)):
            try:
                self._decide(batch)
            except BaluarteError as error:
                refusal = no_room() if isinstance(error, OutsideError) else None
                _settle(batch, refusal or error)
            except Exception as error:  # noqa: BLE001 - each caller gets it, and the door logs it
                _settle(batch, error)

    def _decide(self, batch: list[_Request]) -> None:
        """Decide the events of a batch that nobody has decided yet, and queue their records."""
        repeats, shard = self._repeats, self.recorder.shard if self.recorder.accepts else None
        if repeats is None or not any(request.keys[0] for request in batch):
            self._decide_claimed(batch, shard)
            return
        reserved = batch[0].champion.windows is not None
        if shard is None:
            if reserved:
                repeats.give_back(_keys_of(batch))
            self._decide_claimed(batch, shard)
            return
        keys = [request.keys for request in batch]
        taken = repeats.take(shard, keys, reserved=reserved)
        for request, is_new in zip(batch, taken, strict=True):
            if not is_new:
                request.settle(Again())
        new = [request for request, is_new in zip(batch, taken, strict=True) if is_new]
        if not new:
            return
        try:
            self._decide_claimed(new, shard)
        except BaseException:
            repeats.give_back(_keys_of(new))
            raise

    def _decide_claimed(self, batch: list[_Request], shard: LedgerShard | None) -> None:
        scorer = batch[0].champion.scorer
        one = len(batch) == 1
        rows = batch[0].rows if one else [row for request in batch for row in request.rows]
        identities = (
            batch[0].identities
            if one
            else [identity for request in batch for identity in request.identities]
        )
        late = self._n_rows > self._limits.reasons_above
        decisions = scorer.decide_records(rows, reasons="none" if late else _mask(batch))
        due = _due(batch, decisions.bands.tolist()) if late else [False] * len(rows)
        now = self._clock.now_us()
        undone = _Undone(scorer, decisions, identities, due)
        if shard is None:
            self._answer_in_gap(batch, undone)
            return
        ids = format_ids(now // 1000, shard.tag, shard.size, len(rows))
        decided, records = undone.with_ids(ids, now)
        _answer(batch, decided, due)

        def done(failure: OutsideError | None) -> None:
            if failure is not None:
                self._answer_in_gap(batch, undone)
                return
            self._counts.decided(scorer.detector, scorer.version, decided)
            if late:
                self._counts.deferred(scorer.detector, sum(due))
            _settle(batch, None)

        gaps = self.gaps
        lost = None if gaps is None else functools.partial(gaps.add, scorer, records, now)
        self.recorder.append(records, done, lost=lost)
        if self.on_decided is not None:
            self.on_decided(scorer.detector, rows, identities)

    def _answer_in_gap(self, batch: list[_Request], undone: _Undone) -> None:
        """The ledger is away: answer and count what can't be recorded, or refuse."""
        if self.gaps is None:
            _settle(batch, no_room())
            return
        now = self._clock.now_us()
        ids = self.gaps.ids(now, undone.decisions.n)
        decided, records = undone.with_ids(ids, now)
        self.gaps.add(undone.scorer, records, now)
        _answer(batch, decided, undone.due)
        _settle(batch, None)


@dataclass(frozen=True, slots=True)
class _Undone:
    """Scored events whose ids and records are not made yet."""

    scorer: Scorer
    decisions: Decisions
    identities: list[Identity]
    due: list[bool]

    def with_ids(self, ids: list[str], now: int) -> tuple[list[Decision], list[bytes]]:
        """The decisions and their records."""
        decided = self.scorer.answers(self.decisions, self.identities, ids)
        return decided, self.scorer.records(
            self.decisions, decided, self.identities, decided_at=now, deferred=self.due
        )


def _groups(batch: list[_Request]) -> Iterator[list[_Request]]:
    """Requests to decide together: while the disk works on some, the next are decided."""
    group: list[_Request] = []
    n = 0
    for request in batch:
        if group and n + len(request.rows) > GROUP_ROWS:
            yield group
            group, n = [], 0
        group.append(request)
        n += len(request.rows)
    yield group


def _answer(batch: list[_Request], decided: list[Decision], due: list[bool]) -> None:
    """Give each request the answers to its rows."""
    start = 0
    for request in batch:
        fields = request.champion.scorer.fields
        say = None if request.reasons == "none" else request.champion.say
        end = start + len(request.rows)
        request.answers = [
            answer(decision, values, fields, say, deferred=deferred)
            for decision, values, deferred in zip(
                decided[start:end], request.rows, due[start:end], strict=True
            )
        ]
        start = end


def _keys_of(batch: list[_Request]) -> list[bytes]:
    return [key for request in batch for key in request.keys[0]]


def _settle(batch: list[_Request], failure: BaseException | None) -> None:
    for request in batch:
        request.settle(failure)


def _mask(batch: list[_Request]) -> Reasons | np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows to explain; where requests differ a mask asks for more than the alerts."""
    wishes = {request.reasons for request in batch}
    if len(wishes) == 1:
        return wishes.pop()
    sizes = [len(request.rows) for request in batch]
    return np.repeat([request.reasons == "all" for request in batch], sizes)


def _due(batch: list[_Request], bands: list[int]) -> list[bool]:
    """Whether each row's request would have had its reasons."""
    wishes = [request.reasons for request in batch for _ in request.rows]
    return [
        wish == "all" or (wish == "alerts" and band > 0)
        for wish, band in zip(wishes, bands, strict=True)
    ]


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
