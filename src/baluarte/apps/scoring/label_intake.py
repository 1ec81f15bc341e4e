"""Labels over HTTP: recorded in the ledger as an act, then kept in the registry; all rows or none.

The same rules as for a file of labels (:mod:`baluarte.core.label_rows`).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

import msgspec

from baluarte.apps.scoring.champions import Champion
from baluarte.apps.scoring.plane import Plane, invalid, no_room
from baluarte.apps.scoring.problem import Refusal
from baluarte.core.decision import ActRecord
from baluarte.core.event_faults import Faults
from baluarte.core.event_rows import RowReader, place_of
from baluarte.core.label_rows import LABEL_SCHEMA, expected_labels, label_of, label_row
from baluarte.core.registry import LabelRow
from baluarte.errors import BaluarteError, DataError, OutsideError
from baluarte.ports import Clock, Registry

SOURCE = "api"  #: of a label that doesn't say who gave it


class LabelsTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery of labels changed.

    Attributes:
        new: events that had no label.
        same: rows that said nothing new.
        corrections: rows by which a source changed its mind.
        conflicts: rows that contradict another source; both are kept.
    """

    new: int
    same: int
    corrections: int
    conflicts: int


class LabelIntake:
    """Takes labels for the detectors of a plane."""

    def __init__(
        self, plane: Plane, *, registry: Registry, clock: Clock, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._plane = plane
        self._registry = registry
        self._clock = clock
        self._loop = loop
        self._reader = RowReader(LABEL_SCHEMA)

    async def take(self, detector: str, rows: Sequence[dict[str, Any]]) -> LabelsTaken:
        """Record the delivery, then keep its rows.

        Raises:
            Refusal: faults in the rows, no champion, no room to record, or the registry is away.
        """
        labels = self._read(self._plane.champion(detector), rows)
        await self._record(detector, labels)
        keep = functools.partial(self._registry.add_labels, detector, labels)
        try:
            taken = await self._loop.run_in_executor(None, keep)
        except BaluarteError:
            raise Refusal("labels_not_kept", "send them again", retry_after_s=1) from None
        changed = taken.new + taken.corrections + taken.conflicts
        return LabelsTaken(
            new=taken.new,
            same=max(0, len(labels) - changed),
            corrections=taken.corrections,
            conflicts=taken.conflicts,
        )

    def _read(self, champion: Champion, rows: Sequence[dict[str, Any]]) -> list[LabelRow]:
        contract, pseudonyms = champion.scorer.contract, champion.pseudonyms
        faults = Faults(place_of("$"))
        now = self._clock.now_us()
        found: list[LabelRow] = []
        for i, values in enumerate(self._reader.read_records(rows, faults)):
            said = values.get("label")
            label = label_of(str(said), contract) if said is not None else None
            if label is not None and values.get("event_id") is not None:
                if pseudonyms is not None:
                    values["event_id"] = pseudonyms.event_id(str(values["event_id"]))
                found.append(label_row(values, label, source=SOURCE, taken_at=now))
            elif said is not None and label is None:
                faults.add(i, "label", f"expected {expected_labels(contract)}; found {said!r}")
        try:
            faults.raise_any()
        except DataError as error:
            raise invalid(error) from None
        return found

    async def _record(self, detector: str, labels: Sequence[LabelRow]) -> None:
        sources = sorted({row.source for row in labels})
        act = ActRecord(
            at=self._clock.now_us(),
            act="label",
            actor=SOURCE,
            detector=detector,
            details={"rows": len(labels), "source": ", ".join(sources)[:200]},
        )
        durable: asyncio.Future[None] = self._loop.create_future()

        def done(failure: OutsideError | None) -> None:
            if durable.done():
                return
            if failure is None:
                durable.set_result(None)
            else:
                durable.set_exception(failure)

        try:
            self._plane.recorder.append([msgspec.json.encode(act)], done)
            await durable
        except OutsideError:
            raise no_room() from None
