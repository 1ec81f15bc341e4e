"""baluarte.core.contract_fix: one cure, every other byte as it was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baluarte.core.contract import SplitRules
from baluarte.core.contract_fix import apply_fix
from baluarte.core.contract_toml import parse_contract
from baluarte.errors import ContractError

HEAD = 'name = "a"\npurpose = "p"\nowner = "o"\n'
TAIL = """\
[types]
number = ["x", "y", "é \\" z"]  # kept
integer = ["l"]
[objective]
max_fpr = 0.01
"""
TABLE = '[events]  # roles\nlabel = "l"\npositive = [1]\n'

FORMS = {
    "a table": HEAD + TABLE + TAIL,
    "a table at the end, no newline": HEAD + TAIL + TABLE.rstrip("\n"),
    "a list": HEAD + TABLE + 'ignored = ["x"]  # seen\n' + TAIL,
    "an empty list": HEAD + TABLE + "ignored = [ ]\n" + TAIL,
    "a list over lines": HEAD + TABLE + 'ignored = [\n  "x",  # why\n  # because\n]\n' + TAIL,
    "an inline table": HEAD + 'events = { label = "l", positive = [1] }\n' + TAIL,
    "dotted keys": HEAD + 'events.label = "l"\nevents.positive = [1]\n' + TAIL,
    "windows lines": (HEAD + TABLE + TAIL).replace("\n", "\r\n"),
    "no events at all": HEAD
    + TAIL.replace('integer = ["l"]\n', "").replace(
        "max_fpr = 0.01", "max_alerts_per_day = 1\nevents_per_day = 9"
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("field", ["y", 'é " z'])
def test_a_field_is_ignored_and_nothing_else_moves(form: str, field: str) -> None:
    text = FORMS[form]
    fixed = apply_fix(text, field, where="detector.toml")
    before, after = (parse_contract(each, where="detector.toml").events for each in (text, fixed))
    assert after[field].role == "ignored"
    assert [each.role for each in after.fields if each.name != field] == [
        each.role for each in before.fields if each.name != field
    ]
    inserted = len(fixed) - len(text)
    cut = next((i for i in range(len(text)) if text[i] != fixed[i]), len(text))
    assert inserted > 0
    if form != "an empty list":
        assert any(
            fixed[:at] + fixed[at + inserted :] == text
            for at in range(max(cut - inserted, 0), cut + 1)
        )


def test_an_ignored_field_stays_as_it_is() -> None:
    assert apply_fix(FORMS["a list"], "x", where="d") == FORMS["a list"]


OF_CURES = """\
[types]
number = ["x", "y"]
category = ["user", "é \\" z"]
time = ["settled_at"]
integer = ["l"]
[objective]
max_fpr = 0.01
"""


@pytest.mark.parametrize("head", [TABLE, 'events = { label = "l", positive = [1] }\n'])
@pytest.mark.parametrize(
    ("fix", "field", "expected"),
    [
        ("after:settled_at", "settled_at", {"available": "after"}),
        ("sensitive:user", "user", {"role": "sensitive"}),
        ("entity:user", "user", {"role": "entity"}),
        ("trim:user", "user", {"steps": ["trim"]}),
        ('lower:é " z', 'é " z', {"steps": ["lower"]}),
        ("pseudonym:user", "user", {"is_pseudonym": True}),
    ],
)
def test_each_cure_is_written_once_and_touches_no_other_field(
    head: str, fix: str, field: str, expected: dict[str, object]
) -> None:
    text = HEAD + head + OF_CURES
    fixed = apply_fix(text, fix, where="d")
    before, after = (parse_contract(each, where="d").events for each in (text, fixed))
    found = after[field]
    said = {key: getattr(found, key) for key in expected}
    if "steps" in said:
        said["steps"] = [step.op for step in found.steps]
    assert said == expected
    others = [[each for each in events.fields if each.name != field] for events in (before, after)]
    assert others[0] == others[1]
    assert apply_fix(fixed, fix, where="d") == fixed  # done is done


def test_a_second_step_of_cleaning_comes_after_the_first() -> None:
    once = apply_fix(HEAD + TABLE + OF_CURES, "trim:user", where="d")
    twice = apply_fix(once, "lower:user", where="d")
    user = parse_contract(twice, where="d").events["user"]
    assert [step.op for step in user.steps] == ["trim", "lower"]


def test_there_is_one_entity() -> None:
    text = apply_fix(HEAD + TABLE + OF_CURES, "entity:user", where="d")
    with pytest.raises(ContractError, match="user already has the role entity"):
        apply_fix(text, 'entity:é " z', where="d")


@pytest.mark.parametrize(
    ("field", "reason"),
    [("absent", "no field absent is declared"), ("l", "l has the role label")],
)
def test_what_is_no_feature_is_refused(field: str, reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        apply_fix(FORMS["a table"], field, where="d")


def test_the_last_feature_is_kept() -> None:
    text = HEAD + TABLE + '[types]\nnumber = ["x"]\ninteger = ["l"]\n[objective]\nmax_fpr = 0.01\n'
    with pytest.raises(ContractError, match="no feature"):
        apply_fix(text, "x", where="d")


@settings(deadline=None, max_examples=50)
@given(
    names=st.lists(
        st.text(
            st.characters(codec="utf-8", exclude_categories=("C",), exclude_characters="."),
            min_size=1,
            max_size=5,
        ),
        min_size=3,
        max_size=6,
        unique=True,
    ),
    layout=st.sampled_from(["[events]\n", "[events]\nignored=[]\n", "events = {}\n", ""]),
)
def test_fields_of_any_name_can_be_ignored_one_after_another(names: list[str], layout: str) -> None:
    from baluarte.stages.infer import quoted

    listed = ", ".join(quoted(name) for name in names)
    objective = "[objective]\nmax_alerts_per_day = 1\nevents_per_day = 9\n"
    text = f"{HEAD}{layout}[types]\nnumber = [{listed}]\n{objective}"
    for name in names[1:]:
        text = apply_fix(text, name, where="d")
    schema = parse_contract(text, where="d").events
    assert [field.name for field in schema.features] == [names[0]]


OF_RULES = (
    HEAD
    + """\
[events]
label = "l"
positive = ["fraud", "theft"]
entity = "user"
[types]
number = ["x", "y"]
category = ["user", "analyst"]
integer = ["card", "n", "l"]
[objective]
max_fpr = 0.01
"""
)


@pytest.mark.parametrize(
    ("fix", "line"),
    [
        ("split", '[split]\nby = "entity"'),
        ("split:stratum", '[split]\nby = "stratum"'),
        ("repeats:near", '[split]\nrepeats = "near"'),
        ("distrust:analyst=a=3", '[events]\ndistrusted = { "analyst" = ["a=3"] }'),
        ("missing:n=-1,-9999999", 'clean = ["missing -1", "missing -9999999"]'),
        ("missing:analyst=not known", 'clean = ["missing not known"]'),
        ("ignore:x,y", 'ignored = ["x", "y"]'),
        ("label:fraud=Fraud", 'positive = ["Fraud", "theft"]'),
        ("pseudonym:card", '[fields."card"]\npseudonym = true\ntype = "category"'),
    ],
)
def test_a_rule_is_written_once(fix: str, line: str) -> None:
    text = OF_RULES.replace('"y"]', '"y", "z"]')  # so that a feature is left
    fixed = apply_fix(text, fix, where="d")
    assert line in fixed
    assert apply_fix(fixed, fix, where="d") == fixed
    parse_contract(fixed, where="d")


def test_a_rule_beside_another_stays_with_it() -> None:
    text = apply_fix(OF_RULES, "split", where="d")
    both = parse_contract(apply_fix(text, "repeats:once", where="d"), where="d").split
    assert both == SplitRules(by="entity", repeats="once")
    text = apply_fix(OF_RULES, "distrust:analyst=a", where="d")
    label = parse_contract(apply_fix(text, "distrust:analyst=b", where="d"), where="d").label
    assert label is not None
    assert label.distrusted == {"analyst": ("a", "b")}
    inline = HEAD + 'events = { label = "l", positive = [1] }\n' + OF_CURES
    assert "distrusted" in apply_fix(inline, "distrust:user=x", where="d")


def test_a_missing_value_comes_after_the_steps_of_texts_and_before_those_of_numbers() -> None:
    said = '[fields.analyst]\nclean = ["trim"]\n[fields.n]\nclean = ["scale robust"]\n'
    text = apply_fix(OF_RULES + said, "missing:analyst=?", where="d")
    events = parse_contract(apply_fix(text, "missing:n=-1", where="d"), where="d").events
    assert [step.op for step in events["analyst"].steps] == ["trim", "missing"]
    assert [step.op for step in events["n"].steps] == ["missing", "scale"]


@pytest.mark.parametrize(
    ("fix", "reason"),
    [
        ("split:clock", "expected one of split:time, split:entity, split:stratum"),
        ("repeats:", "expected one of repeats:apart"),
        ("label:murder=x", "'murder' is none of the listed label values"),
        ("missing:n=", "the values that stand for a missing one"),
        ("distrust:l=1", "l has the role label"),
        ("split:time", "no field has the role time"),
    ],
)
def test_a_rule_that_can_not_be_is_refused(fix: str, reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        apply_fix(OF_RULES, fix, where="d")


def test_a_field_that_is_named_as_a_rule_is_left_out() -> None:
    text = OF_RULES.replace('"x"', '"split"')
    assert 'ignored = ["split"]' in apply_fix(text, "split", where="d")
