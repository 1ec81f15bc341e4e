"""Evidence: what a proof measured. A figure, its bound, the method, the sample, the verdict."""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["pass", "fail", "not_enough_data"]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured figure with its interval.

    Attributes:
        low: lower confidence bound, None where the method gives none.
        high: upper confidence bound, likewise.
        confidence: of the interval, in (0, 1).
        method: how the interval was made, such as ``clopper-pearson one-sided``.
        n: rows (or positives, or negatives) the figure stands on.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    method: str = ""
    n: int = 0


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """One gate's answer. It passes on the bound, never on the point.

    Attributes:
        bound: the confidence bound that was compared with ``limit``.
        needed: rows still missing when the verdict is ``not_enough_data``.
    """

    gate: str
    verdict: Verdict
    limit: float
    figure: Figure
    bound: float | None = None
    segment: str | None = None
    needed: int = 0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding of ``plan``: how bad, about what, on which evidence, and the cure.

    Attributes:
        check: the plug-in's name, such as ``constant``; also the text's key in the catalogue.
        values: what the text's placeholders are filled with.
        fix: the argument of ``baluarte plan --fix`` that cures it, if any.
    """

    check: str
    level: Literal["block", "warn", "note"]
    field: str | None = None
    values: dict[str, str | int | float] = {}
    fix: str | None = None
