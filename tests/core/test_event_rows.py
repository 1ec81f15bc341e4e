"""baluarte.core.event_rows: what a row may hold, and every fault by its path."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.event import records
from baluarte.core.event_faults import MAX_FAULTS
from baluarte.core.event_rows import RowReader, from_rows
from baluarte.core.event_value import MAX_CATEGORY_CHARS, MAX_TEXT_CHARS
from baluarte.core.schema import Field, Schema
from baluarte.errors import ContractError, DataError


def one(field_type: str, value: object, **options: object) -> object:
    """The record form of one value of a field, or None where it is missing."""
    schema = Schema(fields=(Field(name="f", type=field_type, **options),))  # type: ignore[arg-type]
    return RowReader(schema).records([{"f": value}])[0].get("f")


def complaint(field_type: str, value: object, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        one(field_type, value, **options)
    text = str(caught.value)
    assert text.startswith("events[0].f: expected "), text
    return text


@pytest.mark.parametrize(
    ("field_type", "value", "wanted"),
    [
        ("number", 1, 1),
        ("number", 2.5, 2.5),
        ("number", 5.0, 5),
        ("number", 10**17, 1e17),
        ("number", 2**53 + 1, 2**53),
        ("number", np.float32(0.5), 0.5),
        ("number", None, None),
        ("integer", 7, 7),
        ("integer", 7.0, 7),
        ("integer", -0.0, 0),
        ("integer", 12345678901234567890123, 1.2345678901234568e22),
        ("boolean", True, 1),
        ("boolean", False, 0),
        ("boolean", 1, 1),
        ("boolean", 0.0, 0),
        ("category", "tcp", "tcp"),
        ("category", "", None),
        ("category", 80, "80"),
        ("category", 80.0, "80"),
        ("category", 0.5, "0.5"),
        ("category", -0.0, "0"),
        ("category", True, "true"),
        ("category", np.int64(4), "4"),
        ("text", "añ\n", "añ\n"),
        ("text", "", None),
        ("ip", "192.0.2.1", "192.0.2.1"),
        ("ip", "2001:DB8:0:0::1", "2001:db8::1"),
        ("ip", "::ffff:192.0.2.1", "192.0.2.1"),
        ("ip", "", None),
        ("time", "1970-01-01T00:00:01Z", 1_000_000),
        ("time", "1970-01-01t00:00:01.000001z", 1_000_001),
        ("time", "1970-01-01 00:00:01", 1_000_000),
        ("time", "1970-01-01T01:00:00+01:00", 0),
        ("time", "1970-01-02", 86_400_000_000),
        ("time", "1970-01-01T00:00:00.1234569Z", 123_456),
        ("time", 1.5, 1_500_000),
        ("time", 1_700_000_000, 1_700_000_000_000_000),
        ("time", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 1_000_000),
        ("time", datetime(1970, 1, 1, 0, 0, 1), 1_000_000),  # noqa: DTZ001 - a naive one is UTC
        ("time", date(1970, 1, 2), 86_400_000_000),
        ("time", np.datetime64("1970-01-01T00:00:00.000001999"), 1),
        ("time", np.datetime64("1969-12-31T23:59:59.999999999"), -1),
        ("time", np.datetime64("NaT"), None),
        ("time", "", None),
    ],
)
def test_a_value_reads_as_its_canonical_form(
    field_type: str, value: object, wanted: object
) -> None:
    found = one(field_type, value)
    assert found == wanted
    assert type(found) is type(wanted)


def test_times_are_in_the_unit_of_their_field() -> None:
    assert one("time", 1_500, unit="ms") == 1_500_000
    assert one("time", 1_500, unit="us") == 1_500
    assert one("time", 1.5, unit="us") == 2  # half to even, once


@pytest.mark.parametrize(
    ("field_type", "value", "says"),
    [
        ("number", "1", "expected a number, found the text '1'"),
        ("number", True, "expected a number, found true"),
        ("number", np.True_, "found true"),
        ("number", math.nan, "found NaN"),
        ("number", math.inf, "within ±3.403e+38, found inf"),
        ("number", 3.5e38, "within ±3.403e+38"),
        ("number", -(10**400), "a whole number of 1329 bits"),
        ("number", [1], "found a list"),
        ("number", {"a": 1}, "found an object"),
        ("integer", 1.5, "expected a whole number, found 1.5"),
        ("integer", False, "found false"),
        ("boolean", 2, "expected true or false, found 2"),
        ("boolean", "true", "found the text 'true'"),
        ("category", [], "found a list"),
        ("category", math.inf, "an infinite number"),
        ("category", "x" * (MAX_CATEGORY_CHARS + 1), "at most 512 characters, found 513"),
        ("category", "a\0b", "a NUL at character 1"),
        ("category", "a\ud800", "a lone surrogate at character 1"),
        ("text", 5, "expected text, found 5"),
        ("text", "x" * (MAX_TEXT_CHARS + 1), "at most 16384 characters"),
        ("ip", "192.0.2.256", "an IPv4 or IPv6 address"),
        ("ip", "192.0.2.1:80", "Leave out ports"),
        ("ip", "fe80::1%eth0", "zones"),
        ("ip", 3221225985, "as text, found 3221225985"),
        ("time", "yesterday", "RFC 3339"),
        ("time", "2026-02-30T00:00:00Z", "RFC 3339"),
        ("time", "2026-01-01T24:00:00Z", "RFC 3339"),
        ("time", "20260101", "RFC 3339"),
        ("time", "2026-01-01T00:00:00Zjunk", "RFC 3339"),
        ("time", "٢٠٢٦-01-01", "RFC 3339"),
        ("time", True, "expected a time, found true"),
        ("time", 1.7e12, "Check the field's unit"),
        ("time", math.inf, "years 1684 and 2255"),
        ("time", np.datetime64("294247-01-01"), "years 1684 and 2255"),
    ],
)
def test_a_value_that_breaks_its_type_is_refused_with_its_path(
    field_type: str, value: object, says: str
) -> None:
    assert says in complaint(field_type, value)


def test_infinities_pass_where_the_field_allows_them() -> None:
    assert one("number", math.inf, allow_infinite=True) == "Infinity"
    assert one("number", -math.inf, allow_infinite=True) == "-Infinity"
    assert one("number", 1e300, allow_infinite=True) == 1e300
    assert "bits" in complaint("number", 10**400, allow_infinite=True)


def test_pythons_tables_may_mean_missing_by_nan() -> None:
    schema = Schema(fields=(Field(name="f", type="number"),))
    assert RowReader(schema, nan="missing").records([{"f": math.nan}]) == [{}]


NESTED = Schema(
    fields=(
        Field(name="bytes", type="integer", path="flow.stats.bytes", required=True),
        Field(name="proto", type="category", path="flow.proto"),
        Field(name="note", type="text", role="ignored"),
        Field(name="label", type="category", role="label"),
    )
)


@pytest.mark.parametrize(
    "row",
    [
        {"flow": {"stats": {"bytes": 3}, "proto": "tcp"}},
        {"flow.stats.bytes": 3, "flow.proto": "tcp"},
        {"flow": {"proto": "tcp"}, "flow.stats.bytes": 3, "note": {"any": ["thing"]}},
    ],
)
def test_paths_are_found_in_objects_and_as_flattened_keys(row: dict[str, object]) -> None:
    assert RowReader(NESTED).records([row]) == [{"bytes": 3, "proto": "tcp"}]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            {"flow": {"stats": {"bytes": 1, "byte": 2}}},
            "events[0].flow.stats.byte: unknown field. Did you mean",
        ),
        ({"flow": {"stats": 5}}, "events[0].flow.stats: expected an object, found 5"),
        ({"flow": {"stats": {"bytes": 1}}, "flow.stats.bytes": 1}, "given twice"),
        ({}, "events[0].flow.stats.bytes: expected a value, found none: the field is required"),
        ({"flow": {"stats": {"bytes": None}}}, "the field is required"),
        ({"flow": {"stats": {"bytes": "x"}}}, "expected a whole number, found the text 'x'"),
        (["no", "object"], "events[0]: expected an object, found a list"),
        (None, "events[0]: expected an object, found nothing"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_with_its_path(row: object, says: str) -> None:
    with pytest.raises(DataError) as caught:
        RowReader(NESTED).records([row])
    assert says in str(caught.value.faults[0])


def test_unknown_fields_pass_only_where_the_caller_says_so() -> None:
    row = {"flow": {"stats": {"bytes": 1}, "extra": {"deep": 1}}, "more": 2}
    assert RowReader(NESTED, unknown="ignore").records([row]) == [{"bytes": 1}]
    with pytest.raises(DataError) as caught:
        RowReader(NESTED).records([row])
    assert {fault.where for fault in caught.value.faults} == {
        "events[0].flow.extra",
        "events[0].more",
    }


def test_all_faults_are_counted_and_the_first_ones_spelled_out_in_the_order_of_rows() -> None:
    schema = Schema(fields=(Field(name="f", type="number"), Field(name="g", type="number")))
    with pytest.raises(DataError) as caught:
        RowReader(schema).records([{"f": "x", "g": "y"}] * 500, first_row=3, where="tx")
    faults = caught.value.faults
    assert len(faults) == MAX_FAULTS + 1
    assert faults[0].where == "tx[3].f"
    assert faults[MAX_FAULTS - 1].where == "tx[12].g"
    assert faults[-1].message == "and 980 more faults"


def test_a_hostile_row_cannot_make_the_report_long_or_slow() -> None:
    rows = [{"k" * 5_000 + str(i): 1 for i in range(3_000)}]
    with pytest.raises(DataError) as caught:
        RowReader(NESTED).records(rows)
    assert len(str(caught.value)) < 5_000
    assert "and 2981 more faults" in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        (Field(name="a", type="number"), Field(name="b", type="number", path="a")),
        (Field(name="a", type="number"), Field(name="b", type="number", path="a.b")),
        (Field(name="b", type="number", path="a.b"), Field(name="a", type="number")),
    ],
)
def test_two_fields_that_read_one_place_are_refused(fields: tuple[Field, ...]) -> None:
    with pytest.raises(ContractError):
        RowReader(Schema(fields=fields))


def test_features_always_have_a_column_and_other_fields_where_they_occur() -> None:
    events = from_rows(NESTED, [{"flow.stats.bytes": 1}, {"flow.stats.bytes": 2}])
    assert set(events.columns) == {"bytes", "proto"}
    assert events.columns["proto"].tolist() == [None, None]
    assert from_rows(NESTED, []).n == 0


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "bytes": st.none() | st.integers(-(10**38), 10**38),
                "proto": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
            },
        ),
        max_size=8,
    )
)
def test_records_and_columns_say_the_same(rows: list[dict[str, object]]) -> None:
    schema = Schema(
        fields=(Field(name="bytes", type="integer"), Field(name="proto", type="category"))
    )
    rows = [{k: v for k, v in row.items() if "\0" not in str(v)} for row in rows]
    reader = RowReader(schema)
    assert records(reader.read(rows)) == reader.records(rows)
