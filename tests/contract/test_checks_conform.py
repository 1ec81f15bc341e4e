"""Every registered check passes the suite of its port, and has its words in the catalogue."""

from __future__ import annotations

import ast
import importlib
import tomllib
from pathlib import Path

import pytest

from baluarte.apps.catalogue import load
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.ports import Check
from baluarte.testing.checks import check_check, check_contract, check_events

ROOT = Path(__file__).parents[2]
CHECKS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"][
    "baluarte.checks"
]


def plugin(name: str) -> Check:
    module, attribute = CHECKS[name].split(":")
    check: Check = getattr(importlib.import_module(module), attribute)()
    return check


@pytest.mark.parametrize("name", CHECKS)
def test_a_registered_check_conforms(name: str) -> None:
    check = plugin(name)
    assert check.name == name
    check_check(check)


@pytest.mark.parametrize("name", CHECKS)
def test_quiet_events_give_no_block_and_no_warning(name: str) -> None:
    findings = plugin(name).findings(check_contract(), check_events())
    assert [finding for finding in findings if finding.level != "note"] == []


@pytest.mark.parametrize("name", CHECKS)
def test_everything_a_check_may_find_has_its_words(name: str) -> None:
    path = ROOT / "src" / Path(CHECKS[name].split(":")[0].replace(".", "/")).with_suffix(".py")
    literals = {
        node.value
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    variants = {text for text in literals if text.startswith(f"{name}.")} or {name}
    assert variants <= {key.removeprefix("check.") for key in load("en")}


class Forgetful:
    """Answers differently each time."""

    name = "forgetful"

    def __init__(self) -> None:
        self.asked = 0

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        self.asked += 1
        return [Finding(check="forgetful", level="note", values={"n": self.asked})]


class Touching:
    """Changes what it looks at."""

    name = "touching"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        for column in events.columns.values():
            column[:1] = None if column.dtype == object else 1e9
        return []


class Backwards:
    """Says the least first, under another's name."""

    name = "backwards"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        return [Finding(check="other", level="note"), Finding(check="other", level="block")]


@pytest.mark.parametrize("check", [Forgetful(), Touching(), Backwards()], ids=lambda c: c.name)
def test_the_suite_refuses_a_check_that_breaks_a_promise(check: Check) -> None:
    with pytest.raises(AssertionError):
        check_check(check)
