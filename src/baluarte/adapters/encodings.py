"""Text files in other encodings than UTF-8, brought to it while they are read.

Only what a byte order mark says is taken at its word. That a file is Latin-1 can't be known, only
guessed, and a wrong guess changes categories: :func:`likely_encoding` guesses for ``init``, which
writes the guess into ``workspace.toml`` and says so.
"""

from __future__ import annotations

import codecs
import io
import re
from typing import BinaryIO, cast

from baluarte.errors import ContractError, DataError

SAMPLE_BYTES = 1 << 20  #: that a guess looks at

# Longest first: the mark of UTF-16 begins that of UTF-32. Source: Unicode 16, section 23.8.
_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PART = 1 << 16
_SEVERAL_BYTES = re.compile(rb"[\xc2-\xf4][\x80-\xbf]+")


def decoded(file: BinaryIO, encoding: str, address: str) -> BinaryIO:
    """The file's text as UTF-8 without a byte order mark.

    Args:
        encoding: Python's name of it; empty for what the mark says, or else UTF-8.

    Raises:
        ContractError: there is no such encoding.
    """
    buffered = io.BufferedReader(cast("io.RawIOBase", file), _PART)
    head = buffered.peek(4)[:4]
    mark, marked = next(((m, name) for m, name in _MARKS if head.startswith(m)), (b"", ""))
    wanted = canonical_encoding(encoding, where=address) if encoding else marked or "utf-8"
    if mark and wanted.removesuffix("-sig") in (marked, marked[:6], marked[:5]):
        buffered.read(len(mark))
        wanted = marked
    if wanted in ("utf-8", "ascii"):
        return cast("BinaryIO", buffered)
    return cast("BinaryIO", io.BufferedReader(_Transcoded(buffered, wanted, address), _PART))


def canonical_encoding(name: str, *, where: str) -> str:
    """The one name that Python has for an encoding of text.

    Raises:
        ContractError: there is no such encoding.
    """
    try:
        found = codecs.lookup(name)
        "é".encode(name, "replace")  # what codes no text, such as hex, fails here
    except (LookupError, TypeError, ValueError):
        raise ContractError(
            f"expected an encoding such as utf-8, windows-1252 or utf-16; found {name!r}",
            where=where,
            hint="Write it as reading.encoding of the detector in workspace.toml.",
        ) from None
    return found.name


def likely_encoding(sample: bytes) -> str:
    """What a file's first bytes look like; empty where they are UTF-8 or marked.

    >>> likely_encoding("España".encode("latin-1")), likely_encoding("España".encode())
    ('windows-1252', '')
    """
    if any(sample.startswith(mark) for mark, _ in _MARKS):
        return ""
    if len(sample) > 8:
        zeros = (sample[0::2].count(0), sample[1::2].count(0))
        if max(zeros) > len(sample) // 4 and min(zeros) <= len(sample) // 100:
            return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        # Damaged UTF-8 still has sequences that are whole; a single-byte encoding hardly has.
        whole = len(_SEVERAL_BYTES.findall(sample))
        return "" if whole > sum(byte > 0x7F for byte in sample) // 4 else "windows-1252"
    return ""


class _Transcoded(io.RawIOBase):
    """The bytes of a text in UTF-8 that is stored in another encoding."""

    def __init__(self, file: io.BufferedIOBase, encoding: str, address: str) -> None:
        super().__init__()
        self._file, self._encoding, self._address = file, encoding, address
        self._decode = codecs.getincrementaldecoder(encoding)().decode
        self._ready = b""
        self._over = False
        self._lines = 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._ready and not self._over:
            part = self._file.read(_PART)
            self._over = not part
            try:
                self._ready = self._decode(part, self._over).encode("utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                raise self._refused(error) from None
        n = min(len(buffer), len(self._ready))
        buffer[:n] = self._ready[:n]
        self._lines += self._ready.count(b"\n", 0, n)
        self._ready = self._ready[n:]
        return n

    def _refused(self, error: UnicodeDecodeError) -> DataError:
        before = bytes(error.object[: error.start]).decode(self._encoding, "replace").count("\n")
        found = bytes(error.object[error.start : error.end])[:4].hex(" ")
        return DataError(
            f"expected {self._encoding}, found the bytes {found}",
            where=f"{self._address}:{self._lines + before}",
            hint="Check reading.encoding of the detector in workspace.toml.",
        )
