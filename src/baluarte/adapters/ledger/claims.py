"""Which events were decided lately, and where: one table that all workers of a ledger share.

The table is a hint, the ledger is the truth. An entry says at which place of which shard an event's
first decision stands, or is about to; whoever finds one reads the record there, and an entry whose
record never came about, or is another event's, is void. So a worker that is killed between its
claim and its record leaves nothing behind that anybody waits for, and a damaged entry deceives
nobody.

::

    ROOT/claims.table   the entries (:mod:`baluarte.adapters.ledger.claim_table`)
    ROOT/claims.lock    held while entries are looked for and made, once a batch of requests
    ROOT/claims.marks   how far into each shard all entries are known to be on the disk
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from baluarte.adapters.disk import LOCAL, make_folders, outside, write_aside
from baluarte.adapters.ledger.claim_table import NO_INDEX, ClaimTable, Entry, place_of
from baluarte.adapters.ledger.keeper import is_settled
from baluarte.adapters.ledger.reader import SegmentReader
from baluarte.core.retention import Dropped
from baluarte.errors import DataError, OutsideError, TrustError

_LOCK_S = 1.0  # who waits longer for the lock gives up: its holder was stopped
_PAUSE_S = 0.0002
_NEAR = 16  # records between two that are wanted are rather read than sought
_DECISION = b'{"kind":"decision"'
_MARKS = msgspec.json.Decoder(dict[str, int])


class Claim(NamedTuple):
    """What the table says of an event."""

    at: int  #: of the entry in the table
    entry: Entry


class _Said(msgspec.Struct, gc=False):
    """What a record says that an entry needs; an act has neither id nor detector of an event."""

    event_id: str = ""
    detector: str = ""
    role: str = ""
    decided_at: int = 0
    at: int = 0


_said = msgspec.json.Decoder(_Said).decode


Pending = Literal["pending"]


def _is_of(record: bytes | None, detector: str, event_id: str) -> bool:
    """Whether it is a champion's decision on this event."""
    if record is None or not record.startswith(_DECISION):
        return False
    said = _said(record)
    return (said.detector, said.event_id, said.role) == (detector, event_id, "champion")


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of ascending numbers that lie near one another."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number - runs[-1][1] <= _NEAR:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


