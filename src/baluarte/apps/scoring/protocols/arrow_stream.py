"""Events and answers as an Arrow IPC stream: columns for callers that have them as columns.

A column is a field, by its name or whole path; a struct is a nested object. Null, and NaN of
floats, is missing. A stream is data of strangers: its buffers are validated in full before they are
read, it may not be compressed, and what its texts take unfolded is bounded like a body.

pyarrow comes with the extra ``files``; where it is not installed this content type is not known.

Source: Apache Arrow, columnar format 1.5, IPC streaming format; Message.fbs, format 1.5.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from baluarte.apps.scoring.answer import Answer
from baluarte.apps.scoring.body import ARROW_STREAM, Row, check_n_rows
from baluarte.apps.scoring.problem import Refusal, wrong_shape
from baluarte.apps.scoring.settings import Limits

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_COLUMNS = 4_096
_MAX_BATCHES = 1_024
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3  #: of Message.fbs: MessageHeader
_ANSWER = pa.schema([
    ("id", pa.string()), ("event_id", pa.string()), ("detector", pa.string()),
    ("version", pa.int64()), ("outcome", pa.string()), ("points", pa.int64()),
    ("score", pa.int64()), ("probability", pa.float64()), ("base", pa.int64()),
    ("reasons", pa.list_(pa.struct([
        ("field", pa.string()), ("value", pa.string()), ("score", pa.int64()),
        ("share", pa.float64()), ("text", pa.string()), ("code", pa.string()),
    ]))),
    ("reasons_deferred", pa.bool_()),
])  # fmt: skip


def read(body: bytes, limits: Limits) -> list[Row]:
    """The rows of a stream.

    Raises:
        Refusal: it is none, is compressed, or holds too much or what no event has.
    """
    try:
        _require_plain(body)
        batches = list(_batches(body, limits))
        check_n_rows(sum(batch.num_rows for batch in batches), limits)
        return [row for batch in batches for row in _rows(batch, limits)]
    except (pa.ArrowException, OSError, ValueError, struct.error, EOFError) as error:
        raise wrong_shape("$", "an Arrow IPC stream", type(error).__name__) from None


def write(answers: Sequence[Answer]) -> tuple[bytes, str]:
    """The answers as a stream of one batch, and its content type; a reason's value is a text."""
    rows = [msgspec.to_builtins(answer) for answer in answers]
    for row in rows:
        row["reasons_deferred"] = row.get("reasons_deferred", False)
        for reason in row.get("reasons") or ():
            value = reason["value"]
            reason["value"] = None if value is None else str(value)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _ANSWER) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=_ANSWER))
    return sink.getvalue().to_pybytes(), ARROW_STREAM


def _batches(body: bytes, limits: Limits) -> Iterator[Any]:
    with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
        if len(reader.schema) > _MAX_COLUMNS or len(set(reader.schema.names)) != len(reader.schema):
            raise wrong_shape("$", "each column once", "a column again, or too many")
        n = 0
        for number, batch in enumerate(reader):
            n += batch.num_rows  # before anything is made of it: a null column has rows for nothing
            if n > limits.max_rows:
                raise Refusal("too_many_rows", f"expected at most {limits.max_rows} events")
            if number >= _MAX_BATCHES:
                raise wrong_shape("$", f"at most {_MAX_BATCHES} batches", "more")
            batch.validate(full=True)
            yield batch


