"""methods/checks of single columns: each sees its own fault, and nothing in quiet events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from baluarte.core.contract import Contract
from baluarte.core.encode import MAX_CATEGORIES
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Finding
from baluarte.core.personal import is_nif_pt
from baluarte.core.schema import Field
from baluarte.methods.checks.cadence import Cadence
from baluarte.methods.checks.cardinality import Cardinality
from baluarte.methods.checks.codes import Codes
from baluarte.methods.checks.empty_rows import EmptyRows
from baluarte.methods.checks.levels import Levels
from baluarte.methods.checks.outliers import Outliers
from baluarte.methods.checks.personal_data import PersonalData
from baluarte.methods.checks.placeholders import Placeholders
from baluarte.methods.checks.protected import Protected
from baluarte.methods.checks.redundant import Redundant
from baluarte.methods.checks.weights import Weights
from baluarte.ports import Check
from baluarte.testing.checks import N, check_contract, check_events

CONTRACT = check_contract()
EVENTS = check_events()
ROWS = np.arange(N)
SECOND_US = 1_000_000
#: unrelated to labels and to the order of the rows
SMOOTH = np.round(np.random.default_rng(5).lognormal(3, 0.5, N), 4)


PT_NIFS = [str(n) for n in range(200_000_000, 200_003_000) if is_nif_pt(str(n))]


def texts(values: object) -> Column:
    return np.array(values, dtype=object)


def found(check: Check, field: Field, column: Column) -> list[Finding]:
    """What a check says of quiet events with one column more."""
    wider = msgspec.structs.replace(CONTRACT.events, fields=(*CONTRACT.events.fields, field))
    contract: Contract = msgspec.structs.replace(CONTRACT, events=wider)
    events = replace(EVENTS, columns={**EVENTS.columns, field.name: column})
    return [one for one in check.findings(contract, events) if one.field in (field.name, None)]


@pytest.mark.parametrize(
    "check",
    [Cadence(), Codes(), EmptyRows(), Outliers(), Placeholders(), Protected(), Weights()],
    ids=lambda check: check.name,
)
def test_quiet_events_have_none(check: Check) -> None:
    assert check.findings(CONTRACT, EVENTS) == []


def test_a_few_amounts_in_another_unit_stand_apart() -> None:
    amounts = SMOOTH.copy()
    amounts[::600] *= 10_000
    (finding,) = found(Outliers(), Field(name="fee", type="number"), amounts)
    assert (finding.values["n"], finding.level) == (len(amounts[::600]), "note")
    assert finding.values["value"] == amounts[::600].max()
    assert finding.values["next"] == np.delete(amounts, np.arange(0, N, 600)).max()
    assert finding.evidence[0].value > 3.5


def test_a_heavy_tail_is_no_outlier() -> None:
    tail = np.random.default_rng(6).pareto(1.5, N)
    assert found(Outliers(), Field(name="fee", type="number"), tail) == []


def test_categories_beyond_the_table_are_counted() -> None:
    many = texts([f"v{row}" for row in ROWS])
    (finding,) = found(Cardinality(), Field(name="agent", type="category"), many)
    assert (finding.check, finding.level) == ("cardinality.categories", "warn")
    share = 1 - MAX_CATEGORIES / N
    assert finding.values["share"] == finding.evidence[0].value == pytest.approx(share)
    few = texts([f"v{row % MAX_CATEGORIES}" for row in ROWS])
    assert found(Cardinality(), Field(name="agent", type="category"), few) == []


def test_a_free_text_is_named() -> None:
    said = texts([f"note {row}" for row in ROWS])
    (finding,) = found(Cardinality(), Field(name="memo", type="text"), said)
    assert (finding.check, finding.values["n"]) == ("cardinality.text", N)


@pytest.mark.parametrize(
    ("kind", "mark", "others"),
    [
        ("category", "?", lambda row: f"s{row % 7}"),
        ("category", "N/A", lambda row: f"s{row % 7}"),
        ("number", -1.0, lambda row: float(row % 50)),
        ("number", 9999.0, lambda row: float(row % 50)),
    ],
)
@pytest.mark.parametrize(("every", "level"), [(3, "warn"), (10, "note")])
def test_what_stands_for_a_missing_value_is_counted(
    kind: str, mark: str | float, others: object, every: int, level: str
) -> None:
    values = [mark if row % every == 0 else others(row) for row in ROWS.tolist()]  # type: ignore[operator]
    column = texts(values) if kind == "category" else np.array(values)
    (finding,) = found(Placeholders(), Field(name="extra", type=kind), column)  # type: ignore[arg-type]
    assert (finding.values["n"], finding.level) == (len(ROWS[::every]), level)
    assert finding.values["value"] == (mark if isinstance(mark, str) else f"{mark:.0f}")


def test_codes_of_a_key_that_is_not_there_and_verdicts_are_named() -> None:
    codes = texts([f"A{11 + row % 4}" for row in ROWS])
    (finding,) = found(Codes(), Field(name="status", type="category"), codes)
    assert (finding.check, finding.values["value"]) == ("codes.opaque", "A11")
    verdicts = {f"rule{i}": (ROWS % (3 + i) - 1).clip(-1, 1).astype(float) for i in range(4)}
    kept = [field for field in CONTRACT.events.fields if not field.is_feature]
    fields = (*kept, *(Field(name=name, type="integer") for name in verdicts))
    contract = msgspec.structs.replace(
        CONTRACT, events=msgspec.structs.replace(CONTRACT.events, fields=fields)
    )
    events = replace(EVENTS, columns={**EVENTS.columns, **verdicts})
    (finding,) = Codes().findings(contract, events)
    assert (finding.check, finding.values) == ("codes.verdicts", {"n": 4, "of": 4})


@pytest.mark.parametrize(("every", "level"), [(50, "warn"), (300, "note")])
def test_events_that_say_nothing_are_counted(every: int, level: str) -> None:
    silent = ROWS % every == 0
    columns = dict(EVENTS.columns)
    for field in CONTRACT.events.features:
        column = columns[field.name].copy()
        column[silent] = None if column.dtype == object else np.nan
        columns[field.name] = column
    (finding,) = EmptyRows().findings(CONTRACT, replace(EVENTS, columns=columns))
    assert (finding.level, finding.values) == (level, {"n": int(silent.sum())})
    assert finding.evidence[0].value == pytest.approx(silent.mean())


def test_a_level_that_is_each_entitys_own_is_named() -> None:
    who = texts([f"w{row % 20}" for row in ROWS])
    own = (ROWS % 20) * 100.0 + ROWS % 7
    wider = msgspec.structs.replace(
        CONTRACT.events, fields=(*CONTRACT.events.fields, Field(name="power", type="number"))
    )
    events = Events(n=N, columns={**EVENTS.columns, "who": who, "power": own})
    (finding,) = Levels().findings(msgspec.structs.replace(CONTRACT, events=wider), events)
    assert finding.values["examples"] == "power"
    assert finding.picture is not None
    assert finding.picture.values[0] > 0.9
    shuffled = replace(events, columns={**events.columns, "power": SMOOTH})
    assert Levels().findings(msgspec.structs.replace(CONTRACT, events=wider), shuffled) == []


def test_what_is_protected_of_persons_is_named_with_its_groups() -> None:
    sex = texts(["f" if row % 2 else "m" for row in ROWS])
    (finding,) = found(Protected(), Field(name="sex", type="category"), sex)
    assert (finding.check, finding.fix) == ("protected.groups", "sensitive:sex")
    assert {finding.values["low_group"], finding.values["high_group"]} == {"f", "m"}
    assert len(finding.evidence) == 2
    assert found(Protected(), Field(name="account_age", type="number"), SMOOTH) == []


def test_the_same_said_twice_is_noted() -> None:
    size = (ROWS % 90).astype(float)
    wider = (
        *CONTRACT.events.fields,
        Field(name="metres", type="number"),
        Field(name="feet", type="number"),
    )
    contract = msgspec.structs.replace(
        CONTRACT, events=msgspec.structs.replace(CONTRACT.events, fields=wider)
    )
    events = replace(EVENTS, columns={**EVENTS.columns, "metres": size, "feet": size * 3.28})
    said = [one for one in Redundant().findings(contract, events) if one.field == "feet"]
    assert [(one.check, one.fix, one.values["other"]) for one in said] == [
        ("redundant.pair", "feet", "metres")
    ]


def test_cards_in_whole_numbers_are_personal_and_get_a_pseudonym() -> None:
    bodies = [f"4539{row:011}" for row in range(N)]
    sums = [sum(int(d) * 2 // 10 + int(d) * 2 % 10 if i % 2 == 0 else int(d)
                for i, d in enumerate(body)) for body in bodies]  # fmt: skip
    cards = np.array([float(f"{b}{-s % 10}") for b, s in zip(bodies, sums, strict=True)])
    (finding,) = found(PersonalData(), Field(name="pan", type="integer"), cards)
    assert (finding.check, finding.values["what"]) == ("personal_data.values", "card")
    assert finding.fix == "pseudonym:pan"
    assert found(PersonalData(), Field(name="reference", type="integer"), cards + 1) == []


@pytest.mark.parametrize(
    ("name", "of", "what"),
    [
        ("phone", lambda row: f"6{row + 10_000_000}", "phone"),
        ("contact", lambda row: f"06 {row % 90 + 10} 34 {row // 90 + 10} 78", "phone"),
        ("tax_id", lambda row: PT_NIFS[row % len(PT_NIFS)], "nif"),
    ],
)
def test_national_numbers_are_told_by_the_columns_name_or_by_how_all_are_written(
    name: str, of: Callable[[int], str], what: str
) -> None:
    column = texts([of(row) for row in ROWS.tolist()])
    (finding,) = found(PersonalData(), Field(name=name, type="category"), column)
    assert (finding.check, finding.values["what"]) == ("personal_data.values", what)
    assert finding.fix == f"pseudonym:{name}"
    bare = texts([f"7{row:08}" for row in ROWS])
    assert found(PersonalData(), Field(name="contact", type="category"), bare) == []


@pytest.mark.parametrize(
    ("name", "is_weight"),
    [("fnlwgt", True), ("sampling_weight", True), ("weight", False), ("weight_kg", False)],
)
def test_weights_of_the_sample_are_told_from_weights(name: str, is_weight: bool) -> None:
    said = found(Weights(), Field(name=name, type="number"), SMOOTH)
    assert [one.fix for one in said] == ([name] if is_weight else [])


def test_series_at_even_steps_show_where_they_are_not() -> None:
    at = (ROWS // 10) * 60.0 * SECOND_US
    who = texts([f"node{row % 10}" for row in ROWS])
    even = replace(EVENTS, columns={**EVENTS.columns, "at": at, "who": who})
    assert Cadence().findings(CONTRACT, even) == []
    torn = at.copy()
    torn[500::100] -= 60.0 * SECOND_US  # the instant before, again
    (repeats, *rest) = Cadence().findings(
        CONTRACT, replace(even, columns={**even.columns, "at": torn})
    )
    assert (repeats.check, repeats.values["n"]) == ("cadence.repeats", len(torn[500::100]))
    assert [one.check for one in rest] in ([], ["cadence.uneven"])
