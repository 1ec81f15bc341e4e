"""The ready schemas that come with the package: one TOML file each in ``schemas``."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import msgspec

from baluarte.core.nearest import did_you_mean
from baluarte.core.ready import ReadySchema
from baluarte.errors import ContractError


@cache
def ready_schemas() -> dict[str, ReadySchema]:
    """All of them by name."""
    folder = files("baluarte.apps") / "schemas"
    return {
        entry.name.removesuffix(".toml"): msgspec.convert(
            tomllib.loads(entry.read_text("utf-8")), ReadySchema
        )
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }


def ready_schema(name: str) -> ReadySchema:
    """One by name.

    Raises:
        ContractError: there is none of this name.
    """
    known = ready_schemas()
    if name not in known:
        raise ContractError(
            f"expected one of {', '.join(known)}, or none; found {name!r}",
            where="--schema",
            hint=did_you_mean(name, known),
        )
    return known[name]
