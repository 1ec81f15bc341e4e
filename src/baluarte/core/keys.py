"""Public keys: who may sign, from when to when, and whether that was taken back."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from baluarte.errors import TrustError

Algorithm = Literal["ed25519", "ml-dsa-44"]
RAW_BYTES: dict[Algorithm, int] = {"ed25519": 32, "ml-dsa-44": 1312}  #: of a public key


class PublicKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One public key as it is trusted; times are microseconds of UTC."""

    name: str  #: the grammar of names: lower-case letters, digits, hyphens, dots
    algorithm: Algorithm = "ed25519"
    public_key: bytes  #: raw: 32 bytes for Ed25519, 1,312 for ML-DSA-44; base64 in JSON
    not_before: int
    not_after: int
    revoked_at: int | None = None

    @property
    def key_id(self) -> str:
        """Hex SHA-256 of the raw public key."""
        return hashlib.sha256(self.public_key).hexdigest()

    def check_valid(self, at_us: int) -> None:
        """Return if the key was valid at that time.

        Raises:
            TrustError: not yet, no longer, or revoked by then.
        """
        if self.revoked_at is not None and at_us >= self.revoked_at:
            raise TrustError(f"key {self.name} is revoked", where=self.key_id)
        if at_us < self.not_before:
            raise TrustError(f"key {self.name} is not valid yet", where=self.key_id)
        if at_us > self.not_after:
            raise TrustError(
                f"key {self.name} is expired",
                where=self.key_id,
                hint="Make a new key with `baluarte keys create` and seal again.",
            )


def only_key(keys: list[PublicKey], key_id: str) -> PublicKey:
    """The trusted key with this id.

    Raises:
        TrustError: it isn't trusted.
    """
    for key in keys:
        if key.key_id == key_id:
            return key
    raise TrustError(
        f"key {key_id[:80]} is not trusted",
        hint="If you know whose it is: `baluarte keys trust FILE`.",
    )
