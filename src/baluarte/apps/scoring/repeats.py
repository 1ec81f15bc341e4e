"""An event that was decided lately gets its first decision, from the record of it.

Which events those are is in the claims of the ledger (:mod:`baluarte.adapters.ledger.claims`),
which all workers share. An event is known by its own id within its tenant and detector; one without
an id is never a repeat, since two payments that look alike may be two payments. The same id with
other values is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import msgspec
import numpy as np

from baluarte.adapters.ledger.claims import Claim, Claims
from baluarte.apps.scoring.answer import Answer, answer
from baluarte.apps.scoring.champions import Champion, Champions
from baluarte.apps.scoring.counts import Counts
from baluarte.apps.scoring.problem import ProblemFault, Refusal
from baluarte.core.decision import Decision, DecisionRecord
from baluarte.core.event import Value, Values
from baluarte.core.schema import Schema
from baluarte.errors import BaluarteError, OutsideError
from baluarte.ports import Clock, LedgerShard
from baluarte.stages.score import Reasons
from baluarte.stages.unseal import Unsealer

LOG = logging.getLogger("baluarte.scoring")
WAIT_S = 20.0  #: for the first decision, while another request makes it or a shard is recovered
PAUSE_S = 0.004  #: between two looks whether it is there
_SORTED = msgspec.json.Encoder(order="sorted")
_decode = msgspec.json.Decoder(DecisionRecord).decode

Decide = Callable[[list[int]], Awaitable[list[Answer]]]  #: the rows of these numbers, all or none
EventKeys = tuple[list[bytes], list[int]]
"""Of a request: keys of the events that have an id; their rows, and after them how many rows."""
_ONE_ROW = [0, 1]
Kept = tuple[DecisionRecord, Champion]  #: a first decision, and the version that made it


class Again(Exception):  # noqa: N818 - it turns a request onto another road
    """Some event of a request was decided, or is being decided, already; nothing was claimed."""


class Repeats:
    """Answers requests with events that were claimed before.

    Args:
        open_claims: opens the table of the ledger.
        unsealer: opens what is personal in records; called where there is something.
    """

    def __init__(
        self,
        open_claims: Callable[[], Claims],
        *,
        champions: Champions,
        unsealer: Callable[[], Unsealer],
        clock: Clock,
        counts: Counts,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._open_claims = open_claims
        self._claims: Claims | None = None
        with contextlib.suppress(OutsideError):  # the ledger is away; the first event asks again
            self._claims = open_claims()
        self._champions, self._unsealer = champions, unsealer
        self._clock, self._counts, self._loop = clock, counts, loop
        self._held: LedgerShard | None = None
        self._early = 0

    @property
    def claims(self) -> Claims:
        """The table; opened where it isn't.

        Raises:
            OutsideError: the ledger is away.
        """
        if self._claims is None:
            self._claims = self._open_claims()
        return self._claims

    def sync(self) -> None:
        """Make what is known durable; from any thread.

        Raises:
            OutsideError: the disk fails.
        """
        if self._claims is not None:
            self._claims.sync()

    def close(self) -> None:
        """Let go of the table."""
        if self._claims is not None:
            self._claims.close()

    def keys(self, champion: Champion, own: Sequence[Sequence[Value | None]]) -> list[EventKeys]:
        """What stands for the events of each request that have an id of their own.

        Args:
            own: those ids; None for an event that has none.

        Raises:
            OutsideError: the ledger is away.
        """
        some = [str(one) for ids in own for one in ids if one is not None]
        keys = iter(self.claims.keys(champion.scorer.detector, some) if some else [])
        return [
            (
                [next(keys) for one in ids if one is not None],
                [*(i for i, one in enumerate(ids) if one is not None), len(ids)],
            )
            for ids in own
        ]

    def keys_of_each(self, champion: Champion, ids: Sequence[Value | None]) -> list[EventKeys]:
        """As :meth:`keys`, of requests that have one event each.

        Raises:
            OutsideError: the ledger is away.
        """
        if None in ids:
            return self.keys(champion, [[one] for one in ids])
        keys = self.claims.keys(champion.scorer.detector, [str(one) for one in ids])
        return [([key], _ONE_ROW) for key in keys]

    def reserve(self, shard: LedgerShard, keys: Sequence[bytes]) -> bool:
        """Claim events whose places are not known yet; False where one was claimed before."""
        self._hold(shard)
        return self.claims.reserve(keys, now_s=self._now_s())

    def take(
        self, shard: LedgerShard, requests: Sequence[EventKeys], *, reserved: bool
    ) -> list[bool]:
        """Claim the events of requests for the next places of the shard.

        Args:
            reserved: they are this process's already, and get their places now.

        Returns:
            Which requests have all their events; the others have none of them.
        """
        self._hold(shard)
        first = shard.size
        if not reserved:
            taken = self.claims.take(list(requests), first=first, now_s=self._now_s())
            self._count_early()
            return taken
        keys, indexes = [], []
        for mine, rows in requests:
            keys += mine
            indexes += [first + row for row in rows[: len(mine)]]
            first += rows[-1]
        self.claims.place(keys, indexes, now_s=self._now_s())
        return [True] * len(requests)

    def give_back(self, keys: Sequence[bytes]) -> None:
        """Nothing was decided or nothing can be recorded: the claims of this process end."""
        with contextlib.suppress(OutsideError):  # then they are void as soon as the shard is gone
            self.claims.give_back(keys)

    def _hold(self, shard: LedgerShard) -> None:
        if shard is not self._held:
            self.claims.hold(shard.tag)
            self._held = shard

    def _now_s(self) -> int:
        return self._clock.now_us() // 1_000_000

    def _count_early(self) -> None:
        early = self.claims.early
        if early != self._early:
            self._counts.forgotten(early - self._early)
            self._early = early

    async def answers(
        self,
        champion: Champion,
        rows: Sequence[Values],
        keys: EventKeys,
        reasons: Reasons,
        decide: Decide,
    ) -> list[Answer]:
        """First decisions for the events that have one, and new ones for the others.

        Args:
            rows: canonical, without what windows derive.
            keys: as :meth:`keys` gave them.
            decide: raises :class:`Again` where some row of them was claimed meanwhile.

        Raises:
            Refusal: an id was used for another event; the first decision is not there in time.
        """
        first = _first_of_each(rows, keys, champion.scorer.id_field or "")
        until = self._loop.time() + WAIT_S
        while True:
            looked = self.claims.look(keys[0], now_s=self._now_s())
            claims = {
                row: claim
                for row, claim in zip(keys[1], looked, strict=False)
                if claim is not None and first.get(row, row) == row
            }
            away = False
            try:
                kept = await self._loop.run_in_executor(None, self._kept, champion, rows, claims)
                # Here, not in the thread: the lock of the table is the process's.
                self.claims.forget([claims[row] for row in claims if row not in kept])
            except BaluarteError as error:  # perhaps a shard is being recovered at this moment
                LOG.warning("a first decision can't be read: %s", error)
                away, kept = True, {}
            if not away and "pending" not in kept.values():
                known = {row: one for row, one in kept.items() if isinstance(one, tuple)}
                new = [i for i in range(len(rows)) if i not in known and first.get(i, i) == i]
                try:
                    made = dict(zip(new, await decide(new) if new else [], strict=True))
                except Again:
                    pass
                else:
                    told = made | await self._loop.run_in_executor(None, _told, known, reasons)
                    self._counts.repeated(champion.scorer.detector, len(rows) - len(new))
                    return [told[first.get(i, i)] for i in range(len(rows))]
            if self._loop.time() > until:
                code = "first_away" if away else "still_deciding"
                raise Refusal(code, "try again", retry_after_s=1)
            await asyncio.sleep(PAUSE_S)

    # --- in a thread ------------------------------------------------------------------------

    def _kept(
        self, champion: Champion, rows: Sequence[Values], claims: dict[int, Claim]
    ) -> dict[int, Kept | Literal["pending"]]:
        """The first decision of each row that has one; the claims of the others are void.

        Raises:
            Refusal: 409 where an event is another one.
            BaluarteError: the ledger or a version can't be read now.
        """
        field, detector = champion.scorer.id_field or "", champion.scorer.detector
        event_ids = [str(rows[row][field]) for row in claims]
        records = self.claims.records(list(claims.values()), event_ids, detector=detector)
        kept: dict[int, Kept | Literal["pending"]] = {}
        taken = []
        for row, record in zip(claims, records, strict=True):
            if record == "pending":
                kept[row] = "pending"
            elif isinstance(record, bytes):
                opened = self._opened(record)
                by = self._champions.that_decided(opened)
                if _is_same(rows[row], champion, opened, by):
                    kept[row] = (opened, by)
                else:
                    taken.append(row)
        if taken:
            raise _taken(taken, field)
        return kept

    def _opened(self, record: bytes) -> DecisionRecord:
        read = _decode(record)
        return self._unsealer().one(read) if read.is_sealed else read


def own_ids(champion: Champion, requests: Sequence[Sequence[Values]]) -> list[list[Value | None]]:
    """The own ids of each request's events."""
    name = champion.scorer.id_field
    return [[values.get(name) if name else None for values in rows] for rows in requests]


