"""The row road: JSON-like rows to canonical events, every fault reported with its path."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from baluarte.core.event import MAX_EXACT_INTEGER, Column, Events, Value, Values
from baluarte.core.event_faults import MAX_FAULTS, Faults, Place
from baluarte.core.event_value import Convert, ValueRefusedError, converter, describe
from baluarte.core.nearest import did_you_mean
from baluarte.core.schema import Field, Schema
from baluarte.errors import ContractError

Unknown = Literal["refuse", "ignore"]
_MAX_PATH_SHOWN = 100  #: characters of a path that a report repeats
TEXTUAL = frozenset({"category", "text", "ip"})  #: types whose columns are object arrays


_TWICE = "given twice: as one key and in nested objects"


class _Leaf:
    """A field that stands at a key."""

    __slots__ = ("convert", "fractions", "integers", "name", "path")

    def __init__(self, field: Field, *, nan: bool) -> None:
        self.name = field.name
        self.path = ".".join(field.keys)
        self.convert: Convert | None = None
        if field.role != "ignored":
            self.convert = converter(field, nan=nan)
        # Most values of most rows are small numbers that are their own record form.
        self.integers = self.convert is not None and field.type in ("number", "integer")
        self.fractions = self.convert is not None and field.type == "number"


class _Node(dict[str, "_Leaf | _Node"]):
    """The keys of one object."""

    __slots__ = ()


class _Report:
    """Where the faults of one row go."""

    __slots__ = ("faults", "i")

    def __init__(self, faults: Faults, i: int) -> None:
        self.faults = faults
        self.i = i

    def add(self, path: str, message: str, hint: str | None = None) -> None:
        shown = path if len(path) <= _MAX_PATH_SHOWN else path[:_MAX_PATH_SHOWN] + "…"
        self.faults.add(self.i, shown, message, hint)

    def unknown(self, path: str, known: Sequence[str]) -> None:
        # Looking for the nearest name is slow, and a hostile row has many unknown ones.
        helped = self.faults.total < MAX_FAULTS and len(path) <= _MAX_PATH_SHOWN
        self.add(path, "unknown field", did_you_mean(path, known) if helped else None)


class RowReader:
    """Reads rows of one schema; made once, used for every request.

    Args:
        unknown: what happens to keys that the schema doesn't have, at any depth; by default what
            the schema says.
        nan: what a float NaN is; JSON has none, Python's tables mean missing by it.

    A path of several keys is found in nested objects and, as flattened logs have it, at the root
    under the whole path as one key. Fields of the role ``ignored`` are known and never read.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        unknown: Unknown | None = None,
        nan: Literal["refuse", "missing"] = "refuse",
    ) -> None:
        self.schema = schema
        self._refuse_unknown = (unknown or schema.unknown or "refuse") == "refuse"
        self._required = {
            field.name: ".".join(field.keys) for field in schema.fields if field.required
        }
        given = [field for field in schema.fields if field.role != "derived"]
        self._paths = [".".join(field.keys) for field in given]
        self._root = _Node()
        for field in given:
            leaf = _Leaf(field, nan=nan == "missing")
            node = self._root
            for key in field.keys[:-1]:
                below = node.setdefault(key, _Node())
                if isinstance(below, _Leaf):
                    raise ContractError(
                        f"expected an object at {below.path}, which the field {below.name} reads",
                        where=leaf.path,
                    )
                node = below
            if field.keys[-1] in node:
                raise ContractError("two fields read this path", where=leaf.path)
            node[field.keys[-1]] = leaf
            self._root.setdefault(leaf.path, leaf)

    def records(
        self,
        rows: Sequence[object],
        *,
        first_row: int = 0,
        where: str | Callable[[int], str] = "events",
    ) -> list[Values]:
        """Each row's record: canonical values, missing ones left out.

        Args:
            first_row: number of the first row, for the report.
            where: what the report calls the rows: ``events`` gives ``events[3].flow.bytes``; a
                function gives a row's place, such as ``tx.ndjson:4``.

        Raises:
            DataError: every fault, up to a stated number in words.
        """
        faults = Faults(place_of(where))
        found = self.read_records(rows, faults, first_row=first_row)
        faults.raise_any()
        return found

    def read(
        self,
        rows: Sequence[object],
        *,
        first_row: int = 0,
        where: str | Callable[[int], str] = "events",
    ) -> Events:
        """The rows as canonical columns; as :meth:`records`."""
        return from_records(self.schema, self.records(rows, first_row=first_row, where=where))

    def read_records(
        self, rows: Sequence[object], faults: Faults, *, first_row: int = 0
    ) -> list[Values]:
        """As :meth:`records`, with the faults collected instead of raised."""
        out: list[Values] = []
        for i, row in enumerate(rows, first_row):
            values: Values = {}
            report = _Report(faults, i)
            if not isinstance(row, dict | Mapping):
                report.add("", f"expected an object, found {describe(row)}")
                continue
            self._walk(row, self._root, values, report)
            for name, path in self._required.items():
                if name not in values:
                    report.add(path, "expected a value, found none: the field is required")
            out.append(values)
        return out

    def _walk(
        self, row: Mapping[Any, Any], node: _Node, values: Values, report: _Report, above: str = ""
    ) -> None:
        """Read one object; ``above`` is its path with a trailing dot."""
        entry_at, bound = node.get, MAX_EXACT_INTEGER
        for key, value in row.items():
            entry = entry_at(key)
            if type(entry) is _Leaf:
                kind = type(value)
                # Most values are small numbers, which are their own record form.
                if kind is int and entry.integers and -bound <= value <= bound:
                    quick = value
                elif kind is float and entry.fractions and -bound <= value <= bound:
                    quick = int(value) if value.is_integer() else value
                else:
                    self._leaf(entry, value, values, report)
                    continue
                if entry.name in values:
                    report.add(entry.path, _TWICE)
                values[entry.name] = quick
            elif entry is None:
                if self._refuse_unknown:
                    report.unknown(f"{above}{key}", self._paths)
            elif isinstance(value, dict | Mapping):
                self._walk(value, entry, values, report, f"{above}{key}.")  # type: ignore[arg-type]
            elif value is not None:
                report.add(f"{above}{key}", f"expected an object, found {describe(value)}")

    @staticmethod
    def _leaf(leaf: _Leaf, value: Any, values: Values, report: _Report) -> None:
        """Read one value by the schema's rules."""
        if value is None or leaf.convert is None:
            return
        if leaf.name in values:
            report.add(leaf.path, _TWICE)
        try:
            canonical = leaf.convert(value)
        except ValueRefusedError as refused:
            report.add(leaf.path, str(refused), refused.hint)
            values[leaf.name] = None  # present, if wrongly: not to be reported as missing, too
        else:
            if canonical is not None:
                values[leaf.name] = canonical


