"""Survey: what ``plan`` keeps of the rows in one pass: little of each, and of all columns a sample.

Of all rows it counts the labels. Of an even sample of at most ``MAX_KEPT`` rows it keeps the
label, the time and a few 64-bit keys, some 60 bytes each; of rows that are equal it keeps one key
and their number, for as many groups (:mod:`baluarte.core.kept_rows`). Of the columns it keeps an
even sample of at most ``MAX_ROWS`` rows, in file order. With fewer rows these are all of them, and
what is counted is exact; with more, memory no longer grows, and counts of repeated rows are
estimates whose standard error is a thousandth of the number of different rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.cleaning import clean_column
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events, concat
from baluarte.core.kept_rows import MAX_KEPT, Columns, GroupCounts, Groups, KeyDigest, Lowest
from baluarte.core.labels import ATTACK, NOT, UNKNOWN, attacks, families
from baluarte.core.row_keys import Keys, mixed, row_keys
from baluarte.core.split import Apart, RowFacts, Split, row_facts, split_facts
from baluarte.errors import DataError

if TYPE_CHECKING:
    from baluarte.ports import Spill

MAX_ROWS = 250_000  #: of the sample
HEAD = 200_000  #: rows at the file's beginning that are kept without a gap
_FACTS = ("times", "entities", "nobody", "alike", "contents", "named", "copies")

#: cleaning steps that learn nothing and leave a value what it was or what it stood for
_SAID = ("trim", "lower", "upper", "missing", "clip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What is known of all rows, and more of an even sample of them, in file order.

    The sample is all of them up to :data:`MAX_KEPT`; beyond it is that many.
    """

    n: int  #: how many rows there are
    counts: tuple[int, int, int]  #: of all: others, attacks, and those whose label is not known
    rows: NDArray[np.int64]  #: (kept,) the number of each row kept
    labels: NDArray[np.int8]  #: (kept,) 1 attack, 0 not, -1 not known
    facts: RowFacts  #: of the rows kept
    head: RowFacts  #: of the first rows of the file, without a gap: all where all are kept
    features: Keys  #: (kept,) of all features
    repeats: Keys  #: (kept,) of all but id and time
    groups: Groups  #: of rows that are equal
    split: Split | None  #: of the rows kept; None where the rows are too few for one
    digest: str  #: of which rows they are, all of them
    families: Mapping[str, int]  #: attacks of each family, where the contract names one

    @property
    def is_all(self) -> bool:
        """Whether every row is kept."""
        return self.n == len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey(Events):
    """The sampled rows as events, and what is known of all.

    The columns have ``n`` rows; ``whole.n`` is the number of all rows. Sampled rows are among those
    that ``whole`` keeps.
    """

    whole: Whole
    rows: NDArray[np.int64]  #: (n,) the number of each sampled row in the file
    holdout: Survey | None = None  #: of the proof events of their own, where there are such

    @property
    def kept(self) -> NDArray[np.int64]:
        """(n,) the place of each sampled row among those that ``whole`` keeps."""
        return np.searchsorted(self.whole.rows, self.rows).astype(np.int64)


def survey_of(contract: Contract, events: Events) -> Survey:
    """The survey itself, or one of these events."""
    return events if isinstance(events, Survey) else survey(contract, [events])


