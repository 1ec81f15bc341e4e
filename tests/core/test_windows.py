"""baluarte.core.windows: a feature is what its definition says, in whatever order events come."""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baluarte.core import sketch
from baluarte.core.contract import Contract, WindowFeature
from baluarte.core.contract_toml import parse_contract
from baluarte.core.window_cell import Choice
from baluarte.core.window_plan import WindowPlan, compile_windows
from baluarte.core.windows import Seen, Told, WindowMemory

S = 1_000_000
CONTRACT = """
name = "payments"
purpose = "test"
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
category = ["channel", "shop"]
[objective]
max_fpr = 0.01
[windows.night]
op = "flag"
where = "at.hour <= 6 and not amount > 50"
[windows.n]
op = "count"
by = "card"
window_s = 60
[windows.n_others]
op = "count"
by = "card"
window_s = 60
itself = false
[windows.n_web]
op = "count"
by = "card"
window_s = 100
where = 'channel == "web"'
[windows.spent]
op = "sum"
by = "card"
field = "amount"
decimals = 2
window_s = 60
[windows.usual]
op = "mean"
by = ["card", "shop"]
field = "amount"
decimals = 2
window_s = 100
lag_s = 20
[windows.least]
op = "min"
by = "card"
field = "amount"
window_s = 60
[windows.most]
op = "max"
by = "card"
field = "amount"
window_s = 60
lag_s = 7
empty = -1
[windows.shops]
op = "distinct"
by = "card"
field = "shop"
window_s = 100
[windows.pause]
op = "since_last"
by = "card"
window_s = 100
[windows.pace]
op = "rate"
by = "shop"
window_s = 40
[windows.web_share]
op = "share"
by = "shop"
where = 'channel == "web"'
window_s = 100
[windows.unusual]
op = "ratio"
by = "card"
field = "amount"
decimals = 2
window_s = 100
[windows.risk]
op = "mean"
by = "shop"
field = "fraud"
window_s = 60
lag_s = 30
empty = 0
[windows.big_frauds]
op = "count"
by = "shop"
where = "fraud == true and amount >= 50"
window_s = 60
lag_s = 30
[history]
late_s = 25
repeat_s = 50
max_events = 64
"""


@cache
def contract_of(text: str = CONTRACT) -> Contract:
    return parse_contract(text, where="detector.toml")


@cache
def plan_of(text: str = CONTRACT, kernel: Choice = "auto") -> WindowPlan:
    try:
        plan = compile_windows(contract_of(text), kernel=kernel)
    except RuntimeError as error:  # a machine without a compiler
        pytest.skip(str(error))
    assert plan is not None
    return plan


