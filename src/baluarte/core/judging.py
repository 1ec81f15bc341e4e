"""How a gate judges: on the bound, by band and segment, with a third verdict for too few rows.

Whether rows are too few depends on their number alone, never on what they say. So a look at the
proof rows that does not pass has one possible answer, and the looks' budget holds for whoever keeps
resubmitting (:func:`overall`, :func:`blind`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.bounds import clopper_pearson_high, clopper_pearson_low, rows_needed
from baluarte.core.contract import Budget, Contract, Gate
from baluarte.core.evidence import Figure, GateResult, Verdict
from baluarte.errors import ContractError

PLANNED_MARGIN = 0.4  #: a planned detector errs 40 % less often than its limit allows
MISSING = "(missing)"  #: the segment of rows without a value


def planned_truth(limit: float, *, below: bool = False) -> float:
    """The true rate that sample sizes are planned for: .97 where .95 is asked.

    >>> round(planned_truth(0.95), 4), round(planned_truth(0.01, below=True), 4)
    (0.97, 0.006)
    """
    return limit * (1 - PLANNED_MARGIN) if below else limit + PLANNED_MARGIN * (1 - limit)


def rate_needed(limit: float, *, alpha: float, below: bool = False) -> int:
    """Rows with which a detector at the planned truth passes with probability .8.

    Raises:
        ContractError: the limit leaves no room for a single error, so no rows certify it.
    """
    if (limit >= 1) if below else (limit <= 0):
        return 0
    if (limit <= 0) if below else (limit >= 1):
        raise ContractError(
            f"expected a limit that leaves room for an error, found {limit:g}",
            where="gates",
            hint="No number of rows certifies a perfect rate; ask for .999 and the like.",
        )
    truth = planned_truth(limit, below=below)
    return rows_needed(limit=limit, truth=truth, alpha=alpha, below=below).n


def judge_rate(
    gate: str,
    *,
    figure: str,
    hits: int,
    n: int,
    limit: float,
    alpha: float,
    below: bool = False,
    segment: str | None = None,
    missing_rows: int | None = None,
) -> GateResult:
    """Judge one proportion by its one-sided Clopper-Pearson bound.

    With no rows at all nothing passes.

    Args:
        below: the rate must be at most ``limit`` instead of at least.
        missing_rows: rows still missing for a planned pass; from ``n`` where not given.
    """
    bound = (clopper_pearson_high if below else clopper_pearson_low)(hits, n, alpha)
    passes = n > 0 and (bound <= limit if below else bound >= limit)
    if missing_rows is None:
        missing_rows = rate_needed(limit, alpha=alpha, below=below) - n
    return GateResult(
        gate=gate,
        verdict=verdict(passes=passes, missing_rows=missing_rows),
        limit=limit,
        figure=Figure(
            name=figure,
            value=hits / n if n else 0.0,
            low=None if below else bound,
            high=bound if below else None,
            confidence=1 - alpha,
            method="clopper-pearson one-sided",
            n=n,
        ),
        bound=bound,
        segment=segment,
        needed=max(missing_rows, 0),
    )


def verdict(*, passes: bool, missing_rows: int) -> Verdict:
    """A pass is a pass; otherwise the number of rows alone tells failure from too little data."""
    if passes:
        return "pass"
    return "not_enough_data" if missing_rows > 0 else "fail"


def budgets(contract: Contract) -> Iterator[tuple[int, str, Budget]]:
    """Index, name and budget of each band above the lowest."""
    for index, band in enumerate(contract.bands[1:], start=1):
        yield index, band.name, band.budget or contract.objective.budget


def limit_of(stated: float | None, promised: float | None, *, gate: Gate, key: str) -> float:
    """The gate's own limit, or the objective's.

    Raises:
        ContractError: neither is given.
    """
    if stated is not None:
        return stated
    if promised is not None:
        return promised
    raise ContractError(
        f"gate {gate.name} has no limit: expected {key} in the gate or in the objective",
        where=f"gates.{gate.name}",
        hint=f"Write {key} into the gate.",
    )


def by_segment(
    gate: Gate, segments: dict[str, NDArray[np.object_]], n: int
) -> list[tuple[str | None, NDArray[np.bool_]]]:
    """The rows of each segment of ``gate.by``, or all rows as one; sorted by the segment's text.

    Raises:
        ContractError: the rows carry no such field.
    """
    if gate.by is None or n == 0:
        return [(None, np.ones(n, dtype=np.bool_))]
    if gate.by not in segments:
        raise ContractError(
            f"gate {gate.name} is by {gate.by!r}; expected one of "
            f"{', '.join(sorted(segments)) or 'no field at all'}",
            where=f"gates.{gate.name}.by",
        )
    texts = np.array([_segment_text(value) for value in segments[gate.by]], dtype=np.str_)
    return [(str(text), texts == text) for text in np.unique(texts)]


def _segment_text(value: object) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return MISSING if missing else str(value)


def overall(results: Sequence[GateResult]) -> Verdict:
    """One verdict for all gates: all pass, or too few rows somewhere, or fail.

    Which of the two last ones it is follows from the numbers of rows, whichever gate did not pass.
    """
    passes = bool(results) and all(result.verdict == "pass" for result in results)
    return verdict(passes=passes, missing_rows=max((r.needed for r in results), default=0))


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What leaves a look at the proof rows.

    Attributes:
        results: every gate's figures after a pass, none otherwise.
        needed: the most rows that a gate's planned pass still lacks.
    """

    verdict: Verdict
    results: tuple[GateResult, ...] = ()
    needed: int = 0


def blind(results: Sequence[GateResult]) -> Answer:
    """What may leave a look: all figures after a pass, and after anything else the verdict alone.

    A look that does not pass says nothing else about the rows, so whoever adapts to it learns one
    bit, and the looks' budget holds (docs/concepts/guarantees.md).
    """
    answer = overall(results)
    return Answer(
        verdict=answer,
        results=tuple(results) if answer == "pass" else (),
        needed=max((result.needed for result in results), default=0),
    )
