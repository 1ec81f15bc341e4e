"""baluarte.core.contract_diff: every difference once, at its place."""

from __future__ import annotations

import msgspec

from baluarte.core.contract import Band, Budget, Gate, SplitRules
from baluarte.core.contract_diff import ContractChange, contract_changes
from baluarte.core.reason_catalogue import FieldReason, ReasonCatalogue
from baluarte.core.schema import Field, Schema
from baluarte.testing.bundles import SCHEMA, sample_contract

CONTRACT = sample_contract()


def changes(**other: object) -> list[ContractChange]:
    return list(contract_changes(CONTRACT, msgspec.structs.replace(CONTRACT, **other)))


def test_equal_contracts_differ_nowhere() -> None:
    assert changes() == []


def test_fields_are_known_by_their_name_wherever_they_stand() -> None:
    fields = [f for f in SCHEMA.fields if f.name != "failures"]
    fields = [Field(name="new", type="number"), *reversed(fields)]
    fields = [
        msgspec.structs.replace(f, mutable="up") if f.name == "bytes_out" else f for f in fields
    ]
    found = {c.path: c for c in changes(events=Schema(fields=tuple(fields)))}
    assert set(found) == {"events.new", "events.failures", "events.bytes_out.mutable"}
    assert found["events.new"].kind == "added"
    assert found["events.new"].after == "number"
    assert found["events.failures"].before == "integer"
    moved = found["events.bytes_out.mutable"]
    assert (moved.before, moved.after) == ("any", "up")


def test_bands_gates_and_plain_values_are_told_by_name() -> None:
    budget = Budget(kind="max_fpr", value=0.02)
    found = {
        c.path: (c.before, c.after)
        for c in changes(
            purpose="another",
            bands=(Band(name="pass"), Band(name="alert", budget=budget)),
            gates=(Gate(name="recall", min=0.9), Gate(name="recall", min=0.8, by="service")),
        )
    }
    assert found["purpose"] == ("Find hostile flows.", "another")
    assert found["bands.alert.budget.value"] == (0.01, 0.02)
    assert "gates.recall.service" in found
    assert len(found) == 3


def test_what_is_new_as_a_whole_is_one_line() -> None:
    catalogue = ReasonCatalogue(fields={"bytes_out": FieldReason(code="R1")})
    (change,) = changes(reasons=catalogue)
    assert (change.path, change.kind) == ("reasons", "added")
    assert change.after == "fields (bytes_out), most 4"


def test_a_split_that_is_said_is_told() -> None:
    (change,) = changes(split=SplitRules(by="entity"))
    assert (change.path, change.kind, change.after) == ("split", "added", "by entity")
