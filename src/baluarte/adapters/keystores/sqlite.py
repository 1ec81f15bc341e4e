"""Keys of subjects in one SQLite file, apart from everything else: what is deleted here is gone.

Deleted content is overwritten with zeros (``secure_delete``), and after an erasure the write-ahead
log is emptied before the erasure counts as done. Rows are only ever added at the end and changed in
place, so no page split leaves a copy of a key behind. A subject stands in no column: its key is
found by an HMAC of the name under a pepper, which is itself wrapped under the master key.

Source: https://www.sqlite.org/pragma.html#pragma_secure_delete
"""

from __future__ import annotations

import hmac
import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import ClassVar, Self

import msgspec

from baluarte.adapters.key_cache import KeyCache
from baluarte.adapters.sealing import KEY_BYTES, MasterKeys, SealingKey
from baluarte.adapters.sqlite_file import SqliteFile
from baluarte.core.envelope import Subject
from baluarte.core.erasure import Erasure
from baluarte.errors import OutsideError, TrustError
from baluarte.ports import DataKey

CACHED = 65_536  #: keys in memory, the least lately used go first
_BUSY_S = 10.0
_MANY = 500  #: rows that are wrapped again in one transaction
_ID_BYTES = 16
_PEPPER = b"baluarte pepper"

# One script a schema version, applied in order; a script that was released is never edited.
_MIGRATIONS = (
    """
    CREATE TABLE keys (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, handle BLOB NOT NULL,
        wrapped BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX keys_by_id ON keys (id);
    CREATE UNIQUE INDEX keys_by_handle ON keys (handle);
    CREATE TABLE secrets (name TEXT PRIMARY KEY, wrapped BLOB NOT NULL) STRICT;
    CREATE TABLE destroyed (
        number INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL, at INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX destroyed_by_key ON destroyed (key);
    CREATE TABLE erasures (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, sealed BLOB NOT NULL
    ) STRICT;
    CREATE TABLE forgotten (
        number INTEGER PRIMARY KEY AUTOINCREMENT, erasure TEXT NOT NULL, place TEXT NOT NULL
    ) STRICT;
    """,
)


