"""Names in ``detector.toml`` and ``workspace.toml`` become objects here, and nowhere else.

Only what the configuration names is imported: a serving process never sees a learner.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from baluarte.core.nearest import did_you_mean
from baluarte.errors import ContractError

Kernel = Literal["auto", "c", "numpy"]


# --- plug-ins ----------------------------------------------------------------------------------


@cache
def _points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"baluarte.{group}")}


def plugin_names(group: str) -> list[str]:
    """Names of all registered plug-ins of a group (``models``, ``gates`` …), sorted."""
    return sorted(_points(group))


def plugin(group: str, name: str, *, where: str) -> Any:
    """A new object of the plug-in with this name.

    Raises:
        ContractError: no installed package registers it; names the nearest one.
    """
    point = _points(group).get(name)
    if point is None:
        raise ContractError(
            f"expected one of {', '.join(plugin_names(group))}; found {name!r}",
            where=where,
            hint=did_you_mean(name, plugin_names(group)),
        )
    return point.load()()


def kernel_choice() -> Kernel:
    """The evaluator that ``BALUARTE_KERNEL`` asks for.

    Raises:
        ContractError: it is neither ``auto``, ``c`` nor ``numpy``.
    """
    said = os.environ.get("BALUARTE_KERNEL", "auto")
    match said:
        case "auto" | "c" | "numpy":
            return said
        case _:
            raise ContractError(
                f"expected auto, c or numpy; found {said!r}", where="BALUARTE_KERNEL"
            )


def source_for(address: str) -> Any:
    """The source plug-in that reads an address, by its suffix."""
    return _by_suffix("sources", address)


def sink_for(address: str) -> Any:
    """The sink plug-in that writes an address, by its suffix."""
    return _by_suffix("sinks", address)


def _by_suffix(group: str, address: str) -> Any:
    known: dict[str, str] = {}
    for name in plugin_names(group):
        kind = _points(group)[name].load()
        for suffix in kind.suffixes:
            if Path(address).name.lower().endswith(suffix):
                return kind()
            known[suffix] = name
    raise ContractError(
        f"expected a file that ends with one of {', '.join(sorted(known))}",
        where=address,
        hint="Name the file by its format.",
    )
