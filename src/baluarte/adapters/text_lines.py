"""The lines of a text file in large parts, for readers that take them one by one.

Bytes that are not UTF-8 come through as lone surrogates (PEP 383), so that one bad line doesn't end
the reading; :func:`undecoded` finds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from baluarte.adapters.event_files import MAX_LINE_BYTES
from baluarte.errors import DataError

_PART = 1 << 20
_SURROGATE = re.compile("[\udc80-\udcff]")


class TextLines:
    """Iterates over lines, each with its end; what ends the reading early is in ``failure``.

    Args:
        keep: the lines since the last :meth:`forget` can be asked for.
    """

    def __init__(self, file: BinaryIO, address: str, *, keep: bool) -> None:
        self.failure: DataError | None = None
        self.suspect = False  #: some line is not UTF-8
        self._file, self._address, self._keep = file, address, keep
        self._window: list[str] = []
        self._base = 1  # number of the window's first line

    def __iter__(self) -> Iterator[str]:
        try:
            for part in self._parts():
                try:
                    text = part.decode()
                except UnicodeDecodeError:
                    text = part.decode(errors="surrogateescape")
                    self.suspect = True
                ended = text.endswith("\n")
                lines = [line + "\n" for line in text.split("\n")]
                lines[-1:] = [] if ended else [lines[-1][:-1]]
                if self._keep:
                    self._window += lines
                yield from lines
        except DataError as error:
            self.failure = error

    def text(self, first: int, last: int) -> str:
        """The lines of these numbers, as they stand."""
        found = "".join(self._window[first - self._base : last + 1 - self._base])
        return (
            found.rstrip("\r\n").encode(errors="surrogateescape").decode(errors="backslashreplace")
        )

    def forget(self, upto: int) -> None:
        """Lines up to this number are not asked for again."""
        if self._keep:
            del self._window[: upto + 1 - self._base]
        self._base = upto + 1

    def _parts(self) -> Iterator[bytes]:
        rest, number = b"", 1
        while data := self._file.read(_PART):
            ready, mark, rest = (rest + data).rpartition(b"\n")
            ready += mark
            longest = max(map(len, ready.split(b"\n"))) if len(ready) > MAX_LINE_BYTES else 0
            if longest > MAX_LINE_BYTES or len(rest) > MAX_LINE_BYTES:
                lengths = list(map(len, [*ready.split(b"\n")[:-1], rest]))
                at = next(i for i, length in enumerate(lengths) if length > MAX_LINE_BYTES)
                raise self._too_long(number + at)
            if ready:
                yield ready
                number += ready.count(b"\n")
        if rest:
            yield rest
        elif number == 1:
            raise DataError("expected events, found an empty file", where=self._address)

    def _too_long(self, number: int) -> DataError:
        return DataError(
            f"expected lines of at most {MAX_LINE_BYTES} bytes, found a longer one",
            where=f"{self._address}:{number}",
            hint="Check that the file is text and ends its lines with \\n.",
        )


def undecoded(text: str) -> int | None:
    r"""The first byte of a text that was not UTF-8; None where all was.

    >>> undecoded(b"Espa\xf1a".decode(errors="surrogateescape")), undecoded("España")
    (241, None)
    """
    found = None if text.isascii() else _SURROGATE.search(text)
    return None if found is None else ord(found[0]) - 0xDC00
