"""Ed25519 keys in files: a private key for its owner only, public keys in a folder of trust.

A private key is ``NAME.key`` (PEM, PKCS 8, mode 0600); what is trusted is a folder of ``NAME.json``
records with validity and revocation, read at every verification, so that a revocation holds at
once.

Source: RFC 8032 (Ed25519); RFC 5958 (PKCS 8).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import ClassVar

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from baluarte.adapters.disk import (
    open_existing,
    open_new,
    outside,
    read_at,
    sync_folder,
    write_aside,
    write_at,
)
from baluarte.core.keys import PublicKey, only_key
from baluarte.errors import DataError, OutsideError, TrustError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_MAX_RECORD_BYTES = 1 << 16
_RAW_BYTES = 32


class Ed25519Signer:
    """Signs with one private key file.

    Args:
        private: the ``NAME.key`` file.
        key: its public record, as it is trusted.

    Raises:
        OutsideError: the file can't be read, or others than its owner can.
        TrustError: it is no Ed25519 key, or another one than the record's.
    """

    name: ClassVar[str] = "ed25519"

    def __init__(self, private: Path, key: PublicKey) -> None:
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
        try:
            loaded = load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise TrustError("expected a PEM private key", where=str(private)) from error
        if not isinstance(loaded, Ed25519PrivateKey):
            raise TrustError("expected an Ed25519 key, found another kind", where=str(private))
        if loaded.public_key().public_bytes_raw() != key.public_key:
            raise TrustError(f"the private key is not that of {key.name}", where=str(private))
        self._private, self._key = loaded, key

    @property
    def key(self) -> PublicKey:
        """The public half: its name, id and validity."""
        return self._key

    @property
    def key_id(self) -> str:
        """Hex SHA-256 of the raw public key."""
        return self._key.key_id

    def sign(self, message: bytes) -> bytes:
        """64 bytes: the signature over the message."""
        return self._private.sign(message)


class TrustedKeys:
    """Checks signatures by the public keys in one folder.

    Raises:
        TrustError: (on use) a record in the folder is not one; nothing is trusted then.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def verify(self, message: bytes, signature: bytes, *, key_id: str, at_us: int) -> None:
        """Return if the signature holds and the key was valid at that time.

        Raises:
            TrustError: unknown, revoked or expired key, or a wrong signature.
        """
        key = only_key(self.public_keys(), key_id)
        key.check_valid(at_us)
        try:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
        except InvalidSignature as error:
            raise TrustError(f"the signature is not by key {key.name}", where=key_id) from error

    def public_keys(self) -> list[PublicKey]:
        """All trusted keys, revoked and expired ones too, by name."""
        return _load(self._folder)


def create_key(
    private_folder: Path, trusted: Path, name: str, *, not_before: int, not_after: int
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
    private = Ed25519PrivateKey.generate()
    record = PublicKey(
        name=name,
        public_key=private.public_key().public_bytes_raw(),
        not_before=not_before,
        not_after=not_after,
    )
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if (trusted / f"{name}.json").exists():
        raise DataError(f"there is a key {name} already", where=str(trusted))
    path = private_folder / f"{name}.key"
    with outside("the key can't be written", path):
        private_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = open_new(path)
        except FileExistsError as error:
            raise DataError(f"there is a key {name} already", where=str(path)) from error
        try:
            write_at(descriptor, pem, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(private_folder)
    trust_key(trusted, record)
    return record


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


def open_signer(private_folder: Path, trusted: Path, name: str) -> Ed25519Signer:
    """The signer of a key made by :func:`create_key`.

    Raises:
        DataError: there is no such key.
    """
    for key in _load(trusted):
        if key.name == name:
            return Ed25519Signer(private_folder / f"{name}.key", key)
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
    if len(record.public_key) != _RAW_BYTES or record.not_before >= record.not_after:
        raise TrustError("expected 32 bytes of key and a validity that ends later", where=where)


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
