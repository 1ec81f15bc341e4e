"""Cold segments: closed, compressed, and without the records that a sweep dropped.

A cold segment holds the same records in the same order as the segment it takes the place of, and
every leaf hash, so no proof changes. One file, replaced as a whole::

    magic                  8 bytes
    blocks                 each zlib over frames, or over what stays of dropped records
    leaves                 32 bytes a record
    blocks' places         offset u64, first record u32, compressed u32, raw u32 bytes: one a block
    facts                  JSON: counts and the earliest time of each class
    end                    where the three begin and their CRC-32, magic

What stays of a dropped record is a frame whose length has its highest bit set and whose bytes are
the id of the sweep.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec

from baluarte.adapters.disk import LOCAL, write_aside
from baluarte.core.leaves import FRAME
from baluarte.core.merkle import HASH_BYTES, leaf_hash
from baluarte.core.retention import Dropped, RecordClass, oldest_of
from baluarte.errors import TrustError
from baluarte.ports import Disk

_MAGIC = b"BALUCOLD"
_PLACE = struct.Struct("<QIII")
_END = struct.Struct("<QQQI8s")  #: leaves, places, facts, CRC-32 of the three, magic
_DROPPED = 1 << 31
_BLOCK_BYTES = 256 << 10  #: of frames, before compression
_LEVEL = 6
_MAX_BLOCK_BYTES = 64 << 20


class ColdFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a cold segment says of itself."""

    records: int
    dropped: int
    oldest: dict[RecordClass, int]  #: earliest time of the records that are left, by class


def encode(entries: Sequence[bytes | Dropped]) -> bytes:
    """The bytes of a cold segment."""
    parts, places, at, number = [_MAGIC], [], len(_MAGIC), 0
    for raw, count in _blocks(entries):
        packed = zlib.compress(raw, _LEVEL)
        places.append(_PLACE.pack(at, number, len(packed), len(raw)))
        parts.append(packed)
        at += len(packed)
        number += count
    leaves = [e.leaf if isinstance(e, Dropped) else leaf_hash(e) for e in entries]
    facts = ColdFacts(
        records=len(entries),
        dropped=sum(isinstance(entry, Dropped) for entry in entries),
        oldest=oldest_of(entry for entry in entries if not isinstance(entry, Dropped)),
    )
    tables = (b"".join(leaves), b"".join(places), msgspec.json.encode(facts))
    starts = (at, at + len(tables[0]), at + len(tables[0]) + len(tables[1]))
    tail = b"".join(tables)
    return b"".join(parts) + tail + _END.pack(*starts, zlib.crc32(tail), _MAGIC)


def _blocks(entries: Iterable[bytes | Dropped]) -> Iterator[tuple[bytes, int]]:
    block: list[bytes] = []
    size = 0
    for entry in entries:
        body, mark = (entry.sweep.encode(), _DROPPED) if isinstance(entry, Dropped) else (entry, 0)
        block.append(FRAME.pack(len(body) | mark, zlib.crc32(body)) + body)
        size += len(block[-1])
        if size >= _BLOCK_BYTES:
            yield b"".join(block), len(block)
            block, size = [], 0
    if block:
        yield b"".join(block), len(block)


def write(path: Path, entries: Sequence[bytes | Dropped], disk: Disk = LOCAL) -> None:
    """Write a cold segment, whole or not at all; it takes the place of one that is there."""
    write_aside(path, encode(entries), disk)


class ColdSegment:
    """One cold segment, open for reading; close it.

    Raises:
        FileNotFoundError: it is not there.
        TrustError: its tables are not sound.
    """

    def __init__(self, path: Path, disk: Disk = LOCAL) -> None:
        self._disk, self._path = disk, path
        self._file = disk.open_existing(path)
        try:
            self._read_tables(disk.size(path))
        except BaseException:
            disk.close(self._file)
            raise

    def _read_tables(self, size: int) -> None:
        end = self._disk.read_at(self._file, _END.size, max(0, size - _END.size))
        if len(end) < _END.size or not end.endswith(_MAGIC):
            raise self._unsound("has no end")
        leaves_at, places_at, facts_at, crc, _ = _END.unpack(end)
        tables = self._disk.read_at(self._file, size - _END.size - leaves_at, leaves_at)
        if zlib.crc32(tables) != crc or not leaves_at <= places_at <= facts_at < size:
            raise self._unsound("has damaged tables")
        self._leaves = tables[: places_at - leaves_at]
        self._places = list(
            _PLACE.iter_unpack(tables[places_at - leaves_at : facts_at - leaves_at])
        )
        self.facts = msgspec.json.decode(tables[facts_at - leaves_at :], type=ColdFacts)
        if len(self._leaves) != self.facts.records * HASH_BYTES:
            raise self._unsound("has damaged tables")

    def leaves(self, start: int, stop: int) -> list[bytes]:
        """Leaf hashes of records ``start`` to ``stop``, counted within the segment."""
        return [
            self._leaves[at : at + HASH_BYTES]
            for at in range(start * HASH_BYTES, stop * HASH_BYTES, HASH_BYTES)
        ]

    def entries(self, start: int, stop: int) -> Iterator[bytes | Dropped]:
        """Records from ``start`` to ``stop``, counted within the segment, or what stays of them.

        Raises:
            TrustError: a block is not sound.
        """
        for number, (offset, first, packed, raw) in enumerate(self._places):
            after = self._places[number + 1][1] if number + 1 < len(self._places) else stop
            if after <= start or first >= stop:
                continue
            at = first
            for body, is_dropped in self._frames(offset, packed, raw, where=first):
                if start <= at < stop:
                    yield Dropped(self.leaves(at, at + 1)[0], body.decode()) if is_dropped else body
                at += 1

    def _frames(
        self, offset: int, packed: int, raw: int, *, where: int
    ) -> Iterator[tuple[bytes, bool]]:
        try:
            block = zlib.decompressobj().decompress(
                self._disk.read_at(self._file, packed, offset), min(raw + 1, _MAX_BLOCK_BYTES)
            )
        except zlib.error as error:
            raise self._unsound(f"has a damaged block from record {where} on") from error
        at = 0
        while at < len(block):
            if len(block) - at < FRAME.size:
                raise self._unsound(f"has a damaged block from record {where} on")
            length, crc = FRAME.unpack_from(block, at)
            start, stop = at + FRAME.size, at + FRAME.size + (length & ~_DROPPED)
            body = block[start:stop]
            if stop > len(block) or zlib.crc32(body) != crc:
                raise self._unsound(f"has a damaged record after {where}")
            yield body, bool(length & _DROPPED)
            at = stop
        if at != raw:
            raise self._unsound(f"has a damaged block from record {where} on")

    def close(self) -> None:
        """Close the file."""
        self._disk.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _unsound(self, what: str) -> TrustError:
        return TrustError(
            f"the cold segment {what}",
            where=str(self._path),
            hint="Restore the shard from a copy.",
        )


def dropping(
    entries: Iterable[bytes | Dropped], drop: Mapping[int, str], first: int
) -> list[bytes | Dropped]:
    """The entries from index ``first`` on, without the records at ``drop`` (index to sweep id)."""
    return [
        Dropped(leaf_hash(entry), drop[index])
        if index in drop and not isinstance(entry, Dropped)
        else entry
        for index, entry in enumerate(entries, first)
    ]
