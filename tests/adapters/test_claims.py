"""baluarte.adapters.ledger.claims: who decides an event, across processes, kills and power cuts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from baluarte.adapters.ledger import claim_table
from baluarte.adapters.ledger.claim_table import ClaimTable
from baluarte.adapters.ledger.claims import Claim, Claims
from baluarte.adapters.ledger.shard import SegmentShard
from baluarte.adapters.stores.segments import Segments
from baluarte.core.decision import DecisionRecord
from baluarte.core.ids import format_id

NOW = 1_800_000_000
WHOSE = b"tenant, detector"


def open_claims(root: Path, *, window_s: int = 100, max_events: int = 1_000) -> Claims:
    return Claims(root, window_s=window_s, max_events=max_events, tenants={}, now_s=NOW)


def record(shard: SegmentShard, event_id: str, at_s: int = NOW, detector: str = "flows") -> bytes:
    at = at_s * 1_000_000
    return msgspec.json.encode(
        DecisionRecord(
            id=format_id(at // 1000, shard.tag, shard.size),
            event_id=event_id,
            event_at=at,
            decided_at=at,
            detector=detector,
            version=1,
            bundle="sha256:" + "0" * 64,
            event_digest="sha256:" + "0" * 64,
            event={"id": event_id},
            features=(1.0,),
            score=1,
            points=1,
            band=0,
            outcome="pass",
            threshold=None,
        )
    )


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[SegmentShard]:
    with Segments(tmp_path, segment_bytes=65_536).open_shard() as one:
        yield one


def decide(claims: Claims, shard: SegmentShard, *ids: str, at_s: int = NOW) -> bool:
    keys = claims.keys("flows", ids)
    (free,) = claims.take([(keys, [*range(len(keys)), len(keys)])], first=shard.size, now_s=at_s)
    if free:
        for event_id in ids:
            shard.append([record(shard, event_id, at_s)])
    return free


def first(claims: Claims, event_id: str, at_s: int = NOW) -> object:
    (claim,) = claims.look(claims.keys("flows", [event_id]), now_s=at_s)
    if claim is None:
        return None
    (found,) = claims.records([claim], [event_id], detector="flows")
    return msgspec.json.decode(found)["event_id"] if isinstance(found, bytes) else found


def test_an_event_is_claimed_once_and_then_found_by_its_record(
    tmp_path: Path, shard: SegmentShard
) -> None:
    one, two = open_claims(tmp_path), open_claims(tmp_path)
    one.hold(shard.tag)
    assert decide(one, shard, "a", "b")
    assert not decide(two, shard, "c", "b")
    assert first(two, "a") == "pending"
    shard.commit()
    assert (first(two, "a"), first(two, "b"), first(two, "c")) == ("a", "b", None)
    assert not decide(one, shard, "c", "c")
    assert first(one, "a", NOW + 101) is None
    assert decide(one, shard, "a", at_s=NOW + 101)


def test_a_record_that_becomes_durable_at_this_moment_is_not_taken_for_void(
    tmp_path: Path, shard: SegmentShard, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = open_claims(tmp_path)
    claims.hold(shard.tag)
    decide(claims, shard, "a")
    for name in ("_size", "_read", "_is_pending"):
        asked = getattr(claims, name)
        monkeypatch.setattr(claims, name, lambda *a, asked=asked: (asked(*a), shard.commit())[0])
    assert first(claims, "a") == "pending"
    assert first(claims, "a") == "a"


def test_what_a_gone_owner_never_recorded_is_void(tmp_path: Path) -> None:
    ledger, claims = Segments(tmp_path, segment_bytes=65_536), open_claims(tmp_path)
    shard = ledger.open_shard()
    claims.hold(shard.tag)
    assert claims.take([(claims.keys("flows", ["a"]), [0, 1])], first=0, now_s=NOW) == [True]
    assert claims.reserve(claims.keys("flows", ["b"]), now_s=NOW)
    assert (first(claims, "a"), first(claims, "b")) == ("pending", "pending")
    shard.close()
    assert (first(claims, "a"), first(claims, "b")) == (None, None)
    with ledger.open_shard() as again:  # and by whoever holds the shard then
        assert again.tag == shard.tag
        assert first(claims, "a") == "pending"
        claims.hold(again.tag)
        assert first(claims, "a") is None
        again.append([record(again, "z")])
        again.commit()
        assert first(claims, "a") is None


def test_a_claim_that_is_given_back_is_free_and_another_owners_is_not(
    tmp_path: Path, shard: SegmentShard
) -> None:
    mine, other = open_claims(tmp_path), open_claims(tmp_path)
    mine.hold(shard.tag)
    keys = mine.keys("flows", ["a"])
    assert mine.reserve(keys, now_s=NOW)
    other.hold("0000ff")
    other.give_back(keys)
    assert not other.reserve(keys, now_s=NOW)
    mine.give_back(keys)
    assert other.reserve(keys, now_s=NOW)


def test_reserved_events_get_their_places_later(tmp_path: Path, shard: SegmentShard) -> None:
    claims = open_claims(tmp_path)
    claims.hold(shard.tag)
    keys = claims.keys("flows", ["a"])
    assert claims.reserve(keys, now_s=NOW)
    shard.append([record(shard, "x"), record(shard, "a")])
    claims.place(keys, [1], now_s=NOW)
    assert first(claims, "a") == "pending"
    shard.commit()
    assert first(claims, "a") == "a"


def test_ids_are_a_tenants_and_a_detectors_own(tmp_path: Path) -> None:
    tenants = {"b": "bank"}
    claims = Claims(tmp_path, window_s=9, max_events=99, tenants=tenants, now_s=NOW)
    keys = [claims.keys(name, ["e"])[0] for name in ("a", "b", "c")]
    assert len(set(keys)) == 3
    tenants["b"] = "other"
    again = Claims(tmp_path, window_s=9, max_events=99, tenants=tenants, now_s=NOW)
    assert again.keys("a", ["e"])[0] == keys[0]
    assert again.keys("b", ["e"])[0] != keys[1]


def test_the_table_is_filled_from_the_ledger_where_it_is_missing_or_of_another_size(
    tmp_path: Path, shard: SegmentShard
) -> None:
    for i in range(300):
        shard.append([record(shard, f"e{i}", NOW - 300 + i)])
    shard.append([msgspec.json.encode({"kind": "act", "at": NOW * 1_000_000})])
    shard.commit()
    for max_events in (1_000, 2_000):
        claims = open_claims(tmp_path, max_events=max_events)
        known = [i for i in range(300) if first(claims, f"e{i}") == f"e{i}"]
        assert known == list(range(200, 300))
        claims.close()


def test_after_a_power_cut_what_came_since_the_last_sync_is_read_again(
    tmp_path: Path, shard: SegmentShard, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = open_claims(tmp_path)
    claims.hold(shard.tag)
    decide(claims, shard, "before")
    shard.commit()
    claims.sync()
    kept = (tmp_path / "claims.table").read_bytes()
    decide(claims, shard, "after")
    shard.commit()
    claims.close()
    (tmp_path / "claims.table").write_bytes(kept)  # what a power cut leaves
    assert first(open_claims(tmp_path), "after") is None
    monkeypatch.setattr(claim_table, "boot", lambda: b"another one")
    read: list[int] = []
    whole = Claims._first_since
    monkeypatch.setattr(
        Claims,
        "_first_since",
        lambda *a: read.append(whole(*a)) or whole(*a),  # type: ignore[func-returns-value]
    )
    again = open_claims(tmp_path)
    assert (first(again, "before"), first(again, "after")) == ("before", "after")
    assert read == [0]


@pytest.mark.parametrize("damage", [b"", b"x" * 70_000, bytes(24_576)])
def test_a_damaged_table_is_made_anew(tmp_path: Path, shard: SegmentShard, damage: bytes) -> None:
    shard.append([record(shard, "a")])
    shard.commit()
    (tmp_path / "claims.table").write_bytes(damage)
    (tmp_path / "claims.marks").write_bytes(damage)
    assert first(open_claims(tmp_path), "a") == "a"


@settings(max_examples=60, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(24_576, 60_000), st.integers(0, 255)), max_size=400))
def test_no_damage_within_makes_an_event_another_ones(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    root = tmp_path_factory.mktemp("damaged")
    with Segments(root, segment_bytes=65_536).open_shard() as shard:
        claims = open_claims(root)
        claims.hold(shard.tag)
        for i in range(30):
            decide(claims, shard, f"e{i}")
        shard.commit()
        claims.close()
        path = root / "claims.table"
        data = bytearray(path.read_bytes())
        for at, value in flips:
            data[at % len(data) if at % len(data) >= 24_576 else 24_576] = value
        path.write_bytes(bytes(data))
        claims = open_claims(root)
        for i in range(30):
            assert first(claims, f"e{i}") in {f"e{i}", None, "pending"}
        claims.close()


def test_a_full_table_forgets_the_oldest_and_counts_what_it_forgot_too_early(
    tmp_path: Path, shard: SegmentShard
) -> None:
    claims = open_claims(tmp_path, max_events=1_000)
    claims.hold(shard.tag)
    size = (tmp_path / "claims.table").stat().st_size
    for start in range(0, 1_000, 100):
        ids = [f"e{i}" for i in range(start, start + 100)]
        assert claims.take([(claims.keys("flows", ids), [*range(101)])], first=start, now_s=NOW)
    assert claims.early == 0
    keys = claims.keys("flows", [f"e{i}" for i in range(1_000)])
    assert sum(claim is not None for claim in claims.look(keys, now_s=NOW)) == 1_000
    for start in range(1_000, 4_000, 100):
        ids = [f"e{i}" for i in range(start, start + 100)]
        claims.take([(claims.keys("flows", ids), [*range(101)])], first=start, now_s=NOW + 1)
    still = sum(claim is not None for claim in claims.look(keys, now_s=NOW + 1))
    assert 1_000 - still <= claims.early
    assert claims.early > 1_000
    assert (tmp_path / "claims.table").stat().st_size == size


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 3), st.booleans()), min_size=1, max_size=120
    )
)
def test_it_knows_what_a_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, bool]]
) -> None:
    claims = open_claims(tmp_path_factory.mktemp("model"), window_s=5)
    claims.hold("00001f")
    known: dict[int, int] = {}
    now = NOW
    for event, passes, looks in steps:
        now += passes
        (key,) = claims.keys("flows", [f"e{event}"])
        is_known = event in known and known[event] >= now - 5
        if looks:
            (claim,) = claims.look([key], now_s=now)
            assert (claim is not None) == is_known
        else:
            assert claims.take([([key], [0, 1])], first=event, now_s=now) == [not is_known]
            if not is_known:
                known[event] = now
    claims.close()


@settings(max_examples=60, deadline=None)
@given(
    turns=st.lists(
        st.tuples(
            st.integers(0, 40),
            st.lists(st.tuples(st.integers(0, 60), st.integers(1, 4)), max_size=12),
        ),
        max_size=12,
    )
)
def test_compiled_claims_change_the_table_as_pythons_do(
    tmp_path_factory: pytest.TempPathFactory, turns: list[tuple[int, list[tuple[int, int]]]]
) -> None:
    if claim_table.NATIVE is None:
        pytest.skip("the compiled claims were not built")
    folder = tmp_path_factory.mktemp("twins")
    first = ClaimTable.make(folder / "a", 20)  # two buckets, so that they overflow
    second = ClaimTable.make(folder / "b", 20)
    salt = (folder / "a").read_bytes()[:4_096]
    (folder / "b").write_bytes(salt + (folder / "b").read_bytes()[4_096:])
    second.close()
    opened = ClaimTable.open(folder / "b", 20)
    assert opened is not None
    place, now = 1 << 48, NOW
    for passes, events in turns:
        now += passes
        requests = [
            (first.keys(WHOSE, [f"e{event}"]), [0, n]) if event % 7 else ([], [n])
            for event, n in events
        ]
        said = []
        for table, native in ((first, claim_table.NATIVE), (opened, None)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(claim_table, "NATIVE", native)
                said.append(
                    table.claim_requests(requests, second=now, epoch=3, place=place, floor=now - 60)
                )
        assert said[0] == said[1]
        place += sum(rows[-1] for (_, rows), free in zip(requests, said[0], strict=True) if free)
    assert first.early == opened.early
    first.close()
    opened.close()
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


_HOLDS_THE_LOCK = """
import sys, time
from pathlib import Path
from baluarte.adapters.ledger.claims import Claims
root, now = Path(sys.argv[1]), int(sys.argv[2])
claims = Claims(root, window_s=100, max_events=1000, tenants={}, now_s=now)
with claims._locked():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_process_that_is_killed_with_the_lock_leaves_it_free(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLDS_THE_LOCK, str(tmp_path), str(NOW)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    claims = open_claims(tmp_path)
    claims.hold("00001f")
    assert claims.reserve(claims.keys("flows", ["a"]), now_s=NOW)


@given(
    ids=st.lists(st.text(st.characters(exclude_categories=()), max_size=300), max_size=20),
    whose=st.binary(min_size=16, max_size=16),
)
@example(ids=["", "a" * 127, "a" * 128, "a" * 129, "é" * 128, "\ud800"], whose=WHOSE)
def test_compiled_keys_are_hashlibs(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], whose: bytes
) -> None:
    if claim_table.NATIVE is None:
        pytest.skip("the compiled claims were not built")
    table = ClaimTable.make(tmp_path_factory.mktemp("keys") / "t", 100)
    compiled = table.keys(whose, ids)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claim_table, "NATIVE", None)
        assert table.keys(whose, ids) == compiled
    table.close()


def test_compiled_keys_are_refused_what_hashlib_has_no_place_for() -> None:
    if claim_table.NATIVE is None:
        pytest.skip("the compiled claims were not built")
    for salt, whose in ((b"", WHOSE), (b"s" * 65, WHOSE), (b"s", WHOSE[1:])):
        with pytest.raises(ValueError, match="expected a salt of 1 to 64 bytes and 16"):
            claim_table.NATIVE.keys(salt, whose, ["a"])
    with pytest.raises(TypeError):
        claim_table.NATIVE.keys(b"s", WHOSE, [b"a"])


def test_the_table_says_where_an_entry_stands(tmp_path: Path) -> None:
    table = ClaimTable.make(tmp_path / "t", 100)
    (key,) = table.keys(WHOSE, ["event"])
    assert table.find(key) == 0
    assert table.claim(key, NOW, 3, claim_table.place_of(7, 9), NOW - 5)
    entry = table.entry(table.find(key))
    assert (entry.second, entry.epoch, entry.slot, entry.number) == (NOW, 3, 7, 9)
    table.drop(table.find(key))
    assert table.find(key) == 0
    assert Claim(0, entry).entry == entry
