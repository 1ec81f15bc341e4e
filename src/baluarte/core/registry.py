"""What the registry keeps: versions, changes of champion, labels."""

from __future__ import annotations

from typing import Literal

import msgspec


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One sealed version of a detector, as the registry knows it."""

    detector: str
    version: int
    digest: str
    epoch: int  #: monotonic; a promotion never goes to a lower epoch but by an explicit rollback
    sealed_at: int
    sealed_by: str
    provisional: bool
    trained_by: str = ""


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """One change of champion: who, when, why."""

    detector: str
    version: int
    at: int
    actor: str
    reason: str
    kind: Literal["promote", "rollback"]


class Shadowing(msgspec.Struct, frozen=True, kw_only=True):
    """A version begins to score beside the one that decides, or ends: who, when, why."""

    detector: str
    version: int
    at: int
    actor: str
    reason: str
    kind: Literal["shadow", "unshadow"]


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker of the data plane says of itself, again and again while it lives."""

    worker: str  #: its name: random, of this life
    host: str
    pid: int
    seen_at: int  #: microseconds of UTC
    deciding: dict[str, int]  #: detector to the version that decides
    shadowing: dict[str, tuple[int, ...]] = {}  #: detector to the versions beside it

    @property
    def where(self) -> str:
        """Host and process."""
        return f"{self.host}:{self.pid}"


class LabelRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one source said about one event."""

    event_id: str
    label: Literal[0, 1]  #: 1 attack, 0 not
    at: int  #: when the source said so, microseconds of UTC
    source: str
    taken_at: int = 0  #: when it arrived here, microseconds of UTC; 0 where nobody wrote it down


class LabelIntake(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery of labels changed; a row that says nothing new is in none of these."""

    new: int  #: events that had no label
    corrections: int  #: rows by which a source changed its mind
    conflicts: int  #: rows that contradict another source; both are kept
