"""The compiled twins of some modules: each does what the Python beside it does, sooner."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def native(name: str, package: str = "baluarte.core") -> Any:
    """The compiled module of that name in a package; None where it was not built."""
    try:
        return import_module(f"{package}.{name}")
    except ImportError:
        return None
