"""methods/checks: each check sees its own fault, planted, and says it with the right figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from baluarte.core.contract import Contract, Label
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import attacks
from baluarte.core.schema import Field, Schema
from baluarte.methods.checks.balance import Balance
from baluarte.methods.checks.clock import Clock
from baluarte.methods.checks.constant import Constant
from baluarte.methods.checks.contradictions import Contradictions
from baluarte.methods.checks.duplicates import Duplicates
from baluarte.methods.checks.entities import Entities
from baluarte.methods.checks.identifier import Identifier
from baluarte.methods.checks.label_copy import LabelCopy
from baluarte.methods.checks.labels import Labels
from baluarte.methods.checks.missing import Missing
from baluarte.methods.checks.missing_tells import MissingTells
from baluarte.methods.checks.unlabelled import Unlabelled
from baluarte.methods.checks.unseen import Unseen
from baluarte.methods.checks.volume import Volume
from baluarte.ports import Check
from baluarte.testing.checks import N, check_contract, check_events

CONTRACT = check_contract()
EVENTS = check_events()
ATTACK = attacks(CONTRACT, EVENTS) == 1


def planted(**columns: Column) -> Events:
    return replace(EVENTS, columns={**EVENTS.columns, **columns})


def said(check: Check, events: Events, contract: Contract = CONTRACT) -> list[tuple[object, ...]]:
    return [(f.check, f.level, f.field) for f in check.findings(contract, events)]


def only(check: Check, events: Events, contract: Contract = CONTRACT) -> Finding:
    (finding,) = check.findings(contract, events)
    return finding


def texts(of: Callable[[int], str | None]) -> Column:
    return np.array([of(row) for row in range(N)], dtype=object)


def test_volume_blocks_none_and_warns_of_few() -> None:
    assert said(Volume(), EVENTS.slice(0, 0)) == [("volume.none", "block", None)]
    assert only(Volume(), EVENTS.slice(0, 1_999)).values == {"n": 1_999}
    assert said(Volume(), EVENTS.slice(0, 2_000)) == []


def test_balance_blocks_one_class_warns_of_rare_and_notes_a_majority() -> None:
    nobody = planted(label=texts(lambda row: "0"))
    assert only(Balance(), nobody).values == {"what": "negatives"}
    everyone = planted(label=texts(lambda row: "1"))
    assert only(Balance(), everyone).values == {"what": "positives"}
    rare = only(Balance(), planted(label=texts(lambda row: "1" if row < 3 else "0")))
    assert (rare.level, rare.values) == ("warn", {"positives": 3, "n": N, "share": 0.001})
    most = only(Balance(), planted(label=texts(lambda row: "1" if row % 5 else "0")))
    assert (most.check, most.level, most.values) == ("balance.majority", "note", {"share": 0.8})


def test_labels_that_never_occur_block_if_none_does_and_warn_if_one_does() -> None:
    def naming(*positive: str) -> Contract:
        return msgspec.structs.replace(CONTRACT, label=Label(field="label", positive=positive))

    assert said(Labels(), EVENTS, naming("fraud")) == [("labels.absent", "block", "label")]
    assert said(Labels(), EVENTS, naming("1", "fraud")) == [("labels.absent", "warn", "label")]
    kinds = planted(label=texts(lambda row: ("normal", "dos", "probe")[row % 3]))
    named = msgspec.structs.replace(CONTRACT, label=Label(field="label", negative=("normal",)))
    unlisted = only(Labels(), kinds, named)
    assert unlisted.values == {
        "field": "label", "n": 3, "what": "attack", "found": "dos, probe",
    }  # fmt: skip


def test_unlabelled_events_are_counted() -> None:
    def without(share: float) -> Events:
        labels = EVENTS.columns["label"].copy()
        labels[: round(N * share)] = None
        return planted(label=labels)

    assert said(Unlabelled(), without(0.1)) == [("unlabelled", "note", None)]
    assert said(Unlabelled(), without(0.6)) == [("unlabelled", "warn", None)]
    assert said(Unlabelled(), without(1.0)) == [("unlabelled", "block", None)]


def test_mostly_empty_features_are_found_the_emptiest_first() -> None:
    def emptied(name: str, share: float) -> Column:
        column = EVENTS.columns[name].astype(np.float64).copy()
        column[: round(N * share)] = np.nan
        return column

    findings = Missing().findings(
        CONTRACT, planted(amount=emptied("amount", 0.2), count=emptied("count", 0.7))
    )
    assert [(f.field, f.level, f.fix) for f in findings] == [
        ("count", "warn", "count"),
        ("amount", "note", None),
    ]
    assert findings[0].values["share"] == 0.7


def test_a_field_written_after_the_fact_is_found_by_where_it_is_filled() -> None:
    chargeback = np.where(ATTACK, 5.0, np.nan)
    chargeback[np.flatnonzero(ATTACK)[::33]] = np.nan
    finding = only(MissingTells(), planted(amount=chargeback))
    assert (finding.level, finding.field, finding.fix) == ("block", "amount", "amount")
    assert finding.values["filled_attacks"] == pytest.approx(0.97, abs=0.01)
    assert finding.values["filled_rest"] == 0.0
    half = np.where(ATTACK & (np.arange(N) % 10 < 6), 5.0, np.nan)
    assert only(MissingTells(), planted(amount=half)).level == "warn"


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("count", np.zeros(N), "0"),
        ("service", texts(lambda row: "dns"), "dns"),
        ("amount", np.full(N, np.nan), "–"),
        ("note", texts(lambda row: None), "–"),
    ],
)
def test_a_constant_or_empty_feature_is_found(name: str, column: Column, value: str) -> None:
    finding = only(Constant(), planted(**{name: column}))
    assert finding.values == {"field": name, "value": value}
    assert finding.fix == name


def test_one_value_and_missing_is_not_constant() -> None:
    assert said(Constant(), planted(count=np.where(np.arange(N) % 2, np.nan, 0.0))) == []


def test_repeated_events_are_counted_whatever_their_id_and_time() -> None:
    assert said(Duplicates(), EVENTS) == []
    rows = np.arange(N)
    rows[-30:] = 7
    twice = EVENTS.take(rows)
    columns = {**twice.columns, "id": EVENTS.columns["id"], "at": EVENTS.columns["at"]}
    across, finding = Duplicates().findings(CONTRACT, replace(twice, columns=columns))
    assert (finding.check, finding.level, finding.values["n"]) == ("duplicates.all", "note", 30)
    # The split is by time and the copies are the newest rows: all proof rows among them.
    assert (across.check, across.level, across.values["n"]) == ("duplicates.across", "warn", 30)
    rows[-400:] = 7
    assert ("duplicates.all", "warn", None) in said(Duplicates(), EVENTS.take(rows))


def test_equal_events_with_both_labels_are_counted() -> None:
    amounts = np.arange(N) * 1.0
    assert said(Contradictions(), planted(amount=amounts)) == []
    rows = np.arange(N)
    rows[1] = 0
    both = planted(amount=amounts).take(rows)
    both.columns["label"][:2] = ["0", "1"]
    finding = only(Contradictions(), both)
    assert (finding.level, finding.values) == ("note", {"n": 2})


def test_a_copy_of_the_label_blocks_and_a_near_copy_warns() -> None:
    copy = only(LabelCopy(), planted(amount=np.where(ATTACK, 700.0, 3.0)))
    assert (copy.check, copy.level, copy.fix) == ("label_copy.copy", "block", "amount")
    assert copy.values == {"field": "amount", "auc": 1.0}
    near = ATTACK.copy()
    near[np.flatnonzero(ATTACK)[::99]] = False
    finding = only(LabelCopy(), planted(service=np.where(near, "yes", "no").astype(object)))
    assert (finding.check, finding.level) == ("label_copy.near", "warn")


def test_a_copy_in_disguise_is_seen_though_no_line_separates_it() -> None:
    shift = np.random.default_rng(3).integers(0, 25, N)
    assert only(LabelCopy(), planted(count=shift * 2.0 + ATTACK)).check == "label_copy.copy"


def test_a_strong_but_honest_feature_is_no_copy() -> None:
    honest = np.random.default_rng(3).normal(size=N) + 2.5 * ATTACK
    assert said(LabelCopy(), planted(amount=honest)) == []


def test_an_identifier_is_found_and_an_amount_is_not() -> None:
    def about(field: str, events: Events) -> list[str]:
        return [f.check for f in Identifier().findings(CONTRACT, events) if f.field == field]

    assert about("count", planted(count=np.arange(N) * 3.0)) == ["identifier.unique"]
    codes = texts(lambda row: f"session-{row}")
    assert about("service", planted(service=codes))[0] == "identifier.unique"
    assert about("amount", planted(amount=np.arange(N) / 7)) == []


def test_categories_that_come_late_are_counted_by_time_not_by_order() -> None:
    late = EVENTS.columns["service"].copy()
    late[-60:] = "http_8001"
    finding = only(Unseen(), planted(service=late))
    assert (finding.level, finding.values) == (
        "warn",
        {"field": "service", "n": 1, "share": 0.1, "examples": "http_8001"},
    )
    backwards = EVENTS.columns["at"][::-1].copy()
    assert said(Unseen(), planted(service=late, at=backwards)) == []
    untimed = check_contract(timed=False)
    assert said(Unseen(), planted(service=late, at=backwards), untimed) == [
        ("unseen", "warn", "service")
    ]


def test_a_feature_that_rises_with_time_is_found_whatever_its_scale() -> None:
    assert said(Clock(), planted(count=np.floor(np.sqrt(np.arange(N)) * 99))) == [
        ("clock.time", "warn", "count")
    ]
    assert said(Clock(), planted(amount=-np.exp(np.arange(N) / N))) == [
        ("clock.time", "warn", "amount")
    ]
    assert said(Clock(), planted(count=np.arange(N) % 24.0)) == []


def test_entities_on_both_sides_of_the_split_by_time_are_counted() -> None:
    finding = only(Entities(), EVENTS)
    assert finding.level == "note"
    assert finding.values["field"] == "who"
    assert 300 < int(finding.values["n"]) <= 400
    alone = planted(who=texts(lambda row: f"w{row}"))
    assert said(Entities(), alone) == []
    assert said(Entities(), EVENTS, check_contract(timed=False)) == []


def test_only_features_are_looked_at() -> None:
    fields = tuple(
        Field(name=f.name, type=f.type, role="ignored") if f.name == "count" else f
        for f in CONTRACT.events.fields
    )
    contract = msgspec.structs.replace(CONTRACT, events=Schema(fields=fields))
    leak = planted(count=ATTACK.astype(np.float64))
    assert said(LabelCopy(), leak, contract) == []
    assert said(LabelCopy(), leak) == [("label_copy.copy", "block", "count")]


def test_a_share_that_a_finding_tells_is_its_evidence_with_an_interval() -> None:
    """What is missing, late, without a label or rare is a share of so many events, and not sure."""
    half = np.where(np.arange(N) % 2 == 0, np.nan, 1.0)
    late = texts(lambda row: f"new{row % 3}" if row > N * 0.9 else "old")
    fields = (Field(name="half", type="number"), Field(name="late", type="category"))
    wider = msgspec.structs.replace(
        CONTRACT,
        events=msgspec.structs.replace(CONTRACT.events, fields=(*CONTRACT.events.fields, *fields)),
    )
    events = planted(half=half, late=late)
    for check, share in ((Missing(), 0.5), (Unseen(), 0.5)):
        (finding,) = (f for f in check.findings(wider, events) if f.field in {"half", "late"})
        (figure,) = finding.evidence
        assert figure.value == finding.values["share"] == pytest.approx(share, abs=0.01)
        assert figure.low < figure.value < figure.high