class ByDefinition:
    """The rules read aloud: every feature from the list of what arrived, nothing kept between."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.late, self.repeat = 25 * S, 50 * S
        #: (by, key) to what is remembered: (time, record, label), as it arrived
        self.remembered: dict[Any, list[tuple[int, dict[str, Any], int | None]]] = defaultdict(list)
        self.newest: dict[Any, int] = {}
        self.ids: dict[str, int] = {}

    def see(self, record: dict[str, Any], label: int | None) -> dict[str, Any]:
        at = record["at"]
        known = self.ids.get(record["id"])
        repeat = self.is_repeat = known is not None and abs(at - known) <= self.repeat
        if not repeat:
            self.ids[record["id"]] = at
        out: dict[str, Any] = {}
        own: dict[Any, Any] = {}
        for by in {w.by for w in self.contract.windows if w.by}:
            key = (by, tuple(record.get(name) for name in by))
            if None in key[1]:
                continue
            late = at < self.newest.get(key, -(10**18)) - self.late
            mine = (at, record, label)
            if not repeat and not late:
                self.newest[key] = max(self.newest.get(key, at), at)
                self.remembered[key].append(mine)
            own[by] = (key, mine, late)
        for window in self.contract.windows:
            if window.op == "flag":
                amount = record.get("amount")
                out[window.name] = int(at % 86_400_000_000 // 3_600_000_000 <= 6
                                       and not (amount is not None and amount > 50))  # fmt: skip
            elif window.by in own:
                value = self.value(window, *own[window.by])
                if value is not None:
                    out[window.name] = value
        return out

    def others(self, inside: list[Any], mine: Any) -> list[Any]:
        """All but the event itself, or but the one that it repeats."""
        if any(e is mine for e in inside):
            return [e for e in inside if e is not mine]
        same = [e for e in inside if e[0] == mine[0]] if self.is_repeat else []
        return [e for e in inside if not same or e is not same[-1]]

    def value(self, w: WindowFeature, key: Any, mine: Any, late: bool) -> Any:
        at, record, _ = mine
        limit = at - round(w.lag_s * S)
        start = limit - round((w.window_s or 0) * S)
        floor = self.newest.get(key, at) - (100 + 20 + 25) * S
        if late:
            start = max(start, floor)
        inside = [e for e in self.remembered[key] if start < e[0] <= limit]
        if w.name == "n_web":
            inside = [e for e in inside if e[1].get("channel") == "web"]
        if w.name == "big_frauds":
            return sum(1 for e in inside if e[2] == 1 and (e[1].get("amount") or 0) >= 50)
        if w.name == "risk":
            known = [e[2] for e in inside if e[2] is not None]
            return Fraction(sum(known), len(known)) if known else 0
        if w.op == "share":
            web = [e[1].get("channel") == "web" for e in inside]
            return Fraction(sum(web), len(web)) if web else None
        with_amount = [e for e in inside if e[1].get("amount") is not None]
        others = self.others(inside, mine)
        if w.op == "since_last":
            return Fraction(at - max(e[0] for e in others), S) if others else None
        if w.op == "count":
            return len(inside if w.itself else others)
        if w.op == "rate":
            return Fraction(len(inside), 40)
        if w.op == "distinct":
            return len({e[1]["shop"] for e in inside if e[1].get("shop") is not None})
        cents = [round(e[1]["amount"] * 100) for e in with_amount]
        if w.op == "ratio":
            if record.get("amount") is None:
                return None
            cents = [round(e[1]["amount"] * 100) for e in self.others(with_amount, mine)]
            if sum(cents) == 0:
                return None
            return Fraction(round(record["amount"] * 100) * len(cents), sum(cents))
        if w.op == "sum":
            return Fraction(sum(cents), 100)
        if w.op == "mean":
            return Fraction(sum(cents), 100 * len(cents)) if cents else None
        values = [e[1]["amount"] for e in inside if e[1].get("amount") is not None]
        pick = min if w.op == "min" else max
        return pick(values) if values else w.empty


EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 40),
            "gap": st.integers(-30, 20),
            "card": st.sampled_from([1, 2, None]),
            "shop": st.sampled_from(["a", "b", None]),
            "channel": st.sampled_from(["web", "pos", None]),
            "amount": st.sampled_from([None, 0, 0.1, 0.2, 19.99, 50, 57.16, 1e6]),
            "label": st.sampled_from([0, 1, None]),
        }
    ),
    max_size=60,
)


def records_of(drawn: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int | None]]:
    """Drawn events as records; times wander, so that events tie, come late and come too late."""
    out, at = [], 1_000 * S
    for one in drawn:
        at += one["gap"] * S
        values = {"id": f"e{one['id']}", "at": at} | {
            name: one[name] for name in ("card", "shop", "channel", "amount")
        }
        kept = {name: value for name, value in values.items() if value is not None}
        out.append((kept, one["label"]))
    return out


@pytest.mark.parametrize("kernel", ["c", "numpy"])
@given(drawn=EVENTS)
@settings(max_examples=60, deadline=None)
def test_every_feature_is_what_its_definition_says_in_whatever_order_events_come(
    kernel: Choice, drawn: list[dict[str, Any]]
) -> None:
    contract = contract_of()
    model, memory = ByDefinition(contract), WindowMemory(plan_of(kernel=kernel))
    for record, label in records_of(drawn):
        expected = model.see(dict(record), label)
        memory.see([Seen(record=record, label=label)])
        found = {w.name: record[w.name] for w in contract.windows if w.name in record}
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == float(value), name  # a fraction rounded once


def history_of(draw: random.Random, n: int) -> Iterator[Seen | Told]:
    """Events with every oddity, and labels that come, change and come too late."""
    seen: list[dict[str, Any]] = []
    at = 1_000 * S
    for i in range(n):
        at += draw.choice((0, 0, 1, 2, 30)) * S // draw.choice((1, 3))
        record = {
            "id": f"e{i - draw.choice((0, 0, 0, 0, 3))}",
            "at": at - draw.choice((0, 0, 9, 31)) * S,
        }
        amounts = (-0.5, 0, 2**45 / 100, 7e11, round(draw.random() * 1e4, 3))
        values = {
            "card": draw.choice((1, 1, 1, 2)),
            "shop": draw.choice("aab"),
            "channel": draw.choice(("web", "pos")),
            "amount": draw.choice(amounts),
        }
        record |= {name: value for name, value in values.items() if draw.random() < 0.95}
        seen.append(dict(record))
        yield Seen(record=record, label=draw.choice((None, None, 0, 1)))
        if draw.random() < 0.4:
            of = draw.choice(seen[-40:])
            yield Told(event_id=of["id"], record=of, label=draw.choice((0, 1)))


@pytest.mark.parametrize("late_s", [25, 4_000])
def test_compiled_and_python_features_have_the_same_bits_and_the_same_state(late_s: int) -> None:
    text = CONTRACT.replace("late_s = 25", f"late_s = {late_s}")
    text = text.replace("window_s = 60", "window_s = 4000").replace(
        "window_s = 100", "window_s = 900"
    )
    states = [WindowMemory(plan_of(text, kernel)) for kernel in ("c", "numpy")]
    runs = [history_of(random.Random(late_s), 1_500) for _ in states]
    for n, pair in enumerate(zip(*runs, strict=True)):
        for state, one in zip(states, pair, strict=True):
            state.see([one]) if isinstance(one, Seen) else state.learn([one])
        ours, theirs = pair
        assert ours == theirs, n
        if n % 300 == 0:
            dumped = [list(map(msgspec.msgpack.encode, state.dump())) for state in states]
            assert dumped[0] == dumped[1]
            # each goes on from what the other wrote
            states = [
                WindowMemory.load(plan_of(text, kernel), map(msgspec.msgpack.decode, rows))
                for kernel, rows in zip(("c", "numpy"), reversed(dumped), strict=True)
            ]
    counts = states[0].count()
    assert counts == states[1].count()
    assert counts.folded > 5
    assert counts.too_late or late_s > 25


#: conditions that meet every form of value, and every operator
CONDITIONS = (
    'channel == "web" or not channel != "pos"', 'channel in ["web", "1"]', "amount in [50, -0.0]",
    "amount > 50 and not amount >= 1e300", "amount == 9007199254740993 or amount <= -0.5",
    "at.hour >= 7 and at.weekday < 5", "at.weekday in [0, 6] or at.hour in [23]",
    "fraud == true and amount != 50", "not fraud in [true]", "known == true", "known in [false]",
)  # fmt: skip


def _odd_feature(i: int, condition: str) -> str:
    op = "count" if i % 2 or "fraud" in condition else "share"
    where = f"where = '''{condition}'''\n"
    lag = "lag_s = 30\n" if "fraud" in condition else ""
    feature = f'[windows.odd_{i}]\nop = "{op}"\nby = "shop"\nwindow_s = 1000000\n{lag}{where}'
    return feature + ("" if "fraud" in condition else f"[windows.flag_{i}]\nop = 'flag'\n{where}")


ODD = "".join([
    CONTRACT.replace("[objective]", 'boolean = ["known"]\n[objective]').replace(
        "late_s = 25", "late_s = 10000000"
    ),
    *map(_odd_feature, range(len(CONDITIONS)), CONDITIONS),
])  # fmt: skip
ODD_VALUES: dict[str, tuple[Any, ...]] = {
    "at": (0, -1, -90_000 * S, 86_399 * S, 3e6, "5000000", True, None, 10**15),
    "card": (1, 1.0, True, "1", None),
    "shop": ("a", "a", "a", 1, None),
    "channel": ("web", "pos", "1", 1, True, None, 1.5),
    "amount": (
        50, 50.0, -0.0, 0.125, 0.375, 2.675, -2.5, 1e300, "Infinity", "-Infinity", "NaN", True,
        None, 2**46, -(2**46) - 1, 2**53 + 1, 2**70, 2.0**46 / 100, 703687441776.645,
        np.float64(0.125),
    ),
    "known": (True, False, 1, 0, "true", 1.0, None),
    "label": (None, None, 0, 1),
}  # fmt: skip


def odd_outcome(kernel: Choice, seed: int) -> tuple[Any, ...]:
    """What becomes of some records with values of any type, up to one that can't be read."""
    draw, state = random.Random(seed), WindowMemory(plan_of(ODD, kernel))
    seen: list[Any] = []
    error = ""
    try:
        for i in range(draw.randrange(1, 12)):
            drawn = {name: draw.choice(values) for name, values in ODD_VALUES.items()}
            label = drawn.pop("label")
            record = {"id": i, **{k: v for k, v in drawn.items() if v is not None or i % 2}}
            seen.append(record)
            state.see([Seen(record=record, arrived_at=draw.choice((None, 10**16)), label=label)])
            state.learn([Told(event_id=f"{i}", record=record, label=draw.choice((0, 1)))])
        if seed % 10 == 0:
            seen.append({"id": "n", "at": 1, "card": 1, "shop": "a", "amount": float("nan")})
            state.see([Seen(record=seen[-1])])
    except (ValueError, OverflowError, TypeError) as caught:
        error = type(caught).__name__
    rows = [msgspec.msgpack.encode(row) for row in state.dump()]
    return [[(k, repr(v)) for k, v in record.items()] for record in seen], error, rows


