"""Files of events wherever they lie: opened with care, read line by line, digested."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from baluarte.adapters.encodings import decoded
from baluarte.adapters.objects import SCHEMES, is_object, opened_object
from baluarte.core.nearest import did_you_mean
from baluarte.core.reading import PLAIN, Reading
from baluarte.errors import DataError, OutsideError

MAX_LINE_BYTES = 1 << 20  #: a longer line is no event, and would fill the memory


@contextmanager
def opened(address: str) -> Iterator[BinaryIO]:
    """The bytes of a regular file or an object, unpacked if its name ends with ``.gz``.

    Raises:
        DataError: there is no such file, it is no regular file, or it is damaged.
        OutsideError: the operating system or the object store refused.
    """
    with _plain(address) as raw, _wrapped(address):
        if address.lower().endswith(".gz"):
            with gzip.GzipFile(fileobj=raw) as packed:
                yield cast("BinaryIO", packed)
        else:
            yield raw


@contextmanager
def opened_text(address: str, reading: Reading = PLAIN) -> Iterator[BinaryIO]:
    """As :func:`opened`, brought to UTF-8 from what is stated or what its first bytes mark.

    Raises:
        ContractError: there is no such encoding.
        DataError: also where the bytes are not of that encoding.
    """
    with opened(address) as file:
        text = decoded(file, reading.encoding, address)
        try:
            yield text
        finally:
            text.close()


@contextmanager
def _plain(address: str) -> Iterator[BinaryIO]:
    if is_object(address):
        with opened_object(address) as stored:
            yield stored
        return
    path = Path(address)
    if "\0" in address:
        raise DataError("expected a file name, found a NUL in it", where=repr(address))
    try:
        # Not blocking: a pipe without a writer must be refused, not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise _absent(address) from None
    except OSError as error:
        raise _unreadable(address, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError("expected a file, found a folder or a device", where=address)
    with os.fdopen(descriptor, "rb") as raw:
        yield raw


def _absent(address: str) -> DataError:
    """There is no such file; an address of a store that is not reached is no file at all."""
    scheme, mark, path = address.partition("://")
    if not mark:
        return DataError("expected a file, found none", where=address, hint=_near(Path(address)))
    known = ", ".join(f"{one}://" for one in SCHEMES if one != "memory")
    return DataError(
        f"expected a file's path or one of {known}; found {scheme}://",
        where=address,
        hint=f"Write the path alone: {path}" if scheme.lower() == "file" else None,
    )


@contextmanager
def _wrapped(address: str) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"expected gzip, found damaged or other data ({error})",
            where=address,
            hint="Fetch the file again.",
        ) from error
    except OSError as error:
        raise _unreadable(address, error) from error


def _unreadable(address: str, error: OSError) -> OutsideError:
    return OutsideError(
        f"can't read the file: {os.strerror(error.errno) if error.errno else error}",
        where=address,
        hint="Check the disk and the file's permissions.",
    )


def _near(path: Path) -> str | None:
    try:
        return did_you_mean(path.name, [other.name for other in path.parent.iterdir()])
    except OSError:
        return None


def numbered_lines(file: BinaryIO, address: str) -> Iterator[tuple[int, bytes]]:
    """Each line with its number from 1, with its end.

    Raises:
        DataError: a line is too long, or the file is empty.
    """
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise DataError(
                f"expected lines of at most {MAX_LINE_BYTES} bytes, found a longer one",
                where=f"{address}:{number}",
                hint="Check that the file is text and ends its lines with \\n.",
            )
        yield number, line
    if number == 0:
        raise DataError("expected events, found an empty file", where=address)


def content_digest(address: str) -> str:
    """``sha256:…`` of the file's bytes as they are stored.

    Raises:
        DataError: there is no such file.
        OutsideError: the operating system or the object store refused.
    """
    return f"sha256:{_hexdigest(address, 'sha256')}"


def content_md5(address: str) -> str:
    """The MD5 of the file's bytes in hex: no proof of anything, but what DVC knows a file by."""
    return _hexdigest(address, "md5")


def _hexdigest(address: str, algorithm: str) -> str:
    with _plain(address) as file, _wrapped(address):
        digest = hashlib.new(algorithm, usedforsecurity=algorithm != "md5")
        while part := file.read(1 << 20):
            digest.update(part)
        return digest.hexdigest()


def size_of(address: str) -> int:
    """Bytes of the file as it is stored."""
    with _plain(address) as file, _wrapped(address):
        return file.seek(0, io.SEEK_END)