def from_rows(
    schema: Schema,
    rows: Sequence[object],
    *,
    unknown: Unknown | None = None,
    first_row: int = 0,
    where: str = "events",
) -> Events:
    """Rows as canonical events, once; :class:`RowReader` is for more than once."""
    return RowReader(schema, unknown=unknown).read(rows, first_row=first_row, where=where)


def from_records(schema: Schema, found: Sequence[Mapping[str, Value | None]]) -> Events:
    """Records, such as a ledger holds, as canonical columns.

    Features always have a column; other fields only where they occur.
    """
    n = len(found)
    columns: dict[str, Column] = {}
    for field in schema.fields:
        name = field.name
        if field.role == "ignored":
            continue
        values: list[Any] = [record.get(name) for record in found]
        if not field.is_feature and all(value is None for value in values):
            continue
        if field.type in TEXTUAL:
            column = np.empty(n, dtype=object)
            column[:] = values
            columns[name] = column
        else:
            # float() also reads the texts that stand for infinities.
            columns[name] = np.array(
                [math.nan if value is None else float(value) for value in values], dtype=np.float64
            )
    return Events(n=n, columns=columns)


def place_of(where: str | Callable[[int], str]) -> Place:
    """How a report names a row and a path in it; row -1 is the whole."""
    if isinstance(where, str):
        array = where

        def place(row: int, path: str) -> str:
            index = f"[{row}]" if row >= 0 else ""
            return f"{array}{index}.{path}" if path else f"{array}{index}"

        return place
    locate = where
    return lambda row, path: f"{locate(row)}: {path}" if path else locate(row)
