"""Restore a workspace from a backup: beside what is there, checked by proofs, then in its place.

Nothing is touched before everything holds: the signature over the manifest, every file's digest,
every record against every signed checkpoint. Then each store is put in its place by its name; what
stood there stays beside it. A restore that is stopped in between is finished by the next one, and
until then no other command runs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from baluarte import wiring
from baluarte.adapters.backup_folder import BackupFolder, copy_database
from baluarte.adapters.disk import lock, open_or_new, outside, sync_folder, write_aside
from baluarte.adapters.passphrase import open_with
from baluarte.adapters.system import SystemEntropy
from baluarte.apps.backing_up import database_path, databases_of, folders_of, read_manifest
from baluarte.apps.place import RESTORING, Place, make_private
from baluarte.core.backup import BackupFile, Manifest, SignedManifest, is_within
from baluarte.errors import DataError, OutsideError, TrustError
from baluarte.ports import Progress, Verifier
from baluarte.stages.erase import erased_keys
from baluarte.stages.verify import verify_ledger

#: what says whom to believe and who may do what only goes forward: a key that was revoked since
#: the backup is not believed again
_STAY = frozenset({"trusted", "accounts"})
_BESIDE = ("-wal", "-shm")  #: of an SQLite file: another one's must not be read with it


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One store that goes into its place; what is there goes beside it."""

    new: str
    place: str
    old: str


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A restore that holds, and what is left of it to do: also the journal of that.

    Attributes:
        backup: its id.
        at: microseconds of UTC at which it began.
        n_erased: keys that were destroyed again, because they were erased since.
        own_trust: whether only the backup itself said which keys to believe.
        moves: what goes where.
        drop: what is made again from the rest, and goes.
    """

    backup: str
    at: int
    n_records: int
    n_erased: int
    own_trust: bool
    moves: tuple[Move, ...]
    drop: tuple[str, ...]

    @property
    def kept(self) -> list[str]:
        """What stood there before."""
        return [move.old for move in self.moves if Path(move.old).exists()]


def choose(folder: BackupFolder, at: int | None) -> tuple[Manifest, SignedManifest]:
    """The backup of a time, or the newest.

    Raises:
        DataError: there is none.
        TrustError: its manifest is damaged.
    """
    known = folder.backups()
    if not known:
        raise DataError("there is no backup", where=str(folder.root), hint="baluarte backup DEST")
    try:
        manifest, signed = read_manifest(folder.read(known[-1] if at is None else at))
    except msgspec.MsgspecError as error:
        raise TrustError(f"the manifest is damaged: {error}", where=str(folder.root)) from None
    if not all(is_within(file.path) for file in manifest.files):
        raise TrustError("a file of the manifest lies outside of its store")
    return manifest, signed


def restore(
    place: Place,
    folder: BackupFolder,
    *,
    at: int | None = None,
    trusted: Path | None = None,
    passphrase: str | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Put a backup in the place of what is there.

    Args:
        at: which one; None is the newest.
        trusted: folder of the public keys to believe; by default the workspace's own, and where it
            has none those of the backup.

    Raises:
        DataError: what is there is newer than the backup, or there is no backup.
        OutsideError: a server runs, or the disk refused.
        TrustError: the backup does not hold; nothing was changed.
    """
    manifest, signed = choose(folder, at)
    believed = trusted or (place.trusted if place.trusted.is_dir() else None)
    with _held(place.ledger):
        _refuse_over_newer(place, manifest)
        asides = _Asides(place, manifest)
        asides.clear()
        try:
            asides.fill(folder, progress)
            verifier = wiring.open_verifier(believed or asides.of("trusted"))
            n_records = _check(asides, manifest, signed, verifier)
            if passphrase is not None:
                _restore_secrets(place, folder, passphrase)
            n_erased = _restore_people(place, folder, asides)
            done = Restored(
                backup=manifest.id,
                at=manifest.at,
                n_records=n_records,
                n_erased=n_erased,
                own_trust=believed is None,
                moves=asides.moves(),
                drop=(*asides.unused(), *_made_again(place)),
            )
            restore_settings(folder, manifest, place.root)
            write_aside(place.root / RESTORING, msgspec.json.encode(done))
        except BaseException:
            asides.clear()
            raise
        finish_restore(place.root)
    return done


