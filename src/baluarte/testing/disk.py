"""A file system in memory that loses what a real one may lose: power cuts, torn writes, faults.

It promises what POSIX promises and not a byte more. A file's bytes are durable after ``datasync``
or ``sync``; a name after ``sync_folder``. At a power cut every write since then is kept, dropped or
torn at the sectors of the disk, in any combination, and so is every new name and every rename. A
sync that fails loses what it was to write, and the next one says nothing of it.

Source: Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020; Pillai et
al., "All File Systems Are Not Created Equal", OSDI 2014.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import PurePath

from baluarte.ports import Disk

SECTOR_BYTES = 512
_ENDLESS = 1 << 40


class PowerCut(BaseException):
    """The machine is off; every further operation raises this until :meth:`SimulatedDisk.start`."""


class _File:
    """What is read, what is durable, and the writes between the two."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.durable = bytearray()
        self.pending: list[tuple[int, bytes] | int] = []  #: (offset, bytes), or a length
        self.holder: int | None = None  #: the descriptor that holds the lock

    def synced(self) -> None:
        if self.pending:
            self.durable = bytearray(self.data)
            self.pending = []

    def cut(self, rng: random.Random) -> None:
        keep = rng.choice((0.0, 0.5, 0.9, 1.0))
        data = self.durable
        for step in self.pending:
            if isinstance(step, int):
                if rng.random() < keep:
                    _end_at(data, step)
                continue
            offset, written = step
            at = 0
            while at < len(written):
                stop = min(len(written), at + SECTOR_BYTES - (offset + at) % SECTOR_BYTES)
                if rng.random() < keep:
                    _put(data, offset + at, written[at:stop])
                at = stop
        self.data, self.durable, self.pending = bytearray(data), bytearray(data), []
        self.holder = None


class _Folder:
    def __init__(self) -> None:
        self.names: dict[str, _File | _Folder] = {}
        self.durable: dict[str, _File | _Folder] = {}
        self.pending: list[tuple[str | None, str, _File | _Folder | None]] = []

    def change(self, old: str | None, name: str, node: _File | _Folder | None) -> None:
        """Take ``old`` away and put ``node`` (nothing when None) under ``name``, at once."""
        step = (old, name, node)
        _apply(self.names, step)
        self.pending.append(step)

    def synced(self) -> None:
        self.durable, self.pending = dict(self.names), []

    def cut(self, rng: random.Random) -> None:
        keep = rng.choice((0.0, 0.5, 1.0))
        for step in self.pending:
            if rng.random() < keep:
                _apply(self.durable, step)
        self.names, self.pending = dict(self.durable), []
        for node in self.names.values():
            node.cut(rng)


