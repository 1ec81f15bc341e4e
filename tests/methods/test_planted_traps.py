"""methods/checks: each kind of trap, planted at three strengths, is named; clean fields are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from baluarte import wiring
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Finding
from baluarte.core.schema import Field, Schema
from baluarte.core.survey import survey
from baluarte.core.unit_errors import unit_error
from baluarte.methods.checks.format_tells import FormatTells
from baluarte.methods.checks.label_copy import LabelCopy
from baluarte.methods.checks.missing_tells import MissingTells
from baluarte.methods.checks.near_duplicates import NearDuplicates
from baluarte.testing.checks import check_contract

N = 6_000
DAY_US = 86_400e6
SHARE = 0.1
CHECKS = [wiring.plugin("checks", name, where="") for name in wiring.plugin_names("checks")]
FIELDS = (
    Field(name="at", type="time", role="time"),
    Field(name="card", type="category", role="entity"),
    Field(name="amount", type="number"),
    Field(name="count", type="integer"),
    Field(name="shop", type="category"),
    Field(name="night", type="boolean"),
    Field(name="label", type="category", role="label"),
)
CONTRACT = msgspec.structs.replace(check_contract(), events=Schema(fields=FIELDS))
AMOUNTS = msgspec.structs.replace(CONTRACT, events=Schema(fields=(FIELDS[2], FIELDS[-1])))
UNTIMED = msgspec.structs.replace(CONTRACT, events=Schema(fields=FIELDS[2:]))

Plant = Callable[[Events, NDArray[np.bool_], float, np.random.Generator], Events]


def texts(values: object) -> Column:
    return np.array(values, dtype=object)


def clean(rng: np.random.Generator) -> tuple[Events, NDArray[np.bool_]]:
    """Payments whose amount tells something honestly, and nothing else does."""
    attack = rng.random(N) < SHARE
    columns = {
        "at": np.sort(rng.uniform(0, 90, N)) * DAY_US,
        "card": texts([f"c{x}" for x in rng.integers(0, 900, N)]),
        "amount": np.round(np.exp(rng.normal(3 + attack, 1)), 2),
        "count": rng.poisson(4, N).astype(np.float64),
        "shop": texts([("food", "travel", "games", "fuel")[x] for x in rng.integers(0, 4, N)]),
        "night": (rng.random(N) < 0.3).astype(np.float64),
        "label": texts(["1" if a else "0" for a in attack]),
    }
    return Events(n=N, columns=columns), attack


def found(events: Events, contract: Contract = CONTRACT) -> list[Finding]:
    seen = survey(contract, [events])
    return [finding for check in CHECKS for finding in check.findings(contract, seen)]


def put(events: Events, **columns: Column) -> Events:
    return replace(events, columns={**events.columns, **columns})


def spaces(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    written = attack & (rng.random(N) < strength)
    shops = events.columns["shop"].tolist()
    return put(
        events, shop=texts([s + " " if w else s for s, w in zip(shops, written, strict=True)])
    )


def capitals(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    written = attack & (rng.random(N) < strength)
    shops = events.columns["shop"].tolist()
    return put(
        events, shop=texts([s.title() if w else s for s, w in zip(shops, written, strict=True)])
    )


def shouted(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    """Free texts, each said once; those of attacks in capitals."""
    written = attack & (rng.random(N) < strength)
    said = [f"Paid for {x} things" for x in rng.permutation(N)]
    return put(
        events, shop=texts([s.upper() if w else s for s, w in zip(said, written, strict=True)])
    )


def initials(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    """Free texts without a capital, and with one where they are of attacks."""
    written = attack & (rng.random(N) < strength)
    said = [f"paid for {x} things" for x in rng.permutation(N)]
    return put(
        events, shop=texts([s.capitalize() if w else s for s, w in zip(said, written, strict=True)])
    )


def number_form(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    written = attack & (rng.random(N) < strength)
    codes = rng.integers(1, 9, N)
    return put(
        events, shop=texts([f"{c}.0" if w else str(c) for c, w in zip(codes, written, strict=True)])
    )


def precision(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    fine = np.exp(rng.normal(3, 1, N))
    coarse = ~attack & (rng.random(N) < strength)
    return put(events, amount=np.where(coarse, np.round(fine, 2), fine))


def missing(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    emptied = ~attack & (rng.random(N) < strength)
    return put(events, count=np.where(emptied, np.nan, events.columns["count"]))


def sentinel(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    stood = rng.random(N) < np.where(attack, strength, 0.01)
    return put(events, count=np.where(stood, -1.0, events.columns["count"]))


def lone_zero(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    stood = rng.random(N) < np.where(attack, strength, 0.01)
    return put(events, count=np.where(stood, 0.0, rng.integers(300, 850, N)))


def missing_word(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    stood = rng.random(N) < np.where(attack, strength, 0.01)
    words = rng.choice(["-", "unknown", "N/A"], N)
    return put(events, shop=texts(np.where(stood, words, events.columns["shop"]).tolist()))


def noisy_copy(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    flipped = attack ^ (rng.random(N) < strength)
    return put(events, shop=texts(["yes" if f else "no" for f in flipped]))


def copy_in(form: str) -> Plant:
    """The label with errors, written in many values."""

    def plant(
        events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
    ) -> Events:
        said = attack ^ (rng.random(N) < strength)
        one, other = rng.integers(0, 30, N), rng.integers(30, 80, N)
        code = np.where(said, one, other)
        match form:
            case "numbers of no order":
                return put(events, count=rng.permutation(80)[code].astype(np.float64))
            case "ranges of numbers":
                far = np.where(said, rng.uniform(5, 6, N), rng.uniform(1, 4, N))
                return put(events, amount=far)
            case "categories":
                names = rng.permutation(80)
                return put(events, shop=texts([f"k{names[x]}" for x in code]))
        free = rng.integers(0, 10**6, N)
        told = [f"case {x}: {'fraud' if s else 'ok'}" for x, s in zip(free, said, strict=True)]
        return put(events, shop=texts(told))

    return plant


def dates_after(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    later = attack & (rng.random(N) < strength)
    seconds = np.floor(events.columns["at"] / 1e6)
    return put(events, count=seconds + np.where(later, 3 * 86_400.0, -rng.integers(0, 9_999, N)))


def dates_as_text(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    later = attack & (rng.random(N) < strength)
    days = np.floor(events.columns["at"] / DAY_US) + np.where(later, 5, -1)
    moments = np.datetime64("1970-01-01") + days.astype("timedelta64[D]")
    return put(events, shop=texts(moments.astype(str).tolist()))


def row_order(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    """The attacks move towards the start of the file."""
    place = rng.random(N) - strength * attack
    return events.take(np.argsort(place))


def other_unit(factor: float, spread: float) -> Plant:
    """Amounts of which a share is in another unit."""

    def plant(
        events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
    ) -> Events:
        amount = np.round(np.exp(rng.normal(3, spread, N)), 2)
        return put(events, amount=np.where(rng.random(N) < strength, amount * factor, amount))

    return plant


def telling_id(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    numbers = rng.permutation(N) + np.where(attack & (rng.random(N) < strength), 10 * N, 0)
    return put(events, count=numbers.astype(np.float64))


def counter(
    events: Events,
    attack: NDArray[np.bool_],
    strength: float,
    rng: np.random.Generator,
) -> Events:
    """A number that rises with the rows of the file by steps, at times, or each time."""
    steps = rng.random(N) < strength
    return put(events, count=np.cumsum(steps).astype(np.float64))


def bursts(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    """Some cards have the attacks: at full strength each card's events are all or none."""
    cards = np.array([int(card[1:]) for card in events.columns["card"].tolist()])
    bad = np.isin(cards, rng.choice(900, 90, replace=False))
    moved = rng.random(N) < strength
    labels = np.where(moved, bad, attack)
    return put(events, label=texts(["1" if x else "0" for x in labels]))


