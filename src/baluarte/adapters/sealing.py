"""Encryption of personal values: a data key a subject, wrapped under a master key.

Values are sealed with AES-256-GCM and a random nonce; data keys are wrapped with AES-256-GCM-SIV,
which keeps its promise even if a nonce should come twice. A master key is 32 bytes, given as base64
or hex text by reference; where the text has several lines the first one wraps and all unwrap, which
is how one master key takes another's place.

Source: NIST SP 800-38D (GCM); RFC 8452 (GCM-SIV); RFC 2104 (HMAC).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV

from baluarte.core.decision_bytes import NATIVE
from baluarte.core.envelope import KEYED_DIGEST
from baluarte.errors import ContractError, TrustError

KEY_BYTES = 32
NONCE_BYTES = 12
_NAME_BYTES = 4
_BLOCK_BYTES = 64  #: of SHA-256; RFC 2104 section 2
_IPAD, _OPAD = (bytes(i ^ pad for i in range(256)) for pad in (0x36, 0x5C))

#: whether compiled code can seal many texts at once: by the libcrypto that hashlib is linked with
SEALS_AT_ONCE: bool = NATIVE is not None and NATIVE.load(
    getattr(sys.modules.get("_hashlib"), "__file__", None) or ""
)

#: random nonces drawn ahead, each used once: asking the system for each one costs more than to seal
_NONCES: list[bytes] = []
_N_NONCES = 256


def _fresh_nonce() -> bytes:
    drawn = os.urandom(NONCE_BYTES * _N_NONCES)
    nonces = [drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES)]
    _NONCES.extend(nonces[1:])  # a thread at the same place adds others
    return nonces[0]


os.register_at_fork(after_in_child=_NONCES.clear)  # never those of its parent


class SealingKey:
    """A subject's data key, unwrapped: one subkey encrypts, another makes digests."""

    __slots__ = ("_aead", "_inner", "_outer", "compiled", "id")

    def __init__(self, key_id: str, secret: bytes) -> None:
        self.id = key_id
        encrypts = hmac.digest(secret, b"baluarte seal", "sha256")
        self._aead = AESGCM(encrypts)
        self.compiled: object | None = NATIVE.key(encrypts) if SEALS_AT_ONCE else None
        # HMAC with both of its blocks hashed once: the module's own one starts anew each time.
        block = hmac.digest(secret, b"baluarte digest", "sha256").ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(block.translate(_IPAD))
        self._outer = hashlib.sha256(block.translate(_OPAD))

    def nonces(self, n: int) -> bytes:
        """Fresh random bytes for ``n`` texts that compiled code seals, 12 each."""
        return os.urandom(NONCE_BYTES * n)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt and authenticate, bound to the context."""
        try:
            nonce = _NONCES.pop()
        except IndexError:
            nonce = _fresh_nonce()
        return nonce + self._aead.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """What was sealed.

        Raises:
            TrustError: it was not sealed by this key in this context, or was changed.
        """
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise TrustError(
                "the sealed values are not those that were sealed here", where=self.id
            ) from None

    def digest(self, data: bytes) -> str:
        """``hmac-sha256:…`` over the data."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return KEYED_DIGEST + outer.hexdigest()


class MasterKeys:
    """The master keys at hand: the first wraps, all unwrap."""

    def __init__(self, text: str, *, where: str) -> None:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        secrets = [_secret(line, where=where) for line in lines]
        if not secrets:
            raise ContractError("expected a master key, found nothing", where=where)
        self._names = [_name(secret) for secret in secrets]
        self._ciphers = {_name(secret): AESGCMSIV(secret) for secret in secrets}

    @property
    def name(self) -> bytes:
        """What tells the first from others: 4 bytes of its hash."""
        return self._names[0]

    def knows(self, name: bytes) -> bool:
        """Whether this master key is at hand."""
        return name in self._ciphers

    def wrap(self, secret: bytes, context: bytes, *, by: bytes | None = None) -> bytes:
        """A secret under one of the master keys: the first, if none is named."""
        name, nonce = by or self.name, os.urandom(NONCE_BYTES)
        return name + nonce + self._ciphers[name].encrypt(nonce, secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The secret.

        Raises:
            TrustError: it was wrapped under another master key, or changed.
        """
        cipher = self._ciphers.get(wrapped[:_NAME_BYTES])
        start = _NAME_BYTES + NONCE_BYTES
        try:
            if cipher is not None:
                return cipher.decrypt(wrapped[_NAME_BYTES:start], wrapped[start:], context)
        except (InvalidTag, ValueError):
            pass
        raise TrustError(
            "the key was wrapped under another master key, or changed",
            hint="Point keys.people at the master key that the store was made with.",
        )


def new_master() -> str:
    """A fresh master key as text."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode("ascii")


def _secret(line: str, *, where: str) -> bytes:
    found = b""
    with contextlib.suppress(ValueError, binascii.Error):
        found = bytes.fromhex(line) if len(line) == 2 * KEY_BYTES else base64.b64decode(line)
    if len(found) != KEY_BYTES:
        raise ContractError(
            "expected a master key of 32 bytes as base64 or hex text",
            where=where,
            hint="`openssl rand -base64 32` makes one.",
        )
    return found


def _name(secret: bytes) -> bytes:
    return hashlib.sha256(b"baluarte master\n" + secret).digest()[:_NAME_BYTES]
