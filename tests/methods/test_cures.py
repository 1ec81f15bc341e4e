"""methods/checks: the cure that a finding offers is written into detector.toml, and cures it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from test_planted_traps import (
    N,
    clean,
    drift,
    missing_word,
    near_copies,
    other_unit,
    put,
    row_order,
    shouted,
    source_flips,
    texts,
)

from baluarte import wiring
from baluarte.core.contract_fix import apply_fix
from baluarte.core.contract_toml import parse_contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import LABEL_SOURCE
from baluarte.core.survey import survey
from baluarte.methods.checks.sources_disagree import SourcesDisagree

TEXT = """\
name = "cures"
purpose = "test"
owner = "test"
[events]
label = "label"
positive = ["1"]
time = "at"
entity = "card"
[types]
time = ["at"]
category = ["card", "shop", "label"]
number = ["amount"]
integer = ["count"]
boolean = ["night"]
[objective]
min_recall = 0.5
max_fpr = 0.05
"""
UNTIMED = TEXT.replace('time = "at"\nentity = "card"\n', 'ignored = ["at", "card"]\n')
WIDE = TEXT.replace(
    'number = ["amount"]', f"number = {[f'm{j}' for j in range(12)]!r}".replace("'", '"')
).replace('entity = "card"\n', 'ignored = ["count", "shop", "card", "night"]\n')


def copies(events: Events, attack: np.ndarray, strength: float, rng: np.random.Generator) -> Events:
    """Late events that are early ones again, at their own time."""
    rows = np.arange(N)
    again = np.flatnonzero((rows > N // 2) & (rng.random(N) < strength))
    rows[again] = rng.integers(0, N // 2, len(again))
    return put(events.take(rows), at=events.columns["at"])


def levels(events: Events, attack: np.ndarray, strength: float, rng: np.random.Generator) -> Events:
    cards = rng.integers(0, 20, N)
    named = texts([f"c{x}" for x in cards])
    return put(events, card=named, amount=cards * 100.0 + rng.random(N))


def as_it_is(
    events: Events, attack: np.ndarray, strength: float, rng: np.random.Generator
) -> Events:
    return events


def coded(events: Events, attack: np.ndarray, strength: float, rng: np.random.Generator) -> Events:
    return put(events, count=np.where(rng.random(N) < 0.3, -1.0, rng.integers(0, 90, N)))


def mistyped(
    events: Events, attack: np.ndarray, strength: float, rng: np.random.Generator
) -> Events:
    return put(events, label=texts(["fraud." if a else "ok" for a in attack]))


FRAUD = TEXT.replace('["1"]', '["Fraud"]')
Plant = Callable[[Events, np.ndarray, float, np.random.Generator], Events]
CASES: list[tuple[str, str, Plant, float, str]] = [
    ("row_order", UNTIMED, row_order, 1.0, "split:stratum"),
    ("duplicates.across", TEXT, copies, 0.5, "repeats:apart"),
    ("near_duplicates", WIDE, near_copies, 0.5, "repeats:near"),
    ("near_duplicates.within", WIDE, near_copies, 0.5, "repeats:once"),
    ("entities.two_sides", TEXT, as_it_is, 0, "split"),
    ("levels", TEXT, levels, 1.0, "split"),
    ("sources_disagree", TEXT, source_flips, 0.9, "distrust:shop=analyst-3"),
    ("drift.feature", TEXT, drift, 4.0, "amount"),
    ("placeholders", TEXT, coded, 1.0, "missing:count=-1"),
    ("placeholders", TEXT, missing_word, 1.0, ""),
    ("outliers.unit", TEXT, other_unit(100, 0.9), 0.03, ""),
    ("format_tells.upper", TEXT, shouted, 1.0, "lower:shop"),
    ("labels.absent", FRAUD, mistyped, 0, "label:Fraud=fraud."),
]  # fmt: skip


def named(text: str, events: Events, check: str) -> list[Finding]:
    contract = parse_contract(text, where="detector.toml")
    seen = survey(contract, [events])
    plugin = wiring.plugin("checks", check.split(".", maxsplit=1)[0], where="")
    return [f for f in plugin.findings(contract, seen) if f.check == check]


@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{c[0]} {c[4]}" for c in CASES])
def test_the_cure_that_is_offered_cures(case: int) -> None:
    check, text, plant, strength, cure = CASES[case]
    rng = np.random.default_rng(case)
    events, attack = clean(rng)
    events = plant(events, attack, strength, rng)
    found = named(text, events, check)
    assert found
    assert all(finding.fix for finding in found)
    assert cure in {finding.fix for finding in found} or not cure
    for finding in found:
        text = apply_fix(text, finding.fix or "", where="detector.toml")
    left = named(text, events, check)
    assert [finding for finding in left if finding.level != "note" or finding.fix] == []


def test_a_distrusted_source_of_delivered_labels_counts_for_nothing() -> None:
    rng = np.random.default_rng(3)
    events, attack = clean(rng)
    told = source_flips(events, attack, 0.9, rng)
    events = put(told, shop=events.columns["shop"], **{LABEL_SOURCE: told.columns["shop"]})
    contract = parse_contract(TEXT, where="detector.toml")
    (finding,) = SourcesDisagree().of_labels(contract, events)
    assert (finding.check, finding.values["source"]) == ("sources_disagree.labels", "analyst-3")
    assert SourcesDisagree().findings(contract, events) == []
    text = apply_fix(TEXT, finding.fix or "", where="detector.toml")
    assert 'distrusted = { "@source" = ["analyst-3"] }' in text
    assert apply_fix(text, finding.fix or "", where="detector.toml") == text
    assert SourcesDisagree().of_labels(parse_contract(text, where="d"), events) == []