def finish_restore(root: Path) -> Restored | None:
    """Put in place what a restore made ready; None where there is nothing.

    Raises:
        OutsideError: the disk refused; it can be tried again.
    """
    journal = root / RESTORING
    if not journal.exists():
        return None
    done = msgspec.json.decode(journal.read_bytes(), type=Restored)
    with outside("the restored files can't be put in place", root):
        for move in done.moves:
            _carry_out(move)
        for name in done.drop:
            path = Path(name)
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
        journal.unlink()
        sync_folder(root)
    return done


def _carry_out(move: Move) -> None:
    new, target, old = Path(move.new), Path(move.place), Path(move.old)
    if not new.exists():
        return  # done before
    if target.exists():
        target.rename(old)
    for suffix in _BESIDE:
        beside = target.with_name(target.name + suffix)
        if beside.exists():
            beside.rename(old.with_name(old.name + suffix))
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new.rename(target)
    sync_folder(target.parent)


class _Asides:
    """Where the stores of a backup stand before they go into their places."""

    def __init__(self, place: Place, manifest: Manifest) -> None:
        self._place, self._manifest = place, manifest
        self._targets: dict[str, Path] = {"ledger": place.ledger, **folders_of(place)}
        for store, address in databases_of(place).items():
            path = database_path(address)
            if path is not None:
                self._targets[store] = path

    def of(self, store: str) -> Path:
        """The store as restored, not yet in its place."""
        target = self._targets[store]
        return target.with_name(f".{target.name}.restoring")

    def people(self, path: Path) -> Path:
        """Where the keys of personal values are made ready."""
        self._targets["people"] = path
        return self.of("people")

    def clear(self) -> None:
        """Remove what an earlier restore left, and what this one won't use."""
        for store in self._targets:
            aside = self.of(store)
            if aside.is_dir():
                shutil.rmtree(aside)
            aside.unlink(missing_ok=True)

    def fill(self, folder: BackupFolder, progress: Progress | None) -> None:
        """Write every file, each checked against its digest."""
        files = self._manifest.files
        for number, file in enumerate(files):
            target = self._target(file)
            if target is not None:
                folder.fetch(file.digest, target)
            else:
                folder.check(file.digest)
            if progress is not None:
                progress.step(number + 1, len(files))
        for store in self._targets:
            for path in self.of(store).rglob("*") if self.of(store).is_dir() else ():
                if path.is_dir():
                    sync_folder(path)

    def moves(self) -> tuple[Move, ...]:
        """What goes where."""
        stamp = SystemEntropy().token(4).hex()
        return tuple(
            Move(
                new=str(self.of(store)),
                place=str(target),
                old=str(target.with_name(f"{target.name}.before-{stamp}")),
            )
            for store, target in self._targets.items()
            if self.of(store).exists() and not self._stays(store)
        )

    def unused(self) -> list[str]:
        """What was only needed to check."""
        return [str(self.of(store)) for store in self._targets if self._stays(store)]

    def _stays(self, store: str) -> bool:
        return store in _STAY and self._targets[store].exists()

    def _target(self, file: BackupFile) -> Path | None:
        if file.store not in self._targets:
            return None
        aside = self.of(file.store)
        return aside / file.path if file.path else aside


