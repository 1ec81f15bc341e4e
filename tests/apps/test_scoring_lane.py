"""baluarte.apps.scoring.lane: what comes in one turn is answered as if each had come alone."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scoring_ground import Workplace, on_the_wire

from baluarte import wiring
from baluarte.apps.http.head import Head, read_head
from baluarte.apps.scoring.settings import Limits
from baluarte.apps.scoring.worker import Worker
from baluarte.core.gap import GAP_INDEX
from baluarte.core.ids import parse_id
from baluarte.core.native import native
from baluarte.core.plain_rows import PlainReader, PlainRows
from baluarte.errors import OutsideError
from baluarte.testing.bundles import sample_events

PLAIN_READ = "baluarte.core.plain_rows.PlainReader.read"
needs_plain_rows = pytest.mark.skipif(
    native("_rows") is None, reason="plain rows are read by C, which is not built here"
)
POST = "/v1/detectors/flows/decisions"


class Wire:
    """Where one answer goes."""

    def __init__(self) -> None:
        self.said: list[tuple[int, bytes]] = []
        self.handed: list[bytes] = []

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.said.append((status, body))

    def hand_over(self, body: bytes) -> None:
        self.handed.append(body)


class Ground:
    """A worker in this process."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.place = Workplace(folder)
        self.place.promote(self.place.seal())
        self.loop = asyncio.new_event_loop()
        given = {"durability": "interval", "metrics_dir": str(folder), "limits": Limits()} | changes
        self.worker = Worker(self.place.settings(**given))
        self.worker.open(self.loop)

    def head(self, path: str = POST, *, token: str = "", kind: str = "application/json") -> Head:
        return read_head(
            (
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
                f"Authorization: Bearer {token or self.place.token.text}\r\n\r\n"
            ).encode()
        )

    def turn(self, asked: list[tuple[Head, bytes]]) -> list[Wire]:
        """All of these come in one turn of the loop."""
        wires = [Wire() for _ in asked]

        async def come() -> None:
            for (head, body), wire in zip(asked, wires, strict=True):
                assert self.worker.handle_now(head, body, wire)
            for _ in range(400):
                if all(wire.said or wire.handed for wire in wires):
                    return
                await asyncio.sleep(0.01)

        self.loop.run_until_complete(come())
        return wires

    def close(self) -> None:
        self.worker.close(self.loop)
        self.loop.close()


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path)
    yield made
    made.close()


def bodies(n: int, *, start: int = 0) -> list[bytes]:
    found = []
    for i, event in enumerate(sample_events(n), start):
        said = on_the_wire(event)
        said["id"] = f"e{i}"
        found.append(msgspec.json.encode(said))
    return found


def only(wire: Wire) -> tuple[int, Any]:
    ((status, body),) = wire.said
    return status, json.loads(body)


def test_one_turns_requests_are_answered_and_recorded_as_each_alone(ground: Ground) -> None:
    head, sent = ground.head(), bodies(40)
    together = [only(wire) for wire in ground.turn([(head, body) for body in sent])]
    assert {status for status, _ in together} == {200}
    alone = []
    for body in sent:  # sent again each gets its first decision, so scores and ids are the same
        (wire,) = ground.turn([(head, body)])
        alone.append(only(wire))
    assert alone == together
    assert len({answer["id"] for _, answer in together}) == 40


def test_what_is_wrong_with_one_is_nothing_to_the_others(ground: Ground) -> None:
    good = bodies(3)
    head = ground.head()
    wires = ground.turn(
        [
            (head, good[0]),
            (head, b'{"id":"x","id":"y"}'),
            (head, b"["),
            (head, b""),
            (head, b'{},{"id":"z"}'),
            (ground.head(token="blt_" + "x" * 43), good[1]),
            (head, b'{"id":"n","unheard_of":1}'),
            (ground.head(POST + "?reasons=all"), good[1]),
            (ground.head(kind="application/x-ndjson"), good[2] + b"\n" + bodies(1, start=9)[0]),
            (head, b"[" + bodies(1, start=10)[0] + b"]"),
        ]
    )
    assert [wire.said[0][0] for wire in wires] == [
        200, 400, 400, 400, 400, 401, 422, 200, 200, 200,
    ]  # fmt: skip
    assert [len(wire.said) for wire in wires] == [1] * 10
    assert only(wires[1])[1]["code"] == "duplicate_key"
    assert only(wires[7])[1]["reasons"]
    assert len(wires[8].said[0][1].splitlines()) == 2
    assert len(only(wires[9])[1]) == 1