class SqliteKeys:
    """One key store; safe to share between the threads of a process.

    Args:
        reload: reads the master keys again, where the store turns out to be under another one.
        cached: keys in memory.

    Raises:
        OutsideError: the file can't be opened, is no key store, or is a newer program's.
        TrustError: the master key is another one.
    """

    name: ClassVar[str] = "sqlite"

    def __init__(
        self,
        path: Path,
        master: MasterKeys,
        *,
        reload: Callable[[], MasterKeys] | None = None,
        cached: int = CACHED,
    ) -> None:
        self._master, self._reload = master, reload
        self._lock, self._cache = threading.RLock(), KeyCache(cached)
        self._file = SqliteFile(
            path,
            what="key store",
            migrations=_MIGRATIONS,
            pragmas=("secure_delete = ON", "temp_store = MEMORY"),
        )
        self._rows = self._file.read
        try:
            self._pepper = self._open_pepper()
            self._seen = self._last_destroyed()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file and forget all keys; nothing may be called after."""
        with self._lock:
            self._cache.clear()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- keys -----------------------------------------------------------------------------------

    def at_hand(self, subjects: Sequence[Subject]) -> list[DataKey] | None:
        """The subjects' keys if all are in memory."""
        return self._cache.of_all(subjects)

    def keys(self, subjects: Sequence[Subject]) -> list[DataKey]:
        """The key of each subject, made and durable where there was none."""
        known = self.at_hand(subjects)
        if known is not None:
            return known
        with self._lock:
            self._let_go_of_destroyed()
            found: dict[Subject, DataKey] = {}
            handles: dict[bytes, Subject] = {}
            for subject in dict.fromkeys(subjects):
                key = self._cache.of(subject)
                if key is None:
                    handles[self._handle(subject)] = subject
                else:
                    found[subject] = key
            for handle, made in self._find_or_make(list(handles)).items():
                found[handles[handle]] = made
                self._cache.keep(made, handles[handle])
            return [found[subject] for subject in subjects]

    def by_id(self, ids: Collection[str]) -> dict[str, DataKey | None]:
        """Keys by id; None for one that an erasure destroyed; unknown ones are left out."""
        with self._lock:
            self._let_go_of_destroyed()
            found: dict[str, DataKey | None] = {}
            for key_id in ids:
                key = self._cache.by_id(key_id)
                if key is not None:
                    found[key_id] = key
            for key_id in ids:
                raw = _id_bytes(key_id)
                if key_id in found or raw is None:
                    continue
                rows = self._rows("SELECT wrapped FROM keys WHERE id = ?", raw)
                if rows:
                    opened = self._unwrap(raw, rows[0][0])
                    found[key_id] = opened
                    self._cache.keep(opened)
                elif self._rows("SELECT 1 FROM destroyed WHERE key = ?", raw):
                    found[key_id] = None
            return found

    def find(self, subjects: Sequence[Subject]) -> list[str]:
        """Ids of the keys that these subjects have; none is made."""
        with self._lock:
            return [raw.hex() for raw in self._ids_of(subjects)]

    def refresh(self) -> None:
        """Let go of keys in memory that were destroyed by another process."""
        with self._lock:
            self._let_go_of_destroyed()

    def rewrap(self) -> int:
        """Wrap every key under the first master key; how many were under another.

        From the first step on no process wraps under another one. Rows are changed in place, some
        at a time; a run that was stopped is gone on with.
        """
        name, n, last = self._master.name, 0, 0
        with self._file.transaction():
            self._rows("UPDATE secrets SET wrapped = ? WHERE name = 'master'", name)
        while True:
            with self._file.transaction():
                rows = self._rows(
                    "SELECT number, id, wrapped FROM keys WHERE number > ? ORDER BY number LIMIT ?",
                    last,
                    _MANY,
                )
                for number, raw, wrapped in rows:
                    if not wrapped.startswith(name):
                        again = self._master.wrap(self._master.unwrap(wrapped, raw), raw)
                        self._rows("UPDATE keys SET wrapped = ? WHERE number = ?", again, number)
                        n += 1
            if not rows:
                break
            last = rows[-1][0]
        with self._file.transaction():
            again = self._master.wrap(self._pepper, _PEPPER)
            self._rows("UPDATE secrets SET wrapped = ? WHERE name = 'pepper'", again)
            for number, erasure, sealed in self._rows("SELECT number, id, sealed FROM erasures"):
                context = erasure.encode()
                again = self._master.wrap(self._master.unwrap(sealed, context), context)
                self._rows("UPDATE erasures SET sealed = ? WHERE number = ?", again, number)
        self._empty_log()
        return n

    # --- erasures -------------------------------------------------------------------------------

    def destroy(self, subjects: Sequence[Subject], *, erasure: Erasure) -> tuple[str, ...]:
        """Destroy the subjects' keys for good, beginning an erasure; ids of those there were."""
        with self._lock:
            with self._file.transaction():
                ids = self._ids_of(subjects)
                self._destroy_rows(ids, erasure.at)
                begun = msgspec.structs.replace(erasure, keys=tuple(raw.hex() for raw in ids))
                sealed = self._wrap(msgspec.json.encode(begun), erasure.id.encode())
                self._rows("INSERT INTO erasures (id, sealed) VALUES (?, ?)", erasure.id, sealed)
            self._let_go_of_destroyed()
            self._empty_log()
        return begun.keys

    def destroy_ids(self, ids: Collection[str], *, at: int) -> int:
        """Destroy keys that an erasure destroyed elsewhere, and remember it."""
        raws = [raw for raw in map(_id_bytes, ids) if raw]
        n = 0
        with self._lock:
            with self._file.transaction():
                for raw in raws:
                    n += len(self._rows("SELECT 1 FROM keys WHERE id = ?", raw))
                self._destroy_rows(raws, at)
            self._let_go_of_destroyed()
            self._empty_log()
        return n

    def unfinished(self) -> list[Erasure]:
        """Erasures whose keys are destroyed and of which something is left to do."""
        with self._lock:
            done: dict[str, set[str]] = {}
            for erasure, place in self._rows("SELECT erasure, place FROM forgotten"):
                done.setdefault(erasure, set()).add(place)
            found = []
            for name, sealed in self._rows("SELECT id, sealed FROM erasures ORDER BY number"):
                data = self._unwrapped(sealed, name.encode())
                begun = msgspec.json.decode(data, type=Erasure)
                left = tuple(p for p in begun.places if p not in done.get(name, set()))
                found.append(msgspec.structs.replace(begun, places=left))
            return found

    def forgotten(self, erasure: str, place: str) -> None:
        """A place that holds personal values outside of records forgot the subject."""
        with self._file.transaction():
            if self._rows("SELECT 1 FROM erasures WHERE id = ?", erasure):
                self._rows("INSERT INTO forgotten (erasure, place) VALUES (?, ?)", erasure, place)

    def finish(self, erasure: str) -> None:
        """Nothing is left to do: what the erasure knew of the subject goes, too."""
        with self._lock:
            with self._file.transaction():
                self._rows(
                    "UPDATE erasures SET sealed = zeroblob(length(sealed)) WHERE id = ?", erasure
                )
                self._rows("DELETE FROM erasures WHERE id = ?", erasure)
                self._rows("DELETE FROM forgotten WHERE erasure = ?", erasure)
            self._empty_log()

    # --- within ---------------------------------------------------------------------------------

    def _handle(self, subject: Subject) -> bytes:
        """By what a subject's key is found: nothing without the pepper."""
        return hmac.digest(self._pepper, f"{subject.space}\n{subject.name}".encode(), "sha256")

    def _find_or_make(self, handles: list[bytes]) -> dict[bytes, SealingKey]:
        found = self._select(handles)
        missing = [handle for handle in handles if handle not in found]
        if missing:
            with self._file.transaction():
                found |= self._select(missing)  # another process may have been quicker
                for handle in missing:
                    if handle not in found:
                        raw, secret = os.urandom(_ID_BYTES), os.urandom(KEY_BYTES)
                        self._rows(
                            "INSERT INTO keys (id, handle, wrapped) VALUES (?, ?, ?)",
                            raw,
                            handle,
                            self._wrap(secret, raw),
                        )
                        found[handle] = SealingKey(raw.hex(), secret)
        return found

    def _select(self, handles: Sequence[bytes]) -> dict[bytes, SealingKey]:
        found: dict[bytes, SealingKey] = {}
        for handle in handles:
            for raw, wrapped in self._rows("SELECT id, wrapped FROM keys WHERE handle = ?", handle):
                found[handle] = self._unwrap(raw, wrapped)
        return found

    def _ids_of(self, subjects: Sequence[Subject]) -> list[bytes]:
        return [
            raw
            for subject in subjects
            for (raw,) in self._rows("SELECT id FROM keys WHERE handle = ?", self._handle(subject))
        ]

    def _unwrap(self, raw: bytes, wrapped: bytes) -> SealingKey:
        return SealingKey(raw.hex(), self._unwrapped(wrapped, raw))

    def _unwrapped(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return self._master.unwrap(wrapped, context)
        except TrustError:
            if self._reload is None:
                raise
            self._master = self._reload()  # another one took its place
            return self._master.unwrap(wrapped, context)

    def _wrap(self, secret: bytes, context: bytes) -> bytes:
        """Under the store's own master key; within a transaction, so that it stays that one.

        Raises:
            TrustError: it is not at hand.
        """
        (name,) = self._rows("SELECT wrapped FROM secrets WHERE name = 'master'")[0]
        if not self._master.knows(name) and self._reload is not None:
            self._master = self._reload()
        if not self._master.knows(name):
            raise TrustError(
                "the store is under another master key by now",
                where=str(self._file.path),
                hint="Point keys.people at it, and start again.",
            )
        return self._master.wrap(secret, context, by=name)

    def _destroy_rows(self, ids: Sequence[bytes], at: int) -> None:
        for raw in ids:
            # In place and of the same length first: no copy stays in a page that is put in order.
            self._rows("UPDATE keys SET wrapped = zeroblob(length(wrapped)) WHERE id = ?", raw)
            self._rows("DELETE FROM keys WHERE id = ?", raw)
            self._rows("INSERT OR IGNORE INTO destroyed (key, at) VALUES (?, ?)", raw, at)

    def _empty_log(self) -> None:
        """Put everything into the file and cut the log to nothing, whoever else is reading.

        Raises:
            OutsideError: another process kept a snapshot open for too long.
        """
        until = time.monotonic() + _BUSY_S
        with self._lock:
            while self._rows("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
                if time.monotonic() > until:
                    raise OutsideError(
                        "the key store's log could not be emptied: another process reads it",
                        where=str(self._file.path),
                        hint="Try again; what was destroyed is destroyed, its old bytes may still "
                        "stand in the log.",
                    )
                time.sleep(0.01)

    def _let_go_of_destroyed(self) -> None:
        last = self._last_destroyed()
        if last <= self._seen:
            return
        for (raw,) in self._rows("SELECT key FROM destroyed WHERE number > ?", self._seen):
            self._cache.drop(raw.hex())
        self._seen = last

    def _last_destroyed(self) -> int:
        return int(self._rows("SELECT coalesce(max(number), 0) FROM destroyed")[0][0])

    def _open_pepper(self) -> bytes:
        with self._file.transaction():
            rows = self._rows("SELECT wrapped FROM secrets WHERE name = 'pepper'")
            if rows:
                return self._unwrapped(rows[0][0], _PEPPER)
            pepper = os.urandom(KEY_BYTES)
            name = self._master.name
            self._rows("INSERT INTO secrets VALUES ('master', ?)", name)
            wrapped = self._master.wrap(pepper, _PEPPER)
            self._rows("INSERT INTO secrets VALUES ('pepper', ?)", wrapped)
            return pepper


def _id_bytes(key_id: str) -> bytes | None:
    try:
        raw = bytes.fromhex(key_id)
    except ValueError:
        return None
    return raw if len(raw) == _ID_BYTES else None