def survey(
    contract: Contract,
    batches: Iterable[Events],
    *,
    holdout: Survey | None = None,
    max_rows: int = MAX_ROWS,
    max_kept: int = MAX_KEPT,
    spill: Spill | None = None,
) -> Survey:
    """Go once through the batches.

    Args:
        holdout: the survey of the proof events, where they are of their own.
        max_rows: of the sample; which rows are in it depends on their number alone.
        max_kept: rows whose facts are kept, and groups of equal rows.
        spill: where the keys of the rows go; else they are kept, 8 bytes a row.
    """
    taken = _Sample(min(max_rows, max_kept))
    whole = _Growing(contract, max_kept=max_kept, spill=spill)
    for batch in batches:
        whole.add(batch)
        taken.add(batch)
    rows, events = taken.result()
    return Survey(
        n=events.n,
        columns=_cleaned(contract, events),
        whole=whole.result(holdout),
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


class _Growing:
    """The facts of the rows so far, batch by batch."""

    def __init__(self, contract: Contract, *, max_kept: int, spill: Spill | None) -> None:
        self._contract, self._max = contract, max_kept
        self._kept, self._groups = Lowest(max_kept), GroupCounts(max_kept)
        self._named = KeyDigest(spill, most=max_kept)
        self._families: Counter[str | None] = Counter()
        self._n, self._of = 0, Counter[int]()
        self._head: list[RowFacts] = []

    def add(self, batch: Events) -> None:
        contract = self._contract
        fields = contract.events.fields
        told = [f.name for f in fields if f.role not in ("id", "time", "ignored", "derived")]
        known: dict[str, Keys] = {}
        labels = attacks(contract, batch)
        facts = row_facts(contract, batch, known=known)
        features = row_keys(batch, [f.name for f in contract.events.features], known=known)
        repeats = row_keys(batch, told, known=known)
        rows = np.arange(self._n, self._n + batch.n)
        if self._n < min(HEAD, self._max):
            self._head.append(facts)
        self._n += batch.n
        self._of.update({label: int(np.count_nonzero(labels == label)) for label in (-1, 0, 1)})
        columns: dict[str, NDArray[np.generic]] = {
            "rows": rows, "labels": labels, "features": features, "repeats": repeats,
        }  # fmt: skip
        columns |= {name: column for name in _FACTS if (column := getattr(facts, name)) is not None}
        self._kept.add(mixed(rows.astype(np.uint64)), columns)
        self._groups.add(features, repeats, labels)
        self._named.add(facts.named)
        self._families.update(families(contract, batch.take(np.flatnonzero(labels == 1))))

    def result(self, holdout: Survey | None) -> Whole:
        kept = self._kept.result()
        labels, facts = kept.get("labels", np.zeros(0, np.int8)), _facts(kept)
        counts = (self._of[NOT], self._of[ATTACK], self._of[UNKNOWN])
        rows = kept.get("rows", np.zeros(0, np.int64)).astype(np.int64)
        digest = self._named.result()
        return Whole(
            n=self._n,
            counts=counts,
            rows=rows,
            labels=labels.astype(np.int8),
            facts=facts,
            head=facts if self._n <= self._max else _joined_facts(self._head),
            features=kept.get("features", np.zeros(0, np.uint64)).astype(np.uint64),
            repeats=kept.get("repeats", np.zeros(0, np.uint64)).astype(np.uint64),
            groups=self._groups.result(),
            split=self._split(facts, labels.astype(np.int8), counts, holdout, digest),
            digest=digest,
            families={name: n for name, n in self._families.items() if name is not None},
        )

    def _split(
        self,
        facts: RowFacts,
        labels: NDArray[np.int8],
        counts: tuple[int, int, int],
        holdout: Survey | None,
        digest: str,
    ) -> Split | None:
        """The split of the rows kept, its counts those of all rows."""
        apart = None
        if holdout is not None and holdout.whole.n:
            apart = Apart(facts=holdout.whole.facts, labels=holdout.whole.labels)
        if not len(labels):
            return None
        sampled = self._n > len(labels)
        known = counts[:2] if self._contract.label is not None else (self._n, 0)
        try:
            split = split_facts(
                self._contract, facts, labels, apart=apart, known=known if sampled else None
            )
        except DataError:
            return None
        far = holdout is not None and holdout.whole.n > len(holdout.whole.labels)
        if not sampled and not far:
            return split
        times = self._n / len(labels)
        told = {
            part: (round(negatives * times), round(positives * times))
            for part, (negatives, positives) in split.evidence.counts.items()
        }
        if holdout is not None and apart is not None:
            told["proof"] = holdout.whole.counts[:2]
            digest = holdout.whole.digest
        evidence = msgspec.structs.replace(split.evidence, counts=told, holdout=digest)
        return replace(split, evidence=evidence)


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


def _joined_facts(parts: list[RowFacts]) -> RowFacts:
    """A field that some batches lack is known of no row."""
    shared = {
        name: [column for part in parts if (column := getattr(part, name)) is not None]
        for name in _FACTS
    }
    return _facts(
        {
            name: np.concatenate(columns)
            for name, columns in shared.items()
            if parts and len(columns) == len(parts)
        }
    )


def _facts(columns: Columns) -> RowFacts:
    def keys(name: str) -> Keys | None:
        return columns[name].astype(np.uint64, copy=False) if name in columns else None

    none, times = np.zeros(0, np.uint64), columns.get("times")
    contents, named = keys("contents"), keys("named")
    nobody = columns.get("nobody", np.zeros(0, np.bool_))
    return RowFacts(
        times=None if times is None else times.astype(np.float64, copy=False),
        entities=keys("entities"),
        nobody=nobody.astype(np.bool_, copy=False),
        alike=none if (alike := keys("alike")) is None else alike,
        contents=none if contents is None else contents,
        named=none if named is None else named,
        copies=keys("copies"),
    )


def time_order(contract: Contract, events: Events) -> NDArray[np.int64] | None:
    """(n,) the rows of these events from the oldest to the newest; None without a time."""
    time = contract.events.by_role("time")
    if time is None or time.name not in events.columns:
        return None
    return np.argsort(events.columns[time.name], kind="stable")
