"""Back a workspace up while it runs: what was recorded, what decides, and the keys to both.

The order makes it consistent: first the ledger up to its committed heads, under a checkpoint that
is signed for it; then what refers to less than it says; the keys of personal values last, so that
no record is without its key unless it was erased. Not in a backup: window state and quarantined
rows, which hold personal values in the clear and can be made again; and the index, likewise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from baluarte import __version__
from baluarte.adapters.backup_folder import BackupFolder
from baluarte.adapters.disk import write_aside
from baluarte.adapters.ledger.copies import (
    CommittedFile,
    CommittedShard,
    committed_shard,
    signed_heads,
)
from baluarte.adapters.passphrase import seal_with
from baluarte.adapters.system import SystemEntropy
from baluarte.apps.erasing import finish_what_was_begun
from baluarte.apps.place import DETECTOR_FILE, WORKSPACE_FILE, Place
from baluarte.apps.session import Session
from baluarte.core.backup import BackupFile, Manifest, ShardMark, SignedManifest
from baluarte.core.decision import ActRecord
from baluarte.core.merkle import Frontier
from baluarte.errors import OutsideError
from baluarte.ports import Progress
from baluarte.stages.erase import EVERY

_TRIES = 5  #: of a shard whose files a sweep replaces meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """What came of a backup."""

    manifest: Manifest
    n_new: int  #: files that were not kept yet
    n_bytes: int  #: of all files


def database_path(address: str) -> Path | None:
    """The file of a store that is an SQLite file; None for a server's."""
    scheme, _, path = address.partition(":")
    return Path(path) if scheme == "sqlite" else None


def folders_of(place: Place) -> dict[str, Path]:
    """Folders that are backed up beside the ledger, by the name of their store."""
    return {
        "bundles": place.bundles,
        "drafts": place.drafts,
        "trusted": place.trusted,
        "watch": place.ledger.parent / "watch",
    }


def databases_of(place: Place) -> dict[str, str]:
    """Addresses of the databases that are backed up; keys of personal values go their own way."""
    return {"registry": place.registry, "accounts": place.accounts}


def back_up(
    session: Session,
    folder: BackupFolder,
    *,
    passphrase: str | None = None,
    keep: int | None = None,
    progress: Progress | None = None,
) -> BackedUp:
    """Make a backup.

    Args:
        passphrase: seal the private keys with it and keep them, too; None keeps none.
        keep: backups that stay; older ones go.

    Raises:
        OutsideError: a store is away, or the destination can't be written.
        TrustError: the ledger doesn't extend what was signed of it.
    """
    finish_what_was_begun(session)
    backup_id = SystemEntropy().token(16).hex()
    session.record_act(
        ActRecord(
            at=session.clock.now_us(),
            act="backup",
            actor=session.actor,
            detector=EVERY,
            details={"backup": backup_id},
        )
    )
    session.sign_checkpoint()
    work = _Work(session, folder, progress)
    at = session.clock.now_us()
    shards = work.ledger(at)
    left_out = work.databases()
    work.folders()
    work.settings()
    if session.place.has_people and (path := database_path(session.place.people)):
        folder.put_people(path)
    manifest = Manifest(
        id=backup_id,
        at=at,
        program=__version__,
        actor=session.actor,
        shards=tuple(shards),
        files=tuple(work.files),
        left_out=tuple(left_out),
    )
    if passphrase is not None:
        work.secrets(passphrase)
    data = msgspec.json.encode(manifest)
    signed = SignedManifest(
        manifest=msgspec.Raw(data),
        key_id=session.signer.key_id,
        signature=session.signer.sign(data),
    )
    folder.put(at, msgspec.json.encode(signed))
    if keep is not None:
        _tidy(folder, keep)
    total = sum(file.n_bytes for file in manifest.files)
    return BackedUp(manifest=manifest, n_new=work.n_new, n_bytes=total)


def read_manifest(data: bytes) -> tuple[Manifest, SignedManifest]:
    """A manifest and the signature over it, not yet checked."""
    signed = msgspec.json.decode(data, type=SignedManifest)
    return msgspec.json.decode(signed.manifest, type=Manifest), signed


def _tidy(folder: BackupFolder, keep: int) -> None:
    for at in folder.backups()[: -max(1, keep)]:
        folder.drop(at)
    used = {
        file.digest for at in folder.backups() for file in read_manifest(folder.read(at))[0].files
    }
    folder.sweep(used)


