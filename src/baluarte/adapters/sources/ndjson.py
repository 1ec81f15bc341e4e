"""NDJSON: one JSON object a line (RFC 8259), nested as the schema's paths say, plain or gzip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, ClassVar

from baluarte.adapters.event_files import file_digest, numbered_lines, opened
from baluarte.adapters.profile import profile_values
from baluarte.core.event import Events
from baluarte.core.event_columns import read_columns
from baluarte.core.event_faults import Faults
from baluarte.core.event_rows import RowReader, from_records
from baluarte.core.event_value import ValueRefusedError
from baluarte.core.json_object import decode_object
from baluarte.core.raw_column import RawColumn
from baluarte.core.schema import MAX_PATH_DEPTH, Schema
from baluarte.errors import DataError


class NdjsonSource:
    """Events as JSON lines. Keys that the schema doesn't have are left out."""

    name: ClassVar[str] = "ndjson"
    suffixes: ClassVar[tuple[str, ...]] = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz")

    def digest(self, address: str) -> str:
        """``sha256:…`` of the file."""
        return file_digest(address)

    def profile(self, address: str, *, max_rows: int) -> list[RawColumn]:
        """The columns as they stand, over the first ``max_rows`` rows; lists are left out."""
        values: dict[str, list[Any]] = {}
        n = 0
        with opened(address) as file:
            lines = _Lines(file, address)
            faults = Faults(lines.place)
            for objects in lines.batches(1_000, faults, max_rows=max_rows):
                for row in objects:
                    _flatten(row, "", values)
                n += len(objects)
            faults.raise_any()
        return [profile_values(name, Counter(found), n=n) for name, found in values.items()]

    def read(self, address: str, schema: Schema, *, batch_rows: int) -> Iterator[Events]:
        """Canonical events in batches, in file order.

        Raises:
            DataError: all faults of the file by line and field, the first ones in words; nothing
                is yielded from the first fault on.
        """
        to_events = _reader(schema)
        with opened(address) as file:
            lines = _Lines(file, address)
            faults = Faults(lines.place)
            n = 0
            for objects in lines.batches(batch_rows, faults):
                events = to_events(objects, faults, n)
                n += len(objects)
                if not faults.total:
                    yield events
            faults.raise_any()


ToEvents = Callable[[list[dict[str, Any]], Faults, int], Events]


def _reader(schema: Schema) -> ToEvents:
    """How objects become events: by columns where no path is nested, which is quicker."""
    rows = RowReader(schema, unknown="ignore")

    def by_rows(objects: list[dict[str, Any]], faults: Faults, first_row: int) -> Events:
        found = rows.read_records(objects, faults, first_row=first_row)
        return from_records(schema, found) if not faults.total else Events(n=0, columns={})

    def by_columns(objects: list[dict[str, Any]], faults: Faults, first_row: int) -> Events:
        columns = {}
        for field in schema.fields:
            (key,) = field.keys
            values = [row.get(key) for row in objects]
            if field.is_feature or field.required or values.count(None) < len(values):
                columns[key] = values
        return read_columns(schema, columns, faults, first_row=first_row)

    nested = any(len(field.keys) > 1 for field in schema.fields)
    return by_rows if nested else by_columns


class _Lines:
    """The objects of one open file, and the lines that they stand on."""

    def __init__(self, file: BinaryIO, address: str) -> None:
        self.address = address
        self._lines = numbered_lines(file, address)
        self._numbers: list[int] = []  #: of the batch at hand
        self._first = 0  #: number of the batch's first row

    def place(self, row: int, path: str) -> str:
        where = f"{self.address}:{self._numbers[row - self._first]}"
        return f"{where}: {path}" if path else where

    def batches(
        self, batch_rows: int, faults: Faults, *, max_rows: int | None = None
    ) -> Iterator[list[dict[str, Any]]]:
        """Objects, at most ``batch_rows`` a time; lines that hold none are faults.

        Raises:
            DataError: the file holds no line but blank ones.
        """
        objects: list[dict[str, Any]] = []
        n = 0
        for number, line in self._whole(faults):
            n += 1
            self._numbers.append(number)
            try:
                objects.append(decode_object(line))
            except ValueRefusedError as refused:
                faults.add(self._first + len(objects), "", str(refused), refused.hint)
                self._numbers.pop()
            if len(objects) == batch_rows:
                yield objects
                self._first += len(objects)
                self._numbers.clear()
                objects = []
            if n == max_rows:
                break
        if objects:
            yield objects
        if n == 0:
            faults.raise_any()
            raise DataError("expected events, found blank lines", where=self.address)

    def _whole(self, faults: Faults) -> Iterator[tuple[int, bytes]]:
        """Lines that hold something, up to one that can't be read."""
        try:
            for number, line in self._lines:
                if line.strip():
                    yield number, line
        except DataError as error:
            faults.absorb(self._first + len(self._numbers), error)


def _flatten(value: Any, path: str, into: dict[str, list[Any]]) -> None:
    """Collect the values of one object by path."""
    if isinstance(value, dict):
        for key, below in value.items():
            if path.count(".") < MAX_PATH_DEPTH:
                _flatten(below, f"{path}.{key}" if path else key, into)
    elif not isinstance(value, list):
        found = into.setdefault(path, [])
        if value is not None and value != "":
            found.append(value)
