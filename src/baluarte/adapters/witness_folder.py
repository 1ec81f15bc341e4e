"""All that a witness has, in one folder: its key, the logs it knows, what it saw of each last.

::

    FOLDER/witness.key        its private key (PEM, 0600)
    FOLDER/witness.txt        its verifier key: hand this out
    FOLDER/lock               held while what was seen is replaced
    FOLDER/logs/9f86d0….txt   origin of one log and its verifier keys, a line each; named by the
                              SHA-256 of the origin
    FOLDER/seen/9f86d0….note  the last checkpoint of it that was cosigned
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from baluarte.adapters.disk import open_existing, open_or_new, outside, read_at, write_aside
from baluarte.adapters.key_files import write_private
from baluarte.core.keys import PublicKey
from baluarte.core.note_keys import NoteKey, read_vkey, witness_key
from baluarte.errors import DataError
from baluarte.ports import PrivateKey, SignatureKind

_MAX_BYTES = 1 << 20
_KEY, _PUBLIC = "witness.key", "witness.txt"


class WitnessFolder:
    """A witness's folder.

    Args:
        folder: made by :func:`create_witness`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def key(self) -> NoteKey:
        """The witness's own verifier key.

        Raises:
            DataError: the folder is no witness's.
        """
        data = _read(self._folder / _PUBLIC)
        if data is None:
            raise DataError(
                "this is no witness's folder",
                where=str(self._folder),
                hint="`baluarte witness create FOLDER NAME` makes one.",
            )
        return read_vkey(data.decode("utf-8", "replace"), where=str(self._folder / _PUBLIC))

    def private(self, kind: SignatureKind) -> PrivateKey:
        """The witness's private key.

        Raises:
            TrustError: it is of another kind.
            DataError: others than its owner can read it.
            OutsideError: it can't be read.
        """
        path = self._folder / _KEY
        with outside("the witness's key can't be read", path):
            open_to_others = path.stat().st_mode & 0o077
            data = _read(path)
        if open_to_others or data is None:
            raise DataError(
                "expected the witness's private key, for its owner alone (0600)", where=str(path)
            )
        return kind.open(data, where=str(path))

    def add_log(self, key: NoteKey, *, origin: str | None = None) -> bool:
        """Know a key of a log from now on; False where it was known.

        Args:
            origin: of the log, where it is not the key's name.

        Raises:
            OutsideError: the folder can't be written.
        """
        origin = key.name if origin is None else origin
        known = self.keys_of(origin)
        if key in known:
            return False
        lines = [origin, *(one.vkey for one in (*known, key))]
        with outside("the log can't be kept", self._folder):
            path = self._place("logs", origin, "txt")
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_aside(path, "".join(f"{line}\n" for line in lines).encode())
        return True

    def logs(self) -> dict[str, tuple[NoteKey, ...]]:
        """The keys of every log that is known, by origin."""
        found = (_log(path) for path in sorted((self._folder / "logs").glob("*.txt")))
        return dict(sorted(one for one in found if one is not None))

    def keys_of(self, origin: str) -> tuple[NoteKey, ...]:
        """The keys of one log; none where it isn't known."""
        found = _log(self._place("logs", origin, "txt"))
        return found[1] if found is not None and found[0] == origin else ()

    def last(self, origin: str) -> bytes | None:
        """The checkpoint that was cosigned last, with that cosignature."""
        return _read(self._place("seen", origin, "note"))

    def last_by_hash(self, origin_hash: str) -> bytes | None:
        """The same, by the hex SHA-256 of the origin."""
        sound = len(origin_hash) == 64 and set(origin_hash) <= set("0123456789abcdef")
        return _read(self._folder / "seen" / f"{origin_hash}.note") if sound else None

    def keep(self, origin: str, note: bytes) -> None:
        """Remember a checkpoint, durably: it is whole on disk before this returns."""
        with outside("what was seen can't be kept", self._folder):
            path = self._place("seen", origin, "note")
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_aside(path, note)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Within, no other process or thread replaces what was seen."""
        with outside("the witness's folder can't be locked", self._folder):
            descriptor = open_or_new(self._folder / "lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _place(self, folder: str, origin: str, suffix: str) -> Path:
        return self._folder / folder / f"{hashlib.sha256(origin.encode()).hexdigest()}.{suffix}"


def create_witness(folder: Path, name: str, kind: SignatureKind) -> NoteKey:
    """Make a witness: a key of its own, and nothing seen yet.

    Raises:
        DataError: there is one in this folder, or the name is none.
        TrustError: the name has a space or a plus.
    """
    pem, public = kind.generate()
    record = PublicKey(name=name, algorithm=kind.name, public_key=public, not_before=0, not_after=1)
    key = read_vkey(witness_key(name, record).vkey, where=name)
    write_private(folder / _KEY, pem)
    with outside("the witness can't be made", folder):
        write_aside(folder / _PUBLIC, f"{key.vkey}\n".encode())
    return key


def _log(path: Path) -> tuple[str, tuple[NoteKey, ...]] | None:
    data = _read(path)
    if data is None:
        return None
    origin, *lines = data.decode("utf-8", "replace").splitlines() or [""]
    return origin, tuple(read_vkey(line, where=str(path)) for line in lines)


def _read(path: Path) -> bytes | None:
    with outside("the witness's folder can't be read", path):
        try:
            descriptor = open_existing(path)
        except FileNotFoundError:
            return None
        try:
            return read_at(descriptor, _MAX_BYTES, 0)
        finally:
            os.close(descriptor)
