"""The watch over one detector: where it stands is kept in the workspace between runs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from baluarte import wiring
from baluarte.adapters.disk import write_aside
from baluarte.apps.session import Session
from baluarte.core.contract import Contract
from baluarte.core.decision import ActRecord, DecisionRecord
from baluarte.core.drift import Alarm
from baluarte.core.registry import LabelRow
from baluarte.ports import DriftMonitor
from baluarte.stages.watch import Decided, Promise, Seen, Watching, promise, step


class Watch:
    """Follows one detector's decisions."""

    def __init__(self, session: Session, detector: str) -> None:
        self._session, self._detector = session, detector
        self._path = session.place.ledger.parent / "watch" / f"{detector}.json"
        self.watching = Watching()
        if self._path.exists():
            self.watching = msgspec.json.decode(self._path.read_bytes(), type=Watching)

    def step(self) -> Seen:
        """Take in what was decided since, record new alarms, remember where it stands."""
        seen = step(
            self.watching,
            self._session.reader,
            self._detector,
            self._open_monitor(),
            unsealer=self._session.unsealer,
        )
        self.watching = seen.watching
        for alarm in seen.alarms:
            self._record(alarm)
        self.keep()
        return seen

    def promise(self, contract: Contract, records: list[DecisionRecord] | None = None) -> Promise:
        """What the labels say of the version that decides; spends one look.

        Args:
            records: the decisions to judge (default: all of the bundle that is watched).
        """
        labels = self._session.registry.labels(self._detector)
        rows = (
            records
            if records is not None
            else [
                record
                for record in self._session.decisions(self._detector)
                if record.bundle == self.watching.bundle and record.role == "champion"
            ]
        )
        # By event: a retry has a record of its own and is no further event.
        decided = {row.event_id: _decided(contract, row, labels.get(row.event_id)) for row in rows}
        self.watching = msgspec.structs.replace(self.watching, looks=self.watching.looks + 1)
        self.keep()
        return promise(contract, list(decided.values()), look=self.watching.looks)

    def keep(self) -> None:
        """Remember where the watch stands."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_aside(self._path, msgspec.json.encode(self.watching))

    def _open_monitor(self) -> Callable[[str, bytes | None], DriftMonitor | None]:
        def open_monitor(digest: str, state: bytes | None) -> DriftMonitor | None:
            baseline = self._session.bundle(digest).drift_json
            if baseline is None:
                return None
            detector = wiring.plugin("drift", "e_detector", where="drift")
            monitor: DriftMonitor = detector.open(baseline, state)
            return monitor

        return open_monitor

    def _record(self, alarm: Alarm) -> None:
        version = self._session.bundle(self.watching.bundle).manifest.version
        self._session.record_act(
            ActRecord(
                at=self._session.clock.now_us(),
                act="alarm",
                actor="watch",
                detector=self._detector,
                version=version,
                bundle=self.watching.bundle,
                reason="inputs moved",
                details={
                    "events": alarm.at,
                    "evidence": alarm.evidence,
                    "limit": alarm.limit,
                    "arl": alarm.arl,
                    "channels": ", ".join(moved.channel for moved in alarm.moved),
                },
            )
        )


def _decided(contract: Contract, row: DecisionRecord, label: LabelRow | None) -> Decided:
    objective = contract.objective
    return Decided(
        band=row.band,
        label=None if label is None else label.label,
        cost_missed=_cost(objective.cost_missed, row),
        cost_false_alarm=_cost(objective.cost_false_alarm, row),
    )


def _cost(cost: float | str, row: DecisionRecord) -> float | None:
    """What the contract says; None where the amount went with the person that it was about."""
    if not isinstance(cost, str):
        return cost
    value = row.event.get(cost)
    if value is None:
        return None if row.is_sealed else 0.0  # a missing amount costs nothing
    return float(value)


def unseen_values(records: list[DecisionRecord], field: str, known: set[str]) -> list[str]:
    """Values of a category field that the encoder never saw, most frequent first."""
    counts: dict[str, int] = {}
    for record in records:
        value = record.event.get(field)
        if isinstance(value, str) and value not in known:
            counts[value] = counts.get(value, 0) + 1
    return sorted(counts, key=lambda value: (-counts[value], value))
