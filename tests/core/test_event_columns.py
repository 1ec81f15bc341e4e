"""baluarte.core.event_columns: whatever the road, the same canonical values and faults."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.event import Events, records
from baluarte.core.event_columns import from_columns, read_columns
from baluarte.core.event_faults import Faults
from baluarte.core.event_rows import RowReader
from baluarte.core.schema import Field, Schema
from baluarte.errors import DataError

TYPES = ("number", "integer", "boolean", "category", "text", "time", "ip")

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.integers(-3, 3),
    st.sampled_from([10**400, -(10**400)]),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0, 2.0**53, 2.0**53 + 2, 1e17, 3.4028235e38, 3.41e38, 5e-324]),
    st.sampled_from(
        ["", "1", "true", "192.0.2.1", "::FFFF:1.2.3.4", "2026-01-01T00:00:00Z", "a\0"]
    ),
    st.text(max_size=4),
    st.datetimes(timezones=st.just(UTC)),
)


def schema_of(field_type: str, **options: object) -> Schema:
    return Schema(fields=(Field(name="f", type=field_type, **options),))  # type: ignore[arg-type]


def outcome(act) -> tuple[list[dict[str, object]] | None, list[tuple[str, str | None]]]:
    """Records, or messages and hints without the place."""
    try:
        return records(act()), []
    except DataError as error:
        return None, [
            (fault.message, fault.hint) for fault in error.faults if fault.where is not None
        ]


@given(
    st.sampled_from(TYPES),
    st.booleans(),
    st.one_of(
        st.lists(anything, max_size=8),
        st.lists(st.none() | st.integers(-(10**18), 10**18), max_size=8),
        st.lists(st.none() | st.floats(), max_size=8),
        st.lists(st.none() | st.text(max_size=3), max_size=8),
        st.lists(st.booleans(), max_size=8),
    ),
)
def test_a_list_reads_as_the_same_values_in_rows(
    field_type: str, infinite: bool, values: list[object]
) -> None:
    schema = schema_of(field_type, allow_infinite=infinite)
    rows = RowReader(schema, nan="missing")
    wanted = outcome(lambda: rows.read([{"f": value} for value in values]))
    assert outcome(lambda: from_columns(schema, {"f": values})) == wanted


@given(
    st.sampled_from(TYPES),
    st.booleans(),
    st.sampled_from(
        ["f8", "f4", "f2", "i8", "i4", "i1", "u8", "u2", "?", "M8[ns]", "M8[s]", "M8[D]"]
    ),
    st.binary(min_size=8, max_size=64),
)
def test_an_array_reads_as_the_same_values_in_rows(
    field_type: str, infinite: bool, dtype: str, raw: bytes
) -> None:
    if dtype == "?":
        array = np.frombuffer(raw, dtype="u1") % 2 == 1
    else:
        array = np.frombuffer(raw[: len(raw) // 8 * 8], dtype=dtype)
    schema = schema_of(field_type, allow_infinite=infinite)
    rows = RowReader(schema, nan="missing")
    # A float NaN is missing on both roads; so is NaT.
    wanted = outcome(lambda: rows.read([{"f": value} for value in array]))
    assert outcome(lambda: from_columns(schema, {"f": array})) == wanted


cells = st.one_of(
    st.sampled_from(["", " ", "0", "-0", "1.50", " 7 ", "1e3", "1E-400", ".5", "5.", "+3", "007"]),
    st.sampled_from(
        ["nan", "inf", "-Infinity", "1_000", "1,5", "0x10", "1e999", "١", "--1", "1e", "."]
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**30), 10**30).map(str),
    st.text(max_size=3),
)


@given(
    st.lists(cells, min_size=1, max_size=6), st.booleans(), st.sampled_from(["number", "integer"])
)
def test_cells_of_text_read_alone_as_they_read_together(
    values: list[str], infinite: bool, field_type: str
) -> None:
    schema = schema_of(field_type, allow_infinite=infinite)
    together, faults = read_cells(schema, values)
    apart = [read_cells(schema, [value]) for value in values]
    assert faults.total == sum(alone.total for _, alone in apart)
    joined = np.concatenate([events.columns["f"] for events, _ in apart])
    assert joined.tobytes() == together.columns["f"].tobytes()


def read_cells(schema: Schema, values: list[str]) -> tuple[Events, Faults]:
    faults = Faults(lambda row, path: f"{row} {path}")
    return read_columns(schema, {"f": values}, faults, text_cells=True), faults


@given(st.floats(min_value=-3.4e38, max_value=3.4e38))
def test_every_written_number_reads_back_to_the_bit(x: float) -> None:
    events, faults = read_cells(schema_of("number"), [repr(x), ""])
    assert not faults.total
    assert events.columns["f"].tobytes() == np.array([x + 0.0, math.nan]).tobytes()


@pytest.mark.parametrize(
    ("field_type", "cell", "says"),
    [
        ("number", "1,5", "Write decimals with a point"),
        ("number", "1.234,5", "Write decimals with a point"),
        ("number", "NaN", "Leave the cell empty"),
        ("number", "N/A", "Leave the cell empty"),
        ("number", "1e999", "too large"),
        ("number", "inf", "expected a number"),
        ("number", "1_000", "expected a number"),
        ("integer", "1.5", "expected a whole number"),
        ("boolean", "yes", "expected true, false, 1 or 0"),
        ("time", "12:00", "expected a time"),
        ("ip", "host", "an IPv4 or IPv6 address"),
    ],
)
def test_a_cell_that_breaks_its_type_is_refused_with_a_cure(
    field_type: str, cell: str, says: str
) -> None:
    _, faults = read_cells(schema_of(field_type), [cell])
    assert says in str(faults.error())


@pytest.mark.parametrize(
    ("field_type", "cell", "wanted"),
    [
        ("boolean", "TRUE", 1),
        ("boolean", " 0 ", 0),
        ("boolean", "", None),
        ("category", " x", " x"),
        ("category", "1.0", "1.0"),
        ("time", "1.5", 1_500_000),
        ("time", "2026-01-01", 1_767_225_600_000_000),
        ("time", " ", None),
        ("number", "0042", 42),
    ],
)
def test_a_cell_reads_as_its_canonical_form(field_type: str, cell: str, wanted: object) -> None:
    events, faults = read_cells(schema_of(field_type), [cell])
    assert not faults.total
    assert records(events)[0].get("f") == wanted


def test_infinities_in_cells_pass_where_the_field_allows_them() -> None:
    schema = schema_of("number", allow_infinite=True)
    events, faults = read_cells(schema, ["inf", "-Infinity", "+INF", "1e300", "2"])
    assert not faults.total
    assert events.columns["f"].tolist() == [math.inf, -math.inf, math.inf, 1e300, 2.0]


TWO = Schema(
    fields=(
        Field(name="bytes", type="number", path="flow.bytes"),
        Field(name="label", type="category", role="label"),
        Field(name="who", type="category", role="entity", required=True),
    )
)


def test_an_absent_feature_is_a_fault_that_names_the_nearest_column() -> None:
    with pytest.raises(DataError) as caught:
        from_columns(TWO, {"flow_bytes": [1], "who": ["x"]})
    assert "rows.flow.bytes: expected a column, found none. Did you mean flow_bytes?" in str(
        caught.value
    )


def test_an_absent_label_is_missing_and_an_absent_required_field_is_not() -> None:
    assert set(from_columns(TWO, {"flow.bytes": [1], "who": ["x"]}).columns) == {"bytes", "who"}
    with pytest.raises(DataError, match="who: expected a column"):
        from_columns(TWO, {"flow.bytes": [1]})


def test_a_required_value_that_is_missing_is_a_fault_in_its_row() -> None:
    with pytest.raises(DataError) as caught:
        from_columns(TWO, {"flow.bytes": [1, 2], "who": ["x", None]}, first_row=10, where="tx")
    assert [fault.where for fault in caught.value.faults] == ["tx[11].who"]


def test_unknown_columns_and_unequal_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="unknown column"):
        from_columns(TWO, {"flow.bytes": [1], "who": ["x"], "more": [1]}, unknown="refuse")
    with pytest.raises(DataError, match="expected 2 values, found 1"):
        from_columns(TWO, {"flow.bytes": [1, 2], "who": ["x"]})


def test_a_time_in_nanoseconds_is_cut_to_microseconds() -> None:
    schema = schema_of("time")
    array = np.array(["1970-01-01T00:00:00.000001999", "NaT"], dtype="M8[ns]")
    column = from_columns(schema, {"f": array}).columns["f"]
    assert column[0] == 1.0
    assert math.isnan(column[1])
    aware = [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)]
    assert from_columns(schema, {"f": aware}).columns["f"].tolist() == [1e6]
