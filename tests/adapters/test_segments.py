"""baluarte.adapters.stores.segments: what was acknowledged is there, whatever happened."""

from __future__ import annotations

import os
import random
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baluarte.adapters.disk import LOCAL
from baluarte.adapters.ledger import head as heads
from baluarte.adapters.ledger.frames import frame
from baluarte.adapters.ledger.headroom import keep_headroom
from baluarte.adapters.ledger.reader import SegmentReader
from baluarte.adapters.ledger.shard import SegmentShard
from baluarte.adapters.stores.segments import Segments, open_shard
from baluarte.core.merkle import leaf_hash, root_of
from baluarte.errors import DataError, OutsideError, TrustError
from baluarte.testing.disk import SimulatedDisk, WatchedDisk

SMALL = 4096  #: bytes a segment, so that few records rotate


def records(n: int, *, size: int = 100, start: int = 0) -> list[bytes]:
    return [b"%08d" % i + b"." * (size - 8) for i in range(start, start + n)]


def write(root: Path, some: list[bytes], *, segment_bytes: int = SMALL) -> str:
    with open_shard(root, segment_bytes=segment_bytes) as shard:
        for start in range(0, len(some), 7):
            shard.append(some[start : start + 7])
            shard.commit()
        return shard.tag


def read(root: Path, tag: str) -> list[bytes]:
    return list(Segments(root).reader().records(tag))


def last_segment(root: Path, tag: str) -> Path:
    return max((root / tag).glob("*.seg"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


# --- writing and reading -------------------------------------------------------------------------


def test_records_survive_rotation_and_opening_again(root: Path) -> None:
    some = records(300)
    tag = write(root, some)
    assert len(list((root / tag).glob("*.seg"))) > 5
    with open_shard(root, segment_bytes=SMALL) as shard:
        assert (shard.tag, shard.size, shard.committed) == (tag, 300, 300)
        assert shard.root() == root_of(map(leaf_hash, some))
        assert (shard.recovered.kept, shard.recovered.torn) == (0, ())
    reader = Segments(root).reader()
    assert read(root, tag) == some
    assert [reader.record(tag, i) for i in range(0, 300, 13)] == some[::13]
    assert reader.leaf_hashes(tag) == [leaf_hash(record) for record in some]


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.lists(st.integers(1, 1500), min_size=1, max_size=6),
            st.sampled_from(["commit", "reopen"]),
        ),
        max_size=25,
    )
)
def test_any_order_of_appending_committing_and_reopening_keeps_every_record(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[int] | str]
) -> None:
    root = tmp_path_factory.mktemp("ledger")
    reader = Segments(root).reader()
    expected: list[bytes] = []
    shard = open_shard(root, segment_bytes=SMALL)
    durable = 0
    for step in steps:
        if step == "commit":
            shard.commit()
            durable = len(expected)
        elif step == "reopen":
            shard.close()
            shard = open_shard(root, segment_bytes=SMALL)
            durable = len(expected)
        else:
            some = [bytes([1 + (n % 255)]) * n for n in step if isinstance(n, int)]
            assert shard.append(some) == len(expected)
            expected += some
        assert list(reader.records(shard.tag)) == expected[:durable]
        assert shard.root() == root_of(map(leaf_hash, expected))
    shard.close()
    assert list(reader.records(shard.tag)) == expected


def test_a_record_larger_than_a_segment_has_its_own(root: Path) -> None:
    some = [b"a", b"b" * 3 * SMALL, b"c"]
    assert read(root, write(root, some)) == some


def test_a_record_has_at_least_one_byte_and_a_limit(root: Path) -> None:
    with open_shard(root) as shard:
        for bad in (b"", b"x" * ((16 << 20) + 1)):
            with pytest.raises(ValueError, match="bytes"):
                shard.append([b"good", bad])
        assert shard.size == 0


def test_nothing_is_read_before_it_is_committed(root: Path) -> None:
    reader = Segments(root).reader()
    with open_shard(root) as shard:
        shard.append(records(3))
        assert reader.size(shard.tag) == 0
        with pytest.raises(DataError):
            reader.record(shard.tag, 0)
        shard.commit()
        assert list(reader.records(shard.tag)) == records(3)


