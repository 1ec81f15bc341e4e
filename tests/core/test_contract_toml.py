"""baluarte.core.contract_toml: what is written becomes the contract, or every fault at once."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from baluarte.core.contract import (
    Budget,
    Contract,
    Gate,
    Sampling,
    SplitRules,
    canonical,
    decode_canonical,
)
from baluarte.core.contract_toml import (
    MONOTONE_FAMILIES,
    contract_json_schema,
    parse_contract,
)
from baluarte.errors import ContractError, Fault

ROOT = Path(__file__).parents[2]

GOOD = """\
name = "intrusion"
purpose = "Find hostile flows"
owner = "the security team"
attack = ["T1059.001", "T1110"]

[events]
label = "label"
negative = ["normal"]
family = "label"
time = "ts"
entity = "src"
ignored = ["difficulty"]

[types]
number = ["bytes", "rate"]
category = ["label", "service", "src"]
integer = ["difficulty"]

[fields.ts]
type = "time"
unit = "ms"

[fields."flow.packets"]
type = "integer"
mutable = "up"
required = true

[objective]
min_recall = 0.95
max_fpr = 0.01
max_latency_ms = 5
"""


def parsed(text: str) -> Contract:
    return parse_contract(text, where="detector.toml")


def faults(text: str, **known: list[str]) -> list[str]:
    with pytest.raises(ContractError) as refused:
        parse_contract(text, where="detector.toml", **known)  # type: ignore[arg-type]
    return [str(fault) for fault in refused.value.faults]


def test_the_short_and_the_long_form_give_one_schema_in_the_order_of_the_file() -> None:
    contract = parsed(GOOD)
    assert [field.name for field in contract.events.fields] == [
        "bytes", "rate", "label", "service", "src", "difficulty", "ts", "flow.packets",
    ]  # fmt: skip
    assert [field.name for field in contract.events.features] == [
        "bytes", "rate", "service", "flow.packets",
    ]  # fmt: skip
    packets = contract.events["flow.packets"]
    assert packets.keys == ("flow", "packets")
    assert (packets.mutable, packets.required) == ("up", True)
    assert contract.events["ts"].unit == "ms"
    assert contract.events["src"].role == "entity"


def test_every_promise_has_its_gate_and_gates_without_a_limit_hold_the_promise() -> None:
    assert parsed(GOOD).gates == (
        Gate(name="recall"),
        Gate(name="false_alarms"),
        Gate(name="latency"),
    )


def test_gates_of_the_file_stand_beside_the_promised_ones() -> None:
    contract = parsed(GOOD + '[gates.recall]\nby = "service"\n[gates.false_alarms]\nmax = 0.005\n')
    assert contract.gates[3:] == (
        Gate(name="recall", by="service"),
        Gate(name="false_alarms", max=0.005),
    )


def test_without_bands_there_are_pass_and_alert_with_the_objectives_budget() -> None:
    lowest, alert = parsed(GOOD).bands
    assert (lowest.name, lowest.budget) == ("pass", None)
    assert (alert.name, alert.budget) == ("alert", Budget(kind="max_fpr", value=0.01))


def test_a_bank_names_its_own_bands_and_the_second_takes_the_objectives_budget() -> None:
    bands = '[[bands]]\nname = "approve"\n[[bands]]\nname = "review"\n[[bands]]\nname = "decline"\n'
    contract = parsed(GOOD + bands + "max_fpr = 0.001\n")
    assert [(band.name, band.budget and band.budget.value) for band in contract.bands] == [
        ("approve", None),
        ("review", 0.01),
        ("decline", 0.001),
    ]


def test_a_family_beside_the_label_is_never_a_feature() -> None:
    text = GOOD.replace('family = "label"', 'family = "service"')
    service = parsed(text).events["service"]
    assert service.available == "after"
    assert not service.is_feature


def test_without_a_label_only_alerts_a_day_can_be_promised() -> None:
    text = GOOD.replace('label = "label"\nnegative = ["normal"]\nfamily = "label"\n', "")
    text = text.replace(
        "min_recall = 0.95\nmax_fpr = 0.01", "max_alerts_per_day = 50\nevents_per_day = 1e6"
    )
    contract = parsed(text)
    assert contract.label is None
    assert contract.learner.families == ("isolation_forest",)
    assert [gate.name for gate in contract.gates] == ["false_alarms", "latency"]


def test_label_values_of_any_type_become_canonical_text() -> None:
    text = GOOD.replace('negative = ["normal"]', 'positive = [1, true, "x"]')
    label = parsed(text).label
    assert label is not None
    assert label.positive == ("1", "true", "x")
    of_boolean = text.replace('category = ["label", ', 'boolean = ["label"]\ncategory = [')
    label = parsed(of_boolean.replace('[1, true, "x"]', "[1]")).label
    assert label is not None
    assert label.positive == ("true",)


def test_the_sealed_bytes_give_the_same_contract_back() -> None:
    contract = parsed(GOOD)
    assert decode_canonical(canonical(contract)) == contract


def test_accepted_findings_keep_their_reasons() -> None:
    accepted = parsed(
        GOOD + '[plan.accept]\nconstant_num = "kept for the sensors to come"\n'
    ).accept
    assert [(each.finding, each.reason) for each in accepted] == [
        ("constant_num", "kept for the sensors to come")
    ]


def faulty(case: dict[str, str]) -> str:
    if "text" in case:
        return case["text"]
    assert GOOD.count(case["old"]) == 1 or not case["old"]
    return GOOD.replace(case["old"], case["new"]) if case["old"] else GOOD + case["new"]


CASES = tomllib.loads((Path(__file__).parent / "faulty_contracts.toml").read_text("utf-8"))["case"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_faulty_contract_says_where_what_was_expected_and_what_found(
    case: dict[str, str],
) -> None:
    assert faults(faulty(case)) == case["faults"]


def test_all_faults_are_reported_at_once_in_the_order_of_their_lines() -> None:
    text = (
        GOOD.replace("max_fpr", "max_frp").replace('"integer"', '"float"').replace('"T1110"', '"T"')
    )
    assert [fault.split(": ")[0] for fault in faults(text)] == [
        "detector.toml:4",
        "detector.toml:24",
        "detector.toml:30",
    ]


def test_learners_and_gates_are_held_against_the_known_ones() -> None:
    text = GOOD + '[learner]\nfamilies = ["lightgmb"]\n[gates.recal]\nmin = 0.5\n'
    assert faults(
        text, known_families=["lightgbm"], known_gates=["recall", "false_alarms", "latency"]
    ) == [
        "detector.toml:33: learner.families[0]: no learner lightgmb. Did you mean lightgbm?",
        "detector.toml:34: gates.recal: no gate recal. Did you mean recall?",
    ]


def test_the_guide_shows_a_contract_that_is_valid() -> None:
    guide = (ROOT / "docs/guides/detector-toml.md").read_text("utf-8")
    contract = parsed("\n".join(re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)))
    assert [band.name for band in contract.bands] == ["approve", "review", "decline"]
    roles = {field.role for field in contract.events.fields}
    assert roles == {
        "feature", "label", "id", "time", "entity", "ignored", "sensitive", "legacy_score",
    }  # fmt: skip


def test_the_schema_for_editors_is_the_one_committed() -> None:
    committed = json.loads((ROOT / "docs/reference/detector.schema.json").read_text("utf-8"))
    assert committed == json.loads(msgspec.json.encode(contract_json_schema()))


def test_the_schema_for_editors_has_no_null_and_names_every_section() -> None:
    schema = contract_json_schema()
    assert "null" not in json.dumps(schema)
    sections = schema["$defs"]["DetectorFile"]["properties"]
    assert {"events", "types", "fields", "objective", "bands", "learner", "gates"} <= set(sections)


LEARNER = """
[learner]
families = ["lightgbm", "logistic"]
class_weight = 20
combine = "stack"
calibration = "beta"
search = "grid"
prune = true

