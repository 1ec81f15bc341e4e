"""The reference that is generated from the code says what the code says."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from baluarte.apps.cli.main import COMMANDS, Command, parser_of
from baluarte.apps.reference import main, pages

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def spelled_alike(page: str) -> str:
    """A page without what differs between argparse of one Python and the next.

    From 3.13 on a value is named once (``-o, --out FILE``), and usage lines break elsewhere.
    """
    page = re.sub(r"-(\w) (\S+), --([\w-]+) \2", r"-\1, --\3 \2", page)
    return " ".join(page.split())


@pytest.mark.parametrize("name", ["commands.md", "ports.md", "errors.md"])
def test_the_committed_reference_is_what_the_code_generates(name: str) -> None:
    kept = (FOLDER / name).read_text("utf-8")
    assert spelled_alike(kept) == spelled_alike(pages()[name]), "run: make reference"


def test_the_reference_is_written_where_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["reference", str(tmp_path)])
    main()
    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == pages()


def arguments(parser: argparse.ArgumentParser, words: str) -> Iterator[tuple[str, str | None]]:
    """Every argument of a command and of its verbs, with its help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb, under in action.choices.items():
                yield from arguments(under, f"{words} {verb}")
        else:
            yield f"{words} {'/'.join(action.option_strings) or action.dest}", action.help


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_says_what_it_does_and_what_each_of_its_arguments_is(
    command: Command,
) -> None:
    parser = parser_of(command)
    assert parser.description
    told = dict(arguments(parser, command.name))
    assert {f"{command.name} --{word}" for word in ("json", "lang", "workspace", "set")} <= {*told}
    assert [name for name, said in told.items() if not said] == []


def test_the_commands_page_has_every_command_in_its_group() -> None:
    page = pages()["commands.md"]
    heads = re.findall(r"^(##+) (.+)$", page, re.MULTILINE)
    group, found = "", []
    for level, name in heads:
        if level == "##":
            group = name
        else:
            found.append((group, name))
    assert sorted(found) == sorted((command.group, command.name) for command in COMMANDS)
