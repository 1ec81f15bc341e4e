"""Generate ``docs/reference`` from the code itself; a test compares it with what is committed."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from baluarte import errors, ports
from baluarte.apps.cli.main import COMMANDS, parser_of
from baluarte.apps.console.openapi import openapi_bytes as console_openapi_bytes
from baluarte.apps.scoring.openapi import openapi_bytes
from baluarte.core.contract_toml import contract_json_schema
from baluarte.core.workspace import workspace_json_schema

_HELP_WIDTH = "96"


def commands_page() -> str:
    """Every command with its help, grouped as ``--help`` groups them."""
    import os  # noqa: PLC0415 - argparse reads the terminal's width from the environment

    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _HELP_WIDTH
    try:
        lines = ["# Commands", "", "Generated from the command line itself.", ""]
        for group in dict.fromkeys(command.group for command in COMMANDS):
            lines += [f"## {group}", ""]
            for command in COMMANDS:
                if command.group == group:
                    lines += [f"### {command.name}", "", "```text"]
                    lines += [parser_of(command).format_help().rstrip(), "```", ""]
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return "\n".join(lines)


def ports_page() -> str:
    """Every Protocol of ``ports.py`` with its methods."""
    lines = ["# Ports", "", "Generated from `baluarte/ports.py`: what can be switched.", ""]
    tree = ast.parse(inspect.getsource(ports))
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            lines += [f"## {node.name}", "", inspect.cleandoc(ast.get_docstring(node) or ""), ""]
            lines += list(_members(node))
    return "\n".join(lines)


def _members(node: ast.ClassDef) -> Iterator[str]:
    for member in node.body:
        if isinstance(member, ast.FunctionDef):
            returns = f" -> {ast.unparse(member.returns)}" if member.returns else ""
            arguments = ast.unparse(member.args).replace("self, ", "").removeprefix("self")
            doc = inspect.cleandoc(ast.get_docstring(member) or "").split("\n\n")[0]
            yield f"**`{member.name}({arguments}){returns}`**  "
            yield " ".join(doc.split())
            yield ""
        elif isinstance(member, ast.AnnAssign):
            yield f"- `{ast.unparse(member.target)}: {ast.unparse(member.annotation)}`"
            yield ""


def errors_page() -> str:
    """Each family of errors, who must act, and the exit status."""
    lines = ["# Errors", "", "| error | exit | who must act |", "|---|---|---|"]
    families = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.BaluarteError) and kind is not errors.BaluarteError
    ]
    for kind in sorted(families, key=lambda kind: kind.exit_code):
        first = inspect.cleandoc(kind.__doc__ or "").split("\n")[0]
        lines.append(f"| `{kind.__name__}` | {kind.exit_code} | {first} |")
    lines += [
        "| anything else | 70 | us: it is a bug |",
        "",
        "A failed check or gate is a value, not an error: the command's exit status is 1.",
        "",
    ]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """File name to text of every generated page."""
    return {
        "commands.md": commands_page(),
        "ports.md": ports_page(),
        "errors.md": errors_page(),
        "openapi.json": openapi_bytes().decode(),
        "console.openapi.json": console_openapi_bytes().decode(),
        "detector.schema.json": _schema(contract_json_schema()),
        "workspace.schema.json": _schema(workspace_json_schema()),
    }


def _schema(schema: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def main() -> None:
    """Write the pages into the folder that the first argument names."""
    folder = Path(sys.argv[1])
    for name, text in pages().items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
