"""The keys that fields are sealed to: pairs in a folder, any of which opens.

A private key is ``ID.key`` (PEM, PKCS 8, mode 0600) beside its public record ``ID.json``. A new
pair is a rotation: callers seal to it from when they have its record, and what was sealed to an
older one opens as long as that one's private key stays in the folder, which is looked at again
every second that something is opened.

Source: RFC 9180 (HPKE), mode base, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from baluarte.adapters.disk import open_existing, open_new, outside, read_at, write_aside, write_at
from baluarte.core.field_sealing import NotSealedError, PublicFieldKey, bound_to
from baluarte.errors import DataError, TrustError

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_LOOK_S = 1.0  #: between two looks at the folder
_MAX_KEY_BYTES = 1 << 14
_UNOPENED = (
    "expected fields sealed for this detector and this event's id, to a key of this server; "
    "found others"
)


def key_id(public: bytes) -> str:
    """The id of a key: it follows from the key, so no record can give it another's."""
    return hashlib.sha256(b"baluarte-field-key/1\0" + public).hexdigest()[:32]


def create_field_key(folder: Path, *, now_us: int) -> PublicFieldKey:
    """Make a pair in the folder; callers seal to it once they have its record."""
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    record = PublicFieldKey(
        key=key_id(public), public=base64.b64encode(public).decode(), created_at=now_us
    )
    with outside("the keys of sealed fields can't be written", folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = open_new(folder / f"{record.key}.key")
        try:
            pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_at(descriptor, pem, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        write_aside(folder / f"{record.key}.json", msgspec.json.encode(record))
    return record


def read_field_key(data: bytes, *, where: str) -> PublicFieldKey:
    """A public record, checked.

    Raises:
        DataError: it is none.
    """
    try:
        record = msgspec.json.decode(data, type=PublicFieldKey)
        public = base64.b64decode(record.public, validate=True)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DataError(
            f"expected the public record of a field key: {error}", where=where
        ) from None
    if record.format != "baluarte-field-key/1" or key_id(public) != record.key or len(public) != 32:
        raise DataError("expected a field key whose id is its own, found another", where=where)
    return record


def seal(values: bytes, record: PublicFieldKey, *, detector: str, event_id: str) -> bytes:
    """Values sealed to a key for one event of one detector: the key's share, then the rest."""
    public = X25519PublicKey.from_public_bytes(base64.b64decode(record.public))
    return bytes(_SUITE.encrypt(values, public, bound_to(detector, event_id, record.key)))


class FieldKeys:
    """The private keys of a folder, for those who decide.

    Raises:
        OutsideError: the folder can't be read.
        TrustError: a key can be read by others, or is none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: dict[str, X25519PrivateKey] = {}
        self._looked_s = 0.0
        self._look()

    def open(self, key: str, sealed: bytes, *, detector: str, event_id: str) -> bytes:
        """What was sealed.

        Raises:
            NotSealedError: it was sealed to another key, or for another event or detector, or is
                damaged; which of them is not said.
        """
        if time.monotonic() - self._looked_s >= _LOOK_S:
            self._look()
        private = self._keys.get(key)
        if private is None:
            raise NotSealedError(_UNOPENED)
        try:
            return bytes(_SUITE.decrypt(sealed, private, bound_to(detector, event_id, key)))
        except (InvalidTag, ValueError):
            raise NotSealedError(_UNOPENED) from None

    @property
    def ids(self) -> frozenset[str]:
        """Of the keys that open."""
        return frozenset(self._keys)

    def _look(self) -> None:
        self._looked_s = time.monotonic()
        with outside("the keys of sealed fields can't be read", self._folder):
            paths = sorted(self._folder.glob("*.key"))
        known = {path.stem for path in paths}
        self._keys = {name: key for name, key in self._keys.items() if name in known}
        for path in paths:
            if path.stem not in self._keys:
                self._keys[path.stem] = _private(path)


def _private(path: Path) -> X25519PrivateKey:
    with outside("a key of sealed fields can't be read", path):
        descriptor = open_existing(path)
        try:
            mode = os.fstat(descriptor).st_mode
            data = read_at(descriptor, _MAX_KEY_BYTES, 0)
        finally:
            os.close(descriptor)
    if mode & 0o077:
        raise TrustError(
            f"others can read the private key (mode {mode & 0o777:03o})",
            where=str(path),
            hint="chmod 600",
        )
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise TrustError(f"expected a private key in PEM: {error}", where=str(path)) from None
    if not isinstance(key, X25519PrivateKey) or path.stem != key_id(
        key.public_key().public_bytes_raw()
    ):
        raise TrustError("expected an X25519 key under its own id, found another", where=str(path))
    return key