class SimulatedDisk:
    """Files in memory, as :class:`baluarte.ports.Disk`.

    Attributes:
        capacity_bytes: of all files together; more is ENOSPC.
        cut_in: operations until the power goes; None is never.
        fault: called before each operation with its name and the file's path; what it raises is
            raised. A failing ``sync`` or ``datasync`` loses what it was to write.
        operations: how many there were.
    """

    def __init__(self, *, capacity_bytes: int = _ENDLESS) -> None:
        self.capacity_bytes = capacity_bytes
        self.cut_in: int | None = None
        self.fault: Callable[[str, PurePath], None] | None = None
        self.operations = 0
        self._root = _Folder()
        self._open: dict[int, tuple[_File, PurePath]] = {}
        self._next = 1_000
        self._off = False

    def start(self, rng: random.Random) -> None:
        """Power again, after what is not durable was kept, dropped or torn."""
        self._root.cut(rng)
        self._open.clear()
        self._off, self.cut_in = False, None

    def used_bytes(self) -> int:
        """Bytes of all files."""
        return _used(self._root)

    # --- files ------------------------------------------------------------------------------

    def open_existing(self, path: PurePath, *, write: bool = False) -> int:
        """A descriptor of a file that is there."""
        del write
        self._step("open", path)
        return self._descriptor(self._file(path), path)

    def open_new(self, path: PurePath) -> int:
        """A descriptor of a file that wasn't there."""
        self._step("create", path)
        folder = self._folder(path.parent)
        if path.name in folder.names:
            raise _error(errno.EEXIST, path)
        folder.change(None, path.name, _File())
        return self._descriptor(self._file(path), path)

    def open_or_new(self, path: PurePath) -> int:
        """A descriptor of a file, made where it wasn't there."""
        if path.name in self._folder(path.parent).names:
            return self.open_existing(path, write=True)
        return self.open_new(path)

    def close(self, descriptor: int, /) -> None:
        """Give the descriptor back, and the lock with it."""
        if self._off:
            return
        file, _ = self._open.pop(descriptor)
        if file.holder == descriptor:
            file.holder = None

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write all of ``data``; a power cut may come in its middle."""
        file, path = self._known(descriptor)
        try:
            self._step("write", path)
        except PowerCut:
            file.pending.append((offset, bytes(data)))
            raise
        self._need(offset + len(data) - len(file.data), path)
        _put(file.data, offset, data)
        file.pending.append((offset, bytes(data)))

    def read_at(self, descriptor: int, length: int, offset: int) -> bytes:
        """Up to ``length`` bytes at ``offset``."""
        file, path = self._known(descriptor)
        self._step("read", path)
        return bytes(file.data[offset : offset + length])

    def truncate(self, descriptor: int, length: int, /) -> None:
        """End the file at ``length``."""
        file, path = self._known(descriptor)
        self._step("truncate", path)
        _end_at(file.data, length)
        file.pending.append(length)

    def reserve(self, descriptor: int, length: int) -> None:
        """Reserve room for ``length`` bytes."""
        file, path = self._known(descriptor)
        self._step("reserve", path)
        if length > len(file.data):
            self._need(length - len(file.data), path)
            _end_at(file.data, length)
            file.pending.append(length)

    def datasync(self, descriptor: int, /) -> None:
        """Make the file's bytes durable."""
        self._sync("datasync", descriptor)

    def sync(self, descriptor: int, /) -> None:
        """Make the file durable."""
        self._sync("sync", descriptor)

    def lock(self, descriptor: int) -> bool:
        """Lock the file for one holder."""
        file, _ = self._known(descriptor)
        if file.holder is not None:
            return False
        file.holder = descriptor
        return True

    def size(self, path: PurePath) -> int:
        """Bytes of a file."""
        return len(self._file(path).data)

    # --- folders ----------------------------------------------------------------------------

    def names(self, folder: PurePath) -> list[str]:
        """What stands in a folder."""
        return list(self._folder(folder).names)

    def is_folder(self, path: PurePath) -> bool:
        """Whether a folder is there."""
        try:
            self._folder(path)
        except OSError:
            return False
        return True

    def make_folder(self, path: PurePath) -> None:
        """Make a folder."""
        self._step("make_folder", path)
        folder = self._folder(path.parent)
        if path.name in folder.names:
            raise _error(errno.EEXIST, path)
        folder.change(None, path.name, _Folder())

    def rename(self, old: PurePath, new: PurePath) -> None:
        """Give a file another name within its folder."""
        self._step("rename", new)
        if old.parent != new.parent:
            raise _error(errno.EXDEV, new)
        self._folder(new.parent).change(old.name, new.name, self._file(old))

    def unlink(self, path: PurePath) -> None:
        """Take a file's name away."""
        self._file(path)
        self._step("unlink", path)
        self._folder(path.parent).change(path.name, path.name, None)

    def sync_folder(self, folder: PurePath) -> None:
        """Make the folder's names durable."""
        self._step("sync_folder", folder)
        self._folder(folder).synced()

    def free_bytes(self, folder: PurePath) -> int:
        """Room that is left."""
        del folder
        return self.capacity_bytes - self.used_bytes()

    # --- within -----------------------------------------------------------------------------

    def _step(self, operation: str, path: PurePath) -> None:
        self.operations += 1
        if self.cut_in is not None:
            self.cut_in -= 1
            self._off = self._off or self.cut_in < 0
        if self._off:
            raise PowerCut(operation)
        if self.fault is not None:
            self.fault(operation, path)

    def _sync(self, operation: str, descriptor: int) -> None:
        file, path = self._known(descriptor)
        try:
            self._step(operation, path)
        except OSError:
            file.pending = []
            raise
        file.synced()

    def _known(self, descriptor: int) -> tuple[_File, PurePath]:
        if self._off:
            raise PowerCut
        return self._open[descriptor]

    def _descriptor(self, file: _File, path: PurePath) -> int:
        self._next += 1
        self._open[self._next] = file, path
        return self._next

    def _need(self, n_bytes: int, path: PurePath) -> None:
        if (
            n_bytes > 0
            and self.capacity_bytes < _ENDLESS
            and self.used_bytes() + n_bytes > self.capacity_bytes
        ):
            raise _error(errno.ENOSPC, path)

    def _folder(self, path: PurePath) -> _Folder:
        if self._off:
            raise PowerCut
        node = self._root
        for part in path.parts[1:] if path.is_absolute() else path.parts:
            found = node.names.get(part)
            if not isinstance(found, _Folder):
                raise _error(errno.ENOENT, path)
            node = found
        return node

    def _file(self, path: PurePath) -> _File:
        found = self._folder(path.parent).names.get(path.name)
        if not isinstance(found, _File):
            raise _error(errno.ENOENT, path)
        return found


