"""Private keys under a passphrase, for whoever asks a backup to hold them.

Source: RFC 9106, section 4, the second recommended setting of Argon2id; NIST SP 800-38D (GCM).
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from baluarte.errors import DataError, TrustError

_HEAD = b"baluarte-secrets/1\n"
_SALT_BYTES, _NONCE_BYTES = 16, 12
MIN_CHARS = 12  #: of a passphrase


def seal_with(passphrase: str, data: bytes) -> bytes:
    """The data, to be opened with the passphrase only.

    Raises:
        DataError: the passphrase is too short.
    """
    if len(passphrase) < MIN_CHARS:
        raise DataError(f"expected a passphrase of {MIN_CHARS} characters or more")
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    return _HEAD + salt + nonce + _cipher(passphrase, salt).encrypt(nonce, data, _HEAD)


def open_with(passphrase: str, sealed: bytes, *, where: str) -> bytes:
    """What was sealed.

    Raises:
        TrustError: another passphrase, or the data was changed.
    """
    start = len(_HEAD) + _SALT_BYTES
    salt, nonce = sealed[len(_HEAD) : start], sealed[start : start + _NONCE_BYTES]
    try:
        if sealed.startswith(_HEAD):
            body = sealed[start + _NONCE_BYTES :]
            return _cipher(passphrase, salt).decrypt(nonce, body, _HEAD)
    except (InvalidTag, ValueError):
        pass
    raise TrustError("the passphrase is another one, or the keys were changed", where=where)


def _cipher(passphrase: str, salt: bytes) -> AESGCM:
    made = Argon2id(salt=salt, length=32, iterations=3, lanes=4, memory_cost=65_536)
    return AESGCM(made.derive(passphrase.encode()))
