"""What a model is fitted with, what a search may spend, and what one of its trials was."""

from __future__ import annotations

from typing import Literal

import msgspec


class SearchBudget(msgspec.Struct, frozen=True, kw_only=True):
    """How far a search may go."""

    trials: int
    seed: int
    max_minutes: float | None = None
    prune: bool = False  #: whether trials that fall behind are broken off


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One trial: completed, or broken off because it fell behind.

    ``value`` is then over the folds that were judged; ``folds`` are the values after each fold but
    the last, where somebody asked.
    """

    number: int
    model: str
    params: dict[str, int | float | str | bool]
    value: float  #: higher is better
    seconds: float
    figures: dict[str, float] = {}
    pruned: bool = False
    folds: tuple[float, ...] = ()


class FitTask(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is fitted with, beside the rows."""

    categorical: tuple[bool, ...]  #: (d,) whether a column holds category codes
    monotone: tuple[int, ...]  #: (d,) 1 rising, -1 falling, 0 free
    seed: int
    threads: int
    #: of attacks against the rest: equal, so that both weigh the same, or how many times more
    class_weight: Literal["none", "balanced"] | float
    #: fits with seeds of their own whose mean a boosting family gives; families that are means of
    #: many drawn trees already take no heed
    repeats: int = 1

    def attack_weight(self, n_attacks: int, n_others: int) -> float:
        """What one attack weighs, when any other event weighs 1; both counts as in the fit rows."""
        if isinstance(self.class_weight, float):
            return self.class_weight
        if self.class_weight == "none" or not n_attacks or not n_others:
            return 1.0
        return n_others / n_attacks
