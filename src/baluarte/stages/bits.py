"""Same bits: the compiled kernel against the NumPy evaluator, on rows made of traps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator  # noqa: TID251 - the type of a parameter
from numpy.typing import NDArray

from baluarte.core.encode import ColumnInfo
from baluarte.core.program.edges import edges
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.model import Program
from baluarte.core.schema import FLOAT32_MAX
from baluarte.errors import OutsideError

_TINY = float(np.nextafter(0.0, 1.0))
_TRAPS = (np.nan, 0.0, -0.0, _TINY, -_TINY, 2.0**-1022, 1e-35, -1e-35, FLOAT32_MAX, -FLOAT32_MAX)
_BATCHES = (1, 7, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A row to which the evaluators give different scores."""

    row: int
    batch: int  #: rows that were scored together
    threads: int
    compiled: int  #: its score by C
    reference: int  #: its score by NumPy


@dataclass(frozen=True, slots=True, kw_only=True)
class BitsReport:
    """What two evaluators said about the same rows."""

    n_rows: int
    n_scores: int  #: compared, over all batch sizes and thread counts
    n_different: int
    first: Difference | None


def trap_rows(
    program: Program, columns: tuple[ColumnInfo, ...], n_rows: int, rng: Generator
) -> NDArray[np.float64]:
    """(n_rows, d) rows where rounding, order or a missing rule would show.

    Each value is drawn from: the program's own thresholds and cuts, one unit in the last place
    beside them, missing, both zeros, subnormals, float32's bounds, category codes known and not,
    and plain numbers.
    """
    X = np.empty((n_rows, program.n_features))
    for j, info in enumerate(columns):
        if info.categorical:
            pool = np.array([np.nan, *range(info.n_codes + 1)])
        else:
            cuts = _cuts(program, j)
            near = [cuts, np.nextafter(cuts, np.inf), np.nextafter(cuts, -np.inf)]
            pool = np.concatenate([*near, _TRAPS, rng.normal(0.0, 1e3, size=8)])
        X[:, j] = pool[rng.integers(len(pool), size=n_rows)]
    return X


def _cuts(program: Program, column: int) -> NDArray[np.float64]:
    """The values at which the program changes its mind about a column."""
    cuts = np.unique(np.append(edges(program, column), 0.0))
    finite: NDArray[np.float64] = cuts[np.abs(cuts) <= FLOAT32_MAX]
    return finite


def verify_bits(
    program: Program,
    columns: tuple[ColumnInfo, ...],
    *,
    n_rows: int,
    rng: Generator,
) -> BitsReport:
    """Score the same rows by both evaluators, in several batch sizes and thread counts.

    Raises:
        OutsideError: the compiled kernel isn't there to compare with.
    """
    try:
        compiled = Evaluator(program, kernel="c")
    except RuntimeError as error:
        raise OutsideError(
            "the compiled kernel is not built: there is nothing to compare NumPy with",
            hint="Reinstall baluarte where a C compiler is.",
        ) from error
    X = trap_rows(program, columns, n_rows, rng)
    expected = Evaluator(program, kernel="numpy").score(X)
    n_scores = n_different = 0
    first: Difference | None = None
    for batch in (*_BATCHES, n_rows):
        few = min(n_rows, 200 * batch)
        for threads in (1, 2):
            parts = [
                compiled.score(X[at : min(at + batch, few)], threads=threads)
                for at in range(0, few, batch)
            ]
            found = np.concatenate(parts)
            different = np.flatnonzero(found != expected[:few])
            n_scores += few
            n_different += len(different)
            if len(different) and first is None:
                row = int(different[0])
                first = Difference(
                    row=row,
                    batch=batch,
                    threads=threads,
                    compiled=int(found[row]),
                    reference=int(expected[row]),
                )
    return BitsReport(n_rows=n_rows, n_scores=n_scores, n_different=n_different, first=first)
