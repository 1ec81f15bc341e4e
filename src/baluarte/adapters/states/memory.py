"""Window state in this process's memory, with snapshots in a folder: one process at a time.

A snapshot is written aside, made durable and renamed. It says up to which record of each shard of
the ledger it knows; what was recorded since is brought in from the ledger, so nothing that was
answered is forgotten by a kill -9. See ``docs/concepts/windows.md``.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from baluarte.adapters.disk import open_or_new, outside, write_aside
from baluarte.core.window_plan import WindowPlan
from baluarte.core.windows import Seen, Told, WindowCounts, WindowMemory
from baluarte.errors import OutsideError, TrustError

_HEAD = b"baluarte-state/1\n"
_DIGEST_BYTES = 32
_LENGTH_BYTES = 8


class MemoryState:
    """The state of one detector's window features.

    Args:
        folder: where snapshots stand; None keeps none.

    Raises:
        OutsideError: another process holds the state, or the folder can't be used.
        TrustError: the snapshot is damaged.
    """

    name: ClassVar[str] = "memory"
    shared: ClassVar[bool] = False

    def __init__(self, plan: WindowPlan, *, detector: str, folder: Path | None) -> None:
        self._plan = plan
        self._mark: dict[str, int] = {}
        self._memory = WindowMemory(plan)
        self._lock: int | None = None
        self._path: Path | None = None
        if folder is not None:
            own = folder / detector
            self._path = own / f"{plan.digest[:16]}.state"
            self._lock = _locked(own, self._path.with_suffix(".lock"))
            try:
                self._load(self._path)
            except BaseException:
                self.close()
                raise

    def see(self, events: Sequence[Seen]) -> None:
        """Remember events, in order, and write the window features into their records."""
        self._memory.see(events)

    def learn(self, labels: Sequence[Told]) -> int:
        """Take labels in; how many changed something that can still matter."""
        return self._memory.learn(labels)

    def forget(self, field: str, names: Collection[str]) -> int:
        """Forget the subjects that ``field`` names; a snapshot that was kept still has them."""
        return self._memory.forget(field, names)

    def clear(self) -> None:
        """Forget everything."""
        self._memory, self._mark = WindowMemory(self._plan), {}

    def count(self) -> WindowCounts:
        """What the rules did so far, and what is held."""
        return self._memory.count()

    @property
    def mark(self) -> Mapping[str, int]:
        """What the state knew of the ledger when it was kept last."""
        return self._mark

    def snapshot(self, mark: Mapping[str, int]) -> bytes:
        """The state as bytes; :meth:`keep` makes them durable.

        Args:
            mark: how many records of each shard of the ledger the state knows.
        """
        parts = [msgspec.msgpack.encode(dict(mark))]
        parts += map(msgspec.msgpack.encode, self._memory.dump())
        body = b"".join(len(part).to_bytes(_LENGTH_BYTES, "little") + part for part in parts)
        return _HEAD + hashlib.sha256(body).digest() + body

    def keep(self, snapshot: bytes) -> None:
        """Put a snapshot in the place of the one before.

        Raises:
            OutsideError: it can't be written; the one before stands.
        """
        if self._path is not None:
            with outside("the window state can't be written", self._path):
                write_aside(self._path, snapshot)

    def close(self) -> None:
        """Let another process have the state; nothing is written."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _load(self, path: Path) -> None:
        with outside("the window state can't be read", path):
            data = path.read_bytes() if path.exists() else b""
        if not data:
            return
        start = len(_HEAD) + _DIGEST_BYTES
        digest = hashlib.sha256(memoryview(data)[start:]).digest()
        if data[: len(_HEAD)] != _HEAD or data[len(_HEAD) : start] != digest:
            raise _damaged(path)
        try:
            rows = _rows(data, start)
            self._mark = msgspec.convert(next(rows), dict[str, int])
            self._memory = WindowMemory.load(self._plan, rows)
        except (ValueError, TypeError, IndexError, msgspec.MsgspecError) as error:
            raise _damaged(path) from error


def _rows(data: bytes, at: int) -> Iterator[Any]:
    view = memoryview(data)
    while at < len(data):
        stop = at + _LENGTH_BYTES + int.from_bytes(view[at : at + _LENGTH_BYTES], "little")
        yield msgspec.msgpack.decode(view[at + _LENGTH_BYTES : stop])
        at = stop


def _locked(folder: Path, path: Path) -> int:
    with outside("the window state's folder can't be used", folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = open_or_new(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise OutsideError(
            "another process holds the state of these window features",
            where=str(folder),
            hint="Stop it, or keep the state for many: state.url = redis://HOST:PORT/DB.",
        ) from None
    return descriptor


def _damaged(path: Path) -> TrustError:
    return TrustError(
        "expected a snapshot of window state, found another or a damaged one",
        where=str(path),
        hint="Delete it: the state is made again from the ledger; then baluarte backfill.",
    )