def test_values_of_every_type_are_read_the_same_compiled_and_in_python() -> None:
    outcomes = [(odd_outcome("c", seed), odd_outcome("numpy", seed)) for seed in range(600)]
    for seed, (ours, theirs) in enumerate(outcomes):
        assert ours == theirs, seed
    errors = [ours[1] for ours, _ in outcomes]
    assert "ValueError" in errors
    assert errors.count("") > 300


@pytest.mark.parametrize("kernel", ["c", "numpy"])
def test_a_damaged_cell_is_refused(kernel: Choice) -> None:
    (group, *_) = plan_of(kernel=kernel).groups
    state = WindowMemory(plan_of(kernel=kernel))
    for i in range(200):
        state.see(
            [Seen(record={"id": f"e{i}", "at": i * S, "card": 1, "shop": "a", "amount": 1.5})]
        )
    _, whole, *_ = state.dump()
    newest, tracks = whole[2]
    i = next(i for i, (_, columns, _) in enumerate(tracks) if columns)
    times, columns, buckets = tracks[i]

    def with_track(*parts: Any) -> list[Any]:
        return [newest, [*tracks[:i], list(parts), *tracks[i + 1 :]]]

    for bad in (
        [newest],
        [newest, tracks[1:]],
        ["soon", tracks],
        with_track(times[:-8], columns, buckets),
        with_track(times, columns[:-1], buckets),
        with_track(times, columns, [[1]]),
        with_track(times, columns, [[1, 2, [b"short"] * 9]]),
    ):
        with pytest.raises((ValueError, TypeError, msgspec.ValidationError)):
            group.cells.load(bad)
    assert group.cells.load(whole[2]).dump() == whole[2]


