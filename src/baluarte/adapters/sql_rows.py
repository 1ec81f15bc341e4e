"""Rows of a database as canonical events: Python's values by column, in batches."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any

import msgspec

from baluarte.adapters.cells import Cells
from baluarte.adapters.profile import profile_values
from baluarte.adapters.row_intake import RowIntake
from baluarte.core.event import Events
from baluarte.core.event_columns import check_columns, read_columns
from baluarte.core.multiset import MultisetDigest
from baluarte.core.raw_column import RawColumn
from baluarte.core.reading import Reading
from baluarte.core.schema import Field, Schema
from baluarte.errors import DataError
from baluarte.ports import Quarantine

Row = Sequence[Any]
#: the columns' names, and further rows, at most so many a call; none when all were given
Rows = tuple[list[str], Callable[[int], Sequence[Row]]]

_TEXTS = (uuid.UUID, IPv4Address, IPv6Address, IPv4Interface, IPv6Interface)
_AS_IT_IS = frozenset({type(None), str, int, float, bool})  #: types that :func:`_plain` keeps
_ENCODE = msgspec.json.Encoder(enc_hook=str).encode


class SqlRows:
    """What a SELECT gives."""

    def __init__(self, rows: Rows, address: str) -> None:
        self.names, self._fetch = rows
        self._address = address
        self.content = MultisetDigest()  #: of the rows that were read
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise DataError(
                f"expected each column name once, found {', '.join(map(repr, twice))} again",
                where=address,
                hint="Name each column of the query differently.",
            )

    def profile(self, max_rows: int) -> list[RawColumn]:
        """The columns as they stand, over the first ``max_rows`` rows."""
        rows = self._fetch(max_rows)
        if not rows:
            raise self._no_rows()
        columns = zip(*rows, strict=True)
        return [
            profile_values(name, Counter(v for v in map(_plain, column) if _counts(v)), n=len(rows))
            for name, column in zip(self.names, columns, strict=True)
        ]

    def read(
        self,
        schema: Schema,
        *,
        batch_rows: int,
        reading: Reading,
        quarantine: Quarantine | None,
    ) -> Iterator[Events]:
        """Canonical events in batches, in the order of the query."""
        plain = Cells(reading, where=self._address)
        intake = RowIntake(self._place, quarantine)
        fields = {".".join(f.keys): f for f in schema.fields if f.role != "ignored"}
        at = {path: self._column(f) for path, f in fields.items()}
        there = [path for path, column in at.items() if column is not None]
        check_columns(schema, [*there, *self.names], intake.faults, unknown="ignore")
        intake.faults.raise_any()
        while rows := self._fetch(batch_rows):
            first = intake.n
            self.content.add_all(list(map(_ENCODE, rows)))
            columns = list(zip(*rows, strict=True))
            cells = {}
            for path in there:
                values = _values(columns[at[path] or 0], fields[path], self.names[at[path] or 0])
                cells[path] = plain.typed(fields[path], values, intake.faults, first)
            events = read_columns(schema, cells, intake.faults, first_row=first)
            good = intake.settle(
                events,
                first_row=first,
                line=lambda row, first=first: first + row + 1,  # type: ignore[misc]
                text=lambda row, rows=rows: self._text(rows[row]),  # type: ignore[misc]
            )
            if good is not None:
                yield good
        intake.end()
        if intake.n == 0:
            raise self._no_rows()

    def digest(self) -> str:
        """``sha256:…`` of all rows, whatever their order."""
        while rows := self._fetch(10_000):
            self.content.add_all(list(map(_ENCODE, rows)))
        return self.content.digest()

    def _column(self, field: Field) -> int | None:
        """The column that holds a field's value, or the JSON object around it."""
        for name in (".".join(field.keys), field.keys[0]):
            if name in self.names:
                return self.names.index(name)
        return None

    def _text(self, row: Row) -> str:
        return _ENCODE(dict(zip(self.names, row, strict=True))).decode()

    def _place(self, row: int, path: str) -> str:
        where = f"{self._address}: row {row + 1}" if row >= 0 else self._address
        return f"{where}: {path}" if path else where

    def _no_rows(self) -> DataError:
        return DataError("expected events, found no row", where=self._address)


def _values(column: Sequence[Any], field: Field, name: str) -> list[Any]:
    """A column's values as the column road takes them."""
    below = field.keys[1:] if name != ".".join(field.keys) else ()
    if not below and _AS_IT_IS.issuperset(map(type, column)):
        return list(column)
    number = field.type in ("number", "integer")
    out = []
    for value in column:
        for key in below:
            value = value.get(key) if isinstance(value, dict) else None  # noqa: PLW2901 - inwards
        plain = _plain(value)
        out.append(str(value) if isinstance(value, Decimal) and not number else plain)
    return out


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, _TEXTS):
        return str(value).removesuffix("/32").removesuffix("/128")
    return value


def _counts(value: Any) -> bool:
    """Whether a profile counts a value: missing ones and objects it does not."""
    missing = value is None or value == "" or value != value  # noqa: PLR0124 - NaN
    return not (missing or isinstance(value, dict | list | bytes))
