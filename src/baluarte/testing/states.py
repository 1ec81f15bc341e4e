"""A window state's conformance suite: what ``ports.WindowState`` promises, as checks that raise.

A check takes a function that opens the same state again and again, empty at first. What is expected
is what the rules themselves say, held in memory and never stopped.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from baluarte.core.contract_toml import parse_contract
from baluarte.core.window_plan import WindowPlan, compile_windows
from baluarte.core.windows import Seen, Told, WindowMemory
from baluarte.ports import WindowState
from baluarte.testing.expect import expect

OpenState = Callable[[], WindowState]
StateCheck = Callable[[OpenState], None]

_S = 1_000_000
_CONTRACT = """
name = "payments"
purpose = "the conformance of window state"
owner = "test"
[events]
label = "fraud"
positive = ["1"]
id = "id"
time = "at"
[types]
integer = ["fraud", "card"]
text = ["id"]
time = ["at"]
number = ["amount"]
category = ["shop"]
[objective]
max_fpr = 0.01
[windows.n]
op = "count"
by = "card"
window_s = 60
[windows.usual]
op = "mean"
by = ["card", "shop"]
field = "amount"
decimals = 2
window_s = 100
lag_s = 5
[windows.most]
op = "max"
by = "card"
field = "amount"
window_s = 60
[windows.shops]
op = "distinct"
by = "card"
field = "shop"
window_s = 600
[windows.risk]
op = "mean"
by = "shop"
field = "fraud"
window_s = 300
lag_s = 30
[history]
late_s = 25
repeat_s = 50
max_events = 64
"""


def sample_plan() -> WindowPlan:
    """The plan whose state is tried."""
    plan = compile_windows(parse_contract(_CONTRACT, where="detector.toml"))
    if plan is None:
        raise AssertionError("the sample declares window features")
    return plan


def sample_events(n: int, *, seed: int, cards: int = 5) -> list[dict[str, Any]]:
    """Records with disorder, ties, repeats, missing values and events that come too late."""
    draw = random.Random(seed)  # noqa: S311 - a repeatable sample, not a secret
    out: list[dict[str, Any]] = []
    at = 1_000 * _S
    for i in range(n):
        at += draw.choice((0, 1, 3, 8)) * _S
        late = draw.choice((0, 0, 0, 2, 20, 40)) * _S
        record: dict[str, Any] = {"id": f"{seed}-{i}", "at": at - late}
        if draw.random() < 0.95:
            record["card"] = draw.randrange(cards)
        if draw.random() < 0.95:
            record["shop"] = f"s{draw.randrange(8)}"
        if draw.random() < 0.9:
            record["amount"] = round(draw.lognormvariate(3, 1), 2)
        out.append(dict(out[-1]) if out and draw.random() < 0.05 else record)
    return out


def _seen(events: list[dict[str, Any]]) -> list[Seen]:
    return [Seen(record=dict(event), arrived_at=event["at"] + 60 * _S) for event in events]


def check_values(open_state: OpenState) -> None:
    """Values are those of the rules, whether events come one by one or many at a time."""
    state, rules = open_state(), WindowMemory(sample_plan())
    found, wanted = _seen(sample_events(200, seed=1)), _seen(sample_events(200, seed=1))
    rules.see(wanted)
    for one in found[:50]:
        state.see([one])
    state.see(found[50:])
    for ours, theirs in zip(found, wanted, strict=True):
        expect(ours.record == theirs.record, f"expected {theirs.record}, found {ours.record}")
    counts, expected = state.count(), rules.count()
    names = ("events", "repeats", "too_late", "too_early", "folded", "entities")
    for name in names:
        ours_n, theirs_n = getattr(counts, name), getattr(expected, name)
        expect(ours_n == theirs_n, f"{name}: expected {theirs_n}, counted {ours_n}")
    state.close()


def check_labels(open_state: OpenState) -> None:
    """A label counts once, a correction takes its place, and what is too old changes nothing."""
    state, rules = open_state(), WindowMemory(sample_plan())
    events = [event for event in sample_events(60, seed=2) if "shop" in event]
    state.see(_seen(events))
    rules.see(_seen(events))
    first = [Told(event_id=e["id"], record=e, label=i % 2) for i, e in enumerate(events)]
    turned = [Told(event_id=t.event_id, record=t.record, label=1 - t.label) for t in first[::3]]
    for told in (first, first[:10], turned):
        ours, theirs = state.learn(told), rules.learn(told)
        expect(ours == theirs, f"expected {theirs} labels to change something, {ours} did")
    last = {"id": "last", "at": events[-1]["at"] + 60 * _S, "shop": "s1"}
    here, there = _seen([last]), _seen([last])
    state.see(here)
    rules.see(there)
    expect(here[0].record == there[0].record, f"expected {there[0].record}")
    state.close()


def check_kept(open_state: OpenState) -> None:
    """What was kept is there when the state is opened again, with the mark it was kept at."""
    plan = sample_plan()
    rules = WindowMemory(plan)
    wanted, found = _seen(sample_events(120, seed=3)), _seen(sample_events(120, seed=3))
    rules.see(wanted)
    for start in range(0, 120, 40):
        state = open_state()
        if start and not state.shared:
            expect(state.mark == {"00001f": start}, f"expected the mark, found {state.mark}")
        state.see(found[start : start + 40])
        state.keep(state.snapshot({"00001f": start + 40}))
        state.close()
    for ours, theirs in zip(found, wanted, strict=True):
        expect(ours.record == theirs.record, f"expected {theirs.record}, found {ours.record}")


def check_cleared(open_state: OpenState) -> None:
    """Nothing is left of what was forgotten."""
    state = open_state()
    state.see(_seen(sample_events(50, seed=4)))
    state.clear()
    counts = state.count()
    expect(counts.events == 0 and counts.entities == 0, f"expected nothing, found {counts}")
    again, fresh = _seen(sample_events(20, seed=4)), _seen(sample_events(20, seed=4))
    state.see(again)
    WindowMemory(sample_plan()).see(fresh)
    expect([one.record for one in again] == [one.record for one in fresh], "expected a fresh start")
    state.close()


def check_forgotten(open_state: OpenState) -> None:
    """A subject is forgotten wherever it is an entity or was counted, and nothing else is."""
    state, rules = open_state(), WindowMemory(sample_plan())
    events = sample_events(200, seed=6)
    state.see(_seen(events))
    rules.see(_seen(events))
    state.keep(state.snapshot({}))
    for field, names in (("card", {"1", "3"}), ("shop", {"s2"}), ("card", {"none"})):
        ours, theirs = state.forget(field, names), rules.forget(field, names)
        expect(ours == theirs, f"expected {theirs} entities to forget {field}, {ours} did")
    state.keep(state.snapshot({}))
    state.close()
    again = open_state()
    later = sample_events(100, seed=7)
    for event in later:
        event["at"] += 600 * _S
    found, wanted = _seen(later), _seen(later)
    again.see(found)
    rules.see(wanted)
    for here, there in zip(found, wanted, strict=True):
        expect(here.record == there.record, f"expected {there.record}, found {here.record}")
    again.close()


#: every check, by name
CHECKS: dict[str, StateCheck] = {
    "values are those of the rules": check_values,
    "labels count once": check_labels,
    "what was kept is there": check_kept,
    "cleared is empty": check_cleared,
    "a subject is forgotten": check_forgotten,
}
