"""Backups in one folder: files by their content, so that what did not change is kept once.

::

    DEST/objects/4b/4be1…                   bytes, under their SHA-256
    DEST/backups/00001700000000000000.json  one backup: its manifest with the signature over it
    DEST/people/people.sqlite               keys of personal values: the newest ones only
    DEST/secrets.sealed                     private keys under a passphrase, if asked for

Whatever is written is written aside, made durable and renamed; a manifest comes last, so a backup
is there whole or not at all. Of the keys of personal values there is one copy, and a new one takes
its place: what was erased does not come back from an older backup.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Self

from baluarte.adapters.disk import (
    lock,
    open_existing,
    open_new,
    open_or_new,
    outside,
    sync_folder,
    write_aside,
    write_at,
)
from baluarte.errors import DataError, OutsideError, TrustError

_CHUNK = 4 << 20
_NAME = re.compile(r"([0-9]{20})\.json")
_OBJECT = re.compile(r"[0-9a-f]{64}")
MAX_MANIFEST_BYTES = 256 << 20


class BackupFolder:
    """One destination of backups, held by one process at a time.

    Raises:
        OutsideError: it can't be used, or another process holds it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        with outside("the backup's folder can't be used", root):
            for folder in (root, root / "objects", root / "backups", root / "people"):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = open_or_new(root / "lock")
            if not lock(self._lock):
                os.close(self._lock)
                raise OutsideError("another backup is being made or read there", where=str(root))

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- objects ----------------------------------------------------------------------------

    def has(self, digest: str) -> bool:
        """Whether these bytes are kept already."""
        return self._object(digest).exists()

    def hold(self, source: Path, n_bytes: int | None = None) -> tuple[str, int]:
        """Keep a file's bytes, or its first ``n_bytes``; digest and length.

        Raises:
            FileNotFoundError: it is not there (any more).
            TrustError: it has fewer bytes.
            OutsideError: the disk refused.
        """
        descriptor = open_existing(source)
        try:
            with outside("the backup can't be written", self.root):
                return self._hold(descriptor, n_bytes, where=source)
        finally:
            os.close(descriptor)

    def hold_bytes(self, data: bytes) -> str:
        """Keep bytes; their digest."""
        digest = hashlib.sha256(data).hexdigest()
        if not self.has(digest):
            with outside("the backup can't be written", self.root):
                self._object(digest).parent.mkdir(exist_ok=True, mode=0o700)
                write_aside(self._object(digest), data)
        return digest

    def hold_database(self, source: Path) -> tuple[str, int]:
        """Keep a consistent copy of an SQLite file, whoever writes to it meanwhile."""
        aside = self._aside()
        try:
            copy_database(source, aside)
            return self.hold(aside)
        finally:
            aside.unlink(missing_ok=True)

    def fetch(self, digest: str, target: Path) -> None:
        """Write kept bytes to a new file, durably, and check them.

        Raises:
            TrustError: they are missing or changed.
        """
        path = self._object(digest)
        try:
            source = open_existing(path)
        except FileNotFoundError:
            raise TrustError("a file of the backup is missing", where=str(path)) from None
        try:
            with outside("the file can't be restored", target):
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                descriptor = open_new(target)
                try:
                    found, _ = _copy(source, descriptor, None)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        finally:
            os.close(source)
        if found != digest:
            raise TrustError("a file of the backup was changed", where=str(path))

    def check(self, digest: str) -> None:
        """Read kept bytes.

        Raises:
            TrustError: they are missing or changed.
        """
        path = self._object(digest)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise TrustError("a file of the backup is missing", where=str(path)) from None
        if found != digest:
            raise TrustError("a file of the backup was changed", where=str(path))

    # --- manifests --------------------------------------------------------------------------

    def backups(self) -> list[int]:
        """Times of all backups, oldest first."""
        found = (_NAME.fullmatch(name) for name in os.listdir(self.root / "backups"))
        return sorted(int(match[1]) for match in found if match)

    def put(self, at: int, data: bytes) -> None:
        """Keep a backup's manifest: from now on the backup is there."""
        with outside("the backup can't be written", self.root):
            write_aside(self.root / "backups" / f"{at:020d}.json", data)

    def read(self, at: int) -> bytes:
        """A backup's manifest.

        Raises:
            DataError: there is none of that time.
        """
        path = self.root / "backups" / f"{at:020d}.json"
        try:
            with path.open("rb") as file:
                return file.read(MAX_MANIFEST_BYTES)
        except FileNotFoundError:
            raise DataError("there is no such backup", where=str(path)) from None

    def drop(self, at: int) -> None:
        """Forget a backup; its files go with the next :meth:`sweep`."""
        (self.root / "backups" / f"{at:020d}.json").unlink(missing_ok=True)

    def sweep(self, used: Collection[str]) -> int:
        """Remove what no backup uses; how many files went."""
        n = 0
        with outside("the backup can't be tidied", self.root):
            for path in (self.root / "objects").rglob("*"):
                if path.is_file() and (path.name not in used or not _OBJECT.fullmatch(path.name)):
                    path.unlink()
                    n += 1
        return n

    # --- keys of personal values ------------------------------------------------------------

    @property
    def people(self) -> Path:
        """The newest copy of the keys of personal values."""
        return self.root / "people" / "people.sqlite"

    def put_people(self, source: Path) -> None:
        """Put the keys as they are now into the place of the copy before, which is overwritten."""
        aside = self.people.with_name(f".people.{os.getpid()}")
        aside.unlink(missing_ok=True)
        copy_database(source, aside)
        with outside("the backup can't be written", self.root):
            old = self.people.with_name(".people.old")
            if self.people.exists():
                self.people.rename(old)
            aside.rename(self.people)
            sync_folder(self.people.parent)
            if old.exists():
                _overwrite(old)
                old.unlink()

    # --- within -----------------------------------------------------------------------------

    def _hold(self, source: int, n_bytes: int | None, *, where: Path) -> tuple[str, int]:
        aside = self._aside()
        descriptor = open_new(aside)
        try:
            try:
                digest, copied = _copy(source, descriptor, n_bytes)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if n_bytes is not None and copied != n_bytes:
                raise TrustError(
                    f"expected {n_bytes} committed bytes, found {copied}", where=str(where)
                )
            target = self._object(digest)
            if not target.exists():
                target.parent.mkdir(exist_ok=True, mode=0o700)
                aside.rename(target)
                sync_folder(target.parent)
            return digest, copied
        finally:
            aside.unlink(missing_ok=True)

    def _object(self, digest: str) -> Path:
        if not _OBJECT.fullmatch(digest):
            raise TrustError("expected a SHA-256 in hex", where=digest[:80])
        return self.root / "objects" / digest[:2] / digest

    def _aside(self) -> Path:
        return self.root / "objects" / f".{secrets.token_hex(8)}"


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy of an SQLite file, checked and durable.

    Raises:
        OutsideError: SQLite refused.
        TrustError: the copy is damaged.
    """
    os.close(open_new(target))
    try:
        origin = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
        copy = sqlite3.connect(target, isolation_level=None)
        try:
            origin.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            (said,) = copy.execute("PRAGMA integrity_check").fetchone()
        finally:
            copy.close()
            origin.close()
    except sqlite3.Error as error:
        raise OutsideError(f"the database can't be copied: {error}", where=str(source)) from error
    if said != "ok":
        raise TrustError(f"the database is damaged: {said}", where=str(source))
    descriptor = open_existing(target)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(source: int, target: int, n_bytes: int | None) -> tuple[str, int]:
    digest, at = hashlib.sha256(), 0
    while n_bytes is None or at < n_bytes:
        part = os.pread(source, _CHUNK if n_bytes is None else min(_CHUNK, n_bytes - at), at)
        if not part:
            break
        digest.update(part)
        write_at(target, part, at)
        at += len(part)
    return digest.hexdigest(), at


def _overwrite(path: Path) -> None:
    """Write zeros over a file: an older copy of keys is not to be read by whoever finds it."""
    descriptor = open_existing(path, write=True)
    try:
        for at in range(0, path.stat().st_size, _CHUNK):
            write_at(descriptor, bytes(min(_CHUNK, path.stat().st_size - at)), at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
