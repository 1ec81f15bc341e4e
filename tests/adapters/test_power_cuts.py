"""baluarte.adapters.ledger: power cuts, failing and full disks lose nothing acknowledged."""

from __future__ import annotations

import contextlib
import errno
import os
import random
from pathlib import Path, PurePath

import pytest

from baluarte.adapters.ledger.keeper import SegmentKeeper
from baluarte.adapters.ledger.reader import SegmentReader
from baluarte.adapters.ledger.shard import SegmentShard
from baluarte.adapters.stores.segments import open_shard
from baluarte.core.merkle import leaf_hash, root_of
from baluarte.core.retention import Dropped
from baluarte.errors import BaluarteError, OutsideError
from baluarte.testing.disk import PowerCut, SimulatedDisk

ROOT = Path("/ledger")
SEGMENT = 2048


class Life:
    """A ledger on a disk that may fail, and what its callers were told."""

    def __init__(self, seed: int, disk: SimulatedDisk) -> None:
        self.rng, self.disk = random.Random(seed), disk
        self.said: dict[str, list[bytes]] = {}  #: acknowledged records by shard
        self.asked: dict[str, list[bytes]] = {}  #: and those that were appended
        self.notes: dict[str, list[bytes]] = {}
        self.to_drop: dict[str, set[int]] = {}  #: that a keeper was asked to drop
        self.dropped: dict[str, set[int]] = {}  #: and said that it did
        self.count = 0

    def open(self) -> SegmentShard:
        return open_shard(ROOT, segment_bytes=SEGMENT, disk=self.disk, in_turn=True)

    def work(self, shard: SegmentShard, steps: int) -> None:
        """Append, commit, sign, close: what is acknowledged is written down after it was."""
        tag = shard.tag
        said, asked = self.said.setdefault(tag, []), self.asked.setdefault(tag, [])
        for _ in range(steps):
            some = [self.record() for _ in range(self.rng.randint(1, 5))]
            asked += some
            shard.append(some)
            if self.rng.random() < 0.8:
                upto = len(asked)
                shard.commit()
                said[:] = asked[:upto]
            if self.rng.random() < 0.05:
                note = b"%d" % len(said)
                SegmentReader(ROOT, disk=self.disk).put_note(tag, len(said), note)
                self.notes.setdefault(tag, []).append(note)
            if self.rng.random() < 0.1:
                self.keep(tag)
            if self.rng.random() < 0.05:
                shard.close()
                said[:] = asked
                shard = self.open()
                assert shard.tag == tag

    def keep(self, tag: str) -> None:
        """Compress a closed segment beside the writer, and drop some of its records."""
        with SegmentKeeper(ROOT, segment_bytes=SEGMENT, disk=self.disk) as keeper:
            keeper.settle()
            closed = keeper.closed(tag)
            if not closed:
                return
            one = self.rng.choice(closed)
            drop = {i: "5eed" for i in range(one.first, one.stop) if self.rng.random() < 0.3}
            self.to_drop.setdefault(tag, set()).update(drop)
            keeper.cool(tag, one.first, drop)
            self.dropped.setdefault(tag, set()).update(drop)

    def record(self) -> bytes:
        self.count += 1
        return b"%08d" % self.count + b"." * self.rng.choice((1, 40, 300, 900))

    def check(self) -> None:
        """Open what is there and hold it against what was said; then it is what was asked."""
        for _ in self.said or [""]:
            with self.open() as shard:
                tag = shard.tag
                said, asked = self.said.setdefault(tag, []), self.asked.setdefault(tag, [])
                reader = SegmentReader(ROOT, disk=self.disk)
                entries = list(reader.entries(tag))
                dropped = {i for i, e in enumerate(entries) if isinstance(e, Dropped)}
                assert self.dropped.get(tag, set()) <= dropped, "a dropped record came back"
                assert dropped <= self.to_drop.get(tag, set()), "a record is gone"
                found = [
                    asked[i] if i in dropped and entry.leaf == leaf_hash(asked[i]) else entry
                    for i, entry in enumerate(entries)
                ]
                assert found[: len(said)] == said, "an acknowledged record is lost or another"
                assert found == asked[: len(found)], "a record is there twice or in another order"
                assert shard.root() == root_of(map(leaf_hash, found))
                leaves = [leaf_hash(record) for record in found]
                assert list(reader.leaf_hashes(tag)) == leaves
                kept = [i for i in range(len(found)) if i not in dropped]
                assert [reader.record(tag, i) for i in kept] == [found[i] for i in kept]
                notes = reader.notes(tag)
                assert not set(self.notes.get(tag, ())) - set(notes)
            said[:] = asked[:] = found


