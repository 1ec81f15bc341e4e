"""Records on their way into a log: frames for the segment, entries for the index, the frontier.

Every byte of a record is read for its checksum and its leaf hash, and each leaf for the tree; this
is most of what recording costs beside the disk. Compiled code does it in one pass and without the
interpreter's lock, so that a server goes on deciding meanwhile; the same bytes come from Python
where it was not built.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from baluarte.core.merkle import NATIVE, Frontier, leaf_hash

FRAME = struct.Struct("<II")  #: length and CRC-32 before a record's bytes
ENTRY = struct.Struct("<Q32s")  #: where a record's frame starts, and its leaf hash


@dataclass(frozen=True, slots=True)
class Sealed:
    """Records as the files of a log get them."""

    frames: bytes
    entries: bytes


def text_digests(texts: Sequence[bytes]) -> list[str]:
    """Of each text ``sha256:`` and the 64 hex digits of its SHA-256.

    >>> text_digests([b""])[0][:20]
    'sha256:e3b0c44298fc1'
    """
    if NATIVE is None:
        return ["sha256:" + hashlib.sha256(text).hexdigest() for text in texts]
    digests: list[str] = NATIVE.digests(texts)
    return digests


def seal(records: Sequence[bytes], *, offset: int, frontier: Frontier) -> Sealed:
    """Frame records and append their leaves to the frontier.

    Args:
        offset: of the first frame in its segment.

    >>> sealed = seal([b"one", b"two"], offset=0, frontier=(tree := Frontier()))
    >>> len(sealed.frames), len(sealed.entries), tree.size
    (22, 80, 2)
    """
    if NATIVE is None:
        return seal_in_python(records, offset=offset, frontier=frontier)
    frames, entries, peaks = NATIVE.seal(records, offset, frontier.size, frontier.joined())
    frontier.replace(len(records), peaks)
    return Sealed(frames, entries)


def seal_in_python(records: Sequence[bytes], *, offset: int, frontier: Frontier) -> Sealed:
    """As :func:`seal`, to the byte."""
    frames: list[bytes] = []
    entries: list[bytes] = []
    leaves = [leaf_hash(record) for record in records]
    for record, leaf in zip(records, leaves, strict=True):
        entries.append(ENTRY.pack(offset, leaf))
        frames.append(FRAME.pack(len(record), zlib.crc32(record)) + record)
        offset += FRAME.size + len(record)
    frontier.extend(leaves)
    return Sealed(b"".join(frames), b"".join(entries))