class Claims:
    """The claims on events of one ledger; one a process.

    Args:
        root: of the ledger.
        window_s: for how long the first decision on an event is known.
        max_events: of how many events; more than that in a window forget the oldest too early.
        tenants: of detectors that are not in the tenant ``default``: ids are a tenant's own.

    Raises:
        OutsideError: the table can't be made.
    """

    def __init__(
        self,
        root: Path,
        *,
        window_s: int,
        max_events: int,
        tenants: Mapping[str, str],
        now_s: int,
    ) -> None:
        self._root, self._window_s, self._tenants = root, window_s, dict(tenants)
        self._reader = SegmentReader(root)
        self._whose: dict[str, bytes] = {}
        self._tag = ""
        self._slot = self._epoch = 0
        with outside("the table of claims can't be used", root):
            make_folders(root)
            self._lock = LOCAL.open_or_new(root / "claims.lock")
            fcntl.flock(self._lock, fcntl.LOCK_EX)  # whoever comes first fills it
            try:
                self._table = self._opened(max_events, now_s)
            except BaseException:
                os.close(self._lock)
                raise
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    @property
    def early(self) -> int:
        """Entries that made room too early for ones that this process made."""
        return self._table.early

    def hold(self, tag: str) -> None:
        """This process holds the shard from now on, and claims places in it.

        Called once the shard is open: what its owner before left behind has been recovered.
        """
        with self._locked():
            self._tag, self._slot = tag, self._table.slot_of(tag)
            self._epoch = self._table.begin_epoch(self._slot)

    def keys(self, detector: str, event_ids: Sequence[str]) -> list[bytes]:
        """What stands for events in the table."""
        whose = self._whose.get(detector)
        if whose is None:
            name = f"{self._tenants.get(detector, 'default')}\0{detector}".encode()
            whose = self._whose[detector] = hashlib.blake2b(name, digest_size=16).digest()
        return self._table.keys(whose, list(event_ids))

    def take(
        self, requests: list[tuple[list[bytes], list[int]]], *, first: int, now_s: int
    ) -> list[bool]:
        """Claim the events of requests, each whole or not at all.

        Args:
            requests: of each the keys of its events that have one, and which of its rows they are,
                with the number of all its rows as the last.
            first: index in the shard of the first row of the first request that gets its claims.

        Returns:
            Which requests got them; the rows of those stand one after another in the shard.
        """
        table, floor = self._table, now_s - self._window_s
        epoch, start = self._epoch, place_of(self._slot, 0)
        taken: list[bool] = []
        self._wait_for_lock()
        try:
            if all(len(keys) < 2 for keys, _ in requests):
                return table.claim_requests(
                    requests, second=now_s, epoch=epoch, place=start + first, floor=floor
                )
            for keys, rows in requests:
                free = len(keys) == 1 or self._are_free(keys, now_s)
                if free:
                    for key, row in zip(keys, rows, strict=False):
                        free = table.claim(key, now_s, epoch, start + first + row, floor)
                taken.append(free)
                if free:
                    first += rows[-1]
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        return taken

    def reserve(self, keys: Sequence[bytes], *, now_s: int) -> bool:
        """Claim events whose place is not known yet, all or none; :meth:`place` says it."""
        with self._locked():
            if not self._are_free(keys, now_s):
                return False
            for key in keys:
                self._put(key, NO_INDEX, now_s)
        return True

    def place(self, keys: Sequence[bytes], indexes: Sequence[int], *, now_s: int) -> None:
        """The places of events that this process has reserved."""
        with self._locked():
            for key, index in zip(keys, indexes, strict=True):
                at = self._table.find(key)
                if at:
                    self._table.set(at, Entry(now_s, self._epoch, place_of(self._slot, index)))
                else:
                    self._put(key, index, now_s)

    def give_back(self, keys: Sequence[bytes]) -> None:
        """Nothing was decided: forget this process's claims on these events."""
        with self._locked():
            for key in keys:
                at = self._table.find(key)
                entry = self._table.entry(at) if at else None
                if entry is not None and (entry.slot, entry.epoch) == (self._slot, self._epoch):
                    self._table.drop(at)

    def look(self, keys: Sequence[bytes], *, now_s: int) -> list[Claim | None]:
        """The claims on events, where there are any within the window."""
        with self._locked():
            return [self._fresh(key, now_s) for key in keys]

    def forget(self, claims: Sequence[Claim]) -> None:
        """These were found to be void."""
        with self._locked():
            for at, entry in claims:
                if self._table.entry(at) == entry:
                    self._table.drop(at)

    def records(
        self, claims: Sequence[Claim], event_ids: Sequence[str], *, detector: str
    ) -> list[bytes | Pending | None]:
        """The records of first decisions; None where a claim is void. Reads files.

        Raises:
            OutsideError: what a dead worker left behind can't be recovered now.
            TrustError: a committed record is missing or damaged.
        """
        tags = [self._table.shard(claim.entry.slot)[0] for claim in claims]
        sizes = {tag: self._size(tag) for tag in set(tags)}  # first: then it may become durable
        places = [(tag, claim.entry.number) for tag, claim in zip(tags, claims, strict=True)]
        read = self._read({place for place in places if place[1] < sizes[place[0]]})
        found: list[bytes | Pending | None] = []
        late = {claim.entry for claim, p in zip(claims, places, strict=True) if p not in read}
        pending = {(entry.slot, entry.epoch): self._is_pending(entry) for entry in late}
        for claim, place, event_id in zip(claims, places, event_ids, strict=True):
            owner = claim.entry.slot, claim.entry.epoch
            if place not in read and pending[owner]:
                found.append("pending")
                continue
            if place not in read:  # its owner is gone, and what it had written is committed by now
                read |= self._read({place} if place[1] < self._size(place[0]) else set())
            record = read.get(place)
            found.append(record if _is_of(record, detector, event_id) else None)
        return found

    def sync(self) -> None:
        """Make what is known durable, so that a power cut costs only what came since."""
        marks = {tag: self._size(tag) for tag in self._reader.shards()}
        with outside("the table of claims can't be written", self._root):
            self._table.flush()
            write_aside(self._root / "claims.marks", msgspec.json.encode(marks))

    def close(self) -> None:
        """Let go of the table."""
        self._table.close()
        os.close(self._lock)

    # --- within -----------------------------------------------------------------------------

    def _wait_for_lock(self) -> None:
        until = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise OutsideError(
                        "the table of claims stays locked by a worker that doesn't go on",
                        where=str(self._root),
                        retryable=True,
                    ) from None
                time.sleep(_PAUSE_S)
            else:
                return

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._wait_for_lock()
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _are_free(self, keys: Sequence[bytes], now_s: int) -> bool:
        find = self._table.find
        if len(keys) > 1 and len(set(keys)) != len(keys):
            return False
        return not any(find(key) and self._fresh(key, now_s) for key in keys)

    def _fresh(self, key: bytes, now_s: int) -> Claim | None:
        at = self._table.find(key)
        if not at:
            return None
        entry = self._table.entry(at)
        if entry.second < now_s - self._window_s:
            return None
        return Claim(at, entry)

    def _put(self, key: bytes, index: int, now_s: int) -> None:
        place = place_of(self._slot, index)
        self._table.claim(key, now_s, self._epoch, place, now_s - self._window_s)

    def _size(self, tag: str) -> int:
        try:
            return self._reader.size(tag)
        except DataError:  # the shard is in another ledger now, or there never was one
            return 0

    def _is_pending(self, entry: Entry) -> bool:
        """Whether who claimed it may still record it."""
        tag, epoch = self._table.shard(entry.slot)
        return epoch == entry.epoch and not self._is_settled(tag)

    def _is_settled(self, tag: str) -> bool:
        folder = self._root / tag
        return not tag.strip("\0") or not folder.is_dir() or is_settled(folder)

    def _read(self, places: set[tuple[str, int]]) -> dict[tuple[str, int], bytes]:
        """What stands at these places, those that lie together in one go."""
        found: dict[tuple[str, int], bytes] = {}
        for tag in {tag for tag, _ in places}:
            numbers = sorted(number for one, number in places if one == tag)
            for first, last in _runs(numbers):
                entries = self._reader.entries(tag, first, last + 1)
                for number, entry in enumerate(entries, first):
                    if (tag, number) in places:
                        found[tag, number] = b"" if isinstance(entry, Dropped) else entry
        return found

    # --- the table, from the ledger -----------------------------------------------------------

    def _opened(self, max_events: int, now_s: int) -> ClaimTable:
        path = self._root / "claims.table"
        table, marks = ClaimTable.open(path, max_events), self._marks()
        if table is None:
            table, marks = ClaimTable.make(path, max_events), {}
        elif table.is_of_this_boot:
            return table
        self._table = table
        since_s = now_s - self._window_s
        for tag in self._reader.shards():
            self._fill(tag, marks.get(tag), since_s)
        table.begin_boot()
        return table

    def _marks(self) -> dict[str, int]:
        try:
            return _MARKS.decode((self._root / "claims.marks").read_bytes())
        except (FileNotFoundError, msgspec.DecodeError):
            return {}

    def _fill(self, tag: str, start: int | None, since_s: int) -> None:
        """Enter the decisions of a shard that are within the window."""
        size = self._reader.size(tag)
        slot = self._table.slot_of(tag)
        begin = max(start or 0, self._first_since(tag, size, since_s))
        for index, record in enumerate(self._reader.entries(tag, begin, size), begin):
            if isinstance(record, Dropped) or not record.startswith(_DECISION):
                continue
            said = _said(record)
            second = said.decided_at // 1_000_000
            if said.role != "champion" or second < since_s:
                continue
            (key,) = self.keys(said.detector, [said.event_id])
            if not self._table.find(key):
                self._table.claim(key, second, 0, place_of(slot, index), since_s)

    def _first_since(self, tag: str, size: int, since_s: int) -> int:
        """The first record that may be within the window: they stand in the order of time."""
        low, high = 0, size
        while low < high:
            middle = (low + high) // 2
            try:
                said = _said(self._reader.record(tag, middle))
                second = max(said.decided_at, said.at) // 1_000_000
            except (DataError, TrustError):
                second = 0
            low, high = (middle + 1, high) if second < since_s else (low, middle)
        return low
