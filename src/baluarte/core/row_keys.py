"""Keys of events by their content: equal events have equal keys, whatever the order of the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baluarte.core.event import Column, Events

Keys = NDArray[np.uint64]

_ABSENT = 0x9E3779B97F4A7C15  # a missing value's key; any constant that no digest is likely to be


def row_keys(
    events: Events, fields: Sequence[str], *, known: dict[str, Keys] | None = None
) -> Keys:
    """(n,) a 64-bit key of each event's values in these fields; absent columns are skipped.

    For grouping and shuffling, not for trust: a forger could make two events meet.

    Args:
        known: of each column of these events that was hashed before; grows.
    """
    keys = np.zeros(events.n, dtype=np.uint64)
    known = {} if known is None else known
    for name in fields:
        if name in events.columns:
            if name not in known:
                salt = np.uint64(_text_key(name))
                known[name] = mixed(_value_keys(events.columns[name]) ^ salt)
            keys = mixed(keys ^ known[name])
    return keys


def digest(keys: Keys) -> str:
    """``sha256:…`` of a set of rows, whatever their order."""
    return "sha256:" + hashlib.sha256(np.sort(keys).astype("<u8").tobytes()).hexdigest()


def mixed(keys: Keys) -> Keys:
    """Every bit of the key spread over all others.

    Source: Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014
    (SplitMix64's finaliser).
    """
    with np.errstate(over="ignore"):
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def _value_keys(column: Column) -> Keys:
    if column.dtype != object:
        values = np.where(np.isnan(column), np.nan, column + 0.0)  # one NaN, one zero
        return values.astype("<f8").view("<u8").astype(np.uint64)
    values = column.tolist()
    table = {text: _ABSENT if text is None else _text_key(text) for text in set(values)}
    return np.fromiter((table[text] for text in values), dtype=np.uint64, count=len(values))


def _text_key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
