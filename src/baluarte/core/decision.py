"""What was decided, and the record of it: the unit of the ledger."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from baluarte.core.envelope import Envelope

MAX_SCORE = 2**53 - 1  #: scores saturate here, so that JSON, JavaScript and SQL keep them


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer for one event.

    Attributes:
        score: int64 fixed point; higher is more suspicious.
        points: 0-999, monotone in the score, of stable meaning.
        band: index of the outcome in the contract's bands; 0 is the lowest.
        reasons: score units a schema feature, in the contract's order; with ``base`` they add up to
            ``score``, exactly. None where no reasons were asked for.
    """

    id: str
    event_id: str
    detector: str
    version: int
    score: int
    points: int
    probability: float
    band: int
    outcome: str
    base: int | None = None
    reasons: tuple[int, ...] | None = None


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="decision"):
    """One decision with everything that replay needs; the bytes of its JSON are the ledger's leaf.

    Keys are written in the order of this class. ``event`` holds the canonical values of the
    schema's fields (missing ones absent); ``features`` the encoded columns that were scored (null
    is NaN). ``event_at`` and ``decided_at`` are microseconds of UTC. An event without an id gets
    the first 32 hex digits of its digest, a hyphen and its ordinal in the request; one without a
    time gets the arrival. ``reasons_deferred`` is there, and true, only where reasons were due and
    the load left no time for them: replay and explain compute the same bits.

    Version 2 has an envelope (:mod:`baluarte.core.envelope`): personal values are in it and nowhere
    else. A record that was opened has its values in their places and no envelope; one that still
    has its envelope after opening is of a person who was erased.
    """

    v: Literal[1, 2] = 1
    id: str
    event_id: str
    event_at: int
    decided_at: int
    detector: str
    version: int
    bundle: str  #: ``sha256:…`` of the sealed bundle
    role: Literal["champion", "challenger"] = "champion"
    event_digest: str  #: ``sha256:…`` of the JSON of ``event``; keyed where it is personal
    event: dict[str, float | int | str | None]
    features: tuple[float | None, ...]
    score: int
    points: int
    band: int
    outcome: str
    threshold: int | None  #: of the band, in score units; None for the lowest
    base: int | None = None
    reasons: tuple[int, ...] | None = None
    reasons_deferred: Literal[True] | UnsetType = UNSET
    personal: Envelope | UnsetType = UNSET

    @property
    def is_sealed(self) -> bool:
        """Whether personal values are still in the envelope."""
        return not isinstance(self.personal, UnsetType)


class ActRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="act"):
    """One act of a person or the system: a look, a promotion, a label intake, an alarm."""

    v: Literal[1] = 1
    at: int  #: microseconds of UTC
    act: Literal[
        "look", "seal", "approve", "decline", "promote", "rollback", "label", "alarm", "retrain",
        "checkpoint", "key", "erase", "export", "backup", "restore", "access", "sweep", "gap",
        "shadow", "unshadow",
    ]  # fmt: skip
    actor: str
    detector: str
    version: int | None = None
    bundle: str | None = None
    reason: str = ""
    details: dict[str, str | int | float | bool | None] = {}


Record = DecisionRecord | ActRecord
