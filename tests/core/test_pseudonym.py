"""baluarte.core.pseudonym: what stands for a value is the same everywhere, and leads nowhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.event import Events, records
from baluarte.core.pseudonym import PREFIX, Pseudonyms
from baluarte.core.schema import Cleaning, Field, Schema

KEY = "0123456789abcdef" * 3
STEPS = (Cleaning(op="trim"), Cleaning(op="lower"))
SCHEMA = Schema(
    fields=(
        Field(name="id", type="text", role="id", pseudonym=True),
        Field(name="mail", type="category", pseudonym=True, clean=STEPS),
        Field(name="card", type="category", role="entity", pseudonym=True),
        Field(name="country", type="category"),
        Field(name="amount", type="number"),
    )
)
VALUES = st.one_of(st.none(), st.text(min_size=1, max_size=12))


@given(st.lists(st.fixed_dictionaries({"id": VALUES, "mail": VALUES, "card": VALUES}), max_size=9))
def test_columns_and_rows_have_the_same_pseudonyms(rows: list[dict[str, str | None]]) -> None:
    made = Pseudonyms(SCHEMA, KEY)
    columns = {
        name: np.array([row[name] for row in rows] + [None], dtype=object)[:-1]
        for name in ("id", "mail", "card")
    }
    found = records(made.events(Events(n=len(rows), columns=columns)))
    own = [{name: value for name, value in row.items() if value is not None} for row in rows]
    made.records(own)
    assert found == own
    for row in found:
        for value in row.values():
            assert str(value).startswith(PREFIX)


def test_a_value_has_one_pseudonym_a_field_and_key_whatever_its_spelling() -> None:
    made, other = Pseudonyms(SCHEMA, KEY), Pseudonyms(SCHEMA, KEY[::-1])
    assert made.of("mail", " Ana@Example.org") == made.of("mail", "ana@example.org ")
    assert made.of("card", "A") != made.of("card", "a")
    assert made.of("mail", "a") != made.of("card", "a")
    assert made.of("card", "a") != other.of("card", "a")
    assert made.key_id != other.key_id
    assert made.event_id("tx-1") == made.of("id", "tx-1")


def test_pseudonyms_stay_what_they_are_over_releases() -> None:
    made = Pseudonyms(SCHEMA, KEY)
    assert made.of("card", "4111111111111111") == "ps-5fyocdh33ohzjio6s6jrtjkmri"
    assert made.key_id == "a7430b5c8b8982a4"


def test_fields_without_pseudonyms_are_left_alone() -> None:
    given_ = {"country": "ES", "amount": 3.5}
    row = dict(given_)
    Pseudonyms(SCHEMA, KEY).records([row])
    assert row == given_


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 characters"):
        Pseudonyms(SCHEMA, "secret")