def _rows(batch: Any, limits: Limits) -> list[Row]:
    room = _Room(limits.max_body_bytes)
    columns = {
        name: _values(column, f"$.{name}", room, limits.max_depth)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    return [
        {name: values[i] for name, values in columns.items() if values[i] is not None}
        for i in range(batch.num_rows)
    ]


class _Room:
    """How much more text may be unfolded."""

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit

    def take(self, array: Any) -> None:
        self.left -= pc.sum(pc.binary_length(array)).as_py() or 0
        if self.left < 0:
            raise Refusal("body_too_large", f"expected at most {self.limit} bytes of texts")


def _values(array: Any, path: str, room: _Room, depth: int) -> list[Any]:
    """One column as plain values; None is missing."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        if not _is_text(kind.value_type):
            raise wrong_shape(path, "a dictionary of texts", str(kind)[:60])
        lengths = pc.binary_length(array.dictionary)
        room.left -= pc.sum(lengths.take(array.indices)).as_py() or 0
        if room.left < 0:
            raise Refusal("body_too_large", f"expected at most {room.limit} bytes of texts")
        texts = array.dictionary.to_pylist()
        return [None if at is None else texts[at] for at in array.indices.to_pylist()]
    if _is_text(kind):
        room.take(array)
    elif pa.types.is_floating(kind):
        wide = array.cast(pa.float64()).to_pylist()
        return [None if value is None or math.isnan(value) else value for value in wide]
    elif pa.types.is_timestamp(kind):
        micros = array.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64()).to_pylist()
        return [None if at is None else _moment(at, path) for at in micros]
    elif pa.types.is_struct(kind) and depth > 0:
        return _objects(array, path, room, depth)
    elif not (
        pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
        or pa.types.is_date(kind)
    ):
        raise wrong_shape(path, "numbers, booleans, texts, times or structs", str(kind)[:60])
    values: list[Any] = array.to_pylist()
    return values


def _objects(array: Any, path: str, room: _Room, depth: int) -> list[Any]:
    """A struct column as objects."""
    names = [array.type.field(i).name for i in range(array.type.num_fields)]
    if len(set(names)) != len(names):
        raise wrong_shape(path, "each field of a struct once", "one again")
    inner = {
        name: _values(values, f"{path}.{name}", room, depth - 1)
        for name, values in zip(names, array.flatten(), strict=True)
    }
    there = array.is_valid().to_pylist()
    return [
        {name: values[i] for name, values in inner.items() if values[i] is not None}
        if there[i]
        else None
        for i in range(len(array))
    ]


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _moment(micros: int, path: str) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        raise wrong_shape(path, "a time that a calendar has", f"{micros} µs") from None


# --- what a stream says of itself ---------------------------------------------------------------


def _require_plain(body: bytes) -> None:
    """Return if no batch of the stream is compressed.

    A compressed buffer of a few bytes may unfold to gigabytes within the reader; whether there is
    one stands in each message's head, which is looked at before Arrow reads the stream.

    Raises:
        Refusal: one is.
    """
    at = 0
    while at + 8 <= len(body):
        marker, size = struct.unpack_from("<Ii", body, at)
        at += 8
        if marker != 0xFFFFFFFF:
            raise ValueError("no continuation marker")
        if size == 0:
            return
        if size < 0 or at + size > len(body):
            raise EOFError
        message = _Table.root(body[at : at + size])
        kind = message.byte(1)
        if kind in (_DICTIONARY_BATCH, _RECORD_BATCH):
            batch = message.table(2)
            if batch is not None and kind == _DICTIONARY_BATCH:
                batch = batch.table(1)
            if batch is None or batch.has(3):
                raise wrong_shape("$", "batches without compression", "compressed ones")
        at += size + message.long(3)


class _Table:
    """A table of a FlatBuffer: just enough to look at a few of its slots."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._slots = at - struct.unpack_from("<i", data, at)[0]
        if at < 0 or self._slots < 0:
            raise ValueError("a table outside of its buffer")

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def has(self, slot: int) -> bool:
        return self._offset(slot) != 0

    def byte(self, slot: int) -> int:
        offset = self._offset(slot)
        found: int = struct.unpack_from("<B", self._data, self._at + offset)[0] if offset else 0
        return found

    def long(self, slot: int) -> int:
        offset = self._offset(slot)
        found: int = struct.unpack_from("<q", self._data, self._at + offset)[0] if offset else 0
        if found < 0:
            raise ValueError("a negative length")
        return found

    def table(self, slot: int) -> _Table | None:
        offset = self._offset(slot)
        if not offset:
            return None
        at = self._at + offset
        return _Table(self._data, at + struct.unpack_from("<I", self._data, at)[0])

    def _offset(self, slot: int) -> int:
        size = struct.unpack_from("<H", self._data, self._slots)[0]
        place = 4 + 2 * slot
        if place + 2 > size:
            return 0
        found: int = struct.unpack_from("<H", self._data, self._slots + place)[0]
        return found
