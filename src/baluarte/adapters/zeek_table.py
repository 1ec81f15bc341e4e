r"""Zeek's own log form: tables of text whose head names and types the columns.

``#separator``, ``#fields`` and ``#types`` come first; ``-`` is a value that isn't there and
``(empty)`` an empty one, ``T`` and ``F`` are truths, and bytes that would be misread are written
``\x09``. Columns of sets and vectors are left out, as lists are elsewhere.

Source: Zeek's documentation, "Zeek Log Formats and Inspection"
(https://docs.zeek.org/en/current/log-formats.html), and its ASCII writer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import msgspec

from baluarte.adapters.cells import Cells, Rewrite
from baluarte.adapters.csv_table import DelimitedTable, check_names
from baluarte.adapters.profile import typed_cells
from baluarte.adapters.text_lines import TextLines, undecoded
from baluarte.core.reading import Reading
from baluarte.core.schema import Field
from baluarte.errors import DataError

HEAD = b"#separator "  #: what such a file begins with
_MAX_HEAD_LINES = 64
_NUMBERS = frozenset({"count", "int", "double", "port", "time", "interval"})
_LISTS = ("set[", "vector[", "table[")
_TRUTHS = {"T": "true", "F": "false"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|\\)")


class ZeekHead(msgspec.Struct, frozen=True, kw_only=True):
    """What the head of a log says."""

    separator: str
    unset: str
    empty: str
    types: dict[str, str]  #: Zeek's types by field, in the order of the columns

    @property
    def names(self) -> list[str]:
        """The columns' names; empty for those that hold lists."""
        return ["" if kind.startswith(_LISTS) else name for name, kind in self.types.items()]


class ZeekCells(Cells):
    """How the cells of one log become plain ones."""

    def __init__(self, head: ZeekHead, reading: Reading, *, where: str) -> None:
        super().__init__(reading, where=where)
        self.missing |= {head.unset, head.empty}
        self._types = head.types

    def of(self, field: Field) -> Rewrite | None:
        """What a field's cells are sent through; None where they are plain already."""
        kind = self._types.get(".".join(field.keys), "")
        if kind == "bool":
            return _truth
        return super().of(field) if kind in _NUMBERS else _unescaped

    def values(self, name: str, counts: Mapping[str, int]) -> Mapping[Any, int]:
        """The cells of a column, counted, as values of the type that its log gives it."""
        kind = self._types[name]
        counts = {cell: n for cell, n in counts.items() if cell and cell not in self.missing}
        if kind in _NUMBERS:
            return typed_cells(counts)
        if kind == "bool":
            return {_TRUTHS.get(cell, cell) == "true": n for cell, n in counts.items()}
        return {_unescaped(cell): n for cell, n in counts.items()}


class ZeekTable(DelimitedTable):
    """The table in a log of Zeek's, its head read.

    Args:
        file: as UTF-8, that begins with ``HEAD``.

    Raises:
        DataError: the head is damaged.
    """

    def __init__(self, file: BinaryIO, address: str, *, keep: bool = False) -> None:
        texts = TextLines(file, address, keep=keep)
        lines = iter(texts)
        self.head = _read_head(lines, texts, address)
        super().__init__(
            address,
            texts,
            lines,
            header=self.head.names,
            separator=self.head.separator,
            quote="",
            comment="#",
            keep=keep,
        )

    def goes_on(self, comment: Sequence[str]) -> bool:
        """Whether the rows after a comment are of the same columns: logs may be joined."""
        key, *said = comment
        own = {"#fields": [*self.head.types], "#types": [*self.head.types.values()]}
        return own.get(key, said) == said


def _read_head(lines: Iterator[str], texts: TextLines, address: str) -> ZeekHead:
    said: dict[str, str] = {}
    for _ in range(_MAX_HEAD_LINES):
        line = next(lines, "").rstrip("\r\n")
        if undecoded(line) is not None or not line.startswith("#"):
            break
        key, _, rest = line[1:].partition(" " if not said else said["separator"])
        said[key] = _unescaped(rest) if key == "separator" else rest
        if "separator" not in said or len(said["separator"]) != 1:
            break
        if key == "types":
            return _head_of(said, f"{address}:{texts.number}")
    if texts.failure is not None:
        raise texts.failure
    raise DataError(
        "expected the head of a log of Zeek's: #separator, #fields and #types",
        where=f"{address}:{texts.number}",
        hint="Let Zeek write it anew, or as JSON: LogAscii::use_json=T.",
    )


def _head_of(said: Mapping[str, str], where: str) -> ZeekHead:
    separator = said["separator"]
    names = said.get("fields", "").split(separator)
    types = said["types"].split(separator)
    check_names(names, where)
    if len(names) != len(types) or not all(names):
        raise DataError(
            f"expected one type a field, found {len(names)} fields and {len(types)} types",
            where=where,
        )
    return ZeekHead(
        separator=separator,
        unset=said.get("unset_field", "-"),
        empty=said.get("empty_field", "(empty)"),
        types=dict(zip(names, types, strict=True)),
    )


def _truth(cell: str) -> str:
    return _TRUTHS.get(cell, cell)


def _unescaped(cell: str) -> str:
    r"""The text that Zeek's ASCII writer wrote so.

    >>> _unescaped(r"a\x09b \\ Espa\xc3\xb1a")
    'a\tb \\ España'
    """
    if "\\" not in cell:
        return cell

    def plain(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else "\\"

    # What was escaped are bytes, of which several may be one character.
    parts = _ESCAPE.sub(plain, cell.encode().decode("latin-1")).encode("latin-1")
    try:
        return parts.decode()
    except UnicodeDecodeError:  # no text: it is named as it was written
        return cell
