"""The head file: how far a shard is committed, in four slots.

A slot holds the generation, the number of committed records, the segment and byte where they end,
and the Merkle frontier, under a CRC. The first two are written in turn after each commit, without
waiting for the disk, so they are never ahead of what is durable; a power cut may tear both. The
last two are written in turn and synced when a shard is opened, begins a segment or is closed: one
of them always survives, and what was committed after it is found by reading the frames. A file of
two slots is what version 0.1 wrote.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import PurePath

from baluarte.adapters.disk import LOCAL
from baluarte.core.merkle import HASH_BYTES, Frontier
from baluarte.errors import TrustError
from baluarte.ports import Disk

_SLOT_BYTES = 4096
_SLOTS = 4
_MAGIC = b"BALUHEAD"
_FIXED = struct.Struct("<8sQQQQ")  # magic, generation, size, segment's first index, byte offset
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far a shard is committed."""

    generation: int  #: of the writes of this file; the larger of two sound slots counts
    size: int  #: committed records
    segment: int  #: first index of the segment where they end
    offset: int  #: the byte in that segment after the last committed frame
    peaks: tuple[bytes, ...]  #: the Merkle frontier over the committed records

    def frontier(self) -> Frontier:
        """The Merkle frontier over the committed records."""
        return Frontier(self.size, self.peaks)


def encode(head: Head) -> bytes:
    """One slot's bytes."""
    fixed = _FIXED.pack(_MAGIC, head.generation, head.size, head.segment, head.offset)
    body = fixed + b"".join(head.peaks)
    return (body + _CRC.pack(zlib.crc32(body))).ljust(_SLOT_BYTES, b"\x00")


def decode(slot: bytes) -> Head | None:
    """The head in a slot, or None where the slot is not sound."""
    if len(slot) != _SLOT_BYTES:
        return None
    magic, generation, size, segment, offset = _FIXED.unpack_from(slot)
    if magic != _MAGIC or size >= 2**56:
        return None
    stop = _FIXED.size + HASH_BYTES * size.bit_count()
    body = slot[:stop]
    if _CRC.unpack_from(slot, stop)[0] != zlib.crc32(body):
        return None
    peaks = tuple(body[at : at + HASH_BYTES] for at in range(_FIXED.size, stop, HASH_BYTES))
    return Head(generation=generation, size=size, segment=segment, offset=offset, peaks=peaks)


def write(descriptor: int, head: Head, disk: Disk = LOCAL) -> None:
    """Write the slot that the other, older one doesn't need; a power cut may tear it."""
    disk.write_at(descriptor, encode(head), head.generation % 2 * _SLOT_BYTES)


def anchor(descriptor: int, head: Head, turn: int, disk: Disk = LOCAL) -> None:
    """Write a slot that survives a power cut, in turn, and sync the file.

    Args:
        turn: counts the anchors of this file since it was opened.
    """
    disk.write_at(descriptor, encode(head), (2 + turn % 2) * _SLOT_BYTES)
    disk.sync(descriptor)


def first_file(head: Head) -> bytes:
    """The bytes of a new head file: it must appear whole, so that it is never without a slot."""
    return encode(head) * _SLOTS


def read_anchor(path: PurePath, disk: Disk = LOCAL) -> Head | None:
    """The newest head that surely survives a power cut; None where there is none yet."""
    try:
        descriptor = disk.open_existing(path)
    except FileNotFoundError:
        return None
    try:
        data = disk.read_at(descriptor, 2 * _SLOT_BYTES, 2 * _SLOT_BYTES)
        disk.sync(descriptor)  # its writer may be just about to
    finally:
        disk.close(descriptor)
    slots = (decode(data[at : at + _SLOT_BYTES]) for at in range(0, len(data), _SLOT_BYTES))
    return max((h for h in slots if h is not None), key=lambda h: h.generation, default=None)


def read(path: PurePath, disk: Disk = LOCAL) -> Head | None:
    """The newest sound head, or None where nothing was ever committed.

    Raises:
        TrustError: the file has bytes but no sound slot.
    """
    try:
        descriptor = disk.open_existing(path)
    except FileNotFoundError:
        return None
    try:
        for _ in range(3):  # a reader may meet a write half done; then another slot is sound
            data = disk.read_at(descriptor, _SLOTS * _SLOT_BYTES, 0)
            slots = (decode(data[at : at + _SLOT_BYTES]) for at in range(0, len(data), _SLOT_BYTES))
            sound = [head for head in slots if head is not None]
            if sound:
                return max(sound, key=lambda head: head.generation)
    finally:
        disk.close(descriptor)
    if not data.strip(b"\x00"):
        return None
    raise TrustError(
        "no slot of the head is sound: how much was committed is unknown",
        where=str(path),
        hint="Restore the shard from a copy, or remove this file to accept the sound records.",
    )
