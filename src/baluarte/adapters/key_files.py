"""Keys in files: a private key for its owner only, public keys in a folder of trust.

A private key is ``NAME.key`` (PEM, PKCS 8, mode 0600); what is trusted is a folder of ``NAME.json``
records with validity and revocation, read at every verification, so that a revocation holds at
once. Which signatures a key makes is its kind's matter: one file in ``adapters/signers`` each.

Source: RFC 5958 (PKCS 8).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import msgspec

from baluarte.adapters.disk import (
    open_existing,
    open_new,
    outside,
    read_at,
    sync_folder,
    write_aside,
    write_at,
)
from baluarte.core.keys import RAW_BYTES, Algorithm, PublicKey, only_key
from baluarte.errors import DataError, OutsideError, TrustError
from baluarte.ports import SignatureKind

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_MAX_RECORD_BYTES = 1 << 16

Kinds = Callable[[Algorithm], SignatureKind]  #: the plug-in of an algorithm


class FileSigner:
    """Signs with one private key file.

    Args:
        private: the ``NAME.key`` file.
        key: its public record, as it is trusted.
        kind: of the key's algorithm.

    Raises:
        OutsideError: the file can't be read, or others than its owner can.
        TrustError: it is no key of that kind, or another one than the record's.
    """

    name: ClassVar[str] = "file"

    def __init__(self, private: Path, key: PublicKey, kind: SignatureKind) -> None:
        with outside("the private key can't be read", private):
            descriptor = open_existing(private)
        try:
            mode = os.fstat(descriptor).st_mode
            data = read_at(descriptor, _MAX_RECORD_BYTES, 0)
        finally:
            os.close(descriptor)
        if mode & 0o077:
            raise OutsideError(
                f"expected mode 0600, found {mode & 0o777:04o}: others can read the private key",
                where=str(private),
                hint=f"chmod 600 {private}, and revoke the key if others had access.",
            )
        self._private = kind.open(data, where=str(private))
        if self._private.public_key != key.public_key:
            raise TrustError(f"the private key is not that of {key.name}", where=str(private))
        self._key = key

    @property
    def key(self) -> PublicKey:
        """The public half: its name, id and validity."""
        return self._key

    @property
    def key_id(self) -> str:
        """Hex SHA-256 of the raw public key."""
        return self._key.key_id

    def sign(self, message: bytes) -> bytes:
        """The signature over the message."""
        return self._private.sign(message)


class TrustedKeys:
    """Checks signatures by the public keys in one folder.

    Raises:
        TrustError: (on use) a record in the folder is not one; nothing is trusted then.
    """

    def __init__(self, folder: Path, kinds: Kinds) -> None:
        self._folder, self._kinds = folder, kinds

    def verify(self, message: bytes, signature: bytes, *, key_id: str, at_us: int) -> None:
        """Return if the signature holds and the key was valid at that time.

        Raises:
            TrustError: unknown, revoked or expired key, or a wrong signature.
        """
        check_signature(
            self.public_keys(), self._kinds, message, signature, key_id=key_id, at_us=at_us
        )

    def public_keys(self) -> list[PublicKey]:
        """All trusted keys, revoked and expired ones too, by name."""
        return _load(self._folder)


class GivenKeys:
    """Checks signatures by public keys that are at hand, such as those of witnesses."""

    def __init__(self, keys: list[PublicKey], kinds: Kinds) -> None:
        self._keys, self._kinds = keys, kinds

    def verify(self, message: bytes, signature: bytes, *, key_id: str, at_us: int) -> None:
        """Return if the signature holds and the key was valid at that time.

        Raises:
            TrustError: unknown, revoked or expired key, or a wrong signature.
        """
        check_signature(self._keys, self._kinds, message, signature, key_id=key_id, at_us=at_us)

    def public_keys(self) -> list[PublicKey]:
        """All of them, by name."""
        return sorted(self._keys, key=lambda key: key.name)


def check_signature(
    keys: list[PublicKey],
    kinds: Kinds,
    message: bytes,
    signature: bytes,
    *,
    key_id: str,
    at_us: int,
) -> None:
    """Return if a known key signed the message and was valid at that time.

    Raises:
        TrustError: unknown, revoked or expired key, or a wrong signature.
    """
    key = only_key(keys, key_id)
    key.check_valid(at_us)
    if not kinds(key.algorithm).holds(key.public_key, message, signature):
        raise TrustError(f"the signature is not by key {key.name}", where=key_id)


def create_key(
    private_folder: Path,
    trusted: Path,
    name: str,
    kind: SignatureKind,
    *,
    not_before: int,
    not_after: int,
) -> PublicKey:
    """Make a key pair: the private key in a file of its own, the public one trusted at once.

    Args:
        not_before: start of validity, microseconds of UTC.
        not_after: its end, likewise.

    Raises:
        DataError: the name is not one, or there is a key of this name.
        OutsideError: a folder can't be written.
    """
    _check_name(name)
    pem, public = kind.generate()
    record = PublicKey(
        name=name,
        algorithm=kind.name,
        public_key=public,
        not_before=not_before,
        not_after=not_after,
    )
    if (trusted / f"{name}.json").exists():
        raise DataError(f"there is a key {name} already", where=str(trusted))
    write_private(private_folder / f"{name}.key", pem)
    trust_key(trusted, record)
    return record


def write_private(path: Path, pem: bytes) -> None:
    """Write a private key that is not there yet, for its owner alone.

    Raises:
        DataError: there is one.
        OutsideError: the folder can't be written.
    """
    with outside("the key can't be written", path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = open_new(path)
        except FileExistsError as error:
            raise DataError(f"there is a key {path.stem} already", where=str(path)) from error
        try:
            write_at(descriptor, pem, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)


def trust_key(trusted: Path, record: PublicKey) -> None:
    """Trust a public key from now on.

    Raises:
        DataError: its name is not one, or a key of this name or the same key is known.
        OutsideError: the folder can't be written.
    """
    _check_name(record.name)
    _check_raw(record, where=record.name)
    for known in _load(trusted):
        if known.name == record.name or known.public_key == record.public_key:
            raise DataError(f"key {known.name} is known already", where=str(trusted))
    _write_record(trusted, record)


def revoke_key(trusted: Path, name: str, *, at: int) -> PublicKey:
    """Take trust back, for good: signatures by this key hold no longer from that time on.

    Raises:
        DataError: there is no such key, or it was revoked before.
        OutsideError: the folder can't be written.
    """
    _check_name(name)
    for key in _load(trusted):
        if key.name == name:
            if key.revoked_at is not None:
                raise DataError(f"key {name} was revoked before", where=str(trusted))
            revoked = msgspec.structs.replace(key, revoked_at=at)
            _write_record(trusted, revoked)
            return revoked
    raise DataError(f"there is no key {name}", where=str(trusted))


def open_signer(private_folder: Path, trusted: Path, name: str, kinds: Kinds) -> FileSigner:
    """The signer of a key made by :func:`create_key`.

    Raises:
        DataError: there is no such key.
    """
    for key in _load(trusted):
        if key.name == name:
            return FileSigner(private_folder / f"{name}.key", key, kinds(key.algorithm))
    raise DataError(
        f"there is no key {name[:80]!r}",
        where=str(trusted),
        hint="Make one: `baluarte keys create NAME`.",
    )


def read_public_key(data: bytes, *, where: str) -> PublicKey:
    """A public key from its JSON record, as :func:`create_key` writes it.

    Raises:
        TrustError: it is no such record.
    """
    try:
        record = msgspec.json.decode(data, type=PublicKey)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise TrustError(f"expected a public key's record, found: {error}", where=where) from error
    _check_raw(record, where=where)
    return record


def _load(trusted: Path) -> list[PublicKey]:
    with outside("the trusted keys can't be read", trusted):
        if not trusted.is_dir():
            return []
        names = sorted(name for name in os.listdir(trusted) if name.endswith(".json"))
        return [_read_record(trusted / name) for name in names if not name.startswith(".")]


def _check_raw(record: PublicKey, *, where: str) -> None:
    n_bytes = RAW_BYTES[record.algorithm]
    if len(record.public_key) != n_bytes or record.not_before >= record.not_after:
        said = f"expected {n_bytes} bytes of key and a validity that ends later"
        raise TrustError(said, where=where)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise DataError(
            f"expected lower-case letters, digits, - and _ as a key's name, found {name[:80]!r}"
        )


def _read_record(path: Path) -> PublicKey:
    descriptor = open_existing(path)
    try:
        record = read_public_key(read_at(descriptor, _MAX_RECORD_BYTES, 0), where=str(path))
    finally:
        os.close(descriptor)
    if record.name != path.stem:
        raise TrustError(f"expected the key {path.stem}, found {record.name}", where=str(path))
    return record


def _write_record(trusted: Path, record: PublicKey) -> None:
    with outside("the trusted keys can't be written", trusted):
        trusted.mkdir(parents=True, exist_ok=True, mode=0o700)
        data = msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
        write_aside(trusted / f"{record.name}.json", data)
