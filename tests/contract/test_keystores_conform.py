"""Every registered key store does what the port says."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from baluarte.adapters.keystores.sqlite import SqliteKeys
from baluarte.adapters.sealing import MasterKeys, new_master
from baluarte.testing.keystores import CHECKS, OpenKeys


def sqlite(place: Path) -> OpenKeys:
    master = MasterKeys(new_master(), where="here")
    return lambda: SqliteKeys(place / "people.sqlite", master)


STORES: dict[str, Callable[[Path], OpenKeys]] = {"sqlite": sqlite}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", STORES)
def test_the_store_does_what_its_port_says(name: str, check: str, tmp_path: Path) -> None:
    CHECKS[check](STORES[name](tmp_path))


def test_every_registered_store_is_tried_here() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    assert set(project["project"]["entry-points"]["baluarte.keystores"]) == STORES.keys()
