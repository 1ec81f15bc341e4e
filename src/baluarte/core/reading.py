"""How a file is read where its form leaves it open, and what becomes of rows that can't be read."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from baluarte.errors import Fault


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file doesn't say of itself; Parquet and Arrow need none of it but the zone."""

    encoding: Annotated[
        str, Meta(description="of text files, such as windows-1252; UTF-8 or its own mark if empty")
    ] = ""
    separator: Annotated[
        str, Meta(max_length=1, description="of CSV; what the header holds most of if empty")
    ] = ""
    quote: Annotated[str, Meta(max_length=1, description="of CSV; empty for none")] = '"'
    decimal: Annotated[Literal[".", ","], Meta(description="of numbers in CSV")] = "."
    thousands: Annotated[
        Literal["", ".", ",", " ", "'"], Meta(description="between groups of three digits in CSV")
    ] = ""
    missing: Annotated[
        tuple[str, ...], Meta(description="texts that mean a missing value, beside the empty one")
    ] = ()
    dates: Annotated[
        Literal["", "dmy", "mdy", "ymd"],
        Meta(
            description="order of day, month and year in dates such as 31/12/2026; "
            "only 2026-12-31 is read if empty"
        ),
    ] = ""
    zone: Annotated[
        str,
        Meta(description="of times without an offset, such as Europe/Madrid; UTC if empty"),
    ] = ""


PLAIN = Reading()


class BadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that can't be read, as the quarantine keeps it."""

    line: int  #: that it begins at, or its number from 1 where there are no lines
    faults: tuple[Fault, ...]
    text: str  #: as it stood there


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows may go to the quarantine before the run stops; both limits hold."""

    max_rows: int
    max_share: float

    def too_many(self, n_bad: int, n_rows: int) -> bool:
        """Whether the run must stop; ``n_rows`` are all rows, the bad ones included.

        >>> Tolerance(max_rows=10, max_share=0.01).too_many(2, 199)
        True
        """
        return n_bad > self.max_rows or n_bad > self.max_share * n_rows
