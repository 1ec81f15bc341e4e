"""A column of a file as it stands, before any schema."""

from __future__ import annotations

from typing import Literal

import msgspec


class RawColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a file as it stands, before any schema: what ``init`` infers from."""

    name: str
    physical: Literal["float", "integer", "boolean", "text", "time"]
    n: int  #: values looked at
    n_missing: int
    n_distinct: int
    examples: tuple[str, ...]  #: the most frequent values in canonical text, most frequent first
    counts: tuple[int, ...] = ()  #: how often each of the examples occurs
    low: float | None = None
    high: float | None = None
