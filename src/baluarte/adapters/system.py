"""This machine's clock and entropy."""

from __future__ import annotations

import secrets
import time


def lone_name() -> str:
    """A name for an event that has none: it can't be guessed, and no two are alike."""
    return secrets.token_hex(16)


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Microseconds of UTC since 1970."""
        return time.time_ns() // 1000


class SystemEntropy:
    """The operating system's random bytes."""

    def token(self, n_bytes: int) -> bytes:
        """``n_bytes`` fresh random bytes."""
        return secrets.token_bytes(n_bytes)
