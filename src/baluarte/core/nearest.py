"""The known name that a mistyped one was most likely meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

SIMILAR = 0.6  #: share of matching characters from which two names are near (difflib's ratio)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, or None if none is near.

    >>> nearest("max_frp", ["max_fpr", "min_recall"])
    'max_fpr'
    """
    names = {_plain(other): other for other in known}
    found = get_close_matches(_plain(name), names, n=1, cutoff=SIMILAR)
    return names[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The hint of a fault about an unknown name: the nearest known one, or all of a short list."""
    options = list(known)
    near = nearest(name, options)
    if near is not None:
        return f"Did you mean {near}?"
    return f"Known: {', '.join(options)}." if 0 < len(options) <= 12 else None


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
