"""The examples in the docstrings of the statistics are true."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "core.binomial",
        "core.bounds",
        "core.calibration",
        "core.curves",
        "core.evalues",
        "core.judging",
        "methods.drift.ks",
    ],
)
def test_the_examples_print_what_they_say(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"baluarte.{module}"))
    assert found.attempted > 0
    assert found.failed == 0
