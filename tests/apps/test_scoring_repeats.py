"""baluarte.apps.scoring.repeats: the same event gets its first decision, from whatever worker."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scoring_ground import Server, Workplace, until

from baluarte import wiring
from baluarte.core.decision import DecisionRecord
from baluarte.core.ids import parse_id
from baluarte.stages.verify import verify_ledger


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    place = Workplace(tmp_path)
    place.promote(place.seal())
    return place


def n_decisions(place: Workplace) -> int:
    reader = wiring.open_ledger_reader(place.root / "ledger")
    return sum(
        b'"kind":"decision"' in record for tag in reader.shards() for record in reader.records(tag)
    )


def test_an_event_that_is_sent_again_gets_its_first_decision_and_no_other_record(
    place: Workplace,
) -> None:
    events = [{"id": f"e{i}", "failures": i % 60, "service": "ssh"} for i in range(40)]
    with Server(place, workers=2) as server:
        one = [server.decide(event) for event in events]
        again = [server.fresh_decide(event) for event in events]
        together = server.decide(events)
        as_lines = server.ask(
            "POST",
            "/v1/detectors/flows/decisions",
            b"\n".join(msgspec.json.encode(event) for event in events),
            {"Content-Type": "application/x-ndjson"},
        )
    assert again == one
    assert together == (200, [answer for _, answer in one])
    assert [msgspec.json.decode(line) for line in as_lines[1].splitlines()] == together[1]
    assert n_decisions(place) == len(events)


def test_the_same_id_with_other_values_is_refused_and_nothing_of_its_request_is_decided(
    place: Workplace,
) -> None:
    with Server(place, workers=2) as server:
        assert server.decide({"id": "a", "failures": 3})[0] == 200
        status, problem = server.fresh_decide({"id": "a", "failures": 4})
        assert (status, problem["code"]) == (409, "event_id_taken")
        assert problem["faults"][0]["path"] == "$[0].id"
        status, problem = server.decide([{"id": "new"}, {"id": "a", "failures": 5}])
        assert (status, problem["faults"][0]["path"]) == (409, "$[1].id")
        status, problem = server.decide([{"id": "b", "failures": 1}, {"id": "b", "failures": 2}])
        assert (status, problem["faults"][0]["path"]) == (409, "$[1].id")
    assert n_decisions(place) == 1


def test_a_request_that_mixes_first_and_second_ones_is_answered_in_its_order(
    place: Workplace,
) -> None:
    with Server(place) as server:
        _, first = server.decide([{"id": "a", "failures": 9}, {"id": "b"}])
        status, mixed = server.decide(
            [{"id": "c"}, {"id": "b"}, {"failures": 1}, {"id": "a", "failures": 9}, {"id": "c"}]
        )
        assert status == 200
        assert [answer["event_id"] for answer in mixed[:2]] == ["c", "b"]
        assert (mixed[1], mixed[3], mixed[4]) == (first[1], first[0], mixed[0])
        assert mixed[2]["event_id"].endswith("-2")
    assert n_decisions(place) == 4


def test_events_without_an_id_are_each_decided(place: Workplace) -> None:
    with Server(place) as server:
        _, answers = server.decide([{"failures": 1}, {"failures": 1}])
        _, again = server.decide([{"failures": 1}, {"failures": 1}])
    assert len({answer["id"] for answer in answers + again}) == 4
    assert n_decisions(place) == 4


def test_after_a_restart_and_another_champion_the_first_decision_stands(place: Workplace) -> None:
    event = {"id": "a", "failures": 51, "flow": {"bytes_out": 2000}, "service": "telnet"}
    with Server(place, workers=2) as server:
        _, first = server.decide(event, "?reasons=all")
    place.promote(place.seal())
    with Server(place, workers=2) as server:
        assert server.decide(event, "?reasons=all") == (200, first)
        _, without = server.decide(event, "?reasons=none")
        assert without == {k: v for k, v in first.items() if k not in {"base", "reasons"}}
        assert server.decide({**event, "failures": 50})[0] == 409
        assert server.decide({**event, "id": "b"})[1]["version"] == 2
    assert first["version"] == 1


def test_reasons_that_nobody_asked_for_then_are_the_same_bits_now(place: Workplace) -> None:
    event = {"failures": 51, "flow": {"bytes_out": 2000}}
    with Server(place) as server:
        _, whole = server.decide({**event, "id": "a"}, "?reasons=all")
        _, bare = server.decide({**event, "id": "b"}, "?reasons=none")
        _, later = server.decide({**event, "id": "b"}, "?reasons=all")
    assert "reasons" not in bare
    assert later["reasons"] == whole["reasons"]
    assert later["base"] + sum(reason["score"] for reason in later["reasons"]) == later["score"]


def test_beyond_the_window_an_event_is_a_new_one(place: Workplace) -> None:
    with Server(place, repeat_window_s=1) as server:
        _, first = server.decide({"id": "a"})

        def is_new() -> bool:
            return bool(server.decide({"id": "a"})[1]["id"] != first["id"])

        until(is_new)
    with Server(place, repeat_window_s=0) as server:
        assert server.decide({"id": "b"})[1]["id"] != server.decide({"id": "b"})[1]["id"]


def test_one_event_from_many_callers_at_once_is_decided_once(place: Workplace) -> None:
    found: list[Any] = []
    with Server(place, workers=2) as server:

        def call(n: int) -> None:
            found.extend((i, server.fresh_decide({"id": f"x{i}", "failures": i})) for i in range(n))

        callers = [threading.Thread(target=call, args=(15,)) for _ in range(8)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert len(found) == 8 * 15
    by_event = {
        i: {msgspec.json.encode(answer) for j, answer in found if j == i} for i in range(15)
    }
    assert all(len(answers) == 1 for answers in by_event.values())
    assert n_decisions(place) == 15


def kill_rounds(place: Workplace, rounds: int) -> None:
    """What a worker killed with its requests in hand had claimed is decided on the next try."""
    with Server(place, workers=2) as server:
        for i in range(rounds):
            events = [{"id": f"{i}-{j}", "failures": j % 60} for j in range(1500)]
            caller = threading.Thread(target=server.try_to_decide, args=(events,))
            caller.start()
            os.kill(server.workers()[i % 2], signal.SIGKILL)
            caller.join()
            until(lambda: len(server.workers()) == 2)
            status, answers = server.until_answered(events)
            assert status == 200
            reader = wiring.open_ledger_reader(place.root / "ledger")
            for event, answer in zip(events, answers, strict=True):
                at = parse_id(answer["id"])
                record = msgspec.json.decode(reader.record(at.tag, at.index), type=DecisionRecord)
                assert (record.event_id, record.score) == (event["id"], answer["score"])
    assert n_decisions(place) == rounds * 1500
    reader = wiring.open_ledger_reader(place.root / "ledger")
    report = verify_ledger(reader, wiring.open_verifier(place.root / "trusted"))
    assert (report.all_faults, report.incidents) == ((), ())


def test_a_worker_that_dies_with_a_request_in_hand_leaves_nothing_stuck(place: Workplace) -> None:
    kill_rounds(place, 2)


@pytest.mark.soak
def test_sixty_workers_that_die_with_a_request_in_hand_leave_nothing_stuck(
    place: Workplace,
) -> None:
    kill_rounds(place, 60)


def test_the_table_is_made_again_from_the_ledger(place: Workplace) -> None:
    with Server(place) as server:
        _, first = server.decide([{"id": f"e{i}"} for i in range(50)])
    (place.root / "ledger" / "claims.table").unlink()
    with Server(place, workers=2) as server:
        assert server.decide([{"id": f"e{i}"} for i in range(50)]) == (200, first)
    assert n_decisions(place) == 50
