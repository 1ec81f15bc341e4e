"""What a model is fitted with, what a search may spend, and what one of its trials was."""

from __future__ import annotations

from typing import Literal

import msgspec


class SearchBudget(msgspec.Struct, frozen=True, kw_only=True):
    """How far a search may go."""

    trials: int
    seed: int
    max_minutes: float | None = None


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One completed trial."""

    number: int
    model: str
    params: dict[str, int | float | str | bool]
    value: float  #: higher is better
    seconds: float
    figures: dict[str, float] = {}


class FitTask(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is fitted with, beside the rows."""

    categorical: tuple[bool, ...]  #: (d,) whether a column holds category codes
    monotone: tuple[int, ...]  #: (d,) 1 rising, -1 falling, 0 free
    seed: int
    threads: int
    class_weight: Literal["none", "balanced"]
