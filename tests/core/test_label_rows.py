"""baluarte.core.label_rows: what a delivered label says, and what says nothing."""

from __future__ import annotations

import pytest

from baluarte.core.contract import Contract
from baluarte.core.contract_toml import parse_contract
from baluarte.core.label_rows import expected_labels, label_of


def contract(values: str) -> Contract:
    text = (
        f'name = "a"\npurpose = "p"\nowner = "o"\n[events]\nlabel = "l"\n{values}\n'
        '[types]\nnumber = ["x"]\ncategory = ["l"]\n[objective]\nmax_fpr = 0.01\n'
    )
    return parse_contract(text, where="d")


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("1", 1), ("yes", 1), ("TRUE", 1), ("attack", 1), ("1.0", 1), (" 1", 1), ("1e0", 1),
        ("0", 0), ("no", 0), ("Benign", 0), ("0.0", 0), ("-0", 0),
        ("maybe", None), ("fraud", None), ("2", None), ("", None), (" ", None), ("1.5", None),
        ("nan", None), ("1e400", None), ("9" * 5000, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("listed", ['positive = ["1"]', "positive = [1]", 'negative = ["0"]'])
def test_where_plain_words_are_listed_nothing_else_is_a_label(
    said: str, label: int | None, listed: str
) -> None:
    assert label_of(said, contract(listed)) == label


@pytest.mark.parametrize(
    ("said", "label"),
    [("fraud", 1), ("Fraud ", 1), ("1", 1), ("legit", 0), ("0", 0), ("normal", 0), (" ", None)],
)
def test_where_kinds_of_attack_are_listed_any_other_kind_is_none(
    said: str, label: int | None
) -> None:
    assert label_of(said, contract('positive = ["fraud", "theft"]')) == label


@pytest.mark.parametrize(
    ("said", "label"), [("WORD", 0), ("Word", 0), ("worm", 1), ("1", 1), ("no", 0), ("", None)]
)
@pytest.mark.parametrize("word", ["clean", "normal", "benign"])
def test_where_what_is_no_attack_is_listed_any_other_kind_is_one(
    said: str, label: int | None, word: str
) -> None:
    said = said.replace("WORD", word).replace("Word", word.title())
    assert label_of(said, contract(f'negative = ["{word}"]')) == label


def test_a_contract_may_call_a_plain_word_no_attack() -> None:
    assert label_of("attack", contract('negative = ["attack"]')) == 0


def test_what_is_expected_is_said_in_words() -> None:
    assert expected_labels(contract('positive = ["fraud"]')) == "0, 1 or one of fraud"
