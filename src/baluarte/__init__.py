"""Baluarte: the whole life of a detection model, from plan to proof to production.

Importing this package costs nothing; the SDK's names load when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from baluarte.apps.field_sealer import FieldSealer
    from baluarte.apps.sdk import Detector, LoadedDetector, load

__version__ = "0.1.0"
__all__ = ["Detector", "FieldSealer", "LoadedDetector", "__version__", "load"]


def __getattr__(name: str) -> object:
    if name in {"Detector", "LoadedDetector", "load"}:
        from baluarte.apps import sdk  # noqa: PLC0415 - PEP 562: importing the package costs nothing

        return getattr(sdk, name)
    if name == "FieldSealer":  # a caller's process needs nothing of the rest
        from baluarte.apps.field_sealer import FieldSealer  # noqa: PLC0415 - likewise

        return FieldSealer
    raise AttributeError(f"module 'baluarte' has no attribute {name!r}")
