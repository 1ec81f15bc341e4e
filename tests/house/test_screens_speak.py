"""What a detector's life shows on the screen comes from the catalogue, so that it translates."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CLI = Path(__file__).parents[2] / "src" / "baluarte" / "apps" / "cli"
#: the commands of a detector's life, from its data to its decisions
SPOKEN = (
    "approve", "build", "explain", "init", "label", "plan", "promote", "prove", "retrain",
    "rollback", "score", "seal", "serve", "shadow", "status", "train", "watch", "workers",
)  # fmt: skip
#: how what a person types begins, in any language
COMMANDS = ("baluarte ", "cd {} && baluarte ", "curl ", "-H ")
SHOWN = {"item", "line", "next", "progress"}


def literals(node: ast.expr) -> list[str]:
    """The words that a string says itself; a command and its arguments say none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        parts = [node.value]
    elif isinstance(node, ast.JoinedStr):
        parts = [
            "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
        ]
    elif isinstance(node, ast.IfExp):
        return [*literals(node.body), *literals(node.orelse)]
    else:
        return []
    return [
        part
        for part in parts
        if any(c.isalpha() for c in part) and not part.strip().startswith(COMMANDS)
    ]


@pytest.mark.parametrize("command", SPOKEN)
def test_a_command_of_a_detectors_life_says_nothing_that_is_not_in_the_catalogue(
    command: str,
) -> None:
    tree = ast.parse((CLI / f"{command}.py").read_text("utf-8"))
    said = [
        (call.lineno, word)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in SHOWN
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "screen"
        for arg in (call.args[:2] if call.func.attr == "item" else call.args)
        for word in literals(arg)
    ]
    assert said == []
