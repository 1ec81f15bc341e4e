"""Batch replay and an event-by-event stream give the same bits, whatever happens in between.

The events come with disorder, repeats and ties. The stream runs in processes of its own that are
killed with SIGKILL again and again and go on from a snapshot and the ledger, or in four workers
that share a Redis server; what they recorded is compared with one replay in this process.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pytest

from baluarte import wiring
from baluarte.core.contract import Contract
from baluarte.core.contract_toml import parse_contract
from baluarte.core.event import Events
from baluarte.core.window_plan import compile_windows
from baluarte.core.windows import Seen, WindowMemory
from baluarte.stages.derive import derive_in_order

CHILD = Path(__file__).with_name("stream_child.py")
S = 1_000_000
CONTRACT = """
name = "cards"
purpose = "test"
owner = "test"
[events]
id = "id"
time = "at"
keys = ["card", "shop"]
[types]
integer = ["card"]
text = ["id"]
time = ["at"]
number = ["amount"]
category = ["shop"]
[objective]
max_alerts_per_day = 10
events_per_day = 1000
[windows.n]
op = "count"
by = "card"
window_s = 3600
[windows.spent]
op = "sum"
by = "card"
field = "amount"
decimals = 2
window_s = 86400
[windows.usual]
op = "mean"
by = ["card", "shop"]
field = "amount"
decimals = 2
window_s = 864000
lag_s = 60
[windows.most]
op = "max"
by = "card"
field = "amount"
window_s = 86400
[windows.shops]
op = "distinct"
by = "card"
field = "shop"
window_s = 864000
[windows.pause]
op = "since_last"
by = "card"
window_s = 864000
[windows.unusual]
op = "ratio"
by = "card"
field = "amount"
decimals = 2
window_s = 864000
SHOPS
[history]
late_s = 600
repeat_s = 900
max_events = 256
"""
BY_SHOP = """
[windows.shop_n]
op = "count"
by = "shop"
window_s = 86400
[windows.shop_mean]
op = "mean"
by = "shop"
field = "amount"
decimals = 2
window_s = 864000
"""


def make_events(n: int, seed: int) -> list[dict[str, Any]]:
    """Payments as a network delivers them: late, too late, twice, at one instant."""
    draw = random.Random(seed)
    out: list[dict[str, Any]] = []
    at = 1_700_000_000 * S
    for i in range(n):
        at += draw.choice((0, 1, 5, 20)) * S
        if out and draw.random() < 0.03:
            out.append(dict(draw.choice(out[-50:])))
            continue
        late = draw.choice((0, 0, 0, 0, 3, 200, 900)) * S
        event: dict[str, Any] = {"id": f"e{i}", "at": at - late, "card": draw.randrange(n // 50)}
        if draw.random() < 0.95:
            event["shop"] = f"s{draw.randrange(40)}"
        if draw.random() < 0.95:
            event["amount"] = round(draw.lognormvariate(3, 1), 2)
        out.append(event)
    return out


def contract_of(text: str) -> Contract:
    return parse_contract(text, where="detector.toml")


def prepare(folder: Path, text: str, events: list[dict[str, Any]]) -> None:
    (folder / "detector.toml").write_text(text, "utf-8")
    (folder / "events.msgpack").write_bytes(msgspec.msgpack.encode(events))


def replayed(text: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The values by one replay in columns, a chunk at a time."""
    plan = compile_windows(contract_of(text))
    assert plan is not None
    memory, out = WindowMemory(plan), []
    for start in range(0, len(events), 10_007):
        chunk = events[start : start + 10_007]
        columns: dict[str, Any] = {
            name: np.array([e.get(name) for e in chunk], dtype=object) for name in ("id", "shop")
        }
        for name in ("at", "card", "amount"):
            columns[name] = np.array([e.get(name, np.nan) for e in chunk], dtype=np.float64)
        found = derive_in_order(
            memory.see, plan, Events(n=len(chunk), columns=columns), arrived_at=chunk[-1]["at"]
        )
        values = [found.columns[name].tolist() for name in plan.names]
        out += [
            {name: v for name, v in zip(plan.names, row, strict=True) if v == v}
            for row in zip(*values, strict=True)
        ]
    return out


