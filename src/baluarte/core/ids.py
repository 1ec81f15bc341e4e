"""Decision ids: 26 characters that lead straight to the shard and the record.

128 bits in Crockford's base32, as in a ULID: 48 bits of milliseconds since 1970, 24 bits of the
shard's tag, 56 bits of the record's index in the shard (its Merkle leaf). Ids sort by time.

Source: Crockford, Base 32, https://www.crockford.com/base32.html; ULID specification, 2016.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from baluarte.core.native import native
from baluarte.errors import DataError

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {letter: value for value, letter in enumerate(_ALPHABET)}
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)  # ten bits to two letters
_FORM = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_TAG = re.compile(r"[0-9a-f]{6}")

NATIVE = native("_records")  #: None where it was not built

MAX_INDEX = 2**56 - 1
MAX_AT_MS = 2**48 - 1


class RecordId(msgspec.Struct, frozen=True, kw_only=True):
    """What an id says: when, which shard, which record."""

    at_ms: int  #: milliseconds of UTC since 1970
    tag: str  #: the shard: six hex digits
    index: int  #: the record's index in the shard


def format_ids(at_ms: int, tag: str, first: int, count: int) -> list[str]:
    """Ids of ``count`` records that follow one another in a shard, decided in one millisecond.

    >>> format_ids(0, "00001f", 1, 2)
    ['00000000000001Y00000000001', '00000000000001Y00000000002']

    Raises:
        ValueError: a part is out of its range.
    """
    if not (0 <= at_ms <= MAX_AT_MS and first >= 0 and first + count - 1 <= MAX_INDEX):
        raise ValueError(f"no id for time {at_ms} ms and records {first} + {count}")
    of_shard, low = _of_shard(tag)
    pairs = _PAIRS
    head = (
        pairs[at_ms >> 40]
        + pairs[at_ms >> 30 & 1023]
        + pairs[at_ms >> 20 & 1023]
        + pairs[at_ms >> 10 & 1023]
        + pairs[at_ms & 1023]
        + of_shard
    )
    if NATIVE is not None:
        ids: list[str] = NATIVE.ids(head, low + first, count)
        return ids
    return [
        head
        + pairs[v >> 50]
        + pairs[v >> 40 & 1023]
        + pairs[v >> 30 & 1023]
        + pairs[v >> 20 & 1023]
        + pairs[v >> 10 & 1023]
        + pairs[v & 1023]
        for v in range(low + first, low + first + count)
    ]


@lru_cache(maxsize=64)
def _of_shard(tag: str) -> tuple[str, int]:
    """The letters that a shard gives to ids, and what of it stands above an index.

    Raises:
        ValueError: it is no tag.
    """
    if not is_tag(tag):
        raise ValueError(f"a shard's tag is six hex digits, found {tag!r}")
    shard = int(tag, 16)
    return _PAIRS[shard >> 14] + _PAIRS[shard >> 4 & 1023], (shard & 15) << 56


def format_id(at_ms: int, tag: str, index: int) -> str:
    """The id of one record; as :func:`format_ids`."""
    return format_ids(at_ms, tag, index, 1)[0]


def parse_id(text: str) -> RecordId:
    """What an id says.

    Raises:
        DataError: it is no id.
    """
    if not _FORM.fullmatch(text):
        raise DataError(
            f"expected a decision id of 26 letters and digits, found {text[:40]!r}",
            hint="An id is printed with every decision and by `baluarte status`.",
        )
    value = 0
    for letter in text:
        value = value << 5 | _VALUE[letter]
    return RecordId(at_ms=value >> 80, tag=f"{value >> 56 & 0xFFFFFF:06x}", index=value & MAX_INDEX)


def is_tag(text: str) -> bool:
    """Whether it has the form of a shard's tag: six lower-case hex digits."""
    return _TAG.fullmatch(text) is not None
