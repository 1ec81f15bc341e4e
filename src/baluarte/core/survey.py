"""Survey: what ``plan`` keeps of the rows in one pass: little of each, and of all columns a sample.

Of all rows it keeps the label, the time and a few 64-bit keys, so that what is counted of rows is
exact: 50 bytes a row, and up to 150 while the keys are compared. Of the columns it keeps an even
sample of at most ``MAX_ROWS`` rows, in file order; with fewer rows the sample is all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.cleaning import clean_column
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events, concat
from baluarte.core.labels import attacks, families
from baluarte.core.row_keys import Keys, mixed, row_keys
from baluarte.core.split import Apart, RowFacts, Split, row_facts, split_facts
from baluarte.errors import DataError

MAX_ROWS = 250_000  #: of the sample

#: cleaning steps that learn nothing and leave a value what it was or what it stood for
_SAID = ("trim", "lower", "upper", "missing", "clip")

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What is known of every row, in file order."""

    labels: NDArray[np.int8]  #: (n,) 1 attack, 0 not, -1 not known
    facts: RowFacts
    features: Keys  #: (n,) of all features
    repeats: Keys  #: (n,) of all but id and time
    split: Split | None  #: None where the rows are too few for one
    families: Mapping[str, int]  #: attacks of each family, where the contract names one

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey(Events):
    """The sampled rows as events, and what is known of all.

    The columns have ``n`` rows; ``whole.n`` is the number of all rows.
    """

    whole: Whole
    rows: NDArray[np.int64]  #: (n,) the number of each sampled row in the file
    holdout: Survey | None = None  #: of the proof events of their own, where there are such


def survey_of(contract: Contract, events: Events) -> Survey:
    """The survey itself, or one of these events."""
    return events if isinstance(events, Survey) else survey(contract, [events])


def survey(
    contract: Contract,
    batches: Iterable[Events],
    *,
    holdout: Survey | None = None,
    max_rows: int = MAX_ROWS,
) -> Survey:
    """Go once through the batches.

    Args:
        holdout: the survey of the proof events, where they are of their own.
        max_rows: of the sample; which rows are in it depends on their number alone.
    """
    taken = _Sample(max_rows)
    whole = _Growing()
    for batch in batches:
        whole.add(contract, batch)
        taken.add(batch)
    rows, events = taken.result()
    return Survey(
        n=events.n,
        columns=_cleaned(contract, events),
        whole=whole.result(contract, holdout),
        rows=rows,
        holdout=holdout,
    )


def _cleaned(contract: Contract, events: Events) -> dict[str, Column]:
    """The columns as the encoder's first steps write them: texts, and what is missing."""
    columns = dict(events.columns)
    for f in contract.events.fields:
        steps = [step for step in f.steps if step.op in _SAID]
        if steps and f.name in columns:
            columns[f.name] = clean_column(steps, columns[f.name])
    return columns


@dataclass(slots=True)
class _Growing:
    """The facts of the rows so far, batch by batch."""

    labels: list[NDArray[np.int8]] = field(default_factory=list)
    facts: list[RowFacts] = field(default_factory=list)
    features: list[Keys] = field(default_factory=list)
    repeats: list[Keys] = field(default_factory=list)
    families: Counter[str | None] = field(default_factory=Counter)

    def add(self, contract: Contract, batch: Events) -> None:
        fields = contract.events.fields
        told = [f.name for f in fields if f.role not in ("id", "time", "ignored", "derived")]
        features = [f.name for f in contract.events.features]
        known: dict[str, Keys] = {}
        labels = attacks(contract, batch)
        self.labels.append(labels)
        self.facts.append(row_facts(contract, batch, known=known))
        self.features.append(row_keys(batch, features, known=known))
        self.repeats.append(row_keys(batch, told, known=known))
        hits = np.flatnonzero(labels == 1)
        self.families.update(families(contract, batch.take(hits)))

    def result(self, contract: Contract, holdout: Survey | None) -> Whole:
        labels, facts = _joined(self.labels, np.int8), _joined_facts(self.facts)
        apart = None
        if holdout is not None and holdout.whole.n:
            apart = Apart(facts=holdout.whole.facts, labels=holdout.whole.labels)
        try:
            split = split_facts(contract, facts, labels, apart=apart) if len(labels) else None
        except DataError:
            split = None
        return Whole(
            labels=labels,
            facts=facts,
            features=_joined(self.features, np.uint64),
            repeats=_joined(self.repeats, np.uint64),
            split=split,
            families={name: n for name, n in self.families.items() if name is not None},
        )


class _Sample:
    """The rows whose numbers hash lowest: an even draw that needs no random numbers."""

    def __init__(self, max_rows: int) -> None:
        self._max = max_rows
        self._below = np.uint64(2**64 - 1)
        self._n = 0
        self._kept: list[tuple[NDArray[np.int64], Events]] = []
        self._held = 0

    def add(self, batch: Events) -> None:
        rows = np.arange(self._n, self._n + batch.n)
        self._n += batch.n
        low = mixed(rows.astype(np.uint64)) <= self._below
        self._kept.append((rows[low], batch if low.all() else batch.take(low)))
        self._held += int(low.sum())
        if self._held > 2 * self._max:
            self._trim()

    def result(self) -> tuple[NDArray[np.int64], Events]:
        if self._held > self._max:
            self._trim()
        if not self._kept:
            return np.zeros(0, dtype=np.int64), Events(n=0, columns={})
        return np.concatenate([rows for rows, _ in self._kept]), concat(
            [events for _, events in self._kept]
        )

    def _trim(self) -> None:
        rows = np.concatenate([kept for kept, _ in self._kept])
        hashes = mixed(rows.astype(np.uint64))
        self._below = np.partition(hashes, self._max - 1)[self._max - 1]
        low = hashes <= self._below
        self._kept = [(rows[low], concat([events for _, events in self._kept]).take(low))]
        self._held = int(low.sum())


def _joined(parts: list[NDArray[T]], kind: type[T]) -> NDArray[T]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=kind)


def _joined_facts(parts: list[RowFacts]) -> RowFacts:
    times = [part.times for part in parts if part.times is not None]
    entities = [part.entities for part in parts if part.entities is not None]
    copies = [part.copies for part in parts if part.copies is not None]
    return RowFacts(
        # A field that some batches lack is known of no row.
        times=_joined(times, np.float64) if parts and len(times) == len(parts) else None,
        entities=_joined(entities, np.uint64) if parts and len(entities) == len(parts) else None,
        nobody=_joined([part.nobody for part in parts], np.bool_),
        alike=_joined([part.alike for part in parts], np.uint64),
        contents=_joined([part.contents for part in parts], np.uint64),
        copies=_joined(copies, np.uint64) if parts and len(copies) == len(parts) else None,
    )


def time_order(contract: Contract, events: Events) -> NDArray[np.int64] | None:
    """(n,) the rows of these events from the oldest to the newest; None without a time."""
    time = contract.events.by_role("time")
    if time is None or time.name not in events.columns:
        return None
    return np.argsort(events.columns[time.name], kind="stable")
