"""What every check of ``plan`` must do, whatever it looks for.

    check_check(MyCheck())

A check answers for any events that fit the contract, also for none; it says the same each time,
worst first, in values that JSON can hold, and never touches what it looks at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from baluarte.core.contract import (
    Band,
    Budget,
    Contract,
    Label,
    Learner,
    Objective,
    Points,
)
from baluarte.core.contract_fix import parse_fix
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Finding
from baluarte.core.findings import worst_first
from baluarte.core.schema import Field, Schema
from baluarte.ports import Check
from baluarte.testing.expect import expect, same

_BUDGET = Budget(kind="max_alerts_per_day", value=10.0)
_CURED = {  #: roles of the fields that a cure is for, where these are not features alone
    "pseudonym": ("feature", "id", "entity", "key", "sensitive"),
    "distrust": ("feature", "entity", "key", "sensitive"),
}
_DAY_US = 86_400_000_000
N = 3_000

FIELDS = (
    Field(name="id", type="text", role="id"),
    Field(name="at", type="time", role="time"),
    Field(name="who", type="category", role="entity"),
    Field(name="amount", type="number"),
    Field(name="count", type="integer"),
    Field(name="service", type="category"),
    Field(name="note", type="text"),
    Field(name="night", type="boolean"),
    Field(name="label", type="category", role="label"),
)


def check_contract(*, labelled: bool = True, timed: bool = True) -> Contract:
    """A contract over every type of field, with or without label and time."""
    left_out = {name for name, kept in (("label", labelled), ("at", timed)) if not kept}
    return Contract(
        name="conformance",
        purpose="",
        owner="",
        events=Schema(fields=tuple(field for field in FIELDS if field.name not in left_out)),
        label=Label(field="label", positive=("1",)) if labelled else None,
        objective=Objective(budget=_BUDGET, events_per_day=1_000.0),
        bands=(Band(name="pass"), Band(name="alert", budget=_BUDGET)),
        points=Points(),
        learner=Learner(),
        gates=(),
    )


def check_events(n: int = N, *, attacks: float = 0.1) -> Events:
    """``n`` quiet events, the same in every run: no leak, little missing, nothing constant."""
    rows = np.arange(n)
    mixed = (rows * 7919) % 10_007 / 10_007  # spread over [0, 1) and unrelated to the rows' order
    other = (rows * 104_729) % 99_991 / 99_991

    def texts(values: object) -> Column:
        return np.array(values, dtype=object)

    columns: dict[str, Column] = {
        "id": texts([f"e{row}" for row in rows]),
        "at": rows * (_DAY_US / 1_000),
        "who": texts([f"w{int(x * 400)}" for x in other]),
        "amount": np.where(mixed < 0.01, np.nan, np.round(mixed * 900) / 3),
        "count": np.floor(other * 50),
        "service": texts(["dns" if x < 0.4 else "http" if x < 0.8 else "ssh" for x in mixed]),
        "note": texts([f"note {int(x * 5)}" for x in other]),
        "night": (other < 0.3).astype(np.float64),
        "label": texts(["1" if (x * 31) % 1 < attacks else "0" for x in (mixed + other) / 2]),
    }
    return Events(n=n, columns=columns)


def check_check(check: Check) -> None:
    """Run the whole conformance suite.

    Raises:
        AssertionError: the check breaks a promise; the message is the promise.
    """
    for contract, events in _grounds():
        before = {name: column.copy() for name, column in events.columns.items()}
        findings = check.findings(contract, events)
        _unchanged(before, events.columns)
        same(findings, check.findings(contract, events))
        same(findings, worst_first(findings))
        for finding in findings:
            _sound(check, finding, contract)


def _grounds() -> Iterator[tuple[Contract, Events]]:
    whole = check_events()
    for labelled in (True, False):
        for timed in (True, False):
            contract = check_contract(labelled=labelled, timed=timed)
            yield contract, whole
            yield contract, whole.slice(0, 0)
            yield contract, whole.slice(0, 1)
            yield contract, Events(n=N, columns={"amount": whole.columns["amount"]})
            yield contract, Events(n=N, columns=_emptied(whole.columns))
    for attacks in (0.0, 1.0):
        yield check_contract(), check_events(attacks=attacks)


def _emptied(columns: Mapping[str, Column]) -> dict[str, Column]:
    return {
        name: np.full(len(column), None if column.dtype == object else np.nan, column.dtype)
        for name, column in columns.items()
    }


def _unchanged(before: Mapping[str, Column], after: Mapping[str, Column]) -> None:
    same(sorted(before), sorted(after))
    for name, column in before.items():
        now = after[name]
        equal = column.tolist() == now.tolist()
        if column.dtype != object:
            equal = bool(np.array_equal(column, now, equal_nan=True))
        expect(equal, f"a check leaves {name} as it was")


def _sound(check: Check, finding: Finding, contract: Contract) -> None:
    expect(
        finding.check == check.name or finding.check.startswith(f"{check.name}."),
        f"a finding of {check.name} is named after it, not {finding.check}",
    )
    if finding.field is not None:
        expect(finding.field in contract.events, f"{finding.field} is a field of the contract")
    if finding.fix is not None:
        fix = parse_fix(finding.fix, {field.name for field in contract.events.fields})
        named = _CURED.get(fix.cure, ("feature",))
        expect(
            fix.cure == "label"
            or all(f in contract.events and contract.events[f].role in named for f in fix.fields),
            f"the fix {finding.fix} names a field that can be so cured",
        )
    expect(bool(finding.evidence), f"{finding.check} stands on figures")
    back = msgspec.json.decode(msgspec.json.encode(finding), type=Finding)
    same(back, finding)