def _put(data: bytearray, offset: int, written: bytes) -> None:
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(written)] = written


def _end_at(data: bytearray, length: int) -> None:
    del data[length:]
    data.extend(bytes(length - len(data)))


def _apply(
    names: dict[str, _File | _Folder], step: tuple[str | None, str, _File | _Folder | None]
) -> None:
    old, name, node = step
    if old is not None:
        names.pop(old, None)
    if node is not None:
        names[name] = node


def _used(folder: _Folder) -> int:
    return sum(
        len(node.data) if isinstance(node, _File) else _used(node) for node in folder.names.values()
    )


def _error(code: int, path: PurePath) -> OSError:
    return OSError(code, os.strerror(code), str(path))


Hook = Callable[[str, str, PurePath], None]


class WatchedDisk:
    """Another disk, with a hook before, after and in the middle of what changes it.

    Args:
        inner: the disk that does the work.
        hook: called with ``before``, ``middle`` (of a write: half of it is done) or ``after``, the
            operation, and the file's path; it may raise, wait, or end the process.
    """

    def __init__(self, inner: Disk, hook: Hook) -> None:
        self._inner, self._hook = inner, hook
        self._paths: dict[int, PurePath] = {}
        # What changes nothing goes straight through.
        self.read_at, self.size, self.names = inner.read_at, inner.size, inner.names
        self.is_folder, self.free_bytes, self.lock = inner.is_folder, inner.free_bytes, inner.lock

    def open_existing(self, path: PurePath, *, write: bool = False) -> int:
        """As the inner disk."""
        return self._known(self._inner.open_existing(path, write=write), path)

    def open_new(self, path: PurePath) -> int:
        """As the inner disk."""
        self._hook("before", "create", path)
        descriptor = self._known(self._inner.open_new(path), path)
        self._hook("after", "create", path)
        return descriptor

    def open_or_new(self, path: PurePath) -> int:
        """As the inner disk."""
        return self._known(self._inner.open_or_new(path), path)

    def close(self, descriptor: int, /) -> None:
        """As the inner disk."""
        self._paths.pop(descriptor, None)
        self._inner.close(descriptor)

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        """As the inner disk, in two halves."""
        path, half = self._paths[descriptor], len(data) // 2
        self._hook("before", "write", path)
        self._inner.write_at(descriptor, data[:half], offset)
        self._hook("middle", "write", path)
        self._inner.write_at(descriptor, data[half:], offset + half)
        self._hook("after", "write", path)

    def truncate(self, descriptor: int, length: int, /) -> None:
        """As the inner disk."""
        self._around("truncate", self._paths[descriptor], self._inner.truncate, descriptor, length)

    def reserve(self, descriptor: int, length: int) -> None:
        """As the inner disk."""
        self._around("reserve", self._paths[descriptor], self._inner.reserve, descriptor, length)

    def datasync(self, descriptor: int, /) -> None:
        """As the inner disk."""
        self._around("datasync", self._paths[descriptor], self._inner.datasync, descriptor)

    def sync(self, descriptor: int, /) -> None:
        """As the inner disk."""
        self._around("sync", self._paths[descriptor], self._inner.sync, descriptor)

    def make_folder(self, path: PurePath) -> None:
        """As the inner disk."""
        self._around("make_folder", path, self._inner.make_folder, path)

    def rename(self, old: PurePath, new: PurePath) -> None:
        """As the inner disk."""
        self._around("rename", new, self._inner.rename, old, new)

    def unlink(self, path: PurePath) -> None:
        """As the inner disk."""
        self._around("unlink", path, self._inner.unlink, path)

    def sync_folder(self, folder: PurePath) -> None:
        """As the inner disk."""
        self._around("sync_folder", folder, self._inner.sync_folder, folder)

    def _around(
        self, operation: str, path: PurePath, function: Callable[..., None], *args: object
    ) -> None:
        self._hook("before", operation, path)
        function(*args)
        self._hook("after", operation, path)

    def _known(self, descriptor: int, path: PurePath) -> int:
        self._paths[descriptor] = path
        return descriptor