def recorded(folder: Path, worker: int, names: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """The values that a worker recorded, by card."""
    reader = wiring.open_ledger_reader(folder / f"ledger-{worker}")
    found: dict[str, list[dict[str, Any]]] = {}
    for tag in reader.shards():
        for data in reader.records(tag):
            event = msgspec.json.decode(data)["event"]
            values = {name: event[name] for name in names if name in event}
            found.setdefault(event["card"], []).append(values)
    return found


def by_card(
    events: list[dict[str, Any]], values: list[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for event, own in zip(events, values, strict=True):
        found.setdefault(event["card"], []).append(own)
    return found


def start(folder: Path, address: str, worker: int = 0, workers: int = 1) -> subprocess.Popen[bytes]:
    words = [sys.executable, str(CHILD), str(folder), address, str(worker), str(workers)]
    return subprocess.Popen(words, start_new_session=True)


def size_of(folder: Path) -> int:
    if not (folder / "ledger-0").exists():
        return 0
    reader = wiring.open_ledger_reader(folder / "ledger-0")
    return sum(reader.size(tag) for tag in reader.shards())


def in_a_stream_that_is_killed(folder: Path, n: int, kills: int) -> None:
    text = CONTRACT.replace("SHOPS", BY_SHOP)
    events = make_events(n, seed=4)
    prepare(folder, text, events)
    for k in range(kills):
        child = start(folder, "memory:")
        while size_of(folder) < (k + 1) * n // (kills + 1) and child.poll() is None:
            time.sleep(0.01)
        assert child.poll() is None, "the stream ended by itself"
        child.send_signal(signal.SIGKILL)
        child.wait(60)
    assert start(folder, "memory:").wait() == 0
    plan = compile_windows(contract_of(text))
    assert plan is not None
    found = recorded(folder, 0, plan.names)
    assert sum(map(len, found.values())) == n
    assert found == by_card(events, replayed(text, events))


def in_redis_with_four_workers(folder: Path, address: str, n: int) -> None:
    text = CONTRACT.replace("SHOPS", BY_SHOP)
    events = make_events(n, seed=5)
    prepare(folder, text, events)
    running = [start(folder, address, worker, 4) for worker in range(4)]
    assert [child.wait() for child in running] == [0] * 4
    plan = compile_windows(contract_of(text))
    assert plan is not None
    # An entity's events went to one worker, so what is by card is the same to the last bit.
    names = tuple(name for name in plan.names if not name.startswith("shop_"))
    found = [recorded(folder, worker, names) for worker in range(4)]
    expected = by_card(events, replayed(CONTRACT.replace("SHOPS", ""), events))
    assert {card: values for own in found for card, values in own.items()} == expected
    # A shop's came through all of them at once: none is lost or counted twice.
    from baluarte.adapters.states.redis import RedisState

    state, memory = RedisState(plan, detector="cards", url=address), WindowMemory(plan)
    memory.see([Seen(record=dict(event), arrived_at=event["at"]) for event in events])
    assert state.count().events == memory.count().events
    newest = max(event["at"] for event in events)
    for shop in (f"s{i}" for i in range(40)):
        asked = [Seen(record={"id": f"ask {shop}", "at": newest, "shop": shop}) for _ in range(2)]
        state.see(asked[:1])
        memory.see(asked[1:])
        assert asked[0].record["shop_n"] > 0
        if not memory.count().too_late:  # which are too late depends on who came first
            assert asked[0].record == asked[1].record
    state.close()


def test_a_stream_that_is_killed_records_what_a_replay_computes(tmp_path: Path) -> None:
    in_a_stream_that_is_killed(tmp_path, n=12_000, kills=2)


@pytest.mark.soak
def test_a_million_events_that_are_killed_ten_times_are_what_a_replay_computes(
    tmp_path: Path,
) -> None:
    in_a_stream_that_is_killed(tmp_path, n=1_000_000, kills=10)


def test_four_workers_and_one_redis_record_what_a_replay_computes(tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
    from states_at_hand import redis_server

    with TemporaryDirectory(prefix="baluarte-") as short, redis_server(Path(short)) as address:
        in_redis_with_four_workers(tmp_path, address, n=2_000)


@pytest.mark.soak
def test_a_million_events_of_four_workers_and_one_redis_are_what_a_replay_computes(
    tmp_path: Path,
) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
    from states_at_hand import redis_server

    with TemporaryDirectory(prefix="baluarte-") as short, redis_server(Path(short)) as address:
        in_redis_with_four_workers(tmp_path, address, n=1_000_000)
