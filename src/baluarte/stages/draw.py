"""Draw decisions for an audit, so that the auditor can draw the same ones again."""

from __future__ import annotations

import random
from collections.abc import Mapping

import msgspec

from baluarte.core.decision import DecisionRecord, Record
from baluarte.core.retention import Dropped
from baluarte.errors import DataError
from baluarte.ports import LedgerReader

_TRIES = 50  #: positions looked at for each decision wanted, before all are read


def draw(
    reader: LedgerReader,
    sizes: Mapping[str, int],
    *,
    n: int,
    seed: int,
    detector: str | None = None,
) -> list[tuple[str, int, DecisionRecord]]:
    """(shard, index, record) of decisions drawn uniformly, in the order of the ledger.

    All records under the checkpoint stand in one row, shard after shard by tag. Positions are drawn
    one by one without putting back; what is no decision (of the detector) is passed over. Where
    decisions are few, all are listed in that order and the sample is drawn from the list.

    Args:
        sizes: how many records of each shard the checkpoint covers.
        n: how many; all where there are fewer.
        seed: of the draw: the same seed and checkpoint give the same decisions.

    Raises:
        DataError: there is no decision.
    """
    tags = sorted(sizes)
    total = sum(sizes.values())
    chance = random.Random(seed)  # noqa: S311 - to be drawn again, not to be secret
    found: dict[tuple[str, int], DecisionRecord] = {}
    seen: set[int] = set()
    while len(found) < n and len(seen) < min(total // 2, _TRIES * n):
        at = chance.randrange(total)
        if at not in seen:
            seen.add(at)
            tag, index = _place(tags, sizes, at)
            record = _decision(reader, tag, index, detector)
            if record is not None:
                found[tag, index] = record
    if len(found) < n:
        every = _all(reader, tags, sizes, detector)
        places = random.Random(seed).sample(sorted(every), min(n, len(every)))  # noqa: S311 - likewise
        found = {place: every[place] for place in places}
    if not found:
        raise DataError("no decision stands under the checkpoint", hint="baluarte ledger tail")
    return [(tag, index, found[tag, index]) for tag, index in sorted(found)]


def _place(tags: list[str], sizes: Mapping[str, int], at: int) -> tuple[str, int]:
    for tag in tags:
        if at < sizes[tag]:
            return tag, at
        at -= sizes[tag]
    raise IndexError(at)


def _decision(
    reader: LedgerReader, tag: str, index: int, detector: str | None
) -> DecisionRecord | None:
    for entry in reader.entries(tag, index, index + 1):
        return _read(entry, detector)
    return None


def _all(
    reader: LedgerReader, tags: list[str], sizes: Mapping[str, int], detector: str | None
) -> dict[tuple[str, int], DecisionRecord]:
    return {
        (tag, index): record
        for tag in tags
        for index, entry in enumerate(reader.entries(tag, 0, sizes[tag]))
        if (record := _read(entry, detector)) is not None
    }


def _read(entry: bytes | Dropped, detector: str | None) -> DecisionRecord | None:
    if isinstance(entry, Dropped):
        return None
    record = msgspec.json.decode(entry, type=Record)
    if isinstance(record, DecisionRecord) and detector in {None, record.detector}:
        return record
    return None