@given(EVENTS, st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_a_state_that_was_written_and_read_again_goes_on_with_the_same_bits(
    drawn: list[dict[str, Any]], cut: int
) -> None:
    plan, events = plan_of(), records_of(drawn)
    whole, first = WindowMemory(plan), WindowMemory(plan)
    expected = [Seen(record=dict(record), label=label) for record, label in events]
    whole.see(expected)
    found = [Seen(record=dict(record), label=label) for record, label in events]
    first.see(found[:cut])
    packed = [msgspec.msgpack.encode(row) for row in first.dump()]
    second = WindowMemory.load(plan, map(msgspec.msgpack.decode, packed))
    second.see(found[cut:])
    assert [one.record for one in found] == [one.record for one in expected]
    assert second.count() == whole.count()


@given(EVENTS)
@settings(max_examples=100, deadline=None)
def test_labels_that_arrive_before_their_lag_has_passed_are_as_good_as_labels_known_before(
    drawn: list[dict[str, Any]],
) -> None:
    plan = plan_of()
    in_time = sorted(records_of(drawn), key=lambda pair: pair[0]["at"])
    events = [(dict(record, id=f"e{i}"), label) for i, (record, label) in enumerate(in_time)]
    known = [Seen(record=dict(record), label=label) for record, label in events]
    WindowMemory(plan).see(known)
    later, state = [Seen(record=dict(record)) for record, _ in events], WindowMemory(plan)
    waiting: list[Told] = []
    for seen, (record, label) in zip(later, events, strict=True):
        due = [told for told in waiting if told.record["at"] + 29 * S <= record["at"]]
        state.learn(due)
        waiting = [told for told in waiting if told not in due]
        state.see([seen])
        if label is not None:
            waiting.append(Told(event_id=record["id"], record=record, label=label))
    assert [one.record for one in later] == [one.record for one in known]


def test_a_corrected_label_takes_the_place_of_the_first_and_the_same_label_counts_once() -> None:
    state = WindowMemory(plan_of())
    first = {"id": "a", "at": 1_000 * S, "shop": "a", "amount": 60}
    state.see([Seen(record=dict(first))])
    told = Told(event_id="a", record=first, label=1)
    assert state.learn([told, told]) == 1

    def ask(name: str) -> tuple[Any, Any]:
        record = {"id": name, "at": 1_040 * S, "shop": "a"}
        state.see([Seen(record=record)])
        return record["risk"], record["big_frauds"]

    assert ask("b") == (1, 1)
    assert state.learn([Told(event_id="a", record=first, label=0)]) == 1
    assert ask("c") == (0, 0)
    assert state.learn([Told(event_id="a", record=first, label=1)]) == 1
    assert ask("d") == (1, 1)
    assert state.count().labels == 3


def test_an_event_ahead_of_its_arrival_pushes_nothing_out() -> None:
    state = WindowMemory(plan_of())
    state.see([Seen(record={"id": "a", "at": 1_000 * S, "card": 1}, arrived_at=1_000 * S)])
    wrong = {"id": "b", "at": 10_000_000 * S, "card": 1}
    state.see([Seen(record=wrong, arrived_at=1_001 * S)])
    right = {"id": "c", "at": 1_002 * S, "card": 1}
    state.see([Seen(record=right, arrived_at=1_002 * S)])
    assert right["n"] == 2
    assert state.count().too_early == 1


@pytest.mark.parametrize("kernel", ["c", "numpy"])
def test_an_entity_with_very_many_events_keeps_its_totals_and_says_that_it_was_folded(
    kernel: Choice,
) -> None:
    text = CONTRACT.replace("window_s = 60", "window_s = 60000").replace(
        "window_s = 100", "window_s = 100000"
    )
    state, n = WindowMemory(plan_of(text, kernel)), 5_000
    for i in range(n):
        record = {"id": f"e{i}", "at": (1_000 + i) * S, "card": 1, "shop": f"s{i % 900}",
                  "amount": i / 4}  # fmt: skip
        state.see([Seen(record=record)])
    assert (record["n"], record["spent"]) == (n, sum(range(n)) / 4)
    assert record["least"] == 0
    assert record["shops"] == pytest.approx(900, rel=0.08)
    assert state.count().folded > 10
    _, *entities = state.dump()
    assert sum(len(msgspec.msgpack.encode(row)) for row in entities) < 500_000


def test_too_many_entities_push_out_the_longest_idle_and_are_counted() -> None:
    state = WindowMemory(plan_of(CONTRACT.replace("[history]", "[history]\nmax_entities = 32")))
    for i in range(100):
        state.see([Seen(record={"id": f"e{i}", "at": (1_000 + i) * S, "card": i})])
    last = {"id": "x", "at": 1_100 * S, "card": 99}
    state.see([Seen(record=last)])
    assert last["n"] == 2
    counts = state.count()
    assert counts.entities <= 32
    assert counts.entities + counts.entities_forgotten == 100


def test_the_sketch_is_within_its_stated_error_and_knows_no_order() -> None:
    errors = []
    for n in (500, 2_000, 20_000, 200_000):
        hashes = np.array([sketch.value_hash(f"{n}/{i}") for i in range(n)], dtype=np.uint64)
        whole = sketch.sketch_of(hashes)
        halves = sketch.union(*(sketch.sketch_of(half) for half in np.split(hashes[::-1], 2)))
        assert whole.tobytes() == halves.tobytes()
        errors.append(sketch.estimate(whole) / n - 1)
    assert max(map(abs, errors)) < 3 * 1.04 / sketch.M**0.5
    assert statistics.fmean(map(abs, errors)) < 1.04 / sketch.M**0.5