def test_a_text_that_hides_a_second_event_is_never_another_requests(ground: Ground) -> None:
    head = ground.head()
    halves = [b'{"id":"a"', b'"failures":1}', b'{"id":"b"},{"id":"c"}', b'{"id":"d"}']
    wires = ground.turn([(head, body) for body in halves])
    assert [wire.said[0][0] for wire in wires] == [400, 400, 400, 200]
    assert only(wires[3])[1]["event_id"] == "d"


def test_one_event_twice_in_a_turn_is_decided_once(ground: Ground) -> None:
    head, (first, second) = ground.head(), bodies(2)
    other = first[:-1] + b',"failures":49}' if b"failures" not in first else first
    wires = ground.turn([(head, first), (head, second), (head, first)])
    said = [only(wire) for wire in wires]
    assert [status for status, _ in said] == [200, 200, 200]
    assert said[0][1] == said[2][1]
    assert said[0][1]["id"] != said[1][1]["id"]
    changed = json.loads(other) | {"failures": 3 if json.loads(other).get("failures") != 3 else 4}
    (wire,) = ground.turn([(head, msgspec.json.encode(changed))])
    assert only(wire)[0] == 409


def test_more_at_once_than_a_worker_answers_is_refused_and_room_comes_back(
    tmp_path: Path,
) -> None:
    ground = Ground(tmp_path, limits=Limits(max_inflight=3))
    try:
        head, sent = ground.head(), bodies(8)
        said = [wire.said[0][0] for wire in ground.turn([(head, body) for body in sent])]
        assert said == [200] * 4 + [503] * 4
        again = ground.turn([(head, body) for body in sent[4:]])
        assert [wire.said[0][0] for wire in again] == [200] * 4
    finally:
        ground.close()


def test_a_tenants_quota_ends_within_a_turn(tmp_path: Path) -> None:
    ground = Ground(tmp_path, quotas={"default": 5}, accounts="")
    try:
        head, sent = ground.head(), bodies(8)
        said = [wire.said[0][0] for wire in ground.turn([(head, body) for body in sent])]
        assert said == [200] * 5 + [429] * 3
    finally:
        ground.close()


def test_what_arrived_makes_a_worker_busy_until_its_turn(ground: Ground) -> None:
    seen: list[bool] = []

    async def come() -> None:
        door = ground.worker._door
        assert door is not None
        seen.append(door.is_asked)
        assert ground.worker.handle_now(ground.head(), bodies(1)[0], Wire())
        seen.append(door.is_asked)
        await asyncio.sleep(0)
        seen.append(door.is_asked)

    ground.loop.run_until_complete(come())
    assert seen == [False, True, False]


def recorded(ground: Ground, n: int) -> dict[str, dict[str, Any]]:
    """The decisions of a ledger by their ids, once there are so many."""
    ledger = wiring.open_ledger_reader(ground.place.settings().ledger)
    for _ in range(400):
        found = {
            record["id"]: record
            for tag in ledger.shards()
            for record in map(msgspec.json.decode, ledger.records(tag))
            if record["kind"] == "decision"
        }
        if len(found) >= n:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{len(found)} records of {n}")


def nothing_is_plain(reader: PlainReader, texts: list[bytes], *, max_depth: int) -> PlainRows:
    return PlainRows([], [], [], [], np.empty((0, 1)), b"[]")


