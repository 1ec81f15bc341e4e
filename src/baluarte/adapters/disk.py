"""Files that must not lie: descriptors without links, whole writes, durable folders."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from baluarte.errors import OutsideError

if TYPE_CHECKING:
    from baluarte.ports import Disk

_BASE = os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def outside(what: str, where: PurePath) -> Iterator[None]:
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


def open_existing(path: PurePath, *, write: bool = False) -> int:
    """A descriptor of a regular file that is there; never through a link."""
    return os.open(path, (os.O_RDWR if write else os.O_RDONLY) | _BASE)


def open_new(path: PurePath) -> int:
    """A descriptor of a file that wasn't there, readable by its owner only."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BASE, 0o600)


def open_or_new(path: PurePath) -> int:
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


def sync_folder(folder: PurePath) -> None:
    """Make the folder's list of names durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _BASE)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(descriptor: int) -> bool:
    """Lock the file for this process alone; False where another holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_folder(path: PurePath) -> bool:
    found = Path(path)
    return found.is_dir() and not found.is_symlink()


def _free_bytes(folder: PurePath) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class LocalDisk:
    """This machine's file system, as :class:`baluarte.ports.Disk` asks for it."""

    open_existing = staticmethod(open_existing)
    open_new = staticmethod(open_new)
    open_or_new = staticmethod(open_or_new)
    close = staticmethod(os.close)
    write_at = staticmethod(write_at)
    read_at = staticmethod(read_at)
    truncate = staticmethod(os.ftruncate)
    reserve = staticmethod(reserve)
    datasync = staticmethod(os.fdatasync)
    sync = staticmethod(os.fsync)
    lock = staticmethod(lock)
    is_folder = staticmethod(_is_folder)
    sync_folder = staticmethod(sync_folder)
    free_bytes = staticmethod(_free_bytes)

    @staticmethod
    def size(path: PurePath) -> int:
        """Bytes of a file."""
        return os.stat(path, follow_symlinks=False).st_size

    @staticmethod
    def names(folder: PurePath) -> list[str]:
        """What stands in a folder, in no order."""
        return os.listdir(folder)

    @staticmethod
    def make_folder(path: PurePath) -> None:
        """Make a folder for its owner only, whose parent is there."""
        os.mkdir(path, 0o700)

    @staticmethod
    def rename(old: PurePath, new: PurePath) -> None:
        """Give a file another name, in the place of what had it."""
        os.rename(old, new)

    @staticmethod
    def unlink(path: PurePath) -> None:
        """Take a file's name away."""
        os.unlink(path)


LOCAL: Disk = LocalDisk()


def make_folders(path: PurePath, disk: Disk = LOCAL) -> None:
    """Make a folder and the folders above it where they are missing, durably."""
    if disk.is_folder(path):
        return
    parent = path.parent
    if parent != path:
        make_folders(parent, disk)
    with contextlib.suppress(FileExistsError):
        disk.make_folder(path)
    disk.sync_folder(parent)


def write_aside(path: PurePath, data: bytes, disk: Disk = LOCAL) -> None:
    """Replace or make a file so that it is seen whole or not at all, and survives a power cut."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(aside)
    descriptor = disk.open_new(aside)
    try:
        disk.write_at(descriptor, data, 0)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    disk.rename(aside, path)
    disk.sync_folder(path.parent)