class _Work:
    """One backup while it is made."""

    def __init__(self, session: Session, folder: BackupFolder, progress: Progress | None) -> None:
        self._session, self._place, self._folder = session, session.place, folder
        self._progress = progress
        self.files: list[BackupFile] = []
        self.n_new = 0
        known = folder.backups()
        before = read_manifest(folder.read(known[-1]))[0].files if known else ()
        self._before = {(file.store, file.path): file for file in before}

    def ledger(self, at: int) -> list[ShardMark]:
        """Every shard up to its committed head, and the checkpoints over them."""
        logged = self._session.reader.heads()  # before any shard: none of them is behind it
        tags = self._session.reader.shards()
        marks = []
        for number, tag in enumerate(tags):
            shard = self._shard(tag)
            if shard is not None:
                frontier = Frontier()
                frontier.extend(self._session.reader.leaf_hashes(tag, shard.size))
                root_hash = frontier.root().hex()
                marks.append(ShardMark(tag=tag, size=shard.size, root=root_hash))
            if self._progress is not None:
                self._progress.step(number + 1, len(tags), tag)
        for file in signed_heads(self._place.ledger, at, len(logged)):
            self._take("ledger", file)
        if logged:
            self._take_bytes("ledger", "heads/log", b"".join(entry + b"\n" for entry in logged))
        return marks

    def _shard(self, tag: str) -> CommittedShard | None:
        for attempt in range(_TRIES):
            shard = committed_shard(self._place.ledger, tag)
            if shard is None:
                return None
            before = len(self.files)
            try:
                for file in shard.files:
                    self._take("ledger", file)
            except FileNotFoundError:
                del self.files[before:]
                if attempt == _TRIES - 1:
                    raise OutsideError(
                        "a shard's files keep changing", where=tag, retryable=True
                    ) from None
                continue
            self._take_bytes("ledger", f"{tag}/head", shard.head)
            return shard
        return None

    def databases(self) -> list[str]:
        """SQLite files by SQLite's own backup; the names of those on servers."""
        left_out = []
        for store, address in databases_of(self._place).items():
            path = database_path(address)
            if path is None:
                left_out.append(store)
            elif path.exists():
                digest, n_bytes = self._folder.hold_database(path)
                self._add(BackupFile(store=store, path="", digest=digest, n_bytes=n_bytes))
        return left_out

    def folders(self) -> None:
        """Bundles, drafts, public keys, the watch."""
        for store, root in folders_of(self._place).items():
            for path in _files_in(root):
                name = path.relative_to(root).as_posix()
                self._take(store, CommittedFile(path=name, source=path))

    def settings(self) -> None:
        """What people wrote: the workspace and its detectors, where they stand within it."""
        place = self._place
        paths = [place.root / WORKSPACE_FILE]
        for entry in place.workspace.detectors.values():
            path = place.at(entry.path)
            paths.append(path / DETECTOR_FILE if path.is_dir() else path)
        for path in paths:
            if path.is_file() and path.is_relative_to(place.root):
                name = path.relative_to(place.root).as_posix()
                self._take("settings", CommittedFile(path=name, source=path))

    def secrets(self, passphrase: str) -> None:
        """The private keys, under a passphrase."""
        place = self._place
        found: dict[str, bytes] = {}
        for path in sorted(place.signing.parent.glob("*.key")):
            found[path.name] = path.read_bytes()
        if place.has_people:
            found["people"] = place.people_master().encode()
        sealed = seal_with(passphrase, msgspec.json.encode(found))
        write_aside(self._folder.root / "secrets.sealed", sealed)

    def _take(self, store: str, file: CommittedFile) -> None:
        status = os.stat(file.source)
        before = self._before.get((store, file.path))
        if (
            before is not None
            and file.n_bytes is None
            and (before.n_bytes, before.mtime_ns) == (status.st_size, status.st_mtime_ns)
            and self._folder.has(before.digest)
        ):
            self.files.append(before)
            return
        digest, n_bytes = self._folder.hold(file.source, file.n_bytes)
        mtime = 0 if file.n_bytes is not None else status.st_mtime_ns
        self._add(
            BackupFile(store=store, path=file.path, digest=digest, n_bytes=n_bytes, mtime_ns=mtime)
        )

    def _take_bytes(self, store: str, path: str, data: bytes) -> None:
        digest = self._folder.hold_bytes(data)
        self._add(BackupFile(store=store, path=path, digest=digest, n_bytes=len(data)))

    def _add(self, file: BackupFile) -> None:
        self.files.append(file)
        before = self._before.get((file.store, file.path))
        self.n_new += before is None or before.digest != file.digest


def _files_in(root: Path) -> Iterator[Path]:
    """Files of a folder without links and what is being written aside."""
    if root.is_dir():
        for path in sorted(root.rglob("*")):
            inner = path.relative_to(root).parts
            if (
                path.is_file()
                and not path.is_symlink()
                and not any(part.startswith(".") for part in inner)
            ):
                yield path
