"""What commands show comes from the catalogue, so that it translates: words and numbers alike."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from baluarte.apps.cli.main import COMMANDS as COMMANDS_KNOWN

APPS = Path(__file__).parents[2] / "src" / "baluarte" / "apps"
#: the door speaks before any language is known, as the options' help does
DOOR = {APPS / "cli" / "main.py", APPS / "cli" / "screen.py"}
SCREENS = sorted(
    path for path in APPS.rglob("*.py") if "screen." in path.read_text("utf-8") and path not in DOOR
)
#: how what a person types begins, in any language
COMMANDS = (
    "baluarte ", "cd {} && baluarte ", "cd {} && python3 ", "python3 ", "curl ", "-H ",
)  # fmt: skip
SHOWN = {"item", "line", "next", "progress"}
#: what is written alike in both languages
SIGNS = {"s", "ms", "/s"}
#: a number that Python writes, as English does
ENGLISH_NUMBER = re.compile(r"[,_]|\.[1-9]\d*[feg]")


def texts_said(node: ast.expr, known: dict[str, list[ast.expr]]) -> Iterator[ast.expr]:
    """The strings that an argument may be, through names of its function."""
    if isinstance(node, ast.Constant | ast.JoinedStr):
        yield node
    elif isinstance(node, ast.IfExp):
        yield from texts_said(node.body, known)
        yield from texts_said(node.orelse, known)
    elif isinstance(node, ast.BinOp):
        yield from texts_said(node.left, known)
        yield from texts_said(node.right, known)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from texts_said(value, known)
    elif isinstance(node, ast.Starred):
        yield from texts_said(node.value, known)
    elif isinstance(node, ast.List | ast.Tuple):
        for element in node.elts:
            yield from texts_said(element, known)
    elif isinstance(node, ast.GeneratorExp | ast.ListComp):
        yield from texts_said(node.elt, known)
    elif isinstance(node, ast.Name):
        for value in known.get(node.id, []):
            yield from texts_said(value, {k: v for k, v in known.items() if k != node.id})
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "join":
            yield from (s for arg in node.args for s in texts_said(arg, known))
        elif node.func.attr in {"rstrip", "lstrip", "strip", "capitalize"}:
            yield from texts_said(node.func.value, known)


def words_of(node: ast.expr, known: dict[str, list[ast.expr]]) -> Iterator[str]:
    """The words that a string says itself, and numbers it writes; a command says none."""
    for text in texts_said(node, known):
        if isinstance(text, ast.Constant):
            parts, written = [str(text.value)] if isinstance(text.value, str) else [], []
        else:
            assert isinstance(text, ast.JoinedStr)
            parts = [
                "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in text.values)
            ]
            written = [
                str(spec.value)
                for v in text.values
                if isinstance(v, ast.FormattedValue) and isinstance(v.format_spec, ast.JoinedStr)
                for spec in v.format_spec.values
                if isinstance(spec, ast.Constant)
            ]
        yield from (spec for spec in written if ENGLISH_NUMBER.search(spec))
        for part in parts:
            words = re.findall(r"[^\W\d_]+", part.replace("{}", " "))
            if set(words) - SIGNS and not part.strip().startswith(COMMANDS):
                yield part


def said_in(path: Path) -> list[tuple[int, str]]:
    """Every literal that a module shows, with its line."""
    return said_by(ast.parse(path.read_text("utf-8")))


def said_by(tree: ast.Module) -> list[tuple[int, str]]:
    found = []
    for scope in ast.walk(tree):
        if not isinstance(scope, ast.FunctionDef):
            continue
        known: dict[str, list[ast.expr]] = {}
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign | ast.AugAssign):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    pairs = (
                        zip(target.elts, node.value.elts, strict=False)
                        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                        else [(target, node.value)]
                    )
                    for name, value in pairs:
                        if isinstance(name, ast.Name):
                            known.setdefault(name.id, []).append(value)
        for node in ast.walk(scope):
            found += [(node.lineno, word) for word in shown_by(node, known)]
    return sorted(set(found))


def shown_by(node: ast.AST, known: dict[str, list[ast.expr]]) -> Iterator[str]:
    """What one call shows."""
    if not isinstance(node, ast.Call):
        return
    called = ast.unparse(node.func)
    if re.fullmatch(r"(self\.)?_?screen\.(item|line|next|progress)", called):
        shown = node.args[:2] if called.endswith("item") else node.args
        if not called.endswith(("item", "next")):
            shown = shown[:1]
    elif called in {"print", "input", "getpass.getpass", "sys.stdout.write", "sys.stderr.write"}:
        shown = node.args
    else:
        return
    for arg in shown:
        yield from words_of(arg, known)


@pytest.mark.parametrize("path", SCREENS, ids=lambda path: path.relative_to(APPS).as_posix())
def test_a_command_says_nothing_that_is_not_in_the_catalogue(path: Path) -> None:
    assert said_in(path) == []


def test_every_command_with_a_screen_is_looked_at() -> None:
    commands = {path for path in (APPS / "cli").glob("*.py") if path.name != "__init__.py"}
    with_screen = {path for path in commands if "Screen(" in path.read_text("utf-8")}
    assert with_screen - DOOR <= set(SCREENS)
    assert len(with_screen) > 30


def test_every_command_ends_by_saying_what_comes_next() -> None:
    silent = [
        command.name
        for command in COMMANDS_KNOWN
        if ".next(" not in (APPS / "cli" / f"{command.name}.py").read_text("utf-8")
    ]
    assert silent == []


@pytest.mark.parametrize(
    "line",
    [
        'screen.item("Data", found)',
        'screen.line(f"{n} records hold")',
        'screen.next("baluarte seal" if ok else "keep it as it is")',
        'said = f"{n:,}"\n    screen.item("", said)',
        'said = "was known"\n    screen.item("", f"{name}", said) or screen.line(said)',
        'with screen.progress("Verify"):\n        pass',
        'getpass.getpass("  Password: ")',
    ],
)
def test_a_literal_is_found_wherever_it_hides(line: str) -> None:
    assert said_by(ast.parse(f"def run():\n    {line}\n"))


@pytest.mark.parametrize(
    "line",
    [
        'screen.item(texts.get("data.label"), f"{found}  {digest}")',
        'screen.next("baluarte ledger verify", f"baluarte promote {label}")',
        'screen.item(label, f"{said} ({took} s)", "kept")',
    ],
)
def test_commands_values_and_units_are_no_words(line: str) -> None:
    assert said_by(ast.parse(f"def run():\n    {line}\n")) == []