[learner.sampling]
how = "under"
share = 0.3

[learner.params.lightgbm]
boosting = "dart"
num_leaves = [15, 31]
learning_rate = 0.1
"""


def test_what_families_are_told_is_kept_in_the_contract_as_it_was_written() -> None:
    learner = parsed(GOOD + LEARNER).learner
    assert (learner.combine, learner.calibration, learner.search) == ("stack", "beta", "grid")
    assert learner.class_weight == 20.0
    assert learner.sampling == Sampling(how="under", share=0.3)
    assert learner.params == {
        "lightgbm": {"boosting": "dart", "num_leaves": (15, 31), "learning_rate": 0.1}
    }
    of = parsed(GOOD + LEARNER)
    assert decode_canonical(canonical(of)) == of


def test_what_is_not_said_of_learning_is_not_in_the_sealed_bytes() -> None:
    sealed = json.loads(canonical(parsed(GOOD)))
    assert sorted(sealed["learner"]) == [
        "blend", "class_weight", "families", "folds", "max_minutes", "seed", "threads", "trials",
    ]  # fmt: skip
    assert all("monotone" not in field for field in sealed["events"]["fields"])


def test_what_is_not_said_of_the_split_and_of_sources_is_not_in_the_sealed_bytes() -> None:
    sealed = json.loads(canonical(parsed(GOOD)))
    assert "split" not in sealed
    assert "distrusted" not in sealed["label"]
    assert canonical(parsed(GOOD + '[split]\nrepeats = "keep"\n')) == canonical(parsed(GOOD))


def test_the_split_and_the_distrusted_are_said_and_sealed() -> None:
    rules = '[split]\nby = "entity"\nrepeats = "near"\n'
    said = GOOD.replace("[events]", '[events]\ndistrusted = { service = ["x", 7] }') + rules
    of = parsed(said)
    assert of.split == SplitRules(by="entity", repeats="near")
    assert of.label is not None
    assert of.label.distrusted == {"service": ("x", "7")}
    assert decode_canonical(canonical(of)) == of


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('[split]\nby = "clock"\n', "split.by: expected one of time, entity, stratum"),
        ('[split]\nrepeats = "never"\n', "split.repeats: expected one of keep, apart, near, once"),
        ('[events.distrusted]\nservise = ["x"]\n', "events.distrusted.servise: no field servise"),
        ('[events.distrusted]\nlabel = ["x"]\n', "events.distrusted.label: the label itself"),
        ("[events.distrusted]\nbytes = [1]\n", "only fields of names"),
        ('[events.distrusted]\nservice = ["x", "x"]\n', '"x" is listed twice'),
    ],
)
def test_faults_of_the_split_and_of_sources_are_told_with_their_place(
    said: str, message: str
) -> None:
    assert any(message in fault for fault in faults(GOOD + said))


@pytest.mark.parametrize("by", ["time", "entity"])
def test_a_split_by_what_no_field_is_is_a_fault(by: str) -> None:
    text = "\n".join(line for line in GOOD.splitlines() if not line.startswith(by))
    found = faults(text + f'\n[split]\nby = "{by}"\n')
    assert any(f"split.by: no field has the role {by}" in fault for fault in found)


def test_a_monotone_field_takes_families_that_promise_it_and_only_numbers_can_be() -> None:
    said = GOOD + '\n[fields.bytes]\nmonotone = "up"\n'
    assert parsed(said).learner.families == MONOTONE_FAMILIES
    assert parsed(said).events["bytes"].monotone == "up"
    found = faults(GOOD + '\n[fields.service]\nmonotone = "up"\n')
    assert "fields.service.monotone: only for features of type number" in found[0]


def test_parameters_are_held_against_their_family_with_their_lines() -> None:
    def refuse(family: str, said: Mapping[str, object]) -> list[tuple[str, Fault]]:
        return [(name, Fault(f"{family} says no")) for name in said if name == "boosting"]

    found = faults(GOOD + LEARNER, param_faults=refuse)  # type: ignore[arg-type]
    line = (GOOD + LEARNER).split("\n").index('boosting = "dart"') + 1
    assert found == [f"detector.toml:{line}: learner.params.lightgbm.boosting: lightgbm says no"]
    told = '[learner.params.lightgbn]\nrounds = 3\n[learner]\nsearch = "gird"\n'
    found = faults(GOOD + told, known_searches=["grid", "optuna"])
    assert "Did you mean lightgbm?" in found[0]
    assert "Did you mean grid?" in found[1]
