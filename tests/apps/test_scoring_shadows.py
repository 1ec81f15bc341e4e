"""baluarte.apps.scoring.shadows: challengers score the same events, and decide nothing."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import msgspec
import pytest
from scoring_ground import CountsKept, Server, Workplace, until
from test_scoring_champions import Ground
from versions_ground import WIDER, events, parts

from baluarte import wiring
from baluarte.apps.scoring import shadows
from baluarte.apps.scoring.challengers import Challengers
from baluarte.apps.scoring.recorder import Recorder
from baluarte.apps.scoring.shadows import Shadows
from baluarte.core.contract_toml import parse_contract
from baluarte.core.decision import DecisionRecord
from baluarte.core.registry import Shadowing
from baluarte.core.window_plan import compile_windows
from baluarte.core.windows import Seen, WindowMemory
from baluarte.errors import DataError
from baluarte.stages.shadow import shadow, unshadow
from baluarte.testing.bundles import sample_parts, sample_program
from baluarte.testing.stores import MemoryLedger


def begin(place: Workplace, number: int) -> None:
    shard = wiring.open_ledger_shard(place.root / "acts")
    try:
        shadow("flows", number, actor="ana", reason="try", ledger=shard, **place.stores())
    finally:
        shard.close()


def end(place: Workplace, number: int) -> None:
    stores = place.stores()
    shard = wiring.open_ledger_shard(place.root / "acts")
    try:
        unshadow(
            "flows", number, actor="ana", reason="enough", ledger=shard,
            registry=stores["registry"], clock=stores["clock"],
        )  # fmt: skip
    finally:
        shard.close()


def recorded(place: Workplace, role: str) -> list[DecisionRecord]:
    reader = wiring.open_ledger_reader(place.root / "ledger")
    found = [
        msgspec.json.decode(data, type=DecisionRecord)
        for tag in reader.shards()
        for data in reader.records(tag)
        if b'"kind":"decision"' in data
    ]
    return [record for record in found if record.role == role]


def test_challengers_score_every_event_and_the_champion_alone_decides(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.promote(place.seal())
    other = dataclasses.replace(sample_program(), base=sample_program().base + 77)
    from baluarte.core.program import format as program_format

    place.seal(dataclasses.replace(sample_parts(), program=program_format.dumps(other)))
    provisional = place.seal(sample_parts(verdict="not_enough_data"))
    assert provisional.provisional
    begin(place, 2)
    begin(place, 3)
    events = [{"id": f"e{i}", "failures": i % 60, "service": "ssh"} for i in range(200)]
    with Server(place, workers=2) as server:
        status, answers = server.decide(events)
        assert (status, {answer["version"] for answer in answers}) == (200, {1})
        until(lambda: len(recorded(place, "challenger")) == 2 * len(events))
        assert server.decide(events) == (200, answers)  # sent again: nobody scores it again
        end(place, 3)
        until(lambda: server.decide({"id": "more"})[0] == 200)
    said = recorded(place, "challenger")
    champions = {record.event_id: record for record in recorded(place, "champion")}
    assert len(champions) == len(events) + 1
    for number in (2, 3):
        mine = {record.event_id: record for record in said if record.version == number}
        assert mine.keys() >= {event["id"] for event in events}
        shift = 77 if number == 2 else 0
        assert all(record.score == champions[name].score + shift for name, record in mine.items())
        assert all(record.event == champions[name].event for name, record in mine.items())


def test_a_challenger_has_windows_of_its_own_and_knows_what_was_decided_before(
    tmp_path: Path,
) -> None:
    place = Workplace(tmp_path)
    plain = WIDER[: WIDER.index("[windows")]
    place.promote(place.seal(parts(plain, seed=1)))
    place.seal(parts(WIDER, seed=2))
    rows = events(240, seed=9)
    with Server(place) as server:
        for start in range(0, 120, 40):
            assert server.decide(rows[start : start + 40])[0] == 200
        until(lambda: len(recorded(place, "champion")) == 120)  # before it shadows
        begin(place, 2)
        registry = place.stores()["registry"]
        until(lambda: [worker.shadowing for worker in registry.workers()] == [{"flows": (2,)}])
        for start in range(120, 240, 40):
            assert server.decide(rows[start : start + 40])[0] == 200
        until(lambda: len(recorded(place, "challenger")) == 120)
    plan = compile_windows(parse_contract(WIDER, where="detector.toml"))
    assert plan is not None
    memory = WindowMemory(plan)
    expected = {}
    for record in recorded(place, "champion"):
        assert not record.event.keys() & set(plan.names)
        seen = dict(record.event)
        memory.see([Seen(record=seen, arrived_at=record.decided_at)])
        expected[record.event_id] = {name: seen[name] for name in plan.names if name in seen}
    found = recorded(place, "challenger")
    assert [record.event_id for record in found] == [row["id"] for row in rows[120:]]
    for record in found:
        own = {name: record.event[name] for name in plan.names if name in record.event}
        assert own == expected[record.event_id]
    assert any(record.event["n_hour"] > 1 for record in found if "n_hour" in record.event)


class Beside(Ground):
    """Champions in memory, a challenger beside, and a recorder."""

    def __init__(self) -> None:
        super().__init__()
        self.make_champion(self.seal())
        self.ledger = MemoryLedger()
        self.change(self.seal().version, "shadow")
        self.champions.refresh()
        self.challengers = Challengers(
            registry=self.registry,
            champions=self.champions,
            open_windows=lambda _: None,
            counts=self.counts,
        )

    def change(self, number: int, kind: str) -> None:
        self.registry.shadow(
            Shadowing(
                detector="flows",
                version=number,
                at=1,
                actor="a",
                reason="",
                kind=kind,  # type: ignore[arg-type]
            )
        )

    def shadowing(self) -> list[int]:
        self.challengers.refresh()
        ones = self.challengers.current.get("flows", ())
        return [one.version.version for one in ones]


def test_challengers_are_followed_and_one_that_is_promoted_is_none_any_more() -> None:
    ground = Beside()
    assert ground.shadowing() == [2]
    three = ground.seal()
    ground.change(3, "shadow")
    assert ground.shadowing() == [2, 3]
    ground.change(2, "unshadow")
    assert ground.shadowing() == [3]
    ground.make_champion(three)
    ground.champions.refresh()
    assert ground.shadowing() == []


def test_a_challenger_that_does_not_verify_is_left_out_and_nothing_else_suffers() -> None:
    ground = Beside()
    three = ground.seal()
    kept = ground.bundles.get(three.digest)
    ground.bundles.kept[three.digest] = {**kept, "program.bin": kept["program.bin"] + b"\x00"}
    ground.change(3, "shadow")
    assert ground.shadowing() == [2]
    assert ground.counts.refused_champions == ["TrustError"]
    assert ground.deciding() == {"flows": 1}


def test_under_load_challengers_wait_and_beyond_a_bound_are_shed_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shadows, "MOST_ROWS", 30)
    ground, busy = Beside(), [True]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        counts = CountsKept()
        recorder = Recorder(
            ground.ledger.open_shard, loop=loop, durability="interval", interval_s=0.001,
            counts=counts,
        )  # fmt: skip
        ground.challengers.refresh()
        beside = Shadows(
            challengers=ground.challengers, recorder=recorder, clock=ground.clock, counts=counts,
            loop=loop, is_busy=lambda: busy[0],
        )  # fmt: skip
        champion = ground.champions.current["flows"]
        rows = champion.reader.records([{"id": f"e{i}", "failures": i} for i in range(10)])
        identities = champion.scorer.identify_all(rows, ordinals=range(len(rows)), arrival_us=1)
        for _ in range(5):
            beside.offer("flows", rows, identities)
        beside.offer("others", rows, identities)
        await asyncio.sleep(0.02)
        assert (recorder.shard is not None and recorder.shard.size, counts.shed) == (0, 20)
        busy[0] = False
        while recorder.shard is not None and recorder.shard.size < 30:
            await asyncio.sleep(0.01)
        await loop.run_in_executor(None, recorder.close)

    asyncio.run(asyncio.wait_for(main(), 30))
    found = [
        msgspec.json.decode(data, type=DecisionRecord)
        for tag in ground.ledger.shards()
        for data in ground.ledger.records(tag)
    ]
    assert {(r.role, r.version) for r in found} == {("challenger", 2)}
    assert len(found) == 30


def test_what_can_not_shadow_is_refused(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.promote(place.seal())
    for _ in range(5):
        place.seal()
    with pytest.raises(DataError, match="decides"):
        begin(place, 1)
    for number in (2, 3, 4, 5):
        begin(place, number)
    with pytest.raises(DataError, match="challenger already"):
        begin(place, 2)
    with pytest.raises(DataError, match="at most 4"):
        begin(place, 6)
    end(place, 2)
    with pytest.raises(DataError, match="no challenger"):
        end(place, 2)
    begin(place, 6)
    with pytest.raises(DataError, match="there is no flows@9"):
        begin(place, 9)
