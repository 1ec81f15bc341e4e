"""Make docs/reference/threats.md from threats.toml: which test holds which hole shut."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("threats.toml")
PAGE = "threats.md"


def table() -> dict[str, list[dict[str, Any]]]:
    """The rows of both tables."""
    return tomllib.loads(TABLE.read_text("utf-8"))


def page() -> str:
    """The page."""
    said = table()
    lines = [
        "# Threats and their tests",
        "",
        "Generated from `tests/house/threats.toml`. Every test that is named here runs in CI; a",
        "row without one, or the name of a test that isn't there, fails the build.",
        "",
        "## One class of hole, one regression test",
        "",
        "Each was seen in another system of this kind.",
        "",
        "| | class | seen as | here | tests |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['number']} | {row['class']} | {row['seen']} | {row['rule']} "
        f"| {_tests(row['tests'])} |"
        for row in said["hole"]
    ]
    lines += [
        "",
        "## OWASP API Security Top 10 (2023)",
        "",
        "| | risk | data plane | console |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row['id']} | {row['name']} | {_tests(row['data'])} | {_tests(row['console'])} |"
        for row in said["owasp"]
    ]
    return "\n".join([*lines, ""])


def _tests(names: list[str]) -> str:
    shown = []
    for name in names:
        file, _, test = name.partition("::")
        shown.append(f"{test.removeprefix('test_').replace('_', ' ')} (`{Path(file).name}`)")
    return "; ".join(shown)


if __name__ == "__main__":
    (Path(sys.argv[1]) / PAGE).write_text(page(), "utf-8")
