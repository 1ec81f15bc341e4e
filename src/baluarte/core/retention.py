"""How long records are kept, by their class, and what stays of one that is dropped.

A record that is past its time is dropped from its segment; its leaf hash stays, so every head and
every proof stays valid. What was dropped is itself a record, the act ``sweep``, with the digest of
the dropped leaves, so that dropping can't be used to hide: a leaf without a record that no sweep
accounts for is a fault.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta

from baluarte.errors import ContractError

RecordClass = Literal["decision", "label", "alarm", "act"]
CLASSES: tuple[RecordClass, ...] = get_args(RecordClass)
FLOOR_DAYS = 183  #: six months: 800-53 AU-11, AI Act articles 19 and 26(6)
DAY_US = 86_400_000_000
_KEPT_FOR_EVER = frozenset({"sweep", "gap", "erase"})  #: without them what is missing has no reason
_LEAF = struct.Struct("<Q32s")

Days = Annotated[int, Meta(ge=1, le=36_525)]


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Days for which the records of each class are kept; without a number for ever."""

    decision_days: Days | None = None
    label_days: Days | None = None
    alarm_days: Days | None = None
    act_days: Days | None = None

    def days(self, kind: RecordClass) -> int | None:
        """Of one class."""
        days: int | None = getattr(self, f"{kind}_days")
        return days

    def cutoffs(self, now_us: int) -> dict[RecordClass, int]:
        """Before which time the records of each class are past theirs."""
        found = {kind: self.days(kind) for kind in CLASSES}
        return {kind: now_us - days * DAY_US for kind, days in found.items() if days is not None}


class Dropped(NamedTuple):
    """What stays of a record that was dropped."""

    leaf: bytes  #: 32 bytes
    sweep: str  #: id of the act that dropped it


class _Stamp(msgspec.Struct, gc=False):
    kind: str
    at: int = 0
    decided_at: int = 0
    act: str = ""


_read_stamp = msgspec.json.Decoder(_Stamp).decode


def require_floor(retention: Retention, accepted: Mapping[str, str], *, where: str) -> None:
    """Refuse to keep a class of records for less than six months, unless accepted by name.

    Args:
        accepted: name of a setting, such as ``decision_days``, to the reason.

    Raises:
        ContractError: a class is kept for less, and that is not accepted.
    """
    for kind in CLASSES:
        days, name = retention.days(kind), f"{kind}_days"
        if days is not None and days < FLOOR_DAYS and not accepted.get(name):
            raise ContractError(
                f"expected at least {FLOOR_DAYS} days (six months), found {days}",
                where=f"{where}: ledger.retention.{name}",
                hint=f'Keep them longer, or accept it by name: [ledger.accept] {name} = "why".',
            )


def stamp_of(record: bytes) -> tuple[RecordClass | None, int]:
    """A record's class, None for what is kept for ever, and its time."""
    try:
        stamp = _read_stamp(record)
    except msgspec.MsgspecError:
        return None, 0
    if stamp.kind == "decision":
        return "decision", stamp.decided_at
    if stamp.kind != "act" or stamp.act in _KEPT_FOR_EVER:
        return None, stamp.at
    if stamp.act == "label":
        return "label", stamp.at
    return ("alarm" if stamp.act == "alarm" else "act"), stamp.at


def oldest_of(records: Iterable[bytes]) -> dict[RecordClass, int]:
    """The earliest time of each class among these records."""
    oldest: dict[RecordClass, int] = {}
    for record in records:
        kind, at = stamp_of(record)
        if kind is not None:
            oldest[kind] = min(at, oldest.get(kind, at))
    return oldest


class DroppedDigest:
    """The digest over dropped leaves with their indexes, in order."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.sha256()

    def add(self, index: int, leaf: bytes) -> None:
        """The next dropped record."""
        self.count += 1
        self._hash.update(_LEAF.pack(index, leaf))

    def hexdigest(self) -> str:
        """``sha256:…`` over all so far."""
        return f"sha256:{self._hash.hexdigest()}"
