"""baluarte.apps.scoring.gaps: without a ledger decisions are refused, or marked by a signed act."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scoring_ground import CountsKept, Server, Workplace

from baluarte import wiring
from baluarte.adapters.system import SystemClock
from baluarte.apps.scoring.champions import Champions
from baluarte.apps.scoring.gaps import Gaps
from baluarte.apps.scoring.people import People
from baluarte.apps.scoring.plane import Plane
from baluarte.apps.scoring.problem import Refusal
from baluarte.apps.scoring.recorder import Recorder
from baluarte.apps.scoring.settings import Limits
from baluarte.core.decision import ActRecord
from baluarte.core.gap import GAP_INDEX, payload, signature_of
from baluarte.core.ids import parse_id
from baluarte.errors import OutsideError, TrustError
from baluarte.ports import Clock, Room
from baluarte.stages.verify import verify_ledger
from baluarte.testing.clock import FixedClock
from baluarte.testing.stores import MemoryLedger

Outcome = asyncio.Future[OutsideError | None]


class Ground:
    """A plane over a ledger in memory, with or without gaps."""

    def __init__(self, root: Path, *, marks: bool = True, durability: str = "commit") -> None:
        self.place = Workplace(root)
        self.place.promote(self.place.seal())
        self.ledger, self.counts = MemoryLedger(), CountsKept()
        self.marks, self.durability = marks, durability
        self.clock: Clock = SystemClock()

    def run(self, body: Callable[[Plane], Coroutine[None, None, None]]) -> None:
        async def main() -> None:
            loop, stores = asyncio.get_running_loop(), self.place.stores()
            recorder = Recorder(
                self.ledger.open_shard,
                loop=loop,
                durability=self.durability,  # type: ignore[arg-type]
                interval_s=0.01,
                counts=self.counts,
                shed_below_bytes=1000,
            )
            champions = Champions(
                registry=stores["registry"],
                bundles=stores["bundles"],
                verifier=lambda: stores["verifier"],
                clock=SystemClock(),
                kernel="auto",
                language="en",
                counts=self.counts,
            )
            champions.refresh()
            root = self.place.root
            gaps = None
            if self.marks:
                signer = wiring.open_signer(root / "keys" / "test.key", root / "trusted")
                gaps = Gaps(recorder, signer=signer, clock=SystemClock(), counts=self.counts)
                recorder.on_turn = gaps.mark
            plane = Plane(
                champions=champions,
                recorder=recorder,
                clock=self.clock,
                limits=Limits(),
                counts=self.counts,
                loop=loop,
                people=People(lambda: pytest.fail("nothing here is personal")),
                gaps=gaps,
            )
            try:
                await asyncio.wait_for(body(plane), 20)
            finally:
                if gaps is not None:
                    gaps.mark_last()
                await loop.run_in_executor(None, recorder.close)

        asyncio.run(main())

    def gaps(self) -> list[ActRecord]:
        """The gap records, each with a signature that holds."""
        found = []
        for tag in self.ledger.shards():
            for data in self.ledger.records(tag):
                if b'"act":"gap"' in data:
                    act = msgspec.json.decode(data, type=ActRecord)
                    key_id, signature = signature_of(act)
                    verifier = wiring.open_verifier(self.place.root / "trusted")
                    verifier.verify(payload(act), signature, key_id=key_id, at_us=act.at)
                    found.append(act)
        return found


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def in_gap(answer: Any) -> bool:
    return parse_id(answer.id).index >= GAP_INDEX


def test_decisions_in_flight_and_after_are_answered_and_marked_when_the_ledger_is_back(
    tmp_path: Path,
) -> None:
    ground = Ground(tmp_path)

    async def body(plane: Plane) -> None:
        (first,) = await plane.decide("flows", [{"id": "a"}], "none")
        assert not in_gap(first)
        ground.ledger.full = True
        rows = [{"id": f"b{i}"} for i in range(3)]
        flight = await plane.decide("flows", rows, "alerts")
        assert all(map(in_gap, flight))
        await until(lambda: plane.recorder.shard is not None or ground.ledger.full)
        later = await plane.decide("flows", [{"id": "c"}], "none")
        assert in_gap(later[0])
        assert len({answer.id for answer in (first, *flight, *later)}) == 5
        ground.ledger.full = False
        await until(lambda: bool(ground.gaps()))
        (last,) = await plane.decide("flows", [{"id": "d"}], "none")
        assert not in_gap(last)

    ground.run(body)
    assert sum(int(act.details["decisions"] or 0) for act in ground.gaps()) == 4
    assert ground.counts.gaps == 4
    act = ground.gaps()[0]
    assert (act.detector, act.version) == ("flows", 1)
    assert act.details["from"] <= act.details["to"] <= act.at  # type: ignore[operator]
    report = verify_ledger(ground.ledger, wiring.open_verifier(tmp_path / "trusted"))
    assert (report.gap_decisions, report.all_faults) == (4, ())


def test_a_forged_gap_record_is_a_fault(tmp_path: Path) -> None:
    ground = Ground(tmp_path)

    async def body(plane: Plane) -> None:
        ground.ledger.full = True
        await plane.decide("flows", [{"id": "a"}], "none")
        ground.ledger.full = False
        await until(lambda: bool(ground.gaps()))

    ground.run(body)
    verifier = wiring.open_verifier(tmp_path / "trusted")
    tag, index = next(
        (tag, i)
        for tag, kept in ground.ledger.kept.items()
        for i, data in enumerate(kept)
        if b'"gap"' in data
    )
    kept = ground.ledger.kept[tag]
    genuine = kept[index]
    kept[index] = genuine.replace(b'"decisions":1', b'"decisions":0')
    assert verify_ledger(ground.ledger, verifier).all_faults
    act = msgspec.json.decode(genuine, type=ActRecord)
    kept[index] = msgspec.json.encode(msgspec.structs.replace(act, details={"decisions": 1}))
    assert "without a signature" in str(verify_ledger(ground.ledger, verifier).all_faults[0])
    with pytest.raises(TrustError):
        signature_of(msgspec.structs.replace(act, details={"key": "k", "signature": "?"}))


def test_without_marking_what_can_not_be_recorded_is_refused(tmp_path: Path) -> None:
    ground = Ground(tmp_path, marks=False)

    async def body(plane: Plane) -> None:
        ground.ledger.full = True
        with pytest.raises(Refusal) as refused:
            await plane.decide("flows", [{"id": "a"}], "none")
        assert refused.value.code == "no_room_to_record"

    ground.run(body)


def test_a_disk_that_is_nearly_full_sheds_decisions_and_still_takes_acts(tmp_path: Path) -> None:
    for marks in (False, True):
        (tmp_path / str(marks)).mkdir()
        ground = Ground(tmp_path / str(marks), marks=marks)

        async def body(plane: Plane, ground: Ground = ground, marks: bool = marks) -> None:
            await plane.decide("flows", [{"id": "a"}], "none")
            ground.ledger.room = Room(999, 1 << 20, next_is_reserved=True)
            await until(lambda: not plane.recorder.accepts)
            assert ground.counts.accepts is False
            if marks:
                (answer,) = await plane.decide("flows", [{"id": "b"}], "none")
                assert in_gap(answer)
                await until(lambda: bool(ground.gaps()))
                assert "nearly full" in ground.gaps()[0].reason
            else:
                with pytest.raises(Refusal) as refused:
                    await plane.decide("flows", [{"id": "b"}], "none")
                assert refused.value.code == "nearly_full"
                assert ("retry-after", "10") in refused.value.headers
            durable: Outcome = asyncio.get_running_loop().create_future()
            plane.recorder.append([b"an act"], durable.set_result)
            assert await durable is None
            ground.ledger.room = Room(1 << 30, 1 << 20, next_is_reserved=False)
            plane.recorder._looked_s = 0.0
            await asyncio.sleep(0.05)
            assert not plane.recorder.accepts
            ground.ledger.room = Room(1 << 30, 1 << 20, next_is_reserved=True)
            await until(lambda: plane.recorder.accepts)
            (answer,) = await plane.decide("flows", [{"id": "c"}], "none")
            assert not in_gap(answer)

        ground.run(body)


def test_with_an_interval_what_was_acknowledged_and_lost_is_marked(tmp_path: Path) -> None:
    ground = Ground(tmp_path, durability="interval")

    async def body(plane: Plane) -> None:
        ground.ledger.full = True
        (answer,) = await plane.decide("flows", [{"id": "a"}], "none")
        assert not in_gap(answer)
        await until(lambda: ground.counts.gaps == 1)
        ground.ledger.full = False
        await until(lambda: bool(ground.gaps()))

    ground.run(body)


def test_a_server_without_its_ledger_decides_and_marks_when_it_is_back(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.promote(place.seal())
    ledger = tmp_path / "ledger"
    ledger.write_text("no folder")
    key = str(tmp_path / "keys" / "test.key")
    with Server(place, on_ledger_failure="decide-and-mark-gap", gap_key=key) as server:
        assert server.serving["readiness"]["ledger"] == "away, gap is marked"
        status, answers = server.decide([{"id": "a"}, {"id": "b"}])
        assert status == 200
        assert all(parse_id(answer["id"]).index >= GAP_INDEX for answer in answers)
        assert server.ask("GET", f"/v1/decisions/{answers[0]['id']}")[0] == 404
        _, page = server.ask("GET", "/metrics")
        assert b'baluarte_ledger_gap_decisions_total{detector="flows"} 2.0' in page
        ledger.unlink()
        while server.ask("GET", "/readyz")[1]["ledger"] != "writable":
            time.sleep(0.05)
        _, answer = server.decide({"id": "c"})
        assert parse_id(answer["id"]).index < GAP_INDEX
        _, page = server.ask("GET", "/metrics")
        assert b"baluarte_ledger_free_bytes" in page
        assert b"baluarte_ledger_has_room 1.0" in page
    verifier = wiring.open_verifier(tmp_path / "trusted")
    report = verify_ledger(wiring.open_ledger_reader(ledger), verifier)
    assert (report.gap_decisions, report.events, report.all_faults) == (2, 1, ())
    assert sum(shard.size for shard in report.shards) == 2


def test_a_clock_that_steps_back_makes_no_id_twice_and_no_record_unsound(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    clock = FixedClock()
    ground.clock = clock
    ids: list[str] = []

    async def body(plane: Plane) -> None:
        for step_us in (0, -3_600_000_000, 0, 7_200_000_000, -1):
            clock.advance(step_us)
            rows = [{"id": f"{len(ids)}-{i}"} for i in range(3)]
            ids.extend(answer.id for answer in await plane.decide("flows", rows, "none"))

    ground.run(body)
    assert len(set(ids)) == len(ids) == 15
    report = verify_ledger(ground.ledger, wiring.open_verifier(tmp_path / "trusted"))
    assert (report.events, report.all_faults, report.incidents) == (15, (), ())
    for decision in ids:
        place = parse_id(decision)
        assert decision.encode() in ground.ledger.record(place.tag, place.index)
