"""baluarte.core.labels: attack, not, or not known; never a guess."""

from __future__ import annotations

import numpy as np
import pytest

from baluarte.core.contract import Contract
from baluarte.core.contract_toml import parse_contract
from baluarte.core.event import Events
from baluarte.core.labels import as_text, attacks, families


def contract(kind: str, values: str) -> Contract:
    text = (
        f'name = "a"\npurpose = "p"\nowner = "o"\n[events]\nlabel = "l"\n{values}\n'
        f'family = "f"\n[types]\nnumber = ["x"]\ncategory = ["f"]\n[fields.l]\ntype = "{kind}"\n'
        "[objective]\nmax_fpr = 0.01\n"
    )
    return parse_contract(text, where="d")


def of(values: list[object]) -> np.ndarray:
    return np.array(values, dtype=object)


def test_positive_values_are_attacks_and_all_others_not() -> None:
    events = Events(n=4, columns={"l": of(["fraud", "ok", None, "odd"])})
    assert attacks(contract("category", 'positive = ["fraud"]'), events).tolist() == [1, 0, -1, 0]


def test_negative_values_are_not_attacks_and_all_others_are() -> None:
    events = Events(n=4, columns={"l": of(["normal", "smurf", None, "worm"])})
    assert attacks(contract("category", 'negative = ["normal"]'), events).tolist() == [0, 1, -1, 1]


@pytest.mark.parametrize("kind", ["number", "integer", "boolean"])
def test_numbers_and_truths_are_read_by_their_canonical_text(kind: str) -> None:
    events = Events(n=3, columns={"l": np.array([1.0, 0.0, np.nan])})
    assert attacks(contract(kind, "positive = [1]"), events).tolist() == [1, 0, -1]


def test_without_the_column_nothing_is_known() -> None:
    events = Events(n=2, columns={"x": np.zeros(2)})
    assert attacks(contract("category", 'positive = ["1"]'), events).tolist() == [-1, -1]
    assert families(contract("category", 'positive = ["1"]'), events) == [None, None]


def test_families_come_from_their_field() -> None:
    events = Events(n=2, columns={"l": of(["1", "0"]), "f": of(["dos", None])})
    assert families(contract("category", 'positive = ["1"]'), events) == ["dos", None]


def test_fractions_keep_their_shortest_form() -> None:
    assert as_text(np.array([0.1, 1e300, -2.0]), "number") == ["0.1", str(int(1e300)), "-2"]
