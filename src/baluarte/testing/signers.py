"""Keys without files, and what every signer and verifier must do."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import ClassVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from baluarte.core.keys import RAW_BYTES, PublicKey, only_key
from baluarte.errors import TrustError
from baluarte.ports import SignatureKind, Signer, Verifier
from baluarte.testing.clock import START_US
from baluarte.testing.expect import refused, same

_DAY_US = 86_400_000_000


class MemorySigner:
    """An Ed25519 key made from its name: the same in every run, so good for tests only."""

    name: ClassVar[str] = "memory"

    def __init__(
        self,
        key_name: str = "tester",
        *,
        not_before: int = START_US - _DAY_US,
        not_after: int = START_US + 365 * _DAY_US,
    ) -> None:
        seed = hashlib.sha256(f"baluarte test key {key_name}".encode()).digest()
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._key = PublicKey(
            name=key_name,
            public_key=self._private.public_key().public_bytes_raw(),
            not_before=not_before,
            not_after=not_after,
        )

    @property
    def key(self) -> PublicKey:
        """The public half."""
        return self._key

    @property
    def key_id(self) -> str:
        """Hex SHA-256 of the raw public key."""
        return self._key.key_id

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._private.sign(message)


class MemoryVerifier:
    """Trusts the keys it is given."""

    def __init__(self, *keys: PublicKey) -> None:
        self._keys = list(keys)

    def public_keys(self) -> list[PublicKey]:
        """All of them, by name."""
        return sorted(self._keys, key=lambda key: key.name)

    def verify(self, message: bytes, signature: bytes, *, key_id: str, at_us: int) -> None:
        """Return if the signature holds and the key was valid at that time."""
        key = only_key(self._keys, key_id)
        key.check_valid(at_us)
        try:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
        except InvalidSignature as error:
            raise TrustError(f"the signature is not by key {key.name}", where=key_id) from error

    def revoke(self, name: str, *, at: int) -> None:
        """Take trust in a key back."""
        self._keys = [
            msgspec.structs.replace(key, revoked_at=at) if key.name == name else key
            for key in self._keys
        ]


def check_signer(signer: Signer, verifier: Verifier) -> None:
    """Conformance of a signer and of a verifier that trusts its key.

    Raises:
        AssertionError: it breaks a rule of the ports.
    """
    message, key = b"a message", signer.key
    signature = signer.sign(message)
    same(signer.key_id, hashlib.sha256(key.public_key).hexdigest())
    same(key.key_id, signer.key_id)
    same(key in verifier.public_keys(), True)  # noqa: FBT003 - what is compared is a boolean
    for moment in (key.not_before, key.not_after):
        verifier.verify(message, signature, key_id=signer.key_id, at_us=moment)
    at = key.not_before
    flipped = bytes([signature[0] ^ 1]) + signature[1:]
    for what, by, key_id, moment in (
        (b"another message", signature, signer.key_id, at),
        (message, flipped, signer.key_id, at),
        (message, signature[:-1], signer.key_id, at),
        (message, b"", signer.key_id, at),
        (message, signature, "0" * 64, at),
        (message, signature, "", at),
        (message, signature, signer.key_id, key.not_before - 1),
        (message, signature, signer.key_id, key.not_after + 1),
    ):
        refused(TrustError, partial(verifier.verify, what, by, key_id=key_id, at_us=moment))


def check_signature_kind(kind: SignatureKind, *, other: SignatureKind) -> None:
    """Conformance of one algorithm of signatures.

    Args:
        other: another algorithm, whose keys it must refuse.

    Raises:
        AssertionError: it breaks a rule of the port.
    """
    pem, public = kind.generate()
    same(len(public), RAW_BYTES[kind.name])
    same(kind.generate()[1] != public, True)  # noqa: FBT003 - what is compared is a boolean
    private = kind.open(pem, where="x")
    same(private.public_key, public)
    message = b"a message"
    signature = private.sign(message)
    flipped = bytes([signature[0] ^ 1]) + signature[1:]
    for key, what, by, holds in (
        (public, message, signature, True),
        (public, b"another message", signature, False),
        (public, message, flipped, False),
        (public, message, signature[:-1], False),
        (public, message, b"", False),
        (kind.generate()[1], message, signature, False),
        (public[:-1], message, signature, False),
        (b"", message, signature, False),
    ):
        same(kind.holds(key, what, by), holds)
    for wrong in (b"", b"nonsense", other.generate()[0]):
        refused(TrustError, partial(kind.open, wrong, where="x"))
