"""The digest of a set of rows whatever their order: databases promise none.

Each row is hashed to 1024 numbers of 16 bits, and the numbers are added. Finding two sets of rows
with one sum is as hard as a lattice problem of that size, which is beyond 2**128 operations.

Source: Bellare and Micciancio, EUROCRYPT 1997 (incremental hashing); Lewi, Kim, Maykov and Weis,
"Securing Update Propagation with Homomorphic Hashing", 2019 (LtHash16, these parameters).
"""

from __future__ import annotations

import hashlib

import numpy as np

from baluarte.core.native import native

_LANES = 1024
_AT_ONCE = 128  #: rows whose numbers are added in one go, 256 KiB
_LANE = np.dtype("<u2")
_NATIVE = native("_multiset")


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
        self._sum = np.zeros(_LANES, dtype=_LANE)
        self._n = 0

    def add(self, row: bytes) -> None:
        """One more row."""
        self.add_all([row])

    def add_all(self, rows: list[bytes]) -> None:
        """More rows."""
        self._n += len(rows)
        if _NATIVE is not None:
            _NATIVE.add(rows, self._sum)
            return
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            wide = b"".join([hashlib.shake_128(row).digest(2 * _LANES) for row in some])
            numbers = np.frombuffer(wide, dtype=_LANE).reshape(len(some), _LANES)
            self._sum += numbers.sum(axis=0, dtype=_LANE)  # modulo 2**16, in any order

    def digest(self) -> str:
        """``sha256:…`` of the sum and the number of rows."""
        state = self._n.to_bytes(8, "little") + self._sum.tobytes()
        return "sha256:" + hashlib.sha256(state).hexdigest()
