"""The table of threats has no empty cell, and every test that it names exists and runs in CI."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from threats_page import PAGE, page, table

ROOT = Path(__file__).parents[2]
ROWS = table()
NAMED = sorted(
    {name for row in ROWS["hole"] for name in row["tests"]}
    | {name for row in ROWS["owasp"] for plane in ("data", "console") for name in row[plane]}
)


@cache
def functions(file: str) -> dict[str, ast.FunctionDef]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_class_of_hole_and_every_risk_is_there_once() -> None:
    assert [row["number"] for row in ROWS["hole"]] == list(range(1, 24))
    assert [row["id"] for row in ROWS["owasp"]] == [f"API{n}" for n in range(1, 11)]


def test_no_cell_is_empty() -> None:
    for row in ROWS["hole"]:
        assert all(row[key] for key in ("class", "seen", "rule", "tests")), row["number"]
    for row in ROWS["owasp"]:
        assert all(row[key] for key in ("name", "data", "console")), row["id"]


@pytest.mark.parametrize("name", NAMED)
def test_the_test_exists_and_runs_in_ci(name: str) -> None:
    file, _, test = name.partition("::")
    found = functions(file).get(test)
    assert found is not None, f"{file} has no {test}"
    marks = " ".join(ast.unparse(mark) for mark in found.decorator_list)
    assert "soak" not in marks
    assert "skip" not in marks
    assert "xfail" not in marks


def test_the_committed_page_is_what_the_table_says() -> None:
    kept = (ROOT / "docs" / "reference" / PAGE).read_text("utf-8")
    assert kept == page(), "run: make reference"
