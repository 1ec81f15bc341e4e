"""Trials: candidates compared by k-fold on a sample of the fit rows, always out of fold."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.contract import Contract
from baluarte.core.promise_value import TuningRows, promise_value
from baluarte.core.row_keys import Keys, mixed
from baluarte.core.search import FitTask
from baluarte.core.split import folds_of
from baluarte.errors import DataError
from baluarte.ports import Behind, Matrix, Model, Params

TRIAL_ROWS = 5_000  #: enough to rank parameters by, few enough for dozens of trials
FINAL_ROWS = 16_000  #: for the last choices: what wins on few rows need not win on many


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRows:
    """The sample that trials are compared on.

    Attacks are kept up to half of it: by the rows' weights the figures are estimates for the full
    mix all the same.
    """

    X: Matrix  #: (n, d)
    tuning: TuningRows
    folds: NDArray[np.int64]  #: (n,)


def sample_rows(
    *, X: Matrix, tuning: TuningRows, keys: Keys, folds: int, seed: int, max_rows: int
) -> TrialRows:
    """A fixed sample of the fit rows, and their folds.

    Args:
        X: (n, d) all fit rows.
        keys: (n,) rows with equal keys share a fold.

    Raises:
        DataError: too few attacks or other events for this many folds.
    """
    attack, counted = tuning.labels == 1, tuning.weights > 0
    shuffled = mixed(np.arange(len(X), dtype=np.uint64) + np.uint64(seed << 32))
    drawn = np.lexsort((shuffled, ~counted))  # rows that don't count only fill the sample up
    positives, negatives = drawn[attack[drawn]], drawn[~attack[drawn]]
    half = max_rows // 2
    n_positives = min(len(positives), max(half, max_rows - len(negatives)))
    n_negatives = min(len(negatives), max_rows - n_positives)
    rows = np.sort(np.concatenate([positives[:n_positives], negatives[:n_negatives]]))
    of_fold = folds_of(keys[rows], attack[rows], folds)
    for name, mask in (("attacks", attack[rows]), ("other events", ~attack[rows])):
        if len(np.unique(of_fold[mask & counted[rows]])) < 2:
            raise DataError(
                f"expected {name} in at least 2 of {folds} folds of the fit rows, "
                f"found {int(np.sum(mask & counted[rows]))} in one group",
                hint="Give more labelled events.",
            )
    scale = np.ones(len(rows))
    for stratum in (attack, ~attack):
        kept = tuning.weights[rows][stratum[rows]].sum()
        scale[stratum[rows]] = tuning.weights[stratum].sum() / kept
    sampled = tuning.take(rows)
    return TrialRows(
        X=np.ascontiguousarray(X[rows]),
        tuning=TuningRows(
            labels=sampled.labels,
            weights=sampled.weights * scale,
            cost_missed=sampled.cost_missed,
            cost_false_alarm=sampled.cost_false_alarm,
        ),
        folds=of_fold,
    )


@dataclass(slots=True)
class Trials:
    """Evaluates trials and keeps their out-of-fold margins for those who choose among them."""

    contract: Contract
    rows: TrialRows
    task: FitTask
    _margins: dict[bytes, NDArray[np.float64]] = field(default_factory=dict)

    def __call__(
        self,
        model: Model,
        params: Params,
        *,
        seed: int,  # noqa: ARG002 - the port's; the task has the same
        behind: Behind | None = None,
    ) -> tuple[float, dict[str, float]]:
        """The promise's value out of fold, as :class:`baluarte.ports.Evaluate` asks."""
        key = _key(model, params)
        if key in self._margins:
            return promise_value(self.contract, self.rows.tuning, self._margins[key])
        X, y, folds = self.rows.X, self.rows.tuning.labels, self.rows.folds
        margins, judged = np.zeros(len(X)), np.zeros(len(X), dtype=np.bool_)
        each = np.unique(folds)
        for number, fold in enumerate(each, start=1):
            out = folds == fold
            fitted = model.fit(X[~out], y[~out], params=params, task=self.task)
            margins[out] = fitted.margin(X[out])
            judged |= out
            if behind is None or number == len(each):
                continue
            so_far = self._value(margins, judged)
            if so_far is not None and behind(number, so_far[0]):
                return so_far
        self._margins[key] = margins
        return promise_value(self.contract, self.rows.tuning, margins)

    def margins(self, model: Model, params: Params) -> NDArray[np.float64]:
        """(n,) out-of-fold margins; computed once, and again after a search was resumed."""
        key = _key(model, params)
        if key not in self._margins:
            self(model, params, seed=self.task.seed)
        return self._margins[key]

    def _value(
        self, margins: NDArray[np.float64], judged: NDArray[np.bool_]
    ) -> tuple[float, dict[str, float]] | None:
        """The value over the rows judged so far; None where they are of one class."""
        tuning = self.rows.tuning.take(judged)
        counted = tuning.labels[tuning.weights > 0]
        if len(np.unique(counted)) < 2:
            return None
        return promise_value(self.contract, tuning, margins[judged])


def _key(model: Model, params: Params) -> bytes:
    return msgspec.json.encode((model.name, dict(params)), order="sorted")
