"""A dry run: two small fits of each family, events scored one by one, records written out."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte import wiring
from baluarte.apps.making import time_events
from baluarte.core.contract import Contract
from baluarte.core.decision import DecisionRecord
from baluarte.core.encode import Encoder, fit_encoder
from baluarte.core.event import Events, Value, records
from baluarte.core.event_faults import Faults
from baluarte.core.event_rows import RowReader, place_of
from baluarte.core.forecast import (
    DryRun,
    Forecast,
    NoForecast,
    Prices,
    forecast,
    train_seconds,
)
from baluarte.core.json_object import decode_object
from baluarte.core.program.draft import seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.schema import Field
from baluarte.core.search import FitTask
from baluarte.core.survey import Survey
from baluarte.errors import OutsideError
from baluarte.ports import Fitted, Matrix, Model, Params
from baluarte.stages.fit import fit_task, repeats
from baluarte.stages.told import told
from baluarte.stages.train import trained_families
from baluarte.stages.trials import FINAL_ROWS, TRIAL_ROWS

SMALL, LARGE = 2_000, 8_000  #: rows of the two fits; of fewer rows all, and half of them
DRAWS = 4  #: further fits of each family, with drawn parameters
RECORDS = 200
FEWEST = 10  #: events of a class
FEWEST_ROWS = 400
TIMED_EVENTS = 1_000  #: from JSON to score
MICROSECONDS_PER_DAY = 86_400e6
_DIGEST = "sha256:" + "0" * 64


def foretell(contract: Contract, seen: Survey, prices: Prices) -> Forecast | NoForecast:
    """What the detector will take, or why that can't be told."""
    split = seen.whole.split
    labels = seen.whole.labels[seen.kept]
    rows = np.flatnonzero(labels >= 0) if contract.label is not None else np.arange(seen.n)
    if split is None:
        return NoForecast(why="split")
    if len(rows) < FEWEST_ROWS:
        return NoForecast(why="rows", n=len(rows), needed=FEWEST_ROWS)
    rows = rows[_even(len(rows), LARGE)]
    if contract.label is not None:
        rarer = int(min(np.bincount(labels[rows] == 1, minlength=2)))
        if rarer < FEWEST:
            return NoForecast(why="rare", n=rarer, needed=FEWEST)
    sample = seen.take(rows)
    encoder = fit_encoder(contract.events, sample)
    fit_rows = sum(split.evidence.counts.get("fit", (0, 0)))
    try:
        target = np.maximum(labels[rows], 0).astype(np.int8)
        run = _timed(contract, encoder, sample, target, fit_rows=fit_rows)
    except OutsideError:
        return NoForecast(why="library")
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
    contract: Contract, encoder: Encoder, sample: Events, y: NDArray[np.int8], *, fit_rows: int
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
    X = encoder.encode(sample)
    whole = _WholePath(contract, encoder, sample)
    every = _part(y, min(SMALL, len(X) // 2))
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
        evaluator = Evaluator(seal(fitted.compile()))
        latencies.append((_typical(whole.times(evaluator)), _typical(time_events(evaluator, X))))
    path_ms, latency_ms = max(latencies)
    return DryRun(
        small=len(every),
        large=len(X),
        families=families,
        drawn=drawn,
        latency_ms=latency_ms,
        path_ms=path_ms,
        record_bytes=0.0,
    )


def _even(n: int, most: int) -> NDArray[np.int64]:
    """At most so many of n rows, evenly drawn, in order."""
    return np.linspace(0, n - 1, min(most, n)).astype(np.int64)


def _part(y: NDArray[np.int8], n: int) -> NDArray[np.int64]:
    """About n rows in order, evenly drawn from each class, so that none is without attacks."""
    classes = [np.flatnonzero(y == value) for value in np.unique(y)]
    drawn = [rows[_even(len(rows), math.ceil(len(rows) * n / len(y)))] for rows in classes]
    return np.sort(np.concatenate(drawn))


def _typical(times: NDArray[np.float64]) -> tuple[float, float]:
    """Median and 99th percentile."""
    return float(np.median(times)), float(np.quantile(times, 0.99))


class _WholePath:
    """Events as a caller sends them, and the processor's time from there to a score."""

    def __init__(self, contract: Contract, encoder: Encoder, events: Events) -> None:
        schema = contract.events
        self._encoder = encoder
        self._reader = RowReader(schema, unknown="ignore")
        self._faults = Faults(place_of("events"))  # the rows were read once: none is looked at
        found = records(events.take(_even(events.n, TIMED_EVENTS)))
        fields = [field for field in schema.fields if field.role not in ("derived", "ignored")]
        self._lines = [
            msgspec.json.encode({".".join(f.keys): _sent(f, record.get(f.name)) for f in fields})
            for record in found
        ]

    def times(self, evaluator: Evaluator) -> NDArray[np.float64]:
        """(m,) milliseconds of processor time of each event alone."""
        for line in self._lines[:50]:  # warm
            self._score(line, evaluator)
        times = np.empty(len(self._lines))
        for i, line in enumerate(self._lines):
            started = time.thread_time_ns()
            self._score(line, evaluator)
            times[i] = (time.thread_time_ns() - started) / 1e6
        return times

    def _score(self, line: bytes, evaluator: Evaluator) -> None:
        values = self._reader.read_records([decode_object(line)], self._faults)
        evaluator.score(self._encoder.encode_rows(values))


def _sent(field: Field, value: Value | None) -> Value | None:
    """A record's value as JSON has it: an instant is text."""
    if field.type != "time" or not isinstance(value, int | float):
        return value
    return datetime.fromtimestamp(value / 1e6, UTC).isoformat()


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
    return seen.whole.n / days if days >= 1 else None
