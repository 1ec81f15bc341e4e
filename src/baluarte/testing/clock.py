"""A clock and entropy that tests control."""

from __future__ import annotations

import hashlib

START_US = 1_700_000_000_000_000  #: 2023-11-14T22:13:20Z


class FixedClock:
    """Shows one time until told otherwise."""

    def __init__(self, now_us: int = START_US) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        """Microseconds of UTC since 1970."""
        return self._now_us

    def advance(self, microseconds: int) -> None:
        """Let time pass."""
        self._now_us += microseconds


class CountingEntropy:
    """The same bytes in every run: SHA-256 of a seed and a counter. Never for keys that matter."""

    def __init__(self, seed: str = "test") -> None:
        self._seed, self._count = seed, 0

    def token(self, n_bytes: int) -> bytes:
        """``n_bytes`` that look random and aren't."""
        out = b""
        while len(out) < n_bytes:
            out += hashlib.sha256(f"{self._seed}/{self._count}".encode()).digest()
            self._count += 1
        return out[:n_bytes]
