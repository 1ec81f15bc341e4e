"""Every registered source and sink keeps what its port promises."""

from __future__ import annotations

import importlib
import itertools
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from baluarte.ports import Sink, Source
from baluarte.testing.sinks import SINK_CHECKS, SinkCheck
from baluarte.testing.sources import SOURCE_CHECKS, Make, Row, SourceCheck

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))


def registered(group: str) -> dict[str, str]:
    return PROJECT["project"]["entry-points"][f"baluarte.{group}"]


def made(target: str):
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)()


def maker(name: str, request: pytest.FixtureRequest) -> Make:
    """Rows to a place of the source's own kind, through the sink of the same name.

    Logs are written by others; of their two forms the JSON lines are made here.
    """
    sink: Sink = made(registered("sinks")["ndjson" if name == "log" else name])
    source: Source = made(registered("sources")[name])
    numbers = itertools.count()

    def make(folder: Path, rows: Sequence[Row]) -> str:
        number = next(numbers)
        if source.suffixes:
            address = str(folder / f"events{number}{source.suffixes[0]}")
        else:
            address = f"{database(name, folder, request)}table=events_{folder.name[:40]}_{number}"
        sink.write(address, iter([{name: [row[name] for row in rows] for name in rows[0]}]))
        return address

    return make


def database(name: str, folder: Path, request: pytest.FixtureRequest) -> str:
    if name == "sqlite":
        return f"sqlite:{folder / 'events.db'}?"
    server: str = request.getfixturevalue("postgres")
    return server + "&"


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", registered("sources"))
def test_every_source_conforms(
    name: str, check: SourceCheck, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source: Source = made(registered("sources")[name])
    assert source.name == name
    check(source, maker(name, request), tmp_path)


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", registered("sinks"))
def test_every_sink_of_files_conforms(name: str, check: SinkCheck, tmp_path: Path) -> None:
    sink: Sink = made(registered("sinks")[name])
    assert sink.name == name
    for suffix in sink.suffixes:
        folder = tmp_path / suffix.strip(".")
        folder.mkdir()
        check(sink, made(registered("sources")[name]), str(folder / f"out{suffix}"))


@pytest.mark.parametrize("group", ["sources", "sinks"])
def test_no_two_plugins_claim_one_suffix_or_scheme(group: str) -> None:
    plugins: list[Any] = [made(target) for target in registered(group).values()]
    claims = [claim for each in plugins for claim in (*each.suffixes, *each.schemes)]
    assert len(claims) == len(set(claims))
