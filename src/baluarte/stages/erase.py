"""Erase: destroy the keys of people, and have every place forget what stands outside of records.

The keys go first, all at once: from then on no value in any record can be read, whatever happens.
What is left is remembered in the key store, sealed, and finished by the next process if this one
stops: the act in the ledger, then each place. Proofs hold as before, for no record is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from baluarte.core.decision import ActRecord, Record
from baluarte.core.envelope import Subject
from baluarte.core.erasure import Erasure
from baluarte.errors import DataError
from baluarte.ports import Clock, Entropy, LedgerReader, LedgerShard, Remembers, SubjectKeys

EVERY = "*"  #: the detector of an act that is about all of them
_ID_BYTES = 16
_ERASE_ACT = b'{"kind":"act"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who is to be erased, by whom and why."""

    subjects: Sequence[Subject]
    texts: Collection[str]  #: spellings of their names
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What came of an erasure."""

    id: str
    keys: tuple[str, ...]  #: ids of those that were destroyed
    left: tuple[str, ...]  #: places held by other processes, which have not yet forgotten


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What an erasure works with.

    Attributes:
        ledger: opens the shard that the act is written to.
        places: everything outside of records that may hold personal values.
    """

    keys: SubjectKeys
    reader: LedgerReader
    ledger: Callable[[], LedgerShard]
    places: Sequence[Remembers]
    clock: Clock
    entropy: Entropy


def erase(asked: Asked, tools: Tools) -> Erased:
    """Erase people for good.

    Raises:
        DataError: the reason, which is kept for ever, names one of them.
        OutsideError: the key store or the ledger is away; what was begun will be finished.
    """
    named = next((text for text in asked.texts if text and text in asked.reason), None)
    if named is not None:
        raise DataError(
            "the reason names who is to be erased, and the ledger keeps it for ever",
            where="--reason",
            hint="Name a case or a paragraph instead.",
        )
    erasure = Erasure(
        id=tools.entropy.token(_ID_BYTES).hex(),
        at=tools.clock.now_us(),
        actor=asked.actor,
        reason=asked.reason,
        subjects=tuple(asked.subjects),
        texts=tuple(asked.texts),
        places=tuple(place.name for place in tools.places),
        mark={tag: tools.reader.size(tag) for tag in tools.reader.shards()},
    )
    keys = tools.keys.destroy(erasure.subjects, erasure=erasure)
    begun = msgspec.structs.replace(erasure, keys=keys)
    return _carry_on(begun, tools)


def finish_erasures(tools: Tools) -> list[Erased]:
    """Finish what other processes began: every act is there once, every place has forgotten."""
    return [_carry_on(erasure, tools) for erasure in tools.keys.unfinished()]


def _carry_on(erasure: Erasure, tools: Tools) -> Erased:
    if not _is_recorded(erasure, tools.reader):
        ledger = tools.ledger()
        ledger.append([msgspec.json.encode(act_of(erasure))])
        ledger.commit()
    places = {place.name: place for place in tools.places}
    left: list[str] = []
    for name in erasure.places:
        place = places.get(name)
        if place is None or place.forget(erasure):  # one that is not there has nothing
            tools.keys.forgotten(erasure.id, name)
        else:
            left.append(name)
    if not left:
        tools.keys.finish(erasure.id)
    return Erased(id=erasure.id, keys=erasure.keys, left=tuple(left))


def act_of(erasure: Erasure) -> ActRecord:
    """The act: that it was done, when, by whom and why, and which keys; nothing of whom."""
    return ActRecord(
        at=erasure.at,
        act="erase",
        actor=erasure.actor,
        detector=EVERY,
        reason=erasure.reason,
        details={
            "erasure": erasure.id,
            "subjects": len(erasure.subjects),
            "keys": " ".join(erasure.keys),
        },
    )


def _is_recorded(erasure: Erasure, reader: LedgerReader) -> bool:
    """Whether the act is in the ledger; it can only stand after the mark."""
    return any(act.details.get("erasure") == erasure.id for act in erase_acts(reader, erasure.mark))


def erase_acts(reader: LedgerReader, mark: Mapping[str, int] | None = None) -> Iterator[ActRecord]:
    """Acts of erasures in the ledger, after so many records of each shard.

    Raises:
        TrustError: a committed record is missing or damaged.
    """
    decode = msgspec.json.Decoder(Record).decode
    for tag in reader.shards():
        for data in reader.records(tag, (mark or {}).get(tag, 0)):
            if data.startswith(_ERASE_ACT) and b'"act":"erase"' in data:
                record = decode(data)
                if isinstance(record, ActRecord) and record.act == "erase":
                    yield record


def erased_keys(reader: LedgerReader) -> set[str]:
    """Ids of all keys that erasures destroyed, as the ledger says."""
    found: set[str] = set()
    for act in erase_acts(reader):
        found.update(str(act.details.get("keys") or "").split())
    return found
