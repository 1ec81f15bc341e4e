"""The digest of a set of rows whatever their order: databases promise none.

Each row is hashed to 1024 numbers of 16 bits, and the numbers are added. Finding two sets of rows
with one sum is as hard as a lattice problem of that size, which is beyond 2**128 operations.

Source: Bellare and Micciancio, EUROCRYPT 1997 (incremental hashing); Lewi, Kim, Maykov and Weis,
"Securing Update Propagation with Homomorphic Hashing", 2019 (LtHash16, these parameters).
"""

from __future__ import annotations

import hashlib

import numpy as np

_LANES = 1024


class MultisetDigest:
    """Adds rows, in any order, and tells what they are together.

    >>> one, other = MultisetDigest(), MultisetDigest()
    >>> for row in (b"a", b"b", b"b"):
    ...     one.add(row)
    >>> for row in (b"b", b"a", b"b"):
    ...     other.add(row)
    >>> one.digest() == other.digest()
    True
    """

    def __init__(self) -> None:
        self._sum = np.zeros(_LANES, dtype=np.dtype("<u2"))
        self._n = 0

    def add(self, row: bytes) -> None:
        """One more row."""
        wide = hashlib.shake_128(row).digest(2 * _LANES)
        self._sum += np.frombuffer(wide, dtype=np.dtype("<u2"))
        self._n += 1

    def digest(self) -> str:
        """``sha256:…`` of the sum and the number of rows."""
        state = self._n.to_bytes(8, "little") + self._sum.tobytes()
        return "sha256:" + hashlib.sha256(state).hexdigest()
