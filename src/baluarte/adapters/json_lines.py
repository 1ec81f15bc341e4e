"""Lines of JSON objects (RFC 8259), nested as the schema's paths say, as columns of events."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, BinaryIO

from baluarte.adapters.cells import Cells
from baluarte.adapters.event_files import numbered_lines, opened_text
from baluarte.adapters.profile import profile_values
from baluarte.adapters.row_intake import FewBad, RowIntake
from baluarte.core.event import Events, concat
from baluarte.core.event_columns import read_columns
from baluarte.core.event_faults import Faults
from baluarte.core.event_rows import RowReader, from_records
from baluarte.core.event_value import ValueRefusedError
from baluarte.core.json_object import decode_object
from baluarte.core.raw_column import RawColumn
from baluarte.core.reading import Reading
from baluarte.core.schema import MAX_PATH_DEPTH, Field, Schema
from baluarte.errors import DataError
from baluarte.ports import Quarantine

_PART_ROWS = 1_000  # of a batch: they are made columns while a processor's cache holds them
LOOSE = (".json", ".log", ".json.gz", ".log.gz")  #: endings of other forms, too: the content says


def profile_lines(address: str, *, max_rows: int, reading: Reading) -> list[RawColumn]:
    """The columns as they stand, over the first ``max_rows`` rows; lists are left out."""
    values: dict[str, list[Any]] = {}
    n = 0
    with opened_text(address, reading) as file:
        lines = _Lines(file, address)
        few = FewBad()
        intake = RowIntake(lines.place, few)
        for objects in lines.parts(_PART_ROWS, intake, max_rows=max_rows):
            for row in objects:
                _flatten(row, "", values, reading.missing)
            n += len(objects)
        intake.end()
        few.settle(intake.n + n)
    return [profile_values(name, Counter(found), n=n) for name, found in values.items()]


def read_lines(
    address: str,
    schema: Schema,
    *,
    batch_rows: int,
    reading: Reading,
    quarantine: Quarantine | None,
) -> Iterator[Events]:
    """Canonical events in batches, in file order.

    Raises:
        DataError: all faults of the file by line and field, the first ones in words.
    """
    to_events = _reader(schema)
    prepare = _Texts(schema, reading, address)
    with opened_text(address, reading) as file:
        lines = _Lines(file, address)
        intake = RowIntake(lines.place, quarantine)
        parts: list[Events] = []
        for objects in lines.parts(batch_rows, intake):
            first = lines.first
            prepare.rewrite(objects, intake.faults, first)
            events = to_events(objects, intake.faults, first)
            good = intake.settle(
                events,
                first_row=first,
                line=lambda row: lines.numbers[row],
                text=lambda row: lines.texts[row],
            )
            if good is not None:
                parts.append(good)
            if parts and (first + len(objects)) % batch_rows == 0 and not intake.faults.total:
                yield concat(parts)
                parts.clear()
        intake.end()
        if parts:
            yield concat(parts)


ToEvents = Callable[[list[dict[str, Any]], Faults, int], Events]


def _reader(schema: Schema) -> ToEvents:
    """How objects become events: by columns where no path is nested, which is quicker."""
    rows = RowReader(schema, unknown="ignore")

    def by_rows(objects: list[dict[str, Any]], faults: Faults, first_row: int) -> Events:
        found = rows.read_records(objects, faults, first_row=first_row)
        return from_records(schema, found) if not faults.total else Events(n=0, columns={})

    def by_columns(objects: list[dict[str, Any]], faults: Faults, first_row: int) -> Events:
        columns = {}
        for field, (key, values) in zip(fields, _by_key(objects, keys).items(), strict=True):
            if field.is_feature or field.required or values.count(None) < len(values):
                columns[key] = values
        return read_columns(schema, columns, faults, first_row=first_row)

    fields = [field for field in schema.fields if field.is_given]
    keys = [field.keys[0] for field in fields]
    nested = any(len(field.keys) > 1 for field in schema.fields)
    return by_rows if nested else by_columns


def _by_key(objects: list[dict[str, Any]], keys: Sequence[str]) -> dict[str, Sequence[Any]]:
    """(n,) values by key; None where an object has no such key."""
    if len(keys) > 1:
        with contextlib.suppress(KeyError):
            return dict(zip(keys, zip(*map(itemgetter(*keys), objects), strict=True), strict=True))
    return {key: [row.get(key) for row in objects] for key in keys}


class _Texts:
    """Texts of the objects that a reading gives another meaning: missing words, local times."""

    def __init__(self, schema: Schema, reading: Reading, address: str) -> None:
        plain = Cells(reading, where=address)
        self._missing = frozenset(reading.missing)
        local = plain.of_time
        self._fields: list[tuple[Field, Callable[[str], str] | None]] = [
            (field, local if field.type == "time" else None)
            for field in schema.fields
            if field.role != "ignored" and (self._missing or (local and field.type == "time"))
        ]

    def rewrite(self, objects: list[dict[str, Any]], faults: Faults, first_row: int) -> None:
        """Bring the texts of these objects to plain ones, in place."""
        for field, local in self._fields:
            path = ".".join(field.keys)
            for row, found in enumerate(objects, first_row):
                inner, key = _holder(found, field.keys, path)
                value = None if inner is None else inner.get(key)
                if inner is None or not isinstance(value, str):
                    continue
                if value in self._missing:
                    inner[key] = None
                elif local is not None:
                    try:
                        inner[key] = local(value)
                    except ValueRefusedError as refused:
                        faults.add(row, path, str(refused), refused.hint)
                        inner[key] = None


def _holder(found: Any, keys: tuple[str, ...], path: str) -> tuple[dict[str, Any] | None, str]:
    """The object that holds a path's value, and its key there."""
    if path in found:
        return found, path
    for key in keys[:-1]:
        found = found.get(key) if isinstance(found, dict) else None
    return (found if isinstance(found, dict) else None), keys[-1]


