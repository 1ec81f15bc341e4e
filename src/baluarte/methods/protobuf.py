"""Protocol Buffers' wire format, read within bounds: fields by number, nothing interpreted.

Source: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baluarte.errors import DataError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MAX_FIELDS = 1 << 22  #: of one message
_WIDTH = {FIXED64: 8, FIXED32: 4}


class Message:
    """One message: the values of each field, in order, and each field's own bytes."""

    __slots__ = ("_fields", "raw")

    def __init__(self, data: memoryview | bytes) -> None:
        view = memoryview(data)
        self.raw: list[tuple[int, memoryview]] = []
        self._fields: dict[int, list[tuple[int, int | memoryview]]] = {}
        at, n = 0, 0
        while at < len(view):
            start = at
            key, at = _varint(view, at)
            number, kind = key >> 3, key & 7
            value: int | memoryview
            if kind == VARINT:
                value, at = _varint(view, at)
            elif kind == BYTES:
                size, at = _varint(view, at)
                value, at = _taken(view, at, size), at + size
            elif kind in _WIDTH:
                value, at = _taken(view, at, _WIDTH[kind]), at + _WIDTH[kind]
            else:
                raise DataError(f"expected protobuf, found the wire type {kind}")
            n += 1
            if number == 0 or n > _MAX_FIELDS:
                raise DataError(f"expected protobuf, found field {number} after {n} fields")
            self._fields.setdefault(number, []).append((kind, value))
            self.raw.append((number, view[start:at]))

    def messages(self, number: int) -> list[Message]:
        """The messages of a field."""
        return [Message(part) for part in self.parts(number)]

    def message(self, number: int) -> Message:
        """The last message of a field, or an empty one."""
        parts = self.parts(number)
        return Message(parts[-1] if parts else b"")

    def parts(self, number: int) -> list[memoryview]:
        """The byte strings of a field."""
        found = self._fields.get(number, ())
        return [value for kind, value in found if kind == BYTES and isinstance(value, memoryview)]

    def texts(self, number: int) -> list[str]:
        """The texts of a field."""
        return [bytes(part).decode("utf-8") for part in self.parts(number)]

    def text(self, number: int, absent: str = "") -> str:
        """The last text of a field."""
        found = self.texts(number)
        return found[-1] if found else absent

    def integers(self, number: int) -> NDArray[np.int64]:
        """The signed integers of a field, packed or one by one."""
        out: list[int] = []
        for kind, value in self._fields.get(number, ()):
            if kind == VARINT and isinstance(value, int):
                out.append(value)
            elif kind == BYTES and isinstance(value, memoryview):
                at = 0
                while at < len(value):
                    one, at = _varint(value, at)
                    out.append(one)
        return np.array(out, dtype=np.uint64).view(np.int64)

    def integer(self, number: int, absent: int = 0) -> int:
        """The last integer of a field."""
        found = self.integers(number)
        return int(found[-1]) if found.size else absent

    def floats(self, number: int) -> NDArray[np.float32]:
        """The float32 numbers of a field, packed or one by one."""
        return np.frombuffer(self._fixed(number, FIXED32), dtype="<f4").astype(np.float32)

    def doubles(self, number: int) -> NDArray[np.float64]:
        """The float64 numbers of a field, packed or one by one."""
        return np.frombuffer(self._fixed(number, FIXED64), dtype="<f8").astype(np.float64)

    def _fixed(self, number: int, single: int) -> bytes:
        found = self._fields.get(number, ())
        return b"".join(
            bytes(value)
            for kind, value in found
            if kind in {single, BYTES} and isinstance(value, memoryview)
        )


def written(fields: Sequence[tuple[int, bytes | memoryview]]) -> bytes:
    """A message of byte-string fields and of fields already written (number 0)."""
    out = bytearray()
    for number, data in fields:
        if number:
            out += _written_varint(number << 3 | BYTES) + _written_varint(len(data))
        out += data
    return bytes(out)


def _written_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _taken(view: memoryview, at: int, size: int) -> memoryview:
    if size > len(view) - at:
        raise DataError(f"expected {size} more bytes at byte {at}, found {len(view) - at}")
    return view[at : at + size]


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(view) or shift > 63:
            raise DataError(f"expected a number at byte {at}, found none")
        byte = view[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
