"""baluarte.core.event: columns, records, digests, derived ids and times."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.event import (
    Events,
    concat,
    event_digest,
    event_id,
    event_time,
    event_values,
    record_number,
    records,
)
from baluarte.core.event_rows import from_records
from baluarte.core.schema import Field, Schema

SCHEMA = Schema(
    fields=(
        Field(name="ref", type="category", role="id"),
        Field(name="at", type="time", role="time"),
        Field(name="amount", type="number", allow_infinite=True),
        Field(name="kind", type="category"),
    )
)


def some_events() -> Events:
    return from_records(
        SCHEMA,
        [
            {"ref": "a", "at": 1_000_000, "amount": 2.5, "kind": "x"},
            {"amount": "Infinity"},
            {"kind": "y", "amount": 3},
        ],
    )


def test_records_hold_whole_numbers_as_integers_and_leave_missing_values_out() -> None:
    assert records(some_events()) == [
        {"ref": "a", "at": 1_000_000, "amount": 2.5, "kind": "x"},
        {"amount": "Infinity"},
        {"amount": 3, "kind": "y"},
    ]
    assert event_values(some_events(), 2) == {"amount": 3, "kind": "y"}


@given(st.lists(st.floats(width=64), max_size=20))
def test_a_record_survives_json_and_gives_the_same_columns_again(numbers: list[float]) -> None:
    values = [{"amount": record_number(x + 0.0)} for x in numbers]
    sent = msgspec.json.decode(msgspec.json.encode(values))
    column = from_records(SCHEMA, sent).columns["amount"]
    assert (
        column.tobytes() == np.array([x + 0.0 if x == x else math.nan for x in numbers]).tobytes()
    )


def test_taking_and_slicing_keep_the_order_asked_for() -> None:
    events = some_events()
    assert records(events.take(np.array([2, 0])))[0]["kind"] == "y"
    assert events.take(np.array([True, False, True])).n == 2
    assert events.slice(1, 99).n == 2
    assert records(events.slice(1, 2)) == [{"amount": "Infinity"}]


def test_batches_join_and_a_column_that_one_lacks_is_missing_there() -> None:
    first = from_records(SCHEMA, [{"amount": 1}])
    joined = concat([first, some_events()])
    assert "ref" not in first.columns
    assert joined.n == 4
    assert joined.columns["ref"].tolist() == [None, "a", None, None]
    assert math.isnan(joined.columns["at"][0])


def test_the_digest_depends_on_the_values_and_not_on_their_order() -> None:
    one, other = {"a": 1, "b": "x"}, {"b": "x", "a": 1}
    assert event_digest(one) == event_digest(other)
    assert event_digest(one) != event_digest({"a": 1, "b": "y"})
    # sha256 of {"a":1,"b":"x"}: fixed for ever, since ledgers hold it.
    assert event_digest(one) == (
        "sha256:ecf9e98ec0641e23113ff3ce8bdc78d0ddd249886517fd4a7f68cc83d4e65667"
    )


@pytest.mark.parametrize(
    ("values", "wanted"),
    [({"ref": "own"}, "own"), ({"ref": 7}, "7"), ({}, "0" * 32 + "-3")],
)
def test_an_event_without_an_id_gets_digest_and_ordinal(values, wanted: str) -> None:
    assert event_id(SCHEMA, values, digest="sha256:" + "0" * 64, ordinal=3) == wanted


def test_an_event_without_a_time_gets_its_arrival() -> None:
    assert event_time(SCHEMA, {"at": 5}, arrival_us=9) == 5
    assert event_time(SCHEMA, {}, arrival_us=9) == 9
    assert event_time(Schema(fields=()), {"at": 5}, arrival_us=9) == 9
