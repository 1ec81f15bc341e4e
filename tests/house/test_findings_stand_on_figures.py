"""A finding without a figure is an opinion: every one that is made is given evidence in words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from baluarte.apps.catalogue import load

SOURCE = Path(__file__).parents[2] / "src" / "baluarte"
MAKERS = [*sorted((SOURCE / "methods" / "checks").glob("*.py")), SOURCE / "stages" / "plan.py"]
FIGURES = {"share_figure", "count_figure", "Figure"}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node


@pytest.mark.parametrize("path", MAKERS, ids=lambda path: path.stem)
def test_every_finding_is_given_evidence(path: Path) -> None:
    without = []
    for name, call in calls(path):
        if name != "Finding":
            continue
        given = {word.arg: word.value for word in call.keywords}
        evidence = given.get("evidence")
        if evidence is None or (isinstance(evidence, ast.Tuple) and not evidence.elts):
            without.append(call.lineno)
    assert without == []


@pytest.mark.parametrize("path", MAKERS, ids=lambda path: path.stem)
def test_every_figure_has_its_name_in_both_languages(path: Path) -> None:
    named = set()
    for name, call in calls(path):
        words = {word.arg: word.value for word in call.keywords}
        first = words.get("name", call.args[0] if call.args else None)
        if name in FIGURES and isinstance(first, ast.Constant):
            named.add(f"evidence_of.{first.value}")
    assert named <= set(load("en"))
    assert named <= set(load("es"))