def _check(asides: _Asides, manifest: Manifest, signed: SignedManifest, verifier: Verifier) -> int:
    """Everything that can be proved of a backup; how many records there are."""
    verifier.verify(
        bytes(signed.manifest), signed.signature, key_id=signed.key_id, at_us=manifest.at
    )
    report = verify_ledger(wiring.open_ledger_reader(asides.of("ledger")), verifier)
    if report.all_faults:
        raise TrustError.of(list(report.all_faults))
    found = {(shard.tag, shard.size, shard.root.hex()) for shard in report.shards}
    said = {(shard.tag, shard.size, shard.root) for shard in manifest.shards}
    if found != said:
        raise TrustError("the ledger of the backup is not the one that its manifest says")
    return sum(shard.size for shard in report.shards)


@contextmanager
def _held(ledger: Path) -> Iterator[None]:
    """Hold all shards: nobody writes while their ledger is replaced.

    Raises:
        OutsideError: somebody does.
    """
    with ExitStack() as held:
        for tag in wiring.open_ledger_reader(ledger).shards():
            descriptor = open_or_new(ledger / tag / "lock")
            held.callback(os.close, descriptor)
            if not lock(descriptor):
                raise OutsideError(
                    "a server or another command is writing to the ledger",
                    where=str(ledger / tag),
                    hint="Stop it first.",
                )
        yield


def _refuse_over_newer(place: Place, manifest: Manifest) -> None:
    reader = wiring.open_ledger_reader(place.ledger)
    marks = {shard.tag: shard.size for shard in manifest.shards}
    for tag in reader.shards():
        try:
            size = reader.size(tag)
        except TrustError:  # damaged: that may be why it is restored
            continue
        if size > marks.get(tag, 0):
            raise DataError(
                f"the ledger has {size} records in shard {tag}, the backup {marks.get(tag, 0)}: "
                "restoring would lose what came since",
                where=str(place.ledger),
                hint="Restore into another folder, or move this ledger away first.",
            )


def _restore_people(place: Place, folder: BackupFolder, asides: _Asides) -> int:
    """Keys of personal values: those that are there stay, for they know every erasure.

    Where there are none the newest of the backup come back, without the keys of people whose
    erasure stands in the ledger.
    """
    path = database_path(place.people)
    if path is None or not folder.people.exists():
        return 0
    erased = erased_keys(wiring.open_ledger_reader(asides.of("ledger")))
    if path.exists():
        target = place.people
    else:
        aside = asides.people(path)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        copy_database(folder.people, aside)
        target = f"sqlite:{aside}"
    if not erased:
        return 0
    with wiring.open_people(target, place.known_master()) as keys:
        return keys.destroy_ids(erased, at=0)


def _restore_secrets(place: Place, folder: BackupFolder, passphrase: str) -> None:
    """Private keys that are not there; those that are stay."""
    path = folder.root / "secrets.sealed"
    if not path.exists():
        raise DataError("the backup holds no private keys", where=str(path))
    sealed = path.read_bytes()
    found = msgspec.json.decode(
        open_with(passphrase, sealed, where=str(path)), type=dict[str, bytes]
    )
    for name, secret in found.items():
        if name == "people":
            file = place.workspace.keys.people.file
            target = None if file is None else place.at(file)
        else:
            target = place.signing.parent / Path(name).name
        if target is not None and not target.exists():
            make_private(target, secret.decode())


def restore_settings(folder: BackupFolder, manifest: Manifest, root: Path) -> None:
    """What people wrote: only what is missing comes back."""
    for file in manifest.files:
        if file.store == "settings" and not (root / file.path).exists():
            folder.fetch(file.digest, root / file.path)


def _made_again(place: Place) -> list[str]:
    """The index and window state know of a ledger that will no longer be there."""
    found = [str(place.state_folder)]
    index = database_path(place.index)
    if index is not None:
        found += [str(index.with_name(index.name + suffix)) for suffix in ("", *_BESIDE)]
    return found


def told_kept(kept: Sequence[str], root: Path) -> list[str]:
    """Paths as a person reads them, from the workspace where they are in it."""
    return [
        str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path
        for path in kept
    ]
