"""Passwords by Argon2id: slow to try, and as slow where there is none.

Source: RFC 9106, section 4, the second recommended setting (3 passes, 64 MiB, 4 lanes); the text is
the PHC string.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

_SALT_BYTES = 16
_HASH_BYTES = 32
_PASSES = 3
_LANES = 4
_MEMORY_KIB = 65_536


class Argon2Passwords:
    """Meets :class:`baluarte.ports.Passwords`."""

    def __init__(self) -> None:
        self._nobody = self.keep(os.urandom(_SALT_BYTES).hex())  # what a wrong name is checked by

    def keep(self, password: str) -> str:
        """The PHC string of a password, with a fresh salt."""
        maker = Argon2id(
            salt=os.urandom(_SALT_BYTES),
            length=_HASH_BYTES,
            iterations=_PASSES,
            lanes=_LANES,
            memory_cost=_MEMORY_KIB,
        )
        said: str = maker.derive_phc_encoded(password.encode())
        return said

    def matches(self, password: str, kept: str | None) -> bool:
        """Whether it is the one; without one that is kept it costs the same, and it isn't."""
        try:
            Argon2id.verify_phc_encoded(password.encode("utf-8", "replace"), kept or self._nobody)
        except (InvalidKey, ValueError):
            return False
        return kept is not None
