"""baluarte.core.cleaning: declared once, the same bits for a column and for one row."""

from __future__ import annotations

import math
from decimal import Decimal, getcontext

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baluarte.core.cleaning import clean_column, declared, fit_steps, parse_step
from baluarte.core.contract import canonical, decode_canonical
from baluarte.core.contract_toml import parse_contract
from baluarte.core.encode import encoder_from_json, encoder_to_json, fit_encoder
from baluarte.core.event import Events, records
from baluarte.core.event_rows import from_rows
from baluarte.core.event_value import ValueRefusedError
from baluarte.core.exact_log import log, log_array
from baluarte.core.schema import Cleaning, Field, Schema
from baluarte.errors import ContractError, TrustError

NUMBER_STEPS = [
    "unit 0.01", "unit 1e300", "clip 0 1e4", "clip -3 3", "log", "impute 7", "impute median",
    "impute mean", "impute most_frequent", "missing 0", "missing -3",
    "scale standard", "scale robust", "scale range",
]  # fmt: skip
TEXT_STEPS = ["trim", "lower", "upper", "missing fr", "missing es"]
CATEGORY_STEPS = [*TEXT_STEPS, "impute none given", "impute most_frequent"]

numbers = st.floats(allow_nan=False) | st.integers(-(10**38), 10**38) | st.none()
texts = st.sampled_from(["ES", " es", "Es\t", "  ", "Ñandú ", "ñANDÚ", "İ", "\u00a0x", "fr", ""])
rows = st.lists(
    st.fixed_dictionaries(
        {}, optional={"x": numbers, "n": st.integers(-9, 9), "c": texts, "t": texts}
    ),
    max_size=6,
)


def steps(said: list[str], kind: str) -> object:
    return tuple(parse_step(each, kind) for each in said) or msgspec.UNSET  # type: ignore[arg-type]


@given(
    rows,
    rows,
    st.lists(st.sampled_from(NUMBER_STEPS), max_size=5),
    st.lists(st.sampled_from(CATEGORY_STEPS), max_size=3),
    st.lists(st.sampled_from(TEXT_STEPS), max_size=2),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_row_is_cleaned_to_the_bits_that_it_has_in_a_column(
    fitted: list[dict[str, object]],
    asked: list[dict[str, object]],
    of_number: list[str],
    of_category: list[str],
    of_text: list[str],
) -> None:
    schema = Schema(
        fields=(
            Field(name="x", type="number", allow_infinite=True, clean=steps(of_number, "number")),  # type: ignore[arg-type]
            Field(name="n", type="integer", clean=steps(of_number[::-1], "integer")),  # type: ignore[arg-type]
            Field(name="c", type="category", clean=steps(of_category, "category")),  # type: ignore[arg-type]
            Field(name="t", type="text", clean=steps(of_text, "text")),  # type: ignore[arg-type]
        )
    )
    made = fit_encoder(schema, from_rows(schema, fitted))
    encoder = encoder_from_json(encoder_to_json(made))  # as a bundle keeps it
    events = from_rows(schema, asked)
    X = encoder.encode(events)
    assert not np.isinf(X).any()
    for i, record in enumerate(records(events)):
        assert np.array(encoder.encode_row(record)).tobytes() == X[i].tobytes()
    bare = Events(n=events.n, columns={})
    for row in encoder.encode(bare):
        assert np.array(encoder.encode_row({})).tobytes() == row.tobytes()


@given(st.floats(min_value=5e-324, max_value=1.7e308))
@settings(max_examples=300, deadline=None)
def test_the_logarithm_is_the_same_alone_and_in_a_column_and_within_two_units(x: float) -> None:
    getcontext().prec = 60
    assert log_array(np.array([x, 1.0]))[0] == log(x)
    truth = Decimal(x).ln()
    assert abs(Decimal(log(x)) - truth) <= 2 * Decimal(math.ulp(float(truth)))


def test_steps_are_taken_in_their_order() -> None:
    column = np.array([250.0, math.nan, -99.0, 1e9])
    made = [parse_step(s, "number") for s in ("unit 0.01", "clip 0 100", "impute median")]
    fitted = fit_steps(made, column)
    assert clean_column(fitted, column).tolist() == [2.5, 2.5, 0.0, 100.0]
    assert declared(fitted) == tuple(made)
    words = np.array([" ES ", "es", None, "  "], dtype=object)
    made = [parse_step(s, "category") for s in ("trim", "lower", "impute most_frequent")]
    assert clean_column(fit_steps(made, words), words).tolist() == ["es", "es", "es", "es"]


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("scale standard", [-1.5, -0.5, 0.0, 0.5, 1.5]),
        ("scale robust", [-1.5, -0.5, 0.0, 0.5, 1.5]),
        ("scale range", [0.0, 1 / 3, 0.5, 2 / 3, 1.0]),
    ],
)
def test_scales_are_learnt_from_the_fit_rows(how: str, wanted: list[float]) -> None:
    column = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    found = clean_column(fit_steps([parse_step(how, "number")], column), column)
    assert found == pytest.approx(wanted)


