"""ML-DSA-44: signatures that a quantum computer can't forge either, of 2,420 bytes.

With the empty context, as C2SP tlog-cosignature asks for.

Source: FIPS 204.
"""

from __future__ import annotations

from typing import ClassVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from baluarte.core.keys import Algorithm
from baluarte.errors import TrustError
from baluarte.ports import PrivateKey


class MlDsa44:
    """Makes, opens and checks ML-DSA-44 keys."""

    name: ClassVar[Algorithm] = "ml-dsa-44"

    def generate(self) -> tuple[bytes, bytes]:
        """A new private key as PEM (PKCS 8), and its raw public key."""
        private = MLDSA44PrivateKey.generate()
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return pem, private.public_key().public_bytes_raw()

    def open(self, pem: bytes, *, where: str) -> PrivateKey:
        """The private key in a PEM.

        Raises:
            TrustError: it is none, or of another kind.
        """
        try:
            loaded = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise TrustError("expected a PEM private key", where=where) from error
        if not isinstance(loaded, MLDSA44PrivateKey):
            raise TrustError("expected an ML-DSA-44 key, found another kind", where=where)
        return _Private(loaded)

    def holds(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the signature over the message is by this key."""
        try:
            MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class _Private:
    def __init__(self, private: MLDSA44PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)
