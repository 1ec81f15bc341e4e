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
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self, overload

from baluarte.core.merkle import NATIVE, Frontier, leaf_hash

FRAME = struct.Struct("<II")  #: length and CRC-32 before a record's bytes
_LENGTH_BYTES = 4  #: of the type "I", wherever Python runs
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


@dataclass(frozen=True, slots=True)
class Records(Sequence[bytes]):
    """Records that are appended together, one after the other: a sequence of their bytes.

    They are one object on their way: what one thread makes and another one frees costs both of them
    the interpreter's lock, record by record.

    >>> list(Records.of([b"one", b"four"]))
    [b'one', b'four']
    """

    data: bytes
    lengths: bytes  #: of the records, native u32 each

    @classmethod
    def of(cls, records: Iterable[bytes]) -> Self:
        """Records that stand apart."""
        apart = list(records)
        return cls(b"".join(apart), array("I", map(len, apart)).tobytes())

    def __len__(self) -> int:
        return len(self.lengths) // _LENGTH_BYTES

    def __iter__(self) -> Iterator[bytes]:
        at = 0
        for length in memoryview(self.lengths).cast("I"):
            yield self.data[at : at + length]
            at += length

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        return list(self)[index]

    @property
    def framed_bytes(self) -> int:
        """The bytes of their frames."""
        return len(self.data) + FRAME.size * len(self)

    def fit(self, most: int) -> bool:
        """Whether each has 1 to ``most`` bytes."""
        lengths = memoryview(self.lengths).cast("I")
        return 0 not in lengths and (len(self.data) <= most or max(lengths) <= most)


def seal(groups: Sequence[Records], *, offset: int, frontier: Frontier) -> Sealed:
    """Frame records and append their leaves to the frontier.

    Args:
        offset: of the first frame in its segment.

    >>> sealed = seal([Records.of([b"one", b"two"])], offset=0, frontier=(tree := Frontier()))
    >>> len(sealed.frames), len(sealed.entries), tree.size
    (22, 80, 2)
    """
    if NATIVE is None:
        records = [record for each in groups for record in each]
        return seal_in_python(records, offset=offset, frontier=frontier)
    data, lengths = [each.data for each in groups], [each.lengths for each in groups]
    frames, entries, peaks = NATIVE.seal(data, lengths, offset, frontier.size, frontier.joined())
    frontier.replace(sum(map(len, groups)), peaks)
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
