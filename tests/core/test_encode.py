"""baluarte.core.encode: one event, one row of bits, whatever the road."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baluarte.core.encode import (
    MAX_CATEGORIES,
    Encoder,
    EncoderTables,
    FieldEncoding,
    encoder_from_json,
    encoder_to_json,
    fit_encoder,
)
from baluarte.core.event import Events, event_values, records
from baluarte.core.event_rows import from_rows
from baluarte.core.schema import FLOAT32_MAX, Field, Schema
from baluarte.errors import TrustError

SCHEMA = Schema(
    fields=(
        Field(name="amount", type="number", allow_infinite=True),
        Field(name="tries", type="integer"),
        Field(name="known", type="boolean"),
        Field(name="country", type="category"),
        Field(name="at", type="time"),
        Field(name="note", type="text"),
        Field(name="source", type="ip"),
        Field(name="label", type="category", role="label"),
        Field(name="refund", type="number", available="after"),
    )
)
NAMES = [
    "amount", "tries", "known", "country", "at.hour", "at.weekday", "note.length", "note.digits",
    "note.capitals", "note.others", "note.distinct", "source.private", "source.v6", "source.prefix",
]  # fmt: skip

texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
)
rows = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "amount": st.floats(allow_nan=False) | st.integers(-(10**38), 10**38),
            "tries": st.integers(-(10**20), 10**20),
            "known": st.booleans(),
            "country": st.sampled_from(["ES", "FR", "PT", "", "ñ"]),
            "at": st.integers(-9_007_199_254, 9_007_199_254) | st.floats(-8e9, 8e9),
            "note": texts,
            "source": st.ip_addresses().map(str),
            "label": st.sampled_from(["0", "1"]),
        },
    ),
    max_size=12,
)


def encoded(**values: object) -> dict[str, float]:
    """The one-row matrix by column name."""
    encoder = fit_encoder(SCHEMA, from_rows(SCHEMA, [{"country": "ES"}]))
    X = encoder.encode(from_rows(SCHEMA, [values]))
    return dict(zip([c.name for c in encoder.columns], X[0].tolist(), strict=True))


def test_columns_follow_the_schemas_features_in_order() -> None:
    encoder = fit_encoder(SCHEMA, from_rows(SCHEMA, [{"country": "ES"}]))
    assert [column.name for column in encoder.columns] == NAMES
    assert [c.name for c in encoder.columns if c.categorical] == ["country"]
    assert encoder.columns[3].n_codes == 2
    assert encoder.columns[5].field == "at"


@given(rows, rows)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_a_row_alone_encodes_to_the_bits_it_has_among_others(
    fitted: list[dict[str, object]], asked: list[dict[str, object]]
) -> None:
    encoder = fit_encoder(SCHEMA, from_rows(SCHEMA, fitted))
    events = from_rows(SCHEMA, asked)
    X = encoder.encode(events)
    assert X.shape == (len(asked), len(NAMES))
    assert not np.isinf(X).any()
    for i, record in enumerate(records(events)):
        alone = np.array(encoder.encode_row(record))
        assert alone.tobytes() == X[i].tobytes()
        # A ledger's record, read back from JSON, gives the same bits again.
        kept = msgspec.json.decode(msgspec.json.encode(event_values(events, i)))
        assert np.array(encoder.encode_row(kept)).tobytes() == X[i].tobytes()
    together = [event_values(events, i) for i in range(len(asked))]
    assert encoder.encode_rows(together).tobytes() == X.tobytes()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("baluarte.core.encode.NATIVE", None)
        assert encoder.encode_rows(together).tobytes() == X.tobytes()


def test_codes_fall_with_frequency_then_follow_the_text_and_unseen_is_one_more() -> None:
    rows = [{"country": c} for c in ["b", "c", "a", "c", "b", "d", None]]
    encoder = fit_encoder(SCHEMA, from_rows(SCHEMA, rows))
    column = encoder.encode(from_rows(SCHEMA, [{"country": c} for c in ["b", "c", "a", "d", "z"]]))
    assert column[:, 3].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert math.isnan(encoder.encode_row({})[3])


def test_only_the_most_frequent_categories_get_codes() -> None:
    schema = Schema(fields=(Field(name="c", type="category"),))
    many = [{"c": f"{i:05d}"} for i in range(MAX_CATEGORIES + 5)]
    encoder = fit_encoder(schema, from_rows(schema, [*many, {"c": "zz"}, {"c": "zz"}]))
    assert encoder.columns[0].n_codes == MAX_CATEGORIES + 1
    assert encoder.encode_row({"c": "zz"}) == [0.0]
    assert encoder.encode_row({"c": f"{MAX_CATEGORIES + 4:05d}"}) == [float(MAX_CATEGORIES)]
    few = fit_encoder(schema, from_rows(schema, many), max_categories=2)
    assert few.encode_row({"c": "00002"}) == [2.0]


@pytest.mark.parametrize(
    ("at", "hour", "weekday"),
    [
        ("1970-01-01T00:00:00Z", 0.0, 3.0),
        ("2026-07-31T12:30:00Z", 12.5, 4.0),
        ("1969-12-31T18:00:00Z", 18.0, 2.0),
        ("2024-02-29T23:59:59.999999Z", 86_399_999_999 / 3_600_000_000, 3.0),
    ],
)
def test_times_become_hour_and_weekday(at: str, hour: float, weekday: float) -> None:
    row = encoded(at=at)
    assert (row["at.hour"], row["at.weekday"]) == (hour, weekday)


def test_texts_become_counts_and_shares_of_ascii_classes() -> None:
    row = encoded(note="AB1 ñ!xx")
    found = [row[f"note.{part}"] for part in ("length", "digits", "capitals", "others", "distinct")]
    assert found == [8.0, 1 / 8, 2 / 8, 3 / 8, 7.0]


@pytest.mark.parametrize(
    ("ip", "private", "v6", "prefix"),
    [
        ("10.1.2.3", 1.0, 0.0, 10 * 256 + 1),
        ("172.32.0.1", 0.0, 0.0, 172 * 256 + 32),
        ("172.31.0.1", 1.0, 0.0, 172 * 256 + 31),
        ("8.8.8.8", 0.0, 0.0, 8 * 256 + 8),
        ("fd00::1", 1.0, 1.0, 0xFD00),
        ("2001:db8::1", 0.0, 1.0, 0x2001),
        ("::ffff:10.0.0.1", 1.0, 0.0, 2560),
        ("100.64.0.1", 0.0, 0.0, 100 * 256 + 64),
    ],
)
def test_addresses_become_private_version_and_prefix(
    ip: str, private: float, v6: float, prefix: float
) -> None:
    row = encoded(source=ip)
    assert [row[f"source.{p}"] for p in ("private", "v6", "prefix")] == [private, v6, prefix]


def test_numbers_beyond_float32_are_its_nearest_bound() -> None:
    assert encoded(amount=math.inf)["amount"] == FLOAT32_MAX
    assert encoded(amount=-1e300)["amount"] == -FLOAT32_MAX
    assert encoded(amount=5e-324)["amount"] == 5e-324


def test_what_is_missing_is_nan_in_all_its_columns() -> None:
    encoder = fit_encoder(SCHEMA, Events(n=0, columns={}))
    assert np.isnan(encoder.encode_row({})).all()
    assert np.isnan(encoder.encode(Events(n=3, columns={}))).all()


@given(rows)
def test_an_encoder_survives_its_json_to_the_bit(fitted: list[dict[str, object]]) -> None:
    encoder = fit_encoder(SCHEMA, from_rows(SCHEMA, fitted))
    data = encoder_to_json(encoder)
    again = encoder_from_json(data)
    assert again == encoder
    assert again.columns == encoder.columns
    assert encoder_to_json(again) == data


def tables(*fields: FieldEncoding) -> bytes:
    return encoder_to_json(Encoder(EncoderTables(fields=fields)))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "expected an encoder"),
        (b"\xff", "expected an encoder"),
        (b"[" * 100_000, "expected an encoder"),
        (b"{}", "fields"),
        (b'{"fields":[],"format":"baluarte-encoder/2"}', "Invalid enum value"),
        (b'{"fields":[],"format":"baluarte-encoder/1","more":1}', "unknown field"),
        (b'{"format":"baluarte-encoder/1","fields":[]}', "canonical JSON"),
        (b'{"fields":[], "format":"baluarte-encoder/1"}', "canonical JSON"),
        (b'{"fields":[{"categories":[],"field":"f","type":"real"}],"format":"baluarte-encoder/1"}',
         "Invalid enum value"),
        (b'{"fields":[{"categories":[1],"field":"f","type":"category"}]}', "Expected `str`"),
        (tables(FieldEncoding(field="f", type="number"), FieldEncoding(field="f", type="text")),
         "each field once"),
        (tables(FieldEncoding(field="f", type="number", categories=("a",))), "no categories"),
        (tables(FieldEncoding(field="f", type="category", categories=("a", "a"))), "distinct"),
        (tables(FieldEncoding(field="f", type="category", categories=("",))), "distinct"),
        (tables(FieldEncoding(field="f", type="category", categories=tuple(map(str, range(1001))))),
         "at most 1000"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_encoder_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(TrustError) as caught:
        encoder_from_json(data)
    assert says in str(caught.value)
    assert "encoder.json" in str(caught.value)
