"""The file of claims: which places of which shards events were decided at, by keyed hash.

::

    header (4,096 bytes)     magic, number of buckets, salt, boot of the machine
    1,024 shards             tag, epoch: another one each time that a worker takes the shard
    buckets                  which entry is replaced next; 16 fingerprints; 16 entries

An event stands in one of two buckets that its hash names, in the place of the older of their oldest
entries. Nothing is ever moved: the file stays as large as it was made, and its room is reserved.

Source: Azar, Broder, Karlin & Upfal, Balanced allocations, SIAM J. Comput. 29(1), 1999.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import secrets
import struct
from pathlib import Path
from typing import NamedTuple, Self

from baluarte.adapters.disk import LOCAL, sync_folder
from baluarte.core.native import native

_HEADER = struct.Struct("<8sI4x16s36s")
_MAGIC = b"BALUCLM1"
_SHARD = struct.Struct("<6sxxI4x")
_SHARDS_AT, _MAX_SHARDS = 4_096, 1_024
_BUCKETS_AT = _SHARDS_AT + _SHARD.size * _MAX_SHARDS
_WAYS = 16
_PRINT = 8
_ENTRY = struct.Struct("<IIQ")  # as Entry
_SECOND = struct.Struct("<I")
_PRINTS = 8  # after the number of the entry that is replaced next
_ENTRIES = _PRINTS + _WAYS * _PRINT
_BUCKET = _ENTRIES + _WAYS * _ENTRY.size
_FILL = 10  # entries that a bucket is meant to have: with two choices hardly one overflows
_CHOICES = struct.Struct("<8xII")
_INDEX_BITS = 48
NO_INDEX = (1 << _INDEX_BITS) - 1  #: claimed, and not placed yet
_BOOT = Path("/proc/sys/kernel/random/boot_id")

NATIVE = native("_claims", "baluarte.adapters.ledger")  #: None where it was not built


class Entry(NamedTuple):
    """One claim, as it stands in the file."""

    second: int  #: of UTC, when it was made
    epoch: int  #: of the shard's owner then
    place: int  #: :func:`place_of`

    @property
    def slot(self) -> int:
        """Of the shard."""
        return self.place >> _INDEX_BITS

    @property
    def number(self) -> int:
        """Of the record in the shard, or :data:`NO_INDEX`."""
        return self.place & NO_INDEX


def place_of(slot: int, index: int) -> int:
    """A shard's slot and a record's index in one number."""
    return slot << _INDEX_BITS | index


class ClaimTable:
    """The file, mapped; whoever changes it holds a lock that is none of its business."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, 0)
        self.early = 0  #: entries that :meth:`claim` replaced while they were still needed
        self._hashers: dict[bytes, hashlib.blake2b] = {}
        _, self._n, self._salt, self._boot = _HEADER.unpack_from(self._map)

    @classmethod
    def open(cls, path: Path, max_events: int) -> Self | None:
        """The table that is there; None where it is missing, damaged or of another size."""
        try:
            descriptor = LOCAL.open_existing(path, write=True)
        except FileNotFoundError:
            return None
        head = LOCAL.read_at(descriptor, _HEADER.size, 0)
        if len(head) == _HEADER.size:
            magic, n, _, _ = _HEADER.unpack(head)
            if (
                magic == _MAGIC
                and n == n_buckets(max_events)
                and os.fstat(descriptor).st_size == _BUCKETS_AT + n * _BUCKET
            ):
                return cls(path, descriptor)
        os.close(descriptor)
        return None

    @classmethod
    def make(cls, path: Path, max_events: int) -> Self:
        """An empty table in the place of the one that is there, with its whole room reserved."""
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.unlink(missing_ok=True)
        descriptor = LOCAL.open_new(aside)
        n = n_buckets(max_events)
        try:
            os.ftruncate(descriptor, _BUCKETS_AT + n * _BUCKET)
            LOCAL.reserve(descriptor, _BUCKETS_AT + n * _BUCKET)  # a mapped page can't be refused
            LOCAL.write_at(descriptor, _HEADER.pack(_MAGIC, n, secrets.token_bytes(16), boot()), 0)
            aside.rename(path)
            sync_folder(path.parent)
        except BaseException:
            os.close(descriptor)
            aside.unlink(missing_ok=True)
            raise
        return cls(path, descriptor)

    @property
    def is_of_this_boot(self) -> bool:
        """Whether no power cut can have taken entries since it was last used."""
        return bool(self._boot == boot())

    def begin_boot(self) -> None:
        """What was missing is in."""
        self._boot = boot()
        _HEADER.pack_into(self._map, 0, _MAGIC, self._n, self._salt, self._boot)

    def flush(self) -> None:
        """Make all entries so far durable."""
        self._map.flush()

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()
        os.close(self._descriptor)

    # --- shards -------------------------------------------------------------------------------

    def slot_of(self, tag: str) -> int:
        """The slot of a shard, which it keeps; in a full table the first one goes."""
        wanted = tag.encode()
        for slot in range(_MAX_SHARDS):
            at = _SHARDS_AT + slot * _SHARD.size
            known, _ = _SHARD.unpack_from(self._map, at)
            if known == wanted:
                return slot
            if not known.strip(b"\x00"):
                _SHARD.pack_into(self._map, at, wanted, 0)
                return slot
        _SHARD.pack_into(self._map, _SHARDS_AT, wanted, 0)
        return 0

    def shard(self, slot: int) -> tuple[str, int]:
        """Tag and epoch of the shard in a slot."""
        tag, epoch = _SHARD.unpack_from(self._map, _SHARDS_AT + slot * _SHARD.size)
        return tag.decode("ascii", "replace"), epoch

    def begin_epoch(self, slot: int) -> int:
        """Another worker holds the shard now."""
        tag, epoch = _SHARD.unpack_from(self._map, _SHARDS_AT + slot * _SHARD.size)
        epoch = epoch % 0xFFFFFFFF + 1
        _SHARD.pack_into(self._map, _SHARDS_AT + slot * _SHARD.size, tag, epoch)
        return int(epoch)

    # --- entries ------------------------------------------------------------------------------

    def keys(self, whose: bytes, event_ids: list[str]) -> list[bytes]:
        """16 bytes that stand for each event; nobody can choose ids that fill one bucket.

        Args:
            whose: 16 bytes that stand for a tenant and detector.
        """
        if NATIVE is not None:
            found: list[bytes] = NATIVE.keys(self._salt, whose, event_ids)
            return found
        begun, keys = self._hasher(whose).copy, []
        for event_id in event_ids:
            hasher = begun()
            hasher.update(event_id.encode("utf-8", "surrogatepass"))
            keys.append(hasher.digest())
        return keys

    def _hasher(self, whose: bytes) -> hashlib.blake2b:
        """What hashes ids of a tenant and detector, its key and all read already."""
        known = self._hashers.get(whose)
        if known is None:
            known = hashlib.blake2b(digest_size=16, key=self._salt, person=whose)
            self._hashers[whose] = known
        return known

    def claim(self, key: bytes, second: int, epoch: int, place: int, floor: int) -> bool:
        """Enter an event unless there is an entry of it that is no older than ``floor``."""
        map_, n = self._map, self._n
        one, two = _CHOICES.unpack(key)
        bucket, other = _BUCKETS_AT + one % n * _BUCKET, _BUCKETS_AT + two % n * _BUCKET
        print_ = key[:_PRINT]
        at = self._find(print_, bucket) or self._find(print_, other)
        if at:
            if _SECOND.unpack_from(map_, at)[0] >= floor:
                return False
            _ENTRY.pack_into(map_, at, second, epoch, place)
            return True
        # Between entries of one second, which empty ones are too, the bucket that is less full.
        way, way_of_other = map_[bucket] % _WAYS, map_[other] % _WAYS
        at = bucket + _ENTRIES + way * _ENTRY.size
        at_other = other + _ENTRIES + way_of_other * _ENTRY.size
        oldest: int = _SECOND.unpack_from(map_, at)[0]
        oldest_of_other: int = _SECOND.unpack_from(map_, at_other)[0]
        if (oldest_of_other, way_of_other) < (oldest, way):
            bucket, way, at, oldest = other, way_of_other, at_other, oldest_of_other
        self.early += oldest >= floor
        map_[bucket] = (way + 1) % _WAYS
        start = bucket + _PRINTS + way * _PRINT
        map_[start : start + _PRINT] = print_
        _ENTRY.pack_into(map_, at, second, epoch, place)
        return True

    def claim_requests(
        self,
        requests: list[tuple[list[bytes], list[int]]],
        *,
        second: int,
        epoch: int,
        place: int,
        floor: int,
    ) -> list[bool]:
        """Claim the events of requests that have at most one each, in order.

        Args:
            requests: of each the key of its event, if that has one, and which of its rows it is,
                with the number of all its rows as the last.
            place: of the first row of the first request that gets its claim.

        Returns:
            Which requests got it; the rows of those stand one after another.
        """
        if NATIVE is not None:
            taken, early = NATIVE.claim(
                self._map, _BUCKETS_AT, self._n, requests, place, second, epoch, floor
            )
            self.early += early
            return list(taken)
        found = []
        for keys, rows in requests:
            free = not keys or self.claim(keys[0], second, epoch, place + rows[0], floor)
            found.append(free)
            if free:
                place += rows[-1]
        return found

    def find(self, key: bytes) -> int:
        """Where the entry of an event stands; 0 where there is none."""
        one, two = _CHOICES.unpack(key)
        for choice in (one, two):
            at = self._find(key[:_PRINT], _BUCKETS_AT + choice % self._n * _BUCKET)
            if at:
                return at
        return 0

    def _find(self, print_: bytes, bucket: int) -> int:
        start, end = bucket + _PRINTS, bucket + _ENTRIES
        at = self._map.find(print_, start, end)
        while at >= 0:
            way, odd = divmod(at - start, _PRINT)
            if not odd:
                return end + way * _ENTRY.size
            at = self._map.find(print_, at + 1, end)
        return 0

    def entry(self, at: int) -> Entry:
        """The entry that stands there."""
        return Entry._make(_ENTRY.unpack_from(self._map, at))

    def set(self, at: int, entry: Entry) -> None:
        """Change the entry that stands there."""
        _ENTRY.pack_into(self._map, at, *entry)

    def drop(self, at: int) -> None:
        """Forget the entry that stands there."""
        bucket = at - (at - _BUCKETS_AT) % _BUCKET
        way = (at - bucket - _ENTRIES) // _ENTRY.size
        start = bucket + _PRINTS + way * _PRINT
        self._map[start : start + _PRINT] = bytes(_PRINT)
        _ENTRY.pack_into(self._map, at, 0, 0, 0)


def n_buckets(max_events: int) -> int:
    """How many buckets hold so many events."""
    return max(1, -(-max_events // _FILL))


def boot() -> bytes:
    """Names the machine's run since it was switched on; empty where the system doesn't say."""
    try:
        return _BOOT.read_bytes().strip()[:36]
    except OSError:
        return b""
