"""Files of events as the disk has them: opened with care, read line by line, digested."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from baluarte.core.nearest import did_you_mean
from baluarte.errors import DataError, OutsideError

MAX_LINE_BYTES = 1 << 20  #: a longer line is no event, and would fill the memory

_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_UTF8_MARK = b"\xef\xbb\xbf"


@contextmanager
def opened(address: str) -> Iterator[BinaryIO]:
    """The bytes of a regular file, unpacked if its name ends with ``.gz``.

    Raises:
        DataError: there is no such file, it is no regular file, or it is damaged.
        OutsideError: the operating system refused.
    """
    with _plain(address) as raw, _wrapped(address):
        if address.lower().endswith(".gz"):
            with gzip.GzipFile(fileobj=raw) as packed:
                yield cast("BinaryIO", packed)
        else:
            yield raw


@contextmanager
def _plain(address: str) -> Iterator[BinaryIO]:
    path = Path(address)
    if "\0" in address:
        raise DataError("expected a file name, found a NUL in it", where=repr(address))
    try:
        # Not blocking: a pipe without a writer must be refused, not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError("expected a file, found none", where=address, hint=_near(path)) from None
    except OSError as error:
        raise _unreadable(address, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError("expected a file, found a folder or a device", where=address)
    with os.fdopen(descriptor, "rb") as raw:
        yield raw


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
        f"can't read the file: {os.strerror(error.errno or 0)}",
        where=address,
        hint="Check the disk and the file's permissions.",
    )


def _near(path: Path) -> str | None:
    try:
        return did_you_mean(path.name, [other.name for other in path.parent.iterdir()])
    except OSError:
        return None


def numbered_lines(file: BinaryIO, address: str) -> Iterator[tuple[int, bytes]]:
    """Each line with its number from 1, with its end; a UTF-8 byte order mark is left out.

    Raises:
        DataError: a line is too long, or the file is UTF-16 or empty.
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
        if number == 1:
            if line[:2] in _MARKS:
                raise DataError(
                    f"expected UTF-8, found {_MARKS[line[:2]]}",
                    where=f"{address}:1",
                    hint="Save the file as UTF-8.",
                )
            line = line.removeprefix(_UTF8_MARK)
        yield number, line
    if number == 0:
        raise DataError("expected events, found an empty file", where=address)


def file_digest(address: str) -> str:
    """``sha256:…`` of the file's bytes as they lie on the disk.

    Raises:
        DataError: there is no such file.
        OutsideError: the operating system refused.
    """
    with _plain(address) as file, _wrapped(address):
        digest = hashlib.sha256()
        while part := file.read(1 << 20):
            digest.update(part)
        return f"sha256:{digest.hexdigest()}"