def test_what_has_no_spread_or_no_value_stays_finite() -> None:
    for column in (np.array([5.0, 5.0]), np.array([math.nan]), np.array([])):
        for step in NUMBER_STEPS:
            found = clean_column(fit_steps([parse_step(step, "number")], column), column)
            assert not np.isinf(found[np.isfinite(column)]).any() or step == "unit 1e300"


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("trimm", "text", ("trim, lower", "Did you mean trim?")),
        ("log", "category", ("for a field of type category",)),
        ("clip 0", "number", ("clip and 2 numbers",)),
        ("clip 5 1", "number", ("low bound below",)),
        ("clip 0 nan", "number", ("clip and 2 numbers",)),
        ("unit 0", "number", ("factor above 0",)),
        ("unit -1", "number", ("factor above 0",)),
        ("impute", "number", ("impute and a value",)),
        ("impute ES", "number", ("impute and 1 number",)),
        ("missing", "number", ("missing and a value",)),
        ("missing none", "integer", ("missing and 1 number",)),
        ("missing 0", "boolean", ("no step for a field of type boolean",)),
        ("scale wild", "number", ("standard, robust, range",)),
        ("log 10", "number", ("log alone",)),
        ("trim", "time", ("no step for a field of type time",)),
    ],
)
def test_what_is_no_step_is_refused_in_words(said: str, kind: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ValueRefusedError) as caught:
        parse_step(said, kind)  # type: ignore[arg-type]
    for word in words:
        assert word in f"{caught.value} {caught.value.hint}"


def test_a_value_that_stands_for_a_missing_one_is_missing() -> None:
    ages = clean_column([parse_step("missing -1", "integer")], np.array([-1.0, 4.0, np.nan]))
    np.testing.assert_array_equal(ages, [np.nan, 4.0, np.nan])
    told = [parse_step(step, "category") for step in ("trim", "missing not known", "impute x")]
    column = np.array([" not known", "known", None], dtype=object)
    assert clean_column(told, column).tolist() == ["x", "known", "x"]


TOML = """
name = "mine"
purpose = "x"
owner = "y"
[events]
label = "bad"
positive = ["1"]
[types]
number = ["amount"]
category = ["bad", "country"]
[fields.amount]
clean = ["clip 0 1e4", "log"]
[fields.country]
clean = ["trim", "upper"]
[objective]
max_fpr = 0.01
"""


def test_a_contract_seals_its_steps_and_one_without_any_keeps_its_bytes() -> None:
    contract = parse_contract(TOML, where="detector.toml")
    assert contract.events["amount"].steps == (
        Cleaning(op="clip", low=0.0, high=1e4),
        Cleaning(op="log"),
    )
    assert decode_canonical(canonical(contract)) == contract
    plain = parse_contract(TOML.replace("clean =", "# clean ="), where="detector.toml")
    assert b"clean" not in canonical(plain)


def test_faults_of_steps_have_their_line() -> None:
    text = TOML.replace('"log"]', '"logg", "trim"]').replace(
        "[fields.country]", '[fields.bad]\nclean = ["trim"]\n[fields.country]'
    )
    with pytest.raises(ContractError) as caught:
        parse_contract(text, where="detector.toml")
    said = [str(fault) for fault in caught.value.faults]
    assert len(said) == 3
    assert "detector.toml:12" in said[0]
    assert "Did you mean log?" in said[0]
    assert "only features are cleaned; bad is none" in "".join(said)


@pytest.mark.parametrize(
    "change",
    [
        ('"op":"scale"', '"op":"trim"'),
        ('"spread":', '"spread":-'),
        ('"value":', '"value":"x","factor":'),
    ],
)
def test_a_sealed_encoder_with_wrong_steps_is_refused(change: tuple[str, str]) -> None:
    schema = Schema(
        fields=(
            Field(name="x", type="number", clean=steps(["impute 1", "scale standard"], "number")),  # type: ignore[arg-type]
        )
    )
    encoder = fit_encoder(schema, from_rows(schema, [{"x": 1}, {"x": 2}]))
    data = encoder_to_json(encoder).decode()
    assert change[0] in data
    with pytest.raises(TrustError):
        encoder_from_json(data.replace(*change).encode())