def _first_of_each(rows: Sequence[Values], keys: EventKeys, field: str) -> dict[int, int]:
    """Of each row that has an id, the first row of the request with the same.

    Raises:
        Refusal: two rows have one id and other values.
    """
    by_key: dict[bytes, int] = {}
    first: dict[int, int] = {}
    for key, row in zip(*keys, strict=False):
        first[row] = by_key.setdefault(key, row)
    taken = [row for row, one in first.items() if row != one and rows[row] != rows[one]]
    if taken:
        raise _taken(taken, field)
    return first


def _is_same(values: Values, champion: Champion, record: DecisionRecord, by: Champion) -> bool:
    """Whether an event is the recorded one, as far as both versions read it alike.

    Of a person who was erased nothing can be compared: then it isn't.
    """
    if record.is_sealed:
        return False
    new, old = champion.scorer.contract.events, by.scorer.contract.events
    names = None if new == old else [f.name for f in new.fields if _reads_alike(f.name, new, old)]
    return _given(values, new, names) == _given(record.event, old, names)


def _given(values: Values, schema: Schema, names: Sequence[str] | None) -> bytes:
    """The values that came with an event, as their JSON."""
    wanted = schema.given_names if names is None else names
    return _SORTED.encode({name: values[name] for name in wanted if values.get(name) is not None})


