"""A dry run: two small fits of each family, events scored one by one, records written out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte import wiring
from baluarte.apps.making import time_events
from baluarte.core.contract import Contract
from baluarte.core.decision import DecisionRecord
from baluarte.core.encode import Encoder, fit_encoder
from baluarte.core.event import Events, records
from baluarte.core.forecast import DryRun, Forecast, Prices, forecast, train_seconds
from baluarte.core.program.draft import seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.search import FitTask
from baluarte.core.survey import Survey
from baluarte.errors import OutsideError
from baluarte.ports import Fitted, Matrix, Model, Params
from baluarte.stages.fit import fit_task, repeats
from baluarte.stages.told import told
from baluarte.stages.train import trained_families
from baluarte.stages.trials import FINAL_ROWS, TRIAL_ROWS

SMALL, LARGE = 2_000, 8_000  #: rows of the two fits
DRAWS = 4  #: further fits of each family, with drawn parameters
RECORDS = 200
FEWEST = 10  #: events of a class
MICROSECONDS_PER_DAY = 86_400e6
_DIGEST = "sha256:" + "0" * 64


def foretell(contract: Contract, seen: Survey, prices: Prices) -> Forecast | None:
    """What the detector will take; None where there are too few rows, or no library to fit with."""
    split = seen.whole.split
    labels = seen.whole.labels[seen.rows]
    rows = np.flatnonzero(labels >= 0) if contract.label is not None else np.arange(seen.n)
    if split is None or len(rows) < 2 * SMALL:
        return None
    rows = rows[np.linspace(0, len(rows) - 1, min(LARGE, len(rows))).astype(np.int64)]
    if contract.label is not None and min(np.bincount(labels[rows] == 1, minlength=2)) < FEWEST:
        return None
    sample = seen.take(rows)
    encoder = fit_encoder(contract.events, sample)
    fit_rows = sum(split.evidence.counts.get("fit", (0, 0)))
    try:
        target = np.maximum(labels[rows], 0).astype(np.int8)
        run = _timed(contract, encoder, encoder.encode(sample), target, fit_rows=fit_rows)
    except OutsideError:
        return None
    bytes_of_one = _record_bytes(contract, sample.slice(0, RECORDS), encoder)
    learner = contract.learner
    return forecast(
        msgspec.structs.replace(run, record_bytes=bytes_of_one),
        train_s=train_seconds(
            run,
            fit_rows=fit_rows,
            trial_rows=TRIAL_ROWS,
            final_rows=FINAL_ROWS,
            trials=learner.trials,
            folds=learner.folds,
        ),
        events_per_day=contract.objective.events_per_day or _per_day(seen),
        max_latency_ms=contract.objective.max_latency_ms,
        prices=prices,
    )


def _timed(
    contract: Contract, encoder: Encoder, X: Matrix, y: NDArray[np.int8], *, fit_rows: int
) -> DryRun:
    """Two fits of each family at its defaults, and the scoring of one event by the slowest."""
    task = fit_task(contract, encoder)
    final = msgspec.structs.replace(task, repeats=repeats(fit_rows))  # what decisions will take
    where = f"{contract.name}: learner.families"
    names = trained_families(contract)
    models = told(contract, [wiring.plugin("models", name, where=where) for name in names])
    families: dict[str, tuple[float, float]] = {}
    drawn: dict[str, tuple[float, float]] = {}
    latencies = []
    every = np.linspace(0, len(X) - 1, SMALL).astype(np.int64)
    for name, model in zip(names, models, strict=True):
        _seconds(model, X[every], y[every], task, model.defaults())  # imports and warms
        small, _ = _seconds(model, X[every], y[every], task, model.defaults())
        large, _ = _seconds(model, X, y, task, model.defaults())
        fitted = model.fit(X, y, params=model.defaults(), task=final)
        families[name] = (small, large)
        draw = _Draw(np.random.default_rng(contract.learner.seed))
        longer = [
            max(_seconds(model, X[every], y[every], task, model.suggest(draw))[0] / small, 0.1)
            for _ in range(DRAWS)
        ]
        drawn[name] = (float(np.mean(longer)), max(longer))
        times = time_events(Evaluator(seal(fitted.compile())), X)
        latencies.append((float(np.median(times)), float(np.quantile(times, 0.99))))
    return DryRun(
        small=SMALL,
        large=len(X),
        families=families,
        drawn=drawn,
        latency_ms=max(latencies),
        record_bytes=0.0,
    )


class _Draw:
    """Parameters drawn evenly over a model's space."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return round(self.number(name, low, high, log=log))

    def number(self, name: str, low: float, high: float, *, log: bool = False) -> float:  # noqa: ARG002 - the port's
        if log:
            return float(np.exp(self._rng.uniform(np.log(low), np.log(high))))
        return float(self._rng.uniform(low, high))

    def choice(
        self,
        name: str,  # noqa: ARG002 - the port's
        options: Sequence[str | int | float | bool],
    ) -> str | int | float | bool:
        return options[int(self._rng.integers(len(options)))]

    def option(
        self,
        name: str,  # noqa: ARG002 - the port's
        options: Sequence[str | int | float | bool],
    ) -> str | int | float | bool:
        return options[0]


def _seconds(
    model: Model, X: Matrix, y: NDArray[np.int8], task: FitTask, params: Params
) -> tuple[float, Fitted]:
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a small fit is warned of is no news
        fitted = model.fit(X, y, params=params, task=task)
    return time.perf_counter() - started, fitted


def _record_bytes(contract: Contract, events: Events, encoder: Encoder) -> float:
    """Mean length of these events' records as the ledger keeps them, without reasons."""
    X = encoder.encode(events)
    total = 0
    for values, row in zip(records(events), X.tolist(), strict=True):
        record = DecisionRecord(
            id="0" * 26,
            event_id="0" * 34,
            event_at=1_700_000_000_000_000,
            decided_at=1_700_000_000_000_000,
            detector=contract.name,
            version=1,
            bundle=_DIGEST,
            event_digest=_DIGEST,
            event=dict(values),
            features=tuple(None if value != value else value for value in row),  # noqa: PLR0124
            score=-1_234_567_890_123,
            points=123,
            band=0,
            outcome=contract.bands[0].name,
            threshold=None,
        )
        total += len(msgspec.json.encode(record))
    return total / max(events.n, 1)


def _per_day(seen: Survey) -> float | None:
    """Events a day by the times of the data, None where they have none or span less than a day."""
    times = seen.whole.facts.times
    if times is None or np.isnan(times).all():
        return None
    days = float(np.nanmax(times) - np.nanmin(times)) / MICROSECONDS_PER_DAY
    return len(times) / days if days >= 1 else None