class _Lines:
    """The objects of one open file, and the lines that they stand on."""

    def __init__(self, file: BinaryIO, address: str) -> None:
        self.address = address
        self.numbers: list[int] = []  #: lines of the part at hand
        self.texts: list[str] = []  #: the same as they stand there
        self.first = 0  #: number of the part's first row
        self._lines = numbered_lines(file, address)
        self._loose = address.lower().endswith(LOOSE)

    def place(self, row: int, path: str) -> str:
        where = f"{self.address}:{self.numbers[row - self.first]}"
        return f"{where}: {path}" if path else where

    def parts(
        self, batch_rows: int, intake: RowIntake, *, max_rows: int | None = None
    ) -> Iterator[list[dict[str, Any]]]:
        """Objects, some at a time, of at most one batch; lines that hold none are rejected.

        Raises:
            DataError: the file holds no line but blank ones, or is of another form.
        """
        objects: list[dict[str, Any]] = []
        keep = intake.faults.by_row
        n, n_part = 0, min(_PART_ROWS, batch_rows)
        for number, line in self._whole(intake.faults):
            n += 1
            try:
                found = decode_object(line)
            except ValueRefusedError as refused:
                if n == 1 and self._loose:
                    self._refuse_form(line)
                error = DataError(str(refused), where=f"{self.address}:{number}", hint=refused.hint)
                row = self.first + len(objects)
                intake.reject(row, number, error, _shown(line))
            else:
                objects.append(found)
                self.numbers.append(number)
                if keep:
                    self.texts.append(_shown(line))
            if len(objects) == n_part:
                yield objects
                self.first += len(objects)
                n_part = min(_PART_ROWS, batch_rows - self.first % batch_rows)
                self.numbers.clear()
                self.texts.clear()
                objects = []
            if n == max_rows:
                break
        if objects:
            yield objects
        if n == 0:
            intake.faults.raise_any()
            raise DataError("expected events, found blank lines", where=self.address)

    def _refuse_form(self, line: bytes) -> None:
        """Refuse a file whose first line is the beginning of something else than an object."""
        start = line.strip()
        if start.startswith(b"{") and start != b"{":
            return  # an object that is damaged: a fault of its line
        found, jq = {b"[": ("an array", "'.[]'"), b"{": ("an object over several lines", ".")}.get(
            start[:1], ("other text", "")
        )
        raise DataError(
            f"expected one JSON object a line, found {found}",
            where=self.address,
            hint=f"Write one a line: jq -c {jq} FILE > FILE.ndjson."
            if jq
            else "Name another form by its ending, such as .csv or .tsv.",
        )

    def _whole(self, faults: Faults) -> Iterator[tuple[int, bytes]]:
        """Lines that hold something, up to one that can't be read."""
        try:
            for number, line in self._lines:
                if line.strip():
                    yield number, line
        except DataError as error:
            faults.absorb(self.first + len(self.numbers), error)


def _shown(line: bytes) -> str:
    return line.decode(errors="backslashreplace").rstrip("\r\n")


def _flatten(value: Any, path: str, into: dict[str, list[Any]], missing: tuple[str, ...]) -> None:
    """Collect the values of one object by path."""
    if isinstance(value, dict):
        for key, below in value.items():
            if path.count(".") < MAX_PATH_DEPTH:
                _flatten(below, f"{path}.{key}" if path else key, into, missing)
    elif not isinstance(value, list):
        found = into.setdefault(path, [])
        if value is not None and value != "" and value not in missing:
            found.append(value)
