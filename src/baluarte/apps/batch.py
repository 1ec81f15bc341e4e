"""Score a file: events in chunks through the one flow, records to the ledger, decisions to a sink.

Memory is bounded by the chunk, whatever the file's length. With a ledger a chunk's records are
durable before its decisions are written: no room to record means no decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Protocol

import msgspec

from baluarte.adapters.system import lone_name
from baluarte.apps.windowed import Windowed
from baluarte.core.event import Column, Events, records
from baluarte.core.ids import format_ids
from baluarte.core.schema import Schema
from baluarte.ports import Clock, LedgerShard, Progress, Sink, SubjectKeys
from baluarte.stages.score import Decisions, Identity, Scorer

TOP = 3  #: reasons that have a column of their own


class Reads(Protocol):
    """What gives events in batches: a source, or one with a quarantine."""

    def read(self, address: str, schema: Schema, *, batch_rows: int) -> Iterator[Events]:
        """Canonical events, in order."""
        ...


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a file."""

    rows: int
    outcomes: dict[str, int]  #: how many events had each outcome
    detector: str
    version: int
    recorded: bool


def score_file(
    scorer: Scorer,
    events: str,
    out: str,
    *,
    source: Reads,
    sink: Sink,
    clock: Clock,
    shard: LedgerShard | None = None,
    windows: Windowed | None = None,
    people: SubjectKeys | None = None,
    batch_rows: int = 65_536,
    threads: int = 1,
    progress: Progress | None = None,
) -> Scored:
    """Decide every event of a file; all of the output is written, or nothing.

    The columns are ``id`` (of the record, where there is a ledger), ``event_id``, ``outcome``,
    ``points``, ``score``, ``probability``, ``version`` and ``reason_1`` to ``reason_3``: of an
    alert, the fields that raised the score most.

    Args:
        shard: where decisions are recorded; None records nothing.
        windows: the version's window features at work; events go through them in the file's order.
        people: keys of personal values; needed where the contract has any.
        progress: told the rows so far; their total is not known, so it is 0.

    Raises:
        DataError: the file's faults, by row and field.
        OutsideError: the output or the ledger can't be written.
    """
    outcomes: Counter[str] = Counter(dict.fromkeys(scorer.outcomes, 0))

    def batches() -> Iterator[Mapping[str, Sequence[object]]]:
        done = 0
        for given in source.read(events, scorer.contract.events, batch_rows=batch_rows):
            chunk = given
            if windows is not None:
                chunk = windows.derive(given, arrived_at=clock.now_us())
            decisions = scorer.decide(chunk, threads=threads)
            columns = _columns(
                scorer, chunk, decisions, first=done, clock=clock, shard=shard, people=people
            )
            outcomes.update(map(str, columns["outcome"]))
            done += chunk.n
            if progress is not None:
                progress.step(done, 0)
            yield columns

    rows = sink.write(out, batches())
    return Scored(
        rows=rows,
        outcomes=dict(outcomes),
        detector=scorer.detector,
        version=scorer.version,
        recorded=shard is not None,
    )


def _columns(
    scorer: Scorer,
    events: Events,
    decisions: Decisions,
    *,
    first: int,
    clock: Clock,
    shard: LedgerShard | None,
    people: SubjectKeys | None,
) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {}
    own_ids = _own_ids(scorer, events)
    if shard is not None or own_ids is None:
        now = clock.now_us()
        rows = records(events)
        subjects = scorer.subjects(rows, lone_name)
        keys = None if subjects is None or people is None else people.keys(subjects)
        identities = scorer.identify_all(
            rows,
            ordinals=range(first, first + len(rows)),
            arrival_us=now,
            subjects=subjects,
            keys=keys,
        )
        if shard is not None:
            columns["id"] = list(_record(scorer, decisions, identities, now, shard))
        own_ids = [identity.event_id for identity in identities]
    columns["event_id"] = list(own_ids)
    columns["outcome"] = [scorer.outcomes[band] for band in decisions.bands.tolist()]
    columns["points"] = decisions.points.tolist()
    columns["score"] = decisions.scores.tolist()
    columns["probability"] = decisions.probability.tolist()
    columns["version"] = list(repeat(scorer.version, events.n))
    columns.update(_top_reasons(decisions))
    return columns


def _own_ids(scorer: Scorer, events: Events) -> list[str] | None:
    """The events' own ids, if each has one; otherwise they have to be derived."""
    field = scorer.contract.events.by_role("id")
    column: Column | None = events.columns.get(field.name) if field else None
    if column is None or column.dtype != object:
        return None
    ids: list[str | None] = column.tolist()
    return None if None in ids else [text for text in ids if text is not None]


def _record(
    scorer: Scorer,
    decisions: Decisions,
    identities: Sequence[Identity],
    now_us: int,
    shard: LedgerShard,
) -> list[str]:
    """Record the decisions, durably; their ids."""
    ids = format_ids(now_us // 1000, shard.tag, shard.size, decisions.n)
    shard.append(scorer.records(decisions, ids, identities, decided_at=now_us))
    shard.commit()
    return ids


def _top_reasons(decisions: Decisions) -> dict[str, list[object]]:
    """The fields that raised the score most, the strongest first."""
    columns: dict[str, list[object]] = {
        f"reason_{rank}": [None] * decisions.n for rank in range(1, TOP + 1)
    }
    for row, phi in decisions.reasons().items():
        order = sorted((-units, i) for i, units in enumerate(phi) if units > 0)
        for rank, (_, i) in enumerate(order[:TOP], 1):
            columns[f"reason_{rank}"][row] = decisions.fields[i]
    return columns
