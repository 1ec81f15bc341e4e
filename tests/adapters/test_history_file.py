"""baluarte.adapters.history_file: the past in the order of time, in bounded memory."""

from __future__ import annotations

import dataclasses
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.adapters.history_file import HistoryFile
from baluarte.core.contract_toml import parse_contract
from baluarte.core.window_plan import WindowPlan, compile_windows
from baluarte.core.windows import Seen
from baluarte.errors import OutsideError

CONTRACT = """
name = "cards"
purpose = "test"
owner = "test"
[events]
id = "id"
time = "at"
keys = ["card"]
[types]
text = ["id"]
time = ["at"]
category = ["card"]
number = ["x"]
[objective]
events_per_day = 100
max_alerts_per_day = 1
[windows.n_hour]
op = "count"
by = "card"
window_s = 3600
"""


def plan_of(text: str = CONTRACT) -> WindowPlan:
    plan = compile_windows(parse_contract(text, where="t"))
    assert plan is not None
    return plan


PLAN = plan_of()
values = st.none() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5)
events = st.builds(
    lambda at, label, name, card, x: Seen(
        record={
            key: value
            for key, value in {"at": at, "id": name, "card": card, "x": x}.items()
            if value is not None
        },
        label=label,
    ),
    st.none() | st.integers(-9, 9) | st.integers(-(2**53), 2**53),
    st.sampled_from([None, 0, 1]),
    st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    values,
    values,
)


@given(st.lists(st.lists(events, max_size=9), max_size=5), st.integers(1, 7))
def test_events_come_back_as_they_were_in_the_order_of_time(
    batches: list[list[Seen]], n: int
) -> None:
    flat = [one for batch in batches for one in batch]
    with HistoryFile(PLAN) as history:
        for batch in batches:
            history.add(batch)
        found = list(history.in_order(n))
        ids = [one.record["id"] for one in flat if "id" in one.record]
        assert all(each in history for each in ids)
        assert "none of them" not in history
        assert history.n == len(flat)
    assert all(len(part) <= n for part in found)
    in_order = sorted(flat, key=lambda e: ("at" not in e.record, e.record.get("at", 0)))
    assert [dataclasses.astuple(e) for part in found for e in part] == [
        dataclasses.astuple(e) for e in in_order
    ]


def test_a_disk_without_room_is_an_error_for_the_operator() -> None:
    with HistoryFile(PLAN) as history:
        history._db.execute("PRAGMA max_page_count = 64")
        with pytest.raises(OutsideError, match=r"laid down on disk.*TMPDIR"):
            history.add([Seen(record={"at": i, "id": "x" * 500 + str(i)}) for i in range(2_000)])
        assert isinstance(history._db, sqlite3.Connection)
