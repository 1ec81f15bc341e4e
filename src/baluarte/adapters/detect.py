"""What a text file's form seems to be: guessed once, by ``init``, and written down from then on."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from baluarte.adapters.cells import dates_of
from baluarte.adapters.csv_table import SEPARATORS
from baluarte.adapters.encodings import SAMPLE_BYTES, likely_encoding
from baluarte.adapters.event_files import opened, opened_text
from baluarte.adapters.sources.csv import CsvSource
from baluarte.adapters.sources.log import LogSource
from baluarte.adapters.sources.ndjson import NdjsonSource
from baluarte.core.raw_column import MAX_ODD_SHARE
from baluarte.core.reading import PLAIN, Reading

_TEXT_SUFFIXES = (*CsvSource.suffixes, *LogSource.suffixes, *NdjsonSource.suffixes)
_WORDS = frozenset({"NA", "N/A", "NULL", "null", "None", "nan", "NaN", "-", "?", "(empty)", "\\N"})
_POINT = re.compile(r"[+-]?\d*\.?\d+([eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+", re.ASCII)
_ORDERS: tuple[Literal["dmy", "mdy", "ymd"], ...] = ("dmy", "mdy", "ymd")
_ROWS = 2_000


def detect_reading(address: str) -> Reading:
    """What the first part of a file looks like; plain for what isn't text.

    Raises:
        DataError: there is no such file, or it is damaged.
        OutsideError: the operating system or the object store refused.
    """
    if not address.lower().endswith(_TEXT_SUFFIXES):
        return PLAIN
    with opened(address) as file:
        encoding = likely_encoding(file.read(SAMPLE_BYTES))
    if not address.lower().endswith(CsvSource.suffixes):
        return Reading(encoding=encoding)
    with opened_text(address, Reading(encoding=encoding)) as file:
        text = file.read(SAMPLE_BYTES).decode(errors="replace")
    lines = text.splitlines()[: _ROWS + 1]
    if len(lines) < 2:
        return Reading(encoding=encoding)
    separator = max(SEPARATORS, key=lines[0].count)
    columns = _columns(lines, separator)
    commas = separator != "," and any(_comma_numbers(column) for column in columns)
    grouped = commas and any("." in cell for c in columns if _comma_numbers(c) for cell in c)
    return Reading(
        encoding=encoding,
        decimal="," if commas else ".",
        thousands="." if grouped else "",
        missing=tuple(sorted({word for column in columns for word in _missing_words(column)})),
        dates=_dates(columns),
    )


def _dates(columns: Sequence[Sequence[str]]) -> Literal["", "dmy", "mdy", "ymd"]:
    """The order of day, month and year that columns of dates agree on, where it shows."""
    orders: set[Literal["dmy", "mdy", "ymd"]] = set()
    for column in columns:
        cells = [cell for cell in map(str.strip, column) if cell and cell not in _WORDS]
        fits = {order: _share(cells, order) for order in _ORDERS}
        able = [order for order in _ORDERS if fits[order] >= 1 - MAX_ODD_SHARE]
        if len(able) == 1:
            orders.add(able[0])
    return orders.pop() if len(orders) == 1 else ""


def _share(cells: Sequence[str], order: str) -> float:
    """The share of cells that are dates of this order."""
    change = dates_of(order)
    return sum(change(cell) != cell for cell in cells) / len(cells) if cells else 0.0


def _columns(lines: Sequence[str], separator: str) -> list[tuple[str, ...]]:
    rows = [row for row in csv.reader(lines[1:], delimiter=separator) if row]
    width = len(lines[0].split(separator))
    return list(zip(*[row for row in rows if len(row) == width], strict=True))


def _comma_numbers(column: Sequence[str]) -> bool:
    """Whether a column is numbers with decimal commas."""
    cells = {cell.strip() for cell in column} - _WORDS - {""}
    return any(_COMMA.fullmatch(cell) for cell in cells) and all(
        _COMMA.fullmatch(cell) or re.fullmatch(r"[+-]?[\d.]+", cell, re.ASCII) for cell in cells
    )


def _missing_words(column: Sequence[str]) -> set[str]:
    """Words that stand among numbers, and can only mean that one is missing."""
    cells = Counter(map(str.strip, column))
    del cells[""]
    words = cells.keys() & _WORDS
    rest = [cell for cell in cells if cell not in words]
    n_odd = sum(cells[c] for c in rest if not (_POINT.fullmatch(c) or _COMMA.fullmatch(c)))
    few = MAX_ODD_SHARE * sum(cells[cell] for cell in rest)
    return words if rest and n_odd <= few else set()
