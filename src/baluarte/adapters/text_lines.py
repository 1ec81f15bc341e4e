"""The lines of a text file, for readers that take them one by one or in blocks.

Bytes that are not UTF-8 come through as lone surrogates (PEP 383), so that one bad line doesn't end
the reading; :func:`undecoded` finds them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from baluarte.adapters.event_files import MAX_LINE_BYTES
from baluarte.errors import DataError

_PART = MAX_LINE_BYTES - (1 << 16)  # with the rest of the part before, it hardly is a line too long
_SURROGATE = re.compile("[\udc80-\udcff]")


class TextLines:
    """The lines of a file one by one, each with its end, or whole blocks of them.

    Iterating gives lines. While none of a part that was opened is left, the next part can be looked
    at with :meth:`block` and passed by with :meth:`skip`. What ends the reading early is in
    ``failure``.

    Args:
        keep: the lines since the last :meth:`forget` can be asked for.
    """

    def __init__(self, file: BinaryIO, address: str, *, keep: bool) -> None:
        self.failure: DataError | None = None
        self.suspect = False  #: some line is not UTF-8
        self.given = 0  #: lines that were iterated over
        self.opened = 0  #: the same with what is left of their part
        self.skipped = 0  #: lines of the blocks that were passed by
        self._address, self._keep = address, keep
        self._next = b""  # the part that was looked at
        self._parts = self._read_parts(file)
        self._window: deque[tuple[int, bytes]] = deque()  # parts, and their first lines' numbers
        self._split: tuple[int, list[str]] = (0, [])  # the part of the window that was asked for

    def __iter__(self) -> Iterator[str]:
        while part := self.block():
            lines = self._lines(part)
            self._next = b""
            self._remember(part)  # before its lines count
            self.opened += len(lines)
            for line in lines:
                self.given += 1
                yield line

    @property
    def number(self) -> int:
        """Of the line that was given last."""
        return self.given + self.skipped

    @property
    def between(self) -> bool:
        """Whether no line is left of a part that was opened."""
        return self.given == self.opened

    def block(self) -> bytes:
        """Whole lines that come next; empty at the end, or where ``failure`` says why."""
        if not self._next:
            try:
                self._next = next(self._parts, b"")
            except DataError as error:
                self.failure = error
        return self._next

    def skip(self, n: int) -> None:
        """Pass by the block, of ``n`` lines."""
        part, self._next = self._next, b""
        self._remember(part)
        self.skipped += n

    def text(self, first: int, last: int) -> str:
        """The lines of these numbers, as they stand."""
        found = "".join(map(self._line, range(first, last + 1))).rstrip("\r\n")
        return found.encode(errors="surrogateescape").decode(errors="backslashreplace")

    def forget(self, upto: int) -> None:
        """Lines up to this number are not asked for again."""
        while len(self._window) > 1 and self._window[1][0] <= upto + 1:
            self._window.popleft()

    def _remember(self, part: bytes) -> None:
        if self._keep:
            self._window.append((self.opened + self.skipped + 1, part))

    def _line(self, number: int) -> str:
        start, lines = self._split
        if not start <= number < start + len(lines):
            start, part = next(kept for kept in reversed(self._window) if kept[0] <= number)
            lines = self._lines(part)
            self._split = start, lines
        return lines[number - start]

    def _lines(self, part: bytes) -> list[str]:
        try:
            text = part.decode()
        except UnicodeDecodeError:
            text = part.decode(errors="surrogateescape")
            self.suspect = True
        lines = [line + "\n" for line in text.split("\n")]
        lines[-1:] = [lines[-1][:-1]] if lines[-1] != "\n" else []
        return lines

    def _read_parts(self, file: BinaryIO) -> Iterator[bytes]:
        """The lines of the file's head one by one, then many at a time.

        The head is the first line, and further ones that begin with ``#``.
        """
        head = True
        for part in self._whole_lines(file):
            rest = part
            while head and rest:
                line, mark, rest = rest.partition(b"\n")
                yield line + mark
                head = rest.startswith(b"#")
            if rest:
                yield rest

    def _whole_lines(self, file: BinaryIO) -> Iterator[bytes]:
        rest, number = b"", 1
        while data := file.read(_PART):
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
