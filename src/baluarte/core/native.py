"""The compiled twins of parts of this package: each does what the Python beside it does, sooner."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def native(name: str) -> Any:
    """The compiled module of that name in this package; None where it was not built."""
    try:
        return import_module(f"baluarte.core.{name}")
    except ImportError:
        return None
