"""A column of a file as it stands, before any schema."""

from __future__ import annotations

from typing import Literal

import msgspec

MAX_ODD_SHARE = 0.002  #: of a column's values that may be of another kind than all the others


class RawColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a file as it stands, before any schema: what ``init`` infers from."""

    name: str
    physical: Literal["float", "integer", "boolean", "text", "time", "ip"]
    n: int  #: values looked at
    n_missing: int  #: without those of another kind
    n_distinct: int
    examples: tuple[str, ...]  #: the most frequent values in canonical text, most frequent first
    counts: tuple[int, ...] = ()  #: how often each of the examples occurs
    low: float | None = None
    high: float | None = None
    n_odd: int = 0  #: values of another kind, counted in none of the others but ``n``
    odd: tuple[str, ...] = ()  #: the first of them
