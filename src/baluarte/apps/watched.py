"""What the ledger says of one detector's life, in one pass: for the watch's page."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.decision import DecisionRecord, Record
from baluarte.ports import LedgerReader
from baluarte.stages.unseal import Unsealer

RECENT = 5_000  #: newest decisions that are held against the baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A detector's decisions, versions and labels; places count the champion's decisions.

    Attributes:
        n: decisions so far.
        versions: (place, version) where another version began to decide.
        labels: (place, rows) of each intake of labels.
        X: (r, d) features of the newest decisions by the bundle that is watched.
        scores: (r,) their scores.
    """

    n: int
    versions: tuple[tuple[int, int], ...]
    labels: tuple[tuple[int, int], ...]
    X: NDArray[np.float64]
    scores: NDArray[np.int64]

    @property
    def n_recent(self) -> int:
        """The newest decisions that are here."""
        return len(self.scores)


def watched_of(reader: LedgerReader, detector: str, bundle: str, *, unsealer: Unsealer) -> Watched:
    """Read the ledger once; what was decided about people who were erased is counted, not held.

    Raises:
        TrustError: a record is damaged.
    """
    times, numbers = array("q"), array("q")
    intakes: list[tuple[int, int]] = []
    newest: list[DecisionRecord] = []
    decode = msgspec.json.Decoder(Record).decode
    for tag in reader.shards():
        recent: deque[DecisionRecord] = deque(maxlen=RECENT)
        for data in reader.records(tag):
            record = decode(data)
            if record.detector != detector:
                continue
            if not isinstance(record, DecisionRecord):
                if record.act == "label":
                    intakes.append((record.at, int(record.details.get("rows") or 0)))
            elif record.role == "champion":
                times.append(record.decided_at)
                numbers.append(record.version)
                if record.bundle == bundle:
                    recent.append(record)
        newest += recent
    newest = sorted(newest, key=lambda record: record.decided_at)[-RECENT:]
    newest = [record for record in unsealer.all(newest) if not record.is_sealed]
    at, version = np.array(times, dtype=np.int64), np.array(numbers, dtype=np.int64)
    order = np.argsort(at, kind="stable")
    at, version = at[order], version[order]
    changes = [0, *(np.flatnonzero(np.diff(version)) + 1).tolist()] if len(at) else []
    return Watched(
        n=len(at),
        versions=tuple((place, int(version[place])) for place in changes),
        labels=tuple((int(at.searchsorted(when)), rows) for when, rows in sorted(intakes)),
        X=np.array([record.features for record in newest], dtype=np.float64),
        scores=np.array([record.score for record in newest], dtype=np.int64),
    )