def live_through(seed: int, *, cuts: int) -> None:
    """Power cuts while a shard is written, and while it recovers from the one before."""
    life = Life(seed, SimulatedDisk())
    left = cuts
    while left > 0:
        life.disk.cut_in = life.rng.randint(0, 250)
        with contextlib.suppress(PowerCut):
            life.work(life.open(), 40)
        left -= 1
        life.disk.start(life.rng)
        while left > 0 and life.rng.random() < 0.4:
            life.disk.cut_in = life.rng.randint(0, 60)
            with contextlib.suppress(PowerCut):
                life.check()
            left -= 1
            life.disk.start(life.rng)
        life.check()


@pytest.mark.parametrize("seed", range(25))
def test_eight_power_cuts_in_one_life_lose_nothing_that_was_acknowledged(seed: int) -> None:
    live_through(seed, cuts=8)


def test_the_lives_above_would_find_a_disk_that_says_synced_and_is_not() -> None:
    class Liar(SimulatedDisk):
        def datasync(self, descriptor: int, /) -> None:
            self._known(descriptor)

    lost = 0
    for seed in range(10):
        life = Life(seed, Liar())
        life.disk.cut_in = 200
        with contextlib.suppress(PowerCut):
            life.work(life.open(), 40)
        life.disk.start(life.rng)
        try:
            life.check()
        except (AssertionError, BaluarteError):
            lost += 1
    assert lost >= 5


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_two_hundred_lives_of_twenty_power_cuts(seed: int) -> None:
    live_through(seed, cuts=20)


@pytest.mark.parametrize("seed", range(10))
def test_a_failing_disk_is_never_asked_again_and_what_it_acknowledged_is_there(seed: int) -> None:
    life = Life(seed, SimulatedDisk())
    failing = {"write", "sync", "datasync", "sync_folder", "rename", "create", "truncate"}

    def fault(operation: str, path: PurePath) -> None:
        if operation in failing and life.rng.random() < 0.02:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    for _ in range(10):
        life.disk.fault = fault
        with contextlib.suppress(OutsideError):
            life.work(life.open(), 40)
        life.disk.fault = None
        life.disk.start(life.rng)
        life.check()


@pytest.mark.parametrize("seed", range(5))
def test_a_full_disk_refuses_and_loses_nothing(seed: int) -> None:
    life = Life(seed, SimulatedDisk(capacity_bytes=40_000 + 500 * seed))
    with pytest.raises(OutsideError):
        life.work(life.open(), 10_000)
    life.disk.capacity_bytes *= 2
    life.disk.start(random.Random(seed))
    life.check()
    with life.open() as shard:
        shard.append([b"there is room again"])


def test_after_a_failed_sync_the_shard_takes_nothing_until_it_is_opened_again() -> None:
    life = Life(1, SimulatedDisk())
    shard = life.open()
    life.work(shard, 1)
    shard.commit()
    before = shard.committed

    def fault(operation: str, path: PurePath) -> None:
        if operation == "datasync":
            raise OSError(errno.EIO, "", str(path))

    life.disk.fault = fault
    shard.append([b"lost"])
    with pytest.raises(OutsideError):
        shard.commit()
    life.disk.fault = None
    with pytest.raises(OutsideError, match="takes no records"):
        shard.commit()
    with pytest.raises(BaluarteError):
        shard.append([b"more"])
    assert shard.committed == before
