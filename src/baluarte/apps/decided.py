"""Decisions out of the ledger, in batches, with memory that doesn't grow with their number."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from baluarte.apps.session import Session
from baluarte.core.decision import DecisionRecord
from baluarte.core.difference import differs
from baluarte.core.ids import parse_id
from baluarte.core.retention import Dropped
from baluarte.errors import DataError
from baluarte.ports import Progress
from baluarte.stages.replay import BATCH, Replayed, damaged

_DECISION = b'{"kind":"decision"'  #: how a decision's JSON begins: a record's kind is its first key


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which decisions."""

    detector: str | None = None
    since: int | None = None  #: microseconds of UTC at which they were made
    until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some decisions, and the records that can't be read as any or stand in a wrong place."""

    records: list[DecisionRecord]
    damaged: list[Replayed]


class _Head(msgspec.Struct, gc=False):
    """What a question asks of a record before it is read whole."""

    detector: str
    decided_at: int


_head = msgspec.json.Decoder(_Head).decode
_record = msgspec.json.Decoder(DecisionRecord).decode


def batches(
    session: Session, wanted: Wanted, *, progress: Progress | None = None
) -> Iterator[Batch]:
    """All decisions that are wanted, shard by shard; a stretch of time is found by the index."""
    waiting: list[tuple[str, int, bytes]] = []
    for one in _raw(session, wanted, progress):
        waiting.append(one)
        if len(waiting) == BATCH:
            yield _batch(waiting)
            waiting = []
    if waiting:
        yield _batch(waiting)


def sample(
    session: Session, wanted: Wanted, *, n: int, seed: int, progress: Progress | None = None
) -> Iterator[Batch]:
    """``n`` of them, each as likely as any other; the same ones by the same seed.

    Source: Vitter, ACM TOMS 11(1), 1985 (algorithm R).
    """
    kept: list[tuple[str, int, bytes]] = []
    draw = random.Random(seed)  # noqa: S311 - a repeatable sample, not a secret
    for seen, one in enumerate(_raw(session, wanted, progress)):
        if len(kept) < n:
            kept.append(one)
        elif (at := draw.randrange(seen + 1)) < n:
            kept[at] = one
    if not kept:
        raise DataError(
            "the ledger has no such decision yet", hint="baluarte serve, or score FILE."
        )
    for start in range(0, len(kept), BATCH):
        yield _batch(kept[start : start + BATCH])


def _raw(
    session: Session, wanted: Wanted, progress: Progress | None
) -> Iterator[tuple[str, int, bytes]]:
    """Shard, place and bytes of each decision that is wanted, or can't tell whether it is."""
    reader = session.reader
    stretch = wanted.since is not None or wanted.until is not None
    if stretch:
        index = session.indexed(progress)
        spans = index.spans(wanted.since, wanted.until, detector=wanted.detector)
    else:
        spans = {tag: (0, reader.size(tag)) for tag in reader.shards()}
    total = sum(stop - start for start, stop in spans.values())
    asks = stretch or wanted.detector is not None
    done = 0
    for tag, (start, stop) in spans.items():
        for place, entry in enumerate(reader.entries(tag, start, stop), start):
            done += 1
            if progress is not None and done % BATCH == 0:
                progress.step(done, total)
            if isinstance(entry, Dropped) or not entry.startswith(_DECISION):
                continue
            if not asks or _is_wanted(entry, wanted):
                yield tag, place, entry


def _is_wanted(data: bytes, wanted: Wanted) -> bool:
    try:
        head = _head(data)
    except msgspec.MsgspecError:
        return True
    if wanted.detector not in {None, head.detector}:
        return False
    since = wanted.since is None or head.decided_at >= wanted.since
    return since and (wanted.until is None or head.decided_at < wanted.until)


def _batch(raw: Sequence[tuple[str, int, bytes]]) -> Batch:
    found = Batch(records=[], damaged=[])
    for tag, place, data in raw:
        try:
            record = _record(data)
            said = parse_id(record.id)
        except (msgspec.MsgspecError, DataError) as error:
            found.damaged.append(damaged(f"{tag}/{place}", error))
            continue
        if (said.tag, said.index) != (tag, place):
            wrong = differs("id", "id", record.id, f"record {place} of shard {tag}")
            found.damaged.append(Replayed(id=f"{tag}/{place}", difference=wrong))
        else:
            found.records.append(record)
    return found