@pytest.mark.parametrize("asked", ["", "?reasons=all", "?reasons=none"])
def test_plain_rows_get_the_answers_and_records_of_any_others(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    head = ground.head(POST + asked)
    said: list[list[dict[str, Any]]] = []
    for start in (0, 100):
        with monkeypatch.context() as patch:
            if start:
                patch.setattr(PLAIN_READ, nothing_is_plain)
            sent = [(head, body) for body in bodies(60, start=start)]
            said.append([only(wire)[1] for wire in ground.turn(sent)])
    assert [list(answer) for answer in said[0]] == [list(answer) for answer in said[1]]
    records = recorded(ground, 120)
    for plain, other in zip(*said, strict=True):
        of_plain, of_other = records[plain["id"]], records[other["id"]]
        for one in (plain, other, of_plain, of_other):
            for own in ("id", "event_id", "event_digest", "decided_at", "event_at"):
                one.pop(own, None)
        for one in (of_plain, of_other):
            one["event"].pop("id")
        assert plain == other
        assert of_plain == of_other
    n_alerts = sum(answer["outcome"] != "pass" for answer in said[0])
    assert 0 < n_alerts < 60
    n_told = {"": n_alerts, "?reasons=all": 60, "?reasons=none": 0}[asked]
    assert sum("reasons" in answer for answer in said[0]) == n_told


@needs_plain_rows
def test_a_fault_of_ours_is_told_to_all_and_leaves_the_room_they_took(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = ground.worker._door
    assert door is not None

    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    plain, ordinary = {}, {PLAIN_READ: nothing_is_plain}
    for name, where, also in (
        ("read", PLAIN_READ, plain),
        ("decide_encoded", "baluarte.stages.score.Scorer.decide_encoded", plain),
        ("identify_encoded", "baluarte.stages.score.Scorer.identify_encoded", plain),
        ("plain_answers", "baluarte.apps.scoring.requests.plain_answers", plain),
        ("read_each", "baluarte.core.quick_rows.QuickReader.read_each", ordinary),
        ("decide_records", "baluarte.stages.score.Scorer.decide_records", ordinary),
        ("identify_all", "baluarte.stages.score.Scorer.identify_all", ordinary),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, fails)
            for other, instead in also.items():
                patch.setattr(other, instead)
            wires = ground.turn([(ground.head(), body) for body in bodies(3, start=50)])
        assert [wire.said[0][0] for wire in wires] == [500] * 3, name
        assert door._inflight.n == 0
        assert door._plane._n_rows == 0
    again = ground.turn([(ground.head(), body) for body in bodies(3, start=50)])
    assert [wire.said[0][0] for wire in again] == [200] * 3


@needs_plain_rows
def test_a_fault_with_some_is_nothing_to_those_that_wait_for_their_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    ground = Ground(tmp_path, durability="commit")
    try:
        monkeypatch.setattr("baluarte.core.quick_rows.QuickReader.read_each", fails)
        plain, head = bodies(2), ground.head()
        odd = [body.replace(b'"id":"e', b'"id":"\\u0065') for body in bodies(2, start=7)]
        wires = ground.turn([(head, body) for body in (plain[0], *odd, plain[1])])
        assert [[status for status, _ in wire.said] for wire in wires] == [
            [200], [500], [500], [200],
        ]  # fmt: skip
        door = ground.worker._door
        assert door is not None
        assert (door._inflight.n, door._plane._n_rows) == (0, 0)
    finally:
        ground.close()


def test_decisions_that_lose_their_record_get_the_ids_of_the_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_fails(_: object) -> None:
        raise OutsideError("the disk fails")

    ground = Ground(
        tmp_path,
        durability="commit",
        on_ledger_failure="decide-and-mark-gap",
        gap_key=str(tmp_path / "keys" / "test.key"),
    )
    try:
        with monkeypatch.context() as patch:
            patch.setattr("baluarte.adapters.ledger.shard.SegmentShard.commit", disk_fails)
            wires = ground.turn([(ground.head(), body) for body in bodies(3)])
        ids = [only(wire)[1]["id"] for wire in wires]
        assert [parse_id(one).index >= GAP_INDEX for one in ids] == [True] * 3
    finally:
        ground.close()


def test_a_request_for_anything_else_is_not_taken(ground: Ground) -> None:
    for head in (
        ground.head("/v1/detectors/flows/labels"),
        ground.head(POST + "?reasons=some"),
        ground.head(kind="text/plain"),
        read_head(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        read_head(f"POST {POST} HTTP/1.1\r\nHost: elsewhere\r\n\r\n".encode()),
    ):
        assert not ground.worker.handle_now(head, b"{}", Wire())


def test_a_detector_without_champion_is_left_to_the_door(ground: Ground) -> None:
    (wire,) = ground.turn([(ground.head("/v1/detectors/none/decisions"), b"{}")])
    assert (wire.said, wire.handed) == ([], [b"{}"])


def test_what_a_turn_answers_can_be_read_in_the_ledger(ground: Ground) -> None:
    said = [only(wire)[1] for wire in ground.turn([(ground.head(), b) for b in bodies(5)])]
    ground.worker.close(ground.loop)
    reader = wiring.open_ledger_reader(ground.place.settings().ledger)
    (tag,) = {one["id"][10:15] for one in said}
    assert tag
    from baluarte.core.ids import parse_id

    for one in said:
        found = parse_id(one["id"])
        record = json.loads(reader.record(found.tag, found.index))
        assert (record["score"], record["event_id"]) == (one["score"], one["event_id"])
    ground.worker.close = lambda _loop: None  # type: ignore[method-assign] # it is closed
