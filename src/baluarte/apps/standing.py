"""How a detector stands: its versions, what decides, what blocks, what next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from baluarte.apps.making import Pending, gates_of, pending_of
from baluarte.apps.place import Detector
from baluarte.apps.session import Session
from baluarte.apps.watching import Watch
from baluarte.core.bounds import look_alpha
from baluarte.core.bundle import SealedBundle
from baluarte.core.decision import ActRecord, Record
from baluarte.core.registry import Promotion, Version
from baluarte.errors import BaluarteError, DataError, Fault
from baluarte.ports import LedgerReader
from baluarte.stages.promote import approvers_of, suffices

State = Literal[
    "none", "candidate", "proved", "failed", "sealed", "waiting", "provisional", "live", "broken"
]

_CHUNK = 4096  #: records that are looked through at once, from a shard's end
_ACT = b'{"kind":"act"'  #: how the JSON of an act begins: a record's kind is its first key


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Labelled proof rows that the next look needs for a planned pass."""

    look: int
    positives: int
    negatives: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one detector stands."""

    name: str
    state: State  #: of the newest thing there is
    versions: tuple[Version, ...]
    champion: Version | None
    since: Promotion | None  #: by which the champion came to decide
    pending: Pending | None  #: a candidate that is not sealed yet
    missing_approvals: int  #: of the newest version, to be promoted
    needs: Needs | None  #: where the newest version is provisional
    faults: tuple[Fault, ...]  #: of the contract's file or of the bundle that decides
    labels: int
    armed: bool | None  #: whether a drift monitor is armed; None where nothing decides
    events_watched: int
    alarms: int  #: changes of the inputs that alarmed, each once
    moved: bool  #: whether one of them lasts
    last_alarm: ActRecord | None

    @property
    def newest(self) -> Version | None:
        """The version sealed last."""
        return self.versions[-1] if self.versions else None

    @property
    def next(self) -> str:
        """The command that goes on from here."""
        named = self.name
        newest = f"{named}@{self.newest.version}" if self.newest else named
        if self.faults:
            return f"baluarte verify {named}" if self.state == "broken" else "baluarte plan"
        return {
            "none": f"baluarte plan {named}",
            "candidate": f"baluarte prove {named}",
            "proved": f"baluarte seal {named}",
            "failed": f"baluarte train {named}",
            "sealed": f"baluarte promote {newest}",
            "waiting": f"baluarte approve {newest}",
            "provisional": f"baluarte label FILE --detector {named}",
            "live": f"baluarte watch {named} --once",
            "broken": f"baluarte verify {named}",
        }[self.state]


def standing_of(session: Session, detector: Detector) -> Standing:
    """Look at the registry, the drafts, the bundle that decides and the watch."""
    registry, name = session.registry, detector.name
    versions = tuple(registry.versions(name))
    champion = registry.champion(name)
    newest = versions[-1] if versions else None
    faults, bundle = _checked(session, detector, champion)
    pending = _pending(session, name)
    waits = 0
    if newest is not None:
        accounts = session.accounts_by_name()
        given = approvers_of(registry, newest, accounts)
        wanted = session.place.workspace.approvals
        waits = next(n for n in range(wanted + 1) if suffices(given, wanted - n, accounts))
    watching = Watch(session, name).watching
    return Standing(
        name=name,
        state=_state(newest, champion, pending, waits, broken=champion is not None and not bundle),
        versions=versions,
        champion=champion,
        since=next(
            (p for p in reversed(registry.promotions(name)) if p.version == champion.version), None
        )
        if champion is not None
        else None,
        pending=pending,
        missing_approvals=waits if newest != champion else 0,
        needs=_needs(session, newest),
        faults=faults,
        labels=len(registry.labels(name)),
        armed=None if bundle is None else bundle.drift_json is not None,
        events_watched=watching.events,
        alarms=len(watching.episodes),
        moved=bool(watching.lasting),
        last_alarm=last_act(session.reader, name, "alarm") if watching.episodes else None,
    )


def last_act(reader: LedgerReader, detector: str, act: str) -> ActRecord | None:
    """The newest act of a kind about a detector, looked for from the ends of all shards."""
    found: list[ActRecord] = []
    for tag in reader.shards():
        stop = reader.size(tag)
        while stop > 0:
            start = max(0, stop - _CHUNK)
            mine = [
                record
                for data in reader.records(tag, start, stop)
                if data.startswith(_ACT)
                and isinstance(record := msgspec.json.decode(data, type=Record), ActRecord)
                and record.act == act
                and record.detector == detector
            ]
            if mine:
                found.append(mine[-1])
                break
            stop = start
    return max(found, key=lambda record: record.at, default=None)


def _checked(
    session: Session, detector: Detector, champion: Version | None
) -> tuple[tuple[Fault, ...], SealedBundle | None]:
    """What is wrong with the contract's file and the bundle that decides; and that bundle."""
    faults: tuple[Fault, ...] = ()
    bundle = None
    try:
        detector.contract()
    except BaluarteError as error:
        faults += error.faults
    if champion is not None:
        try:
            bundle = session.bundle(champion.digest)
        except BaluarteError as error:
            faults += error.faults
    return faults, bundle


def _pending(session: Session, name: str) -> Pending | None:
    try:
        return pending_of(session.place, name)
    except DataError:
        return None


def _state(
    newest: Version | None,
    champion: Version | None,
    pending: Pending | None,
    waits: int,
    *,
    broken: bool,
) -> State:
    if broken:
        return "broken"
    if pending is not None:
        verdict = None if pending.evidence is None else pending.evidence.verdict
        return "candidate" if verdict is None else "failed" if verdict == "fail" else "proved"
    if newest is None or newest.provisional:
        return "none" if newest is None else "provisional"
    if champion is not None and champion.version >= newest.version:
        return "live"
    return "waiting" if waits else "sealed"


def _needs(session: Session, newest: Version | None) -> Needs | None:
    """What the next look asks of the proof rows, where the last one had too few."""
    if newest is None or not newest.provisional:
        return None
    try:
        bundle = session.bundle(newest.digest)
    except BaluarteError:
        return None
    look = session.registry.looks(bundle.evidence.holdout) + 1
    contract = bundle.contract
    alpha = look_alpha(1.0 - contract.objective.confidence, look) / max(len(contract.gates), 1)
    gates = gates_of(contract)
    asked = [gates[gate.name].needed(gate, contract, alpha=alpha) for gate in contract.gates]
    return Needs(
        look=look,
        positives=max((positives for positives, _ in asked), default=0),
        negatives=max((negatives for _, negatives in asked), default=0),
    )
