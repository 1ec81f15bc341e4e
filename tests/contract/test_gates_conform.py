"""Every registered gate passes the suite of its port."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

from baluarte.core.contract import Band, Budget, Contract, Gate, Learner, Objective, Points
from baluarte.core.schema import Schema
from baluarte.testing.gates import check_gate

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
GATES = PROJECT["project"]["entry-points"]["baluarte.gates"]

BUDGET = Budget(kind="max_fpr", value=0.01)
CONTRACT = Contract(
    name="conformance",
    purpose="",
    owner="",
    events=Schema(fields=()),
    label=None,
    objective=Objective(budget=BUDGET, min_recall=0.95, max_latency_ms=1.0),
    bands=(Band(name="pass"), Band(name="alert", budget=BUDGET)),
    points=Points(),
    learner=Learner(),
    gates=(),
)


@pytest.mark.parametrize("by", [None, "segment"])
@pytest.mark.parametrize("name", GATES)
def test_a_registered_gate_conforms(name: str, by: str | None) -> None:
    module, attribute = GATES[name].split(":")
    plugin = getattr(importlib.import_module(module), attribute)()
    assert plugin.name == name
    limits = {"precision": {"min": 0.95}, "cost": {"max": 0.02}}.get(name, {})
    check_gate(plugin, Gate(name=name, by=by, **limits), CONTRACT)
