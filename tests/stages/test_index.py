"""baluarte.stages.index: the index is what the ledger says, whatever happened in between."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from baluarte.adapters.stores.sqlite_index import SqliteIndex
from baluarte.core.decision import ActRecord, DecisionRecord
from baluarte.core.ids import format_id
from baluarte.stages.index import rebuild, refresh
from baluarte.testing.stores import MemoryLedger


def decision(tag: str, place: int, event: str, at: int) -> bytes:
    return msgspec.json.encode(
        DecisionRecord(
            id=format_id(at // 1000, tag, place),
            event_id=event,
            event_at=at,
            decided_at=at,
            detector="flows",
            version=1,
            bundle="sha256:b",
            event_digest="sha256:e",
            event={"id": event, "name": "Ana Canary"},
            features=(1.0,),
            score=5,
            points=1,
            band=0,
            outcome="pass",
            threshold=None,
        )
    )


def act(at: int) -> bytes:
    return msgspec.json.encode(ActRecord(at=at, act="key", actor="ana", detector="flows"))


def fill(ledger: MemoryLedger, n: int, *, first: int = 0) -> None:
    shard = ledger.open_shard()
    for place in range(shard.size, shard.size + n):
        at = 1_000_000 * (first + place)
        data = act(at) if place % 7 == 3 else decision(shard.tag, place, f"e{place % 50}", at)
        shard.append([data])
    shard.commit()
    shard.close()


@pytest.fixture
def index(tmp_path: Path) -> SqliteIndex:
    return SqliteIndex(tmp_path / "index.db")


def everything(index: SqliteIndex) -> list[str]:
    found = index.of_events([f"e{i}" for i in range(200)])
    return sorted(one.id for decisions in found.values() for one in decisions)


def test_only_what_is_new_is_read(index: SqliteIndex) -> None:
    ledger = MemoryLedger()
    fill(ledger, 5_000)
    done = refresh(index, ledger.reader())
    assert (done.records, done.decisions) == (5_000, 5_000 - len(range(3, 5_000, 7)))
    assert refresh(index, ledger.reader()).records == 0
    fill(ledger, 10)
    assert refresh(index, ledger.reader()).records == 10
    records = {}
    for tag in ledger.reader().shards():
        for data in ledger.reader().records(tag):
            if b'"decision"' in data[:20]:
                record = msgspec.json.decode(data, type=DecisionRecord)
                records[record.id] = record.event_id
    assert everything(index) == sorted(records)


def test_an_index_that_was_stopped_anywhere_is_completed(
    index: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = MemoryLedger()
    fill(ledger, 9_000)
    add, calls = SqliteIndex.add, iter([False, True, False, True, True])

    def dies(self: SqliteIndex, *args: object, **more: object) -> bool:
        if next(calls, False):
            raise KeyboardInterrupt
        return add(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(SqliteIndex, "add", dies)
    stops = 0
    while True:
        try:
            refresh(index, ledger.reader())
            break
        except KeyboardInterrupt:
            stops += 1
    assert stops == 3
    other = SqliteIndex(index._store.path.with_name("other.db"))  # type: ignore[attr-defined]
    refresh(other, ledger.reader())
    assert everything(index) == everything(other)


def test_two_readers_at_once_take_each_part_in_once(index: SqliteIndex) -> None:
    ledger = MemoryLedger()
    fill(ledger, 9_000)
    other = SqliteIndex(index._store.path)  # type: ignore[attr-defined]
    reader = ledger.reader()

    class Meanwhile:
        """Lets the other one read on in the middle of a part."""

        def __getattr__(self, name: str) -> object:
            return getattr(reader, name)

        def entries(self, tag: str, start: int = 0, stop: int | None = None) -> object:
            refresh(other, reader)
            return reader.entries(tag, start, stop)

    refresh(index, Meanwhile())  # type: ignore[arg-type]
    assert index.count() == len(everything(index)) == 9_000 - len(range(3, 9_000, 7))


def test_another_ledger_in_its_place_is_read_anew(index: SqliteIndex) -> None:
    before, after = MemoryLedger(), MemoryLedger()
    fill(before, 100)
    fill(after, 90, first=7)
    refresh(index, before.reader())
    assert refresh(index, after.reader()).again
    fresh = everything(index)
    rebuild(index, after.reader())
    assert everything(index) == fresh
    assert len(fresh) == 90 - len(range(3, 90, 7))
    assert refresh(index, MemoryLedger().reader()).again
    assert index.count() == 0


def test_nothing_of_a_person_is_in_the_file(index: SqliteIndex, tmp_path: Path) -> None:
    ledger = MemoryLedger()
    fill(ledger, 100)
    refresh(index, ledger.reader())
    index.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Canary" not in kept
    assert b"e49" not in kept