def test_a_reader_beside_the_writer_sees_a_growing_sound_prefix(root: Path) -> None:
    shard = open_shard(root, segment_bytes=SMALL)
    some = records(2000, size=60)
    seen: list[int] = []
    faults: list[Exception] = []
    done = threading.Event()

    def watch() -> None:
        reader = Segments(root).reader()
        try:
            while not done.is_set():
                found = list(reader.records(shard.tag))
                assert found == some[: len(found)]
                seen.append(len(found))
        except Exception as error:  # noqa: BLE001 - handed to the test's own thread
            faults.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for start in range(0, 2000, 20):
        shard.append(some[start : start + 20])
        shard.commit()
    done.set()
    watcher.join()
    shard.close()
    assert not faults
    assert seen == sorted(seen)


def test_commits_from_many_threads_make_every_callers_records_durable(root: Path) -> None:
    shard = open_shard(root, segment_bytes=1 << 16)
    lost: list[int] = []

    def call(worker: int) -> None:
        for i in range(40):
            first = shard.append([b"%d/%d" % (worker, i)])
            shard.commit()
            if shard.committed <= first:
                lost.append(first)

    threads = [threading.Thread(target=call, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shard.close()
    assert not lost
    assert sorted(read(root, shard.tag)) == sorted(
        b"%d/%d" % (worker, i) for worker in range(6) for i in range(40)
    )


def test_files_are_their_owners_alone(root: Path) -> None:
    tag = write(root, records(3))
    for path in (root / tag).iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((root / tag).stat().st_mode) == 0o700


# --- one writer ----------------------------------------------------------------------------------


def test_a_shard_is_taken_by_lock_and_given_back_at_close(root: Path) -> None:
    first, second = open_shard(root), open_shard(root)
    assert first.tag != second.tag
    first.close()
    third = open_shard(root)
    assert third.tag == first.tag
    second.close()
    third.close()
    assert len(Segments(root).reader().shards()) == 2


def test_another_process_takes_another_shard(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from baluarte.adapters.stores.segments import open_shard\n"
        "print(open_shard(Path(sys.argv[1])).tag)"
    )
    with open_shard(root) as shard:
        done = subprocess.run(
            [sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() != shard.tag


def test_a_shard_that_is_a_link_or_has_no_tag_is_no_shard(root: Path, tmp_path: Path) -> None:
    root.mkdir()
    outside = tmp_path / "abcdef"
    outside.mkdir()
    (root / "abcdef").symlink_to(outside)
    (root / "ABCDEF").mkdir()
    (root / "notes").mkdir()
    reader = Segments(root).reader()
    assert reader.shards() == []
    for tag in ("ABCDEF", "notes", "../x", ""):
        with pytest.raises(DataError):
            reader.size(tag)


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(0, 130, 3))
def test_a_commit_cut_at_any_byte_leaves_what_was_committed(root: Path, cut: int) -> None:
    some = records(5)
    tag = write(root, some)
    whole = records(1, start=5)
    torn = frame(whole[0])[:cut]
    path = last_segment(root, tag)
    path.write_bytes(path.read_bytes() + torn + b"\x00" * 50)
    with open_shard(root, segment_bytes=SMALL) as shard:
        complete = cut >= 108
        expected = some + (whole if complete else [])
        assert shard.size == len(expected)
        left = torn.rstrip(b"\x00")
        if complete or not left:
            assert shard.recovered.torn == ()
        else:
            assert (root / tag / shard.recovered.torn[0]).read_bytes() == left
            assert shard.recovered.torn_bytes == len(left)
        shard.append([b"next"])
    assert read(root, tag) == [*expected, b"next"]


def test_whatever_follows_the_committed_bytes_they_stay(root: Path) -> None:
    rng = random.Random(3)
    some = records(20)
    tag = write(root, some, segment_bytes=1 << 16)
    expected = some
    for _ in range(30):
        path = last_segment(root, tag)
        path.write_bytes(path.read_bytes() + rng.randbytes(rng.randint(1, 300)))
        with open_shard(root, segment_bytes=1 << 16) as shard:
            assert shard.size == len(expected)
            new = records(2, start=shard.size)
            shard.append(new)
        expected = expected + new
    assert read(root, tag) == expected
    assert len(list((root / tag).glob("*.torn"))) >= 28


def test_a_flipped_committed_bit_is_never_cut_away(root: Path) -> None:
    some = records(20)
    tag = write(root, some, segment_bytes=1 << 16)
    path = last_segment(root, tag)
    data = bytearray(path.read_bytes())
    data[700] ^= 4
    path.write_bytes(data)
    with pytest.raises(TrustError, match="committed"):
        open_shard(root, segment_bytes=1 << 16)
    assert path.read_bytes() == bytes(data)
    reader = Segments(root).reader()
    with pytest.raises(TrustError, match="damaged"):
        list(reader.records(tag))
    assert list(reader.records(tag, 0, 6)) == some[:6]
    assert reader.record(tag, 15) == some[15]
    with pytest.raises(TrustError):
        reader.record(tag, 6)


def test_lost_committed_bytes_or_segments_are_named(root: Path) -> None:
    tag = write(root, records(200))
    last = last_segment(root, tag)
    data = last.read_bytes()
    last.write_bytes(data[:-1])
    with pytest.raises(TrustError, match="can't be found"):
        open_shard(root, segment_bytes=SMALL)
    last.unlink()
    with pytest.raises(TrustError, match="can't be found"):
        open_shard(root, segment_bytes=SMALL)
    last.write_bytes(data)
    first = min((root / tag).glob("*.seg"))
    first.unlink()
    with pytest.raises(TrustError, match="the first segment"):
        open_shard(root, segment_bytes=SMALL)


def test_damaged_slots_of_the_head_cost_nothing_while_one_is_sound(root: Path) -> None:
    some = records(30)
    tag = write(root, some)
    path = root / tag / "head"
    for slots in ((0,), (1,), (0, 1), (0, 1, 3), (0, 1, 2)):
        damage_head(path, slots)
        with open_shard(root, segment_bytes=SMALL) as shard:
            assert shard.size == 30
    damage_head(path, (0, 1, 2, 3))
    with pytest.raises(TrustError, match="head"):
        open_shard(root, segment_bytes=SMALL)
    path.unlink()  # the way out that the hint names: accept the sound records
    with open_shard(root, segment_bytes=SMALL) as shard:
        assert shard.size == 30
    assert read(root, tag) == some


def damage_head(path: Path, slots: tuple[int, ...]) -> None:
    data = bytearray(path.read_bytes())
    for slot in slots:
        data[slot * 4096] = 0  # of its mark
    path.write_bytes(data)


def test_a_head_of_version_0_1_with_its_two_slots_is_read_and_grows(root: Path) -> None:
    tag = write(root, records(30))
    path = root / tag / "head"
    newest = heads.read(path)
    assert newest is not None
    path.write_bytes(heads.encode(newest) + bytes(4096))
    with open_shard(root, segment_bytes=SMALL) as shard:
        assert shard.size == 30
        shard.append(records(1, start=30))
    assert read(root, tag) == records(31)


def test_records_after_a_stale_head_are_kept(root: Path) -> None:
    tag = write(root, records(10))
    stale = (root / tag / "head").read_bytes()
    some = records(100)
    with open_shard(root, segment_bytes=SMALL) as shard:
        shard.append(some[10:])
    (root / tag / "head").write_bytes(stale)
    with open_shard(root, segment_bytes=SMALL) as shard:
        assert (shard.size, shard.recovered.kept) == (100, 90)
        assert shard.root() == root_of(map(leaf_hash, some))
    assert read(root, tag) == some


def test_a_shard_that_lost_records_under_a_signed_checkpoint_refuses(root: Path) -> None:
    tag = write(root, records(10))
    stale = (root / tag / "head").read_bytes()
    with open_shard(root, segment_bytes=1 << 16) as shard:
        shard.append(records(10, start=10))
    Segments(root).reader().put_note(tag, 20, b"a signed note")
    (root / tag / "head").write_bytes(stale)
    last = last_segment(root, tag)
    data = last.read_bytes()
    last.write_bytes(data[:-30])
    with pytest.raises(TrustError, match="signed checkpoint covers 20 records, found 19"):
        open_shard(root)
    assert last.read_bytes() == data[:-30]


def test_a_lost_index_is_made_again(root: Path) -> None:
    some = records(300)
    tag = write(root, some)
    indexes = sorted((root / tag).glob("*.idx"))
    indexes[0].unlink()
    indexes[1].write_bytes(b"")
    indexes[-1].write_bytes(b"\x00" * indexes[-1].stat().st_size)
    reader = Segments(root).reader()
    assert reader.record(tag, 5) == some[5]
    with open_shard(root, segment_bytes=SMALL):
        pass
    assert all(path.stat().st_size for path in indexes)
    assert [reader.record(tag, i) for i in range(300)] == some
    assert reader.leaf_hashes(tag) == [leaf_hash(record) for record in some]


# --- no room, no life ----------------------------------------------------------------------------


@pytest.fixture
def no_room() -> Iterator[int]:
    """The operating system itself refuses files to grow beyond this size."""
    limit = 1 << 16
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_without_room_nothing_is_acknowledged_and_nothing_more_is_taken(
    root: Path, no_room: int
) -> None:
    shard = open_shard(root, segment_bytes=no_room)
    shard.append(records(4))
    shard.commit()
    shard.append([b"x" * (2 * no_room)])
    with pytest.raises(OutsideError, match="can't be written"):
        shard.commit()
    for action in (shard.commit, lambda: shard.append([b"y"])):
        with pytest.raises(OutsideError, match="takes no records"):
            action()
    shard.close()
    with open_shard(root, segment_bytes=no_room) as again:
        assert (again.tag, again.size) == (shard.tag, 4)
    assert read(root, shard.tag) == records(4)


def test_room_is_reserved_before_anything_is_accepted(root: Path, no_room: int) -> None:
    with pytest.raises(OutsideError):
        open_shard(root, segment_bytes=2 * no_room)
    with open_shard(root, segment_bytes=no_room) as shard:
        assert last_segment(root, shard.tag).stat().st_size == no_room
    assert last_segment(root, shard.tag).stat().st_size == 0  # given back at close


def test_on_a_full_disk_the_headroom_takes_an_act_and_a_checkpoint() -> None:
    disk, root, segment = SimulatedDisk(capacity_bytes=1_000_000), Path("/ledger"), 4096
    disk.make_folder(root)
    assert keep_headroom(root, disk, n_bytes=100_000)
    with open_shard(root, segment_bytes=segment, disk=disk) as shard:
        shard.append([b"one"])
    filler = disk.open_new(root / "other")
    disk.reserve(filler, disk.free_bytes(root))
    with open_shard(root, segment_bytes=segment, disk=disk) as shard:
        shard.append([b"an act"])
        shard.commit()
        SegmentReader(root, disk=disk).put_note(shard.tag, 2, b"a note")
    assert "headroom" not in disk.names(root)
    disk.reserve(filler, disk.size(root / "other") + disk.free_bytes(root))
    with (
        pytest.raises(OutsideError, match="Make room"),
        open_shard(root / "new", segment_bytes=100_000, disk=disk),
    ):
        pass
    disk.truncate(filler, 0)
    assert keep_headroom(root, disk, n_bytes=100_000)


def test_callers_that_wait_for_a_slow_disk_share_its_syncs(root: Path) -> None:
    syncs: list[str] = []

    def slow(when: str, operation: str, path: PurePath) -> None:
        if (when, operation) == ("before", "datasync"):
            syncs.append(path.name)
            time.sleep(0.2)

    with open_shard(root, disk=WatchedDisk(LOCAL, slow)) as shard:
        lost: list[int] = []

        def call(number: int) -> None:
            first = shard.append([b"%d" % number])
            shard.commit()
            if shard.committed <= first:
                lost.append(number)

        threads = [threading.Thread(target=call, args=(number,)) for number in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not lost
        assert len(syncs) < 20
        assert shard.committed == 60


def test_what_was_acknowledged_before_kill_9_is_there(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from baluarte.adapters.stores.segments import open_shard\n"
        "shard = open_shard(Path(sys.argv[1]), segment_bytes=4096)\n"
        "print(shard.tag, flush=True)\n"
        "for i in range(10**9):\n"
        "    first = shard.append([b'%08d' % (3 * i + k) + b'.' * 90 for k in range(3)])\n"
        "    shard.commit()\n"
        "    print(shard.committed, flush=True)\n"
    )
    expected = 0
    for round_ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(root / str(round_))],
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None
            tag = child.stdout.readline().strip()
            acknowledged = 0
            for line in child.stdout:
                acknowledged = int(line)
                if acknowledged >= 150 + 60 * round_:
                    os.kill(child.pid, signal.SIGKILL)
                    break
            for line in child.stdout:  # what it said before it died
                acknowledged = int(line) if line.endswith("\n") else acknowledged
        with open_shard(root / str(round_), segment_bytes=4096) as shard:
            assert shard.size >= acknowledged
            found = read(root / str(round_), tag)
            assert [int(record[:8]) for record in found] == list(range(shard.size))
        expected += acknowledged
    assert expected > 0


def test_a_shard_that_was_never_used_opens_again(root: Path) -> None:
    with open_shard(root) as shard:
        tag = shard.tag
    with open_shard(root) as shard:
        assert (shard.tag, shard.size) == (tag, 0)
    assert isinstance(shard, SegmentShard)


def test_a_closed_shard_takes_nothing(root: Path) -> None:
    shard = open_shard(root)
    shard.close()
    with pytest.raises(OutsideError, match="closed"):
        shard.append([b"x"])
