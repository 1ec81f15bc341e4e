"""Objects in stores that fsspec reaches (S3, Google Cloud, Azure, WebHDFS). Extra ``objects``.

A store's keys and endpoints are read by its own library from where it always reads them
(environment, profile, instance), so that no secret passes through here.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from baluarte.errors import BaluarteError, ContractError, DataError, OutsideError

#: protocol to the library that speaks it; whatever isn't here is not reached
SCHEMES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "webhdfs": "requests",
    "memory": "",
}


def is_object(address: str) -> bool:
    """Whether an address is of an object, and not of a file or a database."""
    scheme, mark, _ = address.partition("://")
    return bool(mark) and scheme.lower() in SCHEMES


@contextmanager
def opened_object(address: str) -> Iterator[BinaryIO]:
    """The bytes of an object, read in parts and able to seek.

    Raises:
        DataError: there is no such object.
        OutsideError: the store refused, or its library isn't installed.
    """
    system, path = _system(address)
    with _refusals(address):
        file = system.open(path, "rb")
    with file:
        yield cast("BinaryIO", io.BufferedReader(_Guarded(file, address)))


def put_object(source: Path, address: str) -> None:
    """Store a file's content as one object, whole or not at all.

    Raises:
        OutsideError: the store refused, or its library isn't installed.
    """
    system, path = _system(address)
    with _refusals(address):
        system.put_file(str(source), path)


def _system(address: str) -> tuple[Any, str]:
    scheme = address.partition("://")[0].lower()
    if "::" in address or "\0" in address:
        raise ContractError("expected one address of an object, found a chain", where=address)
    needs = f"pip install 'baluarte[objects]' {SCHEMES[scheme]}".rstrip()
    try:
        import fsspec.core  # noqa: PLC0415 - only who reads objects pays
    except ImportError as error:
        raise OutsideError(
            "reading an object needs fsspec, which isn't installed", where=address, hint=needs
        ) from error
    with _refusals(address):
        try:
            system, path = fsspec.core.url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise OutsideError(
                f"the store can't be reached: {error}", where=address, hint=needs
            ) from error
    return system, path


@contextmanager
def _refusals(address: str) -> Iterator[None]:
    """Foreign libraries raise what they like: all of it becomes an error for the operator."""
    try:
        yield
    except BaluarteError:
        raise
    except (FileNotFoundError, IsADirectoryError):
        raise DataError("expected a file, found none", where=address) from None
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise OutsideError(
            f"the object store refused: {reason}",
            where=address,
            hint="Check the store's keys, endpoint and the object's name.",
            retryable=True,
        ) from error


class _Guarded(io.RawIOBase):
    """An fsspec file whose errors, in the middle of reading, have the object's name."""

    def __init__(self, file: Any, address: str) -> None:
        super().__init__()
        self._file, self._address = file, address

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _refusals(self._address):
            found = self._file.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _refusals(self._address):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())
