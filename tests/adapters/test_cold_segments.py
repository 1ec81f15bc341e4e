"""baluarte.adapters.ledger.cold and keeper: compressed and swept, with the same leaves."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baluarte.adapters.ledger import cold
from baluarte.adapters.ledger.cold import ColdSegment
from baluarte.adapters.stores.segments import Segments, open_shard
from baluarte.core.merkle import leaf_hash
from baluarte.core.retention import Dropped
from baluarte.errors import OutsideError, TrustError

SMALL = 4096


def records(n: int) -> list[bytes]:
    return [b'{"kind":"decision","decided_at":%d,"pad":"%s"}' % (i, b"." * 80) for i in range(n)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def write(root: Path, some: list[bytes]) -> str:
    with open_shard(root, segment_bytes=SMALL) as shard:
        for start in range(0, len(some), 7):
            shard.append(some[start : start + 7])
            shard.commit()
        return shard.tag


@settings(max_examples=40, deadline=None)
@given(
    entries=st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=300),
            st.builds(Dropped, st.binary(min_size=32, max_size=32), st.just("0123456789abcdef")),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_every_entry_and_leaf_comes_back(
    tmp_path_factory: pytest.TempPathFactory, entries: list[bytes | Dropped]
) -> None:
    path = tmp_path_factory.mktemp("cold") / "one.cold"
    cold.write(path, entries)
    with ColdSegment(path) as segment:
        assert list(segment.entries(0, len(entries))) == entries
        middle = len(entries) // 2
        assert list(segment.entries(middle, middle + 3)) == entries[middle : middle + 3]
        leaves = [e.leaf if isinstance(e, Dropped) else leaf_hash(e) for e in entries]
        assert segment.leaves(0, len(entries)) == leaves


def test_blocks_are_read_alone_and_compress(tmp_path: Path) -> None:
    some = records(9000)
    path = tmp_path / "one.cold"
    cold.write(path, some)
    assert path.stat().st_size < sum(map(len, some)) / 2
    with ColdSegment(path) as segment:
        assert list(segment.entries(8_000, 8_003)) == some[8_000:8_003]
        assert segment.facts.oldest == {"decision": 0}


def read(path: Path) -> list[bytes | Dropped]:
    with ColdSegment(path) as segment:
        return list(segment.entries(0, segment.facts.records))


@pytest.mark.parametrize("at", [20, 200, -5, -30, -60])
def test_a_flipped_bit_anywhere_is_found(tmp_path: Path, at: int) -> None:
    some = records(50)
    path = tmp_path / "one.cold"
    cold.write(path, some)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(TrustError):
        read(path)


def test_a_reader_beside_the_keeper_always_sees_every_record(root: Path) -> None:
    some = records(600)
    tag = write(root, some)
    ledger = Segments(root, segment_bytes=SMALL)
    faults: list[BaseException] = []
    done = threading.Event()

    def watch() -> None:
        reader = ledger.reader()
        try:
            while not done.is_set():
                assert list(reader.records(tag)) == some
                assert reader.record(tag, 17) == some[17]
                assert reader.leaf_hashes(tag)[:3] == [leaf_hash(r) for r in some[:3]]
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            faults.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ledger.keeper() as keeper:
        for info in keeper.closed(tag):
            keeper.cool(tag, info.first, {})
    done.set()
    watcher.join()
    assert not faults, faults
    assert len(list((root / tag).glob("*.cold"))) > 10


def test_dropped_bytes_are_in_no_file_of_the_shard(root: Path) -> None:
    some = [b"secret-%06d" % i for i in range(500)]
    tag = write(root, some)
    with Segments(root, segment_bytes=SMALL).keeper() as keeper:
        for info in keeper.closed(tag):
            keeper.cool(tag, info.first, dict.fromkeys(range(info.first, info.stop), "5eed"))
        end = keeper.closed(tag)[-1].stop
    for path in (root / tag).iterdir():
        data = path.read_bytes()
        assert not any(record in data for record in some[:end])


def test_a_changed_record_is_not_compressed_away(root: Path) -> None:
    tag = write(root, records(200))
    path = root / tag / f"{0:020d}.idx"
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    before = (root / tag / f"{0:020d}.seg").read_bytes()
    with Segments(root).keeper() as keeper, pytest.raises(TrustError, match="indexed"):
        keeper.cool(tag, 0, {})
    assert (root / tag / f"{0:020d}.seg").read_bytes() == before


def test_one_keeper_at_a_time(root: Path) -> None:
    write(root, records(3))
    ledger = Segments(root)
    with ledger.keeper(), pytest.raises(OutsideError, match="another process"):
        ledger.keeper()
    ledger.keeper().close()


def test_a_shard_whose_owner_died_is_settled_and_one_that_is_held_is_not(root: Path) -> None:
    held = open_shard(root, segment_bytes=SMALL)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from baluarte.adapters.stores.segments import open_shard\n"
        "root = Path(sys.argv[1]); shard = open_shard(root, segment_bytes=4096)\n"
        "head = root / shard.tag / 'head'\n"
        "shard.append([b'%d' % i for i in range(20)]); shard.commit()\n"
        "stale = head.read_bytes()\n"
        "shard.append([b'%d' % i for i in range(20, 40)]); shard.commit()\n"
        "head.write_bytes(stale); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(root)], check=True)
    ledger = Segments(root, segment_bytes=SMALL)
    reader = ledger.reader()
    (dead,) = set(reader.shards()) - {held.tag}
    assert reader.size(dead) == 20
    with ledger.keeper() as keeper:
        assert keeper.settle() == [dead]
        assert keeper.settle() == []
    assert reader.size(dead) == 40
    assert list(reader.records(dead)) == [b"%d" % i for i in range(40)]
    held.close()


def test_a_segment_ends_by_age_so_that_a_sweep_can_reach_its_records(root: Path) -> None:
    from baluarte.adapters.disk import LOCAL
    from baluarte.adapters.ledger.keeper import try_lock
    from baluarte.adapters.ledger.shard import SegmentShard

    (root / "abcdef").mkdir(parents=True)
    lock = try_lock(root / "abcdef", LOCAL)
    assert lock is not None
    with SegmentShard(root / "abcdef", lock, segment_age_s=0.0) as shard:
        for i in range(4):
            shard.append([b"%d" % i])
            shard.commit()
    assert [s.first for s in Segments(root).keeper().closed("abcdef")] == [0, 1, 2]
    assert list(Segments(root).reader().records("abcdef")) == [b"0", b"1", b"2", b"3"]


def test_a_shard_that_moves_to_another_ledger_is_read_and_goes_on_there(
    root: Path, tmp_path: Path
) -> None:
    tag = write(root, records(50))
    Segments(root).reader().put_note(tag, 50, b"a signed note")
    other = tmp_path / "other"
    other.mkdir()
    (root / tag).rename(other / tag)
    assert Segments(root).reader().shards() == []
    with open_shard(other, segment_bytes=SMALL) as shard:
        assert (shard.tag, shard.size) == (tag, 50)
        shard.append([b"further"])
    reader = Segments(other).reader()
    assert list(reader.records(tag)) == [*records(50), b"further"]
    assert reader.notes(tag) == [b"a signed note"]
