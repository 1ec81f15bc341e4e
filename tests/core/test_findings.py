"""baluarte.core.findings: what is accepted by name no longer blocks; nothing else changes."""

from __future__ import annotations

from baluarte.core.contract import Accept, Band, Budget, Contract, Learner, Objective, Points
from baluarte.core.evidence import Finding
from baluarte.core.findings import blocking, finding_name, worst_first
from baluarte.core.schema import Schema

BUDGET = Budget(kind="max_fpr", value=0.01)


def contract(*accepted: str) -> Contract:
    return Contract(
        name="a",
        purpose="",
        owner="",
        events=Schema(fields=()),
        label=None,
        objective=Objective(budget=BUDGET),
        bands=(Band(name="pass"), Band(name="alert", budget=BUDGET)),
        points=Points(),
        learner=Learner(),
        gates=(),
        accept=tuple(Accept(finding=name, reason="known") for name in accepted),
    )


LEAK = Finding(check="label_copy.copy", level="block", field="x")
OTHER = Finding(check="label_copy.copy", level="block", field="y")
NOTE = Finding(check="constant", level="note", field="z")


def test_a_block_stands_until_it_is_accepted_by_its_own_name() -> None:
    findings = [LEAK, OTHER, NOTE]
    assert blocking(findings, contract()) == [LEAK, OTHER]
    assert finding_name(LEAK) == "label_copy_copy_x"
    assert blocking(findings, contract("label_copy_copy_x")) == [OTHER]
    assert blocking(findings, contract("label_copy")) == [LEAK, OTHER]


def test_the_worst_come_first_and_equals_keep_their_order() -> None:
    assert worst_first([NOTE, OTHER, LEAK]) == [OTHER, LEAK, NOTE]