def _reads_alike(name: str, new: Schema, old: Schema) -> bool:
    if name not in new.given_names or name not in old.given_names:
        return False
    return (new[name].type, new[name].role) == (old[name].type, old[name].role)


def _taken(rows: Sequence[int], field: str) -> Refusal:
    return Refusal(
        "event_id_taken",
        "send an event again as it was, or give another event an id of its own",
        faults=[
            ProblemFault(path=f"$[{row}].{field}", message="stands for another event")
            for row in rows
        ],
    )


def _told(known: dict[int, Kept], reasons: Reasons) -> dict[int, Answer]:
    """The answers of first decisions, each by the version that made it."""
    return {row: _answer(record, by, reasons) for row, (record, by) in known.items()}


def _answer(record: DecisionRecord, by: Champion, reasons: Reasons) -> Answer:
    wanted = reasons == "all" or (reasons == "alerts" and record.band > 0)
    late = record.reasons_deferred is True
    base, phi = record.base, record.reasons
    if wanted and phi is None and not late:  # nobody asked for them then: the same bits now
        X = np.array([[np.nan if v is None else v for v in record.features]], dtype=np.float64)
        base, of_rows = by.scorer.explain(X)
        phi = tuple(of_rows[0].tolist())
    _, _, probability = by.scorer.bands.decide_one(record.score)
    decision = Decision(
        id=record.id,
        event_id=record.event_id,
        detector=record.detector,
        version=record.version,
        score=record.score,
        points=record.points,
        probability=probability,
        band=record.band,
        outcome=record.outcome,
        base=base if wanted else None,
        reasons=phi if wanted else None,
    )
    say = by.say if wanted else None
    return answer(decision, record.event, by.scorer.fields, say, deferred=late and wanted)
