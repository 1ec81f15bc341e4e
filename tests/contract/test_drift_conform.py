"""Every registered drift detector and view passes the suite of its port."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

from baluarte.testing.drift import check_detector, check_view

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
DRIFT = PROJECT["project"]["entry-points"]["baluarte.drift"]


@pytest.mark.parametrize("name", DRIFT)
def test_a_registered_detector_or_view_conforms(name: str) -> None:
    module, attribute = DRIFT[name].split(":")
    plugin = getattr(importlib.import_module(module), attribute)()
    assert plugin.name == name
    {"detector": check_detector, "view": check_view}[plugin.kind](plugin)
