"""Frames: how records stand in a segment, and how far a segment is sound.

A frame is a little-endian u32 length, the u32 CRC-32 of the bytes, and the bytes. A length of zero
is the end: segments are preallocated, so zeros follow the last frame. The CRC finds torn writes and
flipped bits; that nobody changed a record on purpose is what the Merkle leaves are for.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from baluarte.adapters.disk import LOCAL
from baluarte.core.leaves import FRAME
from baluarte.ports import Disk

HEADER = FRAME
MAX_RECORD_BYTES = 16 << 20
_CHUNK = 4 << 20
_ZEROS = bytes(_CHUNK)


def frame(record: bytes) -> bytes:
    """One record as it stands in a segment.

    Raises:
        ValueError: the record is empty or larger than a record may be.
    """
    if not 0 < len(record) <= MAX_RECORD_BYTES:
        raise ValueError(f"a record has 1 to {MAX_RECORD_BYTES} bytes, found {len(record)}")
    return HEADER.pack(len(record), zlib.crc32(record)) + record


def scan(descriptor: int, offset: int = 0, disk: Disk = LOCAL) -> Iterator[tuple[int, bytes]]:
    """(end offset, record) of each sound frame from ``offset`` on, until the first that is not."""
    buffer = memoryview(b"")
    at = 0  # of the next frame, in the buffer
    start = offset  # of the buffer, in the file
    while True:
        if len(buffer) - at < HEADER.size:
            start, at = start + at, 0
            buffer = memoryview(disk.read_at(descriptor, _CHUNK, start))
            if len(buffer) < HEADER.size:
                return
        length, crc = HEADER.unpack_from(buffer, at)
        if not 0 < length <= MAX_RECORD_BYTES:
            return
        stop = at + HEADER.size + length
        if stop > len(buffer):
            start, at = start + at, 0
            stop = HEADER.size + length
            buffer = memoryview(disk.read_at(descriptor, max(_CHUNK, stop), start))
            if stop > len(buffer):
                return
        record = bytes(buffer[at + HEADER.size : stop])
        if zlib.crc32(record) != crc:
            return
        at = stop
        yield start + at, record


def tail(descriptor: int, offset: int, disk: Disk = LOCAL) -> bytes:
    """What follows ``offset`` up to the last byte that is not zero: empty after a clean end."""
    parts: list[bytes] = []
    n_bytes = n_kept = 0
    while part := disk.read_at(descriptor, _CHUNK, offset):
        parts.append(part)
        offset += len(part)
        n_bytes += len(part)
        if part != _ZEROS[: len(part)]:  # quick: most of what follows is room
            n_kept = n_bytes
    return b"".join(parts)[:n_kept].rstrip(b"\x00")
