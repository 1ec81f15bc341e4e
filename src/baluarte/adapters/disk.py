"""Files that must not lie: descriptors without links, whole writes, durable folders."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from baluarte.errors import OutsideError

_BASE = os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def outside(what: str, where: Path) -> Iterator[None]:
    """Turn an operating system's refusal into an error for the operator.

    Raises:
        OutsideError: anything the operating system refused within the block.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        hint = (
            "Make room; nothing is decided that can't be recorded."
            if full
            else "Check the disk and the folder's permissions."
        )
        raise OutsideError(
            f"{what}: {os.strerror(error.errno or 0)}", where=str(where), hint=hint
        ) from error


def open_existing(path: Path, *, write: bool = False) -> int:
    """A descriptor of a regular file that is there; never through a link."""
    return os.open(path, (os.O_RDWR if write else os.O_RDONLY) | _BASE)


def open_new(path: Path) -> int:
    """A descriptor of a file that wasn't there, readable by its owner only."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BASE, 0o600)


def open_or_new(path: Path) -> int:
    """A descriptor of a file, made where it wasn't there; never through a link."""
    return os.open(path, os.O_RDWR | os.O_CREAT | _BASE, 0o600)


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of ``data`` at ``offset``."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        offset += written
        view = view[written:]


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """Up to ``length`` bytes at ``offset``; fewer only at the file's end."""
    parts: list[bytes] = []
    while length > 0:
        part = os.pread(descriptor, min(length, 1 << 24), offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return b"".join(parts)


def reserve(descriptor: int, length: int) -> None:
    """Reserve room for ``length`` bytes where the file system can; a full disk still raises.

    Raises:
        OSError: there is no room.
    """
    allocate = getattr(os, "posix_fallocate", None)  # not on every Unix
    if allocate is None:
        return
    try:
        allocate(descriptor, 0, length)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
            raise


def write_aside(path: Path, data: bytes) -> None:
    """Replace or make a file so that it is seen whole or not at all, and survives a power cut."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        aside.unlink()
    descriptor = open_new(aside)
    try:
        write_at(descriptor, data, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    aside.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's list of names durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _BASE)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
