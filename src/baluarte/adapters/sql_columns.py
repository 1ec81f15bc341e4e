"""Columns on their way into a table of a database: their types, and the rows as it takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

Kind = Literal["boolean", "integer", "number", "text"]


def kinds_of(columns: Mapping[str, Sequence[Any]]) -> dict[str, Kind]:
    """What each column of the first batch holds; one without a value is text."""
    found: dict[str, Kind] = {}
    for name, values in columns.items():
        types = {type(value) for value in values if not _absent(value)}
        if types and types <= {bool}:
            found[name] = "boolean"
        elif types and types <= {int}:
            found[name] = "integer"
        elif types and types <= {int, float}:
            found[name] = "number"
        else:
            found[name] = "text"
    return found


def rows_of(
    columns: Mapping[str, Sequence[Any]], kinds: Mapping[str, Kind]
) -> Iterator[tuple[Any, ...]]:
    """The rows, each value as its column takes it; lists and objects are JSON."""
    cells = [[_cell(value, kinds[name]) for value in values] for name, values in columns.items()]
    return zip(*cells, strict=True)


def quoted(name: str) -> str:
    """A column's name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def _cell(value: Any, kind: Kind) -> Any:
    if _absent(value):
        return None
    if kind == "text" and not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    return value


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124 - NaN