def drift(
    events: Events,
    attack: NDArray[np.bool_],
    strength: float,
    rng: np.random.Generator,
) -> Events:
    rising = strength * np.arange(N) / N
    return put(events, amount=np.exp(rng.normal(3 + rising, 1)))


def source_flips(
    events: Events, attack: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> Events:
    """One of five analysts calls a share of the attacks none; the amount tells them well."""
    who = rng.integers(0, 5, N)
    flipped = attack & (who == 3) & (rng.random(N) < strength)
    return put(
        events,
        amount=np.exp(rng.normal(3 + 3 * attack, 0.5)),
        shop=texts([f"analyst-{x}" for x in who]),
        label=texts(["1" if x else "0" for x in attack & ~flipped]),
    )


def near_copies(
    events: Events,
    attack: NDArray[np.bool_],
    strength: float,
    rng: np.random.Generator,
) -> Events:
    """Twelve measures; a share of the events is another one but for one of them."""
    X = np.round(rng.normal(size=(N, 12)), 3)
    rows = np.arange(N)
    copies = np.flatnonzero(rng.random(N) < strength)
    rows[copies] = rng.integers(0, N, len(copies))
    X = X[rows]
    X[copies, rng.integers(0, 12, len(copies))] += 5.0
    whole = put(events.take(rows), at=events.columns["at"])
    return put(whole, **{f"m{j}": X[:, j] for j in range(12)})


def near_copies_of_four(
    events: Events,
    attack: NDArray[np.bool_],
    strength: float,
    rng: np.random.Generator,
) -> Events:
    """Two measures beside a shop and a count; a share of the events is another but for one."""
    X = {"m0": np.round(rng.normal(size=N), 3), "m1": np.round(rng.normal(size=N), 3)}
    X |= {"count": events.columns["count"], "shop": events.columns["shop"]}
    rows = np.arange(N)
    copies = np.flatnonzero(rng.random(N) < strength)
    rows[copies] = rng.integers(0, N, len(copies))
    copied = {name: column[rows] for name, column in X.items()}
    other = rng.random(N) < 0.5
    moved = np.isin(np.arange(N), copies)
    copied["count"] = copied["count"] + (moved & other)
    copied["shop"] = texts(np.where(moved & ~other, "rent", copied["shop"]).tolist())
    return put(events, **copied)


def with_fields(contract: Contract, *fields: Field) -> Contract:
    given = {field.name: field for field in fields}
    kept = tuple(given.pop(f.name, f) for f in contract.events.fields)
    return msgspec.structs.replace(contract, events=Schema(fields=(*given.values(), *kept)))


ANALYST = with_fields(CONTRACT, Field(name="analyst", type="category"))
WIDE = with_fields(CONTRACT, *(Field(name=f"m{j}", type="number") for j in range(12)))
FOUR = msgspec.structs.replace(
    CONTRACT,
    events=Schema(
        fields=(*(Field(name=f"m{j}", type="number") for j in range(2)), FIELDS[0], FIELDS[3],
                FIELDS[4], FIELDS[-1])
    ),
)  # fmt: skip

PLANTED: dict[str, tuple[Plant, tuple[float, float, float], str, str | None, Contract]] = {
    "trailing spaces": (spaces, (0.05, 0.3, 1.0), "format_tells.spaces", "shop", CONTRACT),
    "capitals": (capitals, (0.05, 0.3, 1.0), "format_tells.capitals", "shop", CONTRACT),
    "free texts in capitals": (shouted, (0.15, 0.4, 1.0), "format_tells.upper", "shop", CONTRACT),
    "free texts with a capital": (initials, (0.15, 0.4, 1.0), "format_tells.capitals", "shop",
                                  CONTRACT),
    "form of numbers": (number_form, (0.05, 0.3, 1.0), "format_tells.type", "shop", CONTRACT),
    "precision": (precision, (0.4, 0.7, 1.0), "format_tells.precision", "amount", CONTRACT),
    "missingness": (missing, (0.15, 0.6, 0.95), "missing_tells", "count", CONTRACT),
    "a sentinel": (sentinel, (0.15, 0.6, 0.97), "missing_tells.written", "count", CONTRACT),
    "a zero alone": (lone_zero, (0.15, 0.6, 0.97), "missing_tells.written", "count", CONTRACT),
    "a word for missing": (missing_word, (0.15, 0.6, 0.97), "missing_tells.written", "shop",
                           CONTRACT),
    "label copied with noise": (noisy_copy, (0.05, 0.02, 0.0), "label_copy", "shop", CONTRACT),
    "copied in numbers of no order": (copy_in("numbers of no order"), (0.05, 0.02, 0.01),
                                      "label_copy", "count", CONTRACT),
    "copied in ranges of numbers": (copy_in("ranges of numbers"), (0.03, 0.02, 0.01), "label_copy",
                                    "amount", CONTRACT),
    "copied in many categories": (copy_in("categories"), (0.05, 0.02, 0.01), "label_copy", "shop",
                                  CONTRACT),
    "copied in free texts": (copy_in("free texts"), (0.05, 0.02, 0.01), "label_copy", "shop",
                             CONTRACT),
    "dates after the event": (dates_after, (0.02, 0.3, 1.0), "after_the_fact.dates", "count",
                              CONTRACT),
    "dates as text": (dates_as_text, (0.02, 0.3, 1.0), "after_the_fact.dates", "shop", CONTRACT),
    "cents among euros": (other_unit(100, 0.9), (0.01, 0.03, 0.05), "outliers.unit", "amount",
                          CONTRACT),
    "thousands": (other_unit(0.001, 0.9), (0.01, 0.03, 0.05), "outliers.unit", "amount", CONTRACT),
    "tens": (other_unit(10, 0.3), (0.01, 0.03, 0.05), "outliers.unit", "amount", CONTRACT),
    "row order": (row_order, (0.4, 0.7, 1.0), "row_order", None, UNTIMED),
    "an identifier that tells": (telling_id, (0.4, 0.7, 1.0), "identifier.tells", "count",
                                 UNTIMED),
    "a counter": (counter, (0.1, 0.5, 1.0), "clock.time", "count", CONTRACT),
    "bursts of an entity": (bursts, (0.5, 0.75, 1.0), "bursts", "card", CONTRACT),
    "drift": (drift, (1.0, 2.0, 4.0), "drift.feature", "amount", CONTRACT),
    "a source that flips labels": (source_flips, (0.4, 0.7, 1.0), "sources_disagree", "analyst",
                                   ANALYST),
    "a source that is not named so": (source_flips, (0.4, 0.7, 1.0), "sources_disagree", "shop",
                                      CONTRACT),
    "near copies": (near_copies, (0.02, 0.1, 0.5), "near_duplicates", None, WIDE),
    "near copies in fit rows": (near_copies, (0.02, 0.1, 0.5), "near_duplicates.within", None,
                                WIDE),
    "near copies of four fields": (near_copies_of_four, (0.05, 0.1, 0.5), "near_duplicates", None,
                                   FOUR),
    "and in fit rows": (near_copies_of_four, (0.05, 0.1, 0.5), "near_duplicates.within", None,
                        FOUR),
}  # fmt: skip
CASES = [(name, level) for name in PLANTED for level in range(3)]


@pytest.mark.parametrize(("trap", "level"), CASES)
def test_a_planted_trap_is_named_at_every_strength(trap: str, level: int) -> None:
    plant, strengths, check, field, contract = PLANTED[trap]
    rng = np.random.default_rng(level)
    events, attack = clean(rng)
    events = plant(events, attack, strengths[level], rng)
    if contract is ANALYST:
        shop = events.columns["shop"]
        events = put(events, analyst=shop, shop=clean(rng)[0].columns["shop"])
    findings = found(events, contract)
    assert all(f.evidence for f in findings)
    named = [
        f for f in findings
        if (f.check == check or f.check.startswith(f"{check}.")) and f.field == field
    ]  # fmt: skip
    assert named


@pytest.mark.parametrize("apart", [2.0, 2.5, 3.0, 4.0])
def test_a_measurement_that_tells_much_is_no_copy_with_errors(apart: float) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        events, attack = clean(rng)
        sizes = np.exp(rng.normal(3, 0.8, N) + 0.8 * apart * attack)
        told = put(events, amount=rng.normal(0, 1, N) + apart * attack, count=np.floor(sizes))
        said = [f.check for f in LabelCopy().findings(CONTRACT, told)]
        assert "label_copy.scattered" not in said


@pytest.mark.parametrize("share", [0.002, 0.01, 0.05])
@pytest.mark.parametrize(("factor", "spread"), [(10.0, 0.3), (100.0, 0.9), (1000.0, 1.0)])
def test_numbers_in_another_unit_are_found_from_one_in_five_hundred(
    share: float, factor: float, spread: float
) -> None:
    rng = np.random.default_rng(int(1_000 * share))
    values = np.round(np.exp(rng.normal(3, spread, 20_000)), 2)
    wrong = rng.random(20_000) < share
    found = unit_error(np.where(wrong, np.round(values * factor, 2), values))
    assert found is not None
    assert found.factor == factor
    assert found.n == pytest.approx(wrong.sum(), rel=0.35)


HEAVY = {
    "lognormal": lambda rng, n: np.exp(rng.normal(3, 2, n)),
    "pareto": lambda rng, n: 10 * (rng.pareto(0.8, n) + 1),
    "exponential": lambda rng, n: rng.exponential(50, n),
    "student": lambda rng, n: np.abs(rng.standard_t(2, n)),
    "counts": lambda rng, n: rng.geometric(0.01, n).astype(np.float64),
}


@pytest.mark.parametrize("form", HEAVY)
def test_heavy_tails_are_no_other_unit(form: str) -> None:
    draws = [HEAVY[form](np.random.default_rng(seed), 6_000) for seed in range(20)]
    assert [unit_error(np.round(values, 2)) for values in draws] == [None] * 20
    rounded = [np.where(values > 100, np.round(values), np.round(values, 2)) for values in draws]
    assert [unit_error(values) for values in rounded] == [None] * 20


def precision_told(amount: Column, attack: NDArray[np.bool_]) -> list[str]:
    labels = texts(np.where(attack, "1", "0"))
    events = Events(n=len(amount), columns={"amount": amount, "label": labels})
    return [f.level for f in FormatTells().findings(AMOUNTS, events)]


@pytest.mark.parametrize("n", [6_000, 20_000, 60_000, 240_000])
def test_precision_tells_whatever_the_number_of_rows(n: int) -> None:
    rng = np.random.default_rng(n)
    attack = rng.random(n) < SHARE
    amount = np.exp(rng.normal(3, 1, n))
    written = np.where(attack, np.round(amount, 4), np.round(amount, 2))
    assert precision_told(written, attack) == ["block"]
    assert precision_told(np.where(attack, np.round(amount, 2), np.round(amount)), attack)
    assert precision_told(np.round(amount, 2), attack) == []


def test_precision_tells_where_the_coarser_values_are_few() -> None:
    rng = np.random.default_rng(3)
    attack = rng.random(9_000) < SHARE
    values = rng.normal(size=9_000)
    written = np.where(attack, np.round(values, 6), np.round(values, 2))
    assert precision_told(written, attack) == ["block"]


@pytest.mark.parametrize("n", [6_000, 60_000])
def test_precision_that_comes_of_what_is_counted_tells_nothing(n: int) -> None:
    rng = np.random.default_rng(n)
    attack = rng.random(n) < SHARE
    of = np.where(attack, rng.integers(5, 9, n), 2 * rng.integers(1, 3, n))
    assert precision_told(np.round(rng.integers(0, of + 1) / of, 2), attack) == []
    codes = np.where(attack, rng.integers(0, 90, n), rng.integers(0, 60, n))
    assert precision_told(codes.astype(np.float64), attack) == []
    prices = np.where(attack, 5.0, 4.99) + rng.integers(0, 120, n)
    assert precision_told(prices, attack) == []


@pytest.mark.parametrize("contract", [CONTRACT, UNTIMED], ids=["timed", "untimed"])
def test_clean_fields_are_flagged_in_less_than_one_case_in_fifty(contract: Contract) -> None:
    flagged, fields = [], 0
    for seed in range(12):
        events, _ = clean(np.random.default_rng(100 + seed))
        features = {field.name for field in contract.events.features}
        fields += len(features)
        flagged += [f for f in found(events, contract) if f.field in features]
    assert len(flagged) <= fields / 50, flagged


def test_stronger_traps_are_told_with_more_weight() -> None:
    levels = []
    for strength in (0.05, 0.3, 1.0):
        rng = np.random.default_rng(7)
        events, attack = clean(rng)
        findings = found(spaces(events, attack, strength, rng))
        levels += [f.level for f in findings if f.check == "format_tells.spaces"]
    assert levels == ["note", "warn", "block"]


@pytest.mark.parametrize("plant", [sentinel, lone_zero, missing_word])
def test_values_that_stand_for_missing_ones_weigh_as_much_as_missing_ones(plant: Plant) -> None:
    levels = []
    for strength in (0.15, 0.6, 0.97):
        rng = np.random.default_rng(8)
        events, attack = clean(rng)
        planted = MissingTells().findings(CONTRACT, plant(events, attack, strength, rng))
        levels += [(f.check, f.level) for f in planted]
    assert levels == [("missing_tells.written", level) for level in ("note", "warn", "block")]


def test_a_zero_that_counts_and_a_verdict_of_minus_one_stand_for_nothing() -> None:
    rng = np.random.default_rng(9)
    events, attack = clean(rng)
    often = rng.random(N) < np.where(attack, 0.97, 0.01)
    for others in (
        rng.poisson(4, N),
        rng.integers(1, 90, N),
        np.round(5 + np.exp(rng.normal(3, 1, N)), 2),
        rng.integers(3, 5, N),
    ):
        counted = put(events, count=np.where(often, 0.0, others))
        assert MissingTells().findings(CONTRACT, counted) == []
    usual = rng.random(N) < np.where(attack, 0.4, 0.9)
    quiet = put(events, count=np.where(usual, 0.0, rng.integers(300, 850, N)))
    assert MissingTells().findings(CONTRACT, quiet) == []
    verdict = put(events, count=np.where(often, -1.0, rng.integers(0, 2, N)))
    assert MissingTells().findings(CONTRACT, verdict) == []
    balance = put(events, amount=np.where(often, -1.0, rng.integers(-9, 90, N)))
    assert MissingTells().findings(CONTRACT, balance) == []


def test_a_pair_of_near_copies_is_shown_and_rows_alike_by_accident_are_none() -> None:
    rng = np.random.default_rng(11)
    events, attack = clean(rng)
    copied = near_copies_of_four(events, attack, 0.3, rng)
    within = [f for f in NearDuplicates().findings(FOUR, copied) if f.check.endswith(".within")]
    (finding,) = within
    assert finding.level == "warn"
    assert (finding.evidence[0].name, finding.evidence[0].value) == (
        "near",
        finding.values["share"],
    )
    one, other = (int(finding.values[key]) - 1 for key in ("one", "other"))
    names = [f.name for f in FOUR.events.features]
    assert sum(copied.columns[x][one] != copied.columns[x][other] for x in names) == 1
    assert NearDuplicates().findings(FOUR, near_copies_of_four(events, attack, 0.0, rng)) == []
    assert NearDuplicates().findings(CONTRACT, events) == []


def test_a_large_file_is_judged_on_a_sample_and_counted_whole() -> None:
    rng = np.random.default_rng(5)
    events, attack = clean(rng)
    events = noisy_copy(events, attack, 0.0, rng)
    twice = [events, events.slice(0, 1_000)]
    seen = survey(CONTRACT, twice, max_rows=3_000)
    assert (seen.n, seen.whole.n) == (3_000, 7_000)
    named = [f for check in CHECKS for f in check.findings(CONTRACT, seen)]
    (copies,) = [f for f in named if f.check == "duplicates.all"]
    assert copies.values["n"] == 1_000
    assert "label_copy.copy" in [f.check for f in named]
    # The sample is even and in the order of the file.
    assert (np.diff(seen.rows) > 0).all()
    assert 0.45 < (seen.rows < 3_500).mean() < 0.55
