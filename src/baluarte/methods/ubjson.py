"""Read Universal Binary JSON, which XGBoost writes its models in: float32 stays float32.

Source: https://ubjson.org, draft 12; big-endian numbers, optional types and counts of containers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from baluarte.errors import DataError

_NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
_CONSTANTS: dict[str, bool | None] = {"Z": None, "T": True, "F": False}
_MAX_DEPTH = 64


def read_ubjson(data: bytes) -> Any:
    """The value that ``data`` holds; typed arrays come as NumPy arrays in native byte order.

    Raises:
        DataError: the bytes are no UBJSON, or stop in the middle.
    """
    reader = _Reader(data)
    value = reader.value(reader.marker(), depth=0)
    if reader.at != len(data):
        raise reader.fault(f"expected the end, found {len(data) - reader.at} more bytes")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def fault(self, message: str) -> DataError:
        return DataError(f"not readable as UBJSON: {message}", where=f"byte {self.at}")

    def take(self, n: int) -> bytes:
        if not 0 <= n <= len(self.data) - self.at:
            raise self.fault(f"expected {n} more bytes, found {len(self.data) - self.at}")
        self.at += n
        return self.data[self.at - n : self.at]

    def marker(self) -> str:
        while True:
            found = self.take(1).decode("latin-1")
            if found != "N":  # a no-op
                return found

    def value(self, kind: str, *, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise self.fault(f"expected containers at most {_MAX_DEPTH} deep")
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind in _NUMBERS:
            return self.numbers(kind, 1)[0].item()
        if kind == "S":
            return self.text()
        if kind == "[":
            return self.array(depth)
        if kind == "{":
            return self.table(depth)
        raise self.fault(f"found the marker {kind!r}")

    def numbers(self, kind: str, count: int) -> Any:
        dtype = np.dtype(_NUMBERS[kind])
        raw = np.frombuffer(self.take(count * dtype.itemsize), dtype)
        return raw.astype(dtype.newbyteorder("="))

    def length(self) -> int:
        kind = self.marker()
        if kind not in "iUIlL":
            raise self.fault(f"expected a length, found the marker {kind!r}")
        return int(self.numbers(kind, 1)[0])

    def text(self) -> str:
        raw = self.take(self.length())
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise self.fault("expected text in UTF-8") from error

    def counted(self) -> tuple[str | None, int | None]:
        """The type and the count of a container, where it states them."""
        kind = None
        if self.data[self.at : self.at + 1] == b"$":
            self.at += 1
            kind = self.marker()
        if self.data[self.at : self.at + 1] == b"#":
            self.at += 1
            count = self.length()
            if not 0 <= count <= len(self.data):
                raise self.fault(f"expected as many items as there are bytes, found {count}")
            return kind, count
        if kind is not None:
            raise self.fault("expected a count after a type")
        return None, None

    def array(self, depth: int) -> Any:
        kind, count = self.counted()
        if kind in _NUMBERS and count is not None:
            return self.numbers(str(kind), count)
        found: list[Any] = []
        while count is None or len(found) < count:
            marker = kind or self.marker()
            if count is None and marker == "]":
                break
            found.append(self.value(marker, depth=depth + 1))
        return found

    def table(self, depth: int) -> dict[str, Any]:
        kind, count = self.counted()
        found: dict[str, Any] = {}
        n_read = 0
        while count is None or n_read < count:
            if count is None and self.data[self.at : self.at + 1] == b"}":
                self.at += 1
                break
            key = self.text()
            found[key] = self.value(kind or self.marker(), depth=depth + 1)
            n_read += 1
        return found
