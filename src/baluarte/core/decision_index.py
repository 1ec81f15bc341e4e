"""What an index over the ledger holds of a decision: enough to find it, nothing of a person.

An index is made from the ledger and can be made again. Of an event it keeps a hash of the id, no
value and not the id itself.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from baluarte.core.ids import format_id


class IndexedDecision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One decision, as the index knows it."""

    tag: str  #: of the shard
    index: int  #: of the record in the shard
    event: bytes  #: :func:`event_key` of the event's id
    detector: str
    version: int
    role: Literal["champion", "challenger"]
    decided_at: int  #: microseconds of UTC
    event_at: int  #: likewise
    band: int
    outcome: str
    score: int
    points: int

    @property
    def id(self) -> str:
        """The decision's id, which leads to its record."""
        return format_id(self.decided_at // 1000, self.tag, self.index)


class IndexMark(msgspec.Struct, frozen=True, kw_only=True):
    """How far a shard was read."""

    size: int  #: records
    leaf: bytes  #: hash of the last of them: another ledger in its place is noticed


def event_key(event_id: str) -> bytes:
    """16 bytes that stand for an event's id; two ids of 2**32 meet with a chance of 2**-65.

    >>> event_key("e1").hex()
    'afdd4403c41069df839dbe2249f98aee'
    """
    return hashlib.blake2b(event_id.encode(), digest_size=16).digest()
