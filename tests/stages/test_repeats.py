"""baluarte.stages.repeats: retries share an id, and two scores for it are an incident."""

from __future__ import annotations

import msgspec
import pytest

from baluarte.core.decision import DecisionRecord
from baluarte.core.ids import format_id
from baluarte.stages.verify import LedgerReport, verify_ledger
from baluarte.testing.signers import MemorySigner, MemoryVerifier
from baluarte.testing.stores import MemoryLedger


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


def decide(ledger: MemoryLedger, *rows: tuple[str, int, int, str]) -> None:
    """Decisions (event id, version, score, digest) in a shard of their own."""
    shard = ledger.open_shard()
    for event_id, version, score, digest in rows:
        record = DecisionRecord(
            id=format_id(1, shard.tag, shard.size),
            event_id=event_id,
            event_at=0,
            decided_at=1,
            detector="flows",
            version=version,
            bundle="sha256:b",
            event_digest=digest,
            event={},
            features=(),
            score=score,
            points=0,
            band=0,
            outcome="pass",
            threshold=None,
        )
        shard.append([msgspec.json.encode(record)])
    shard.commit()


def verify(ledger: MemoryLedger) -> LedgerReport:
    return verify_ledger(ledger, MemoryVerifier(MemorySigner().key))


def test_retries_in_any_shard_count_once_and_are_no_incident(ledger: MemoryLedger) -> None:
    decide(ledger, ("a", 1, 10, "d"), ("b", 1, 11, "e"), ("a", 1, 10, "d"))
    decide(ledger, ("a", 1, 10, "d"), ("a", 2, 12, "d"))
    report = verify(ledger)
    assert (report.events, report.incidents, report.all_faults) == (2, (), ())
    assert sum(shard.size for shard in report.shards) == 5


def test_two_scores_of_one_version_for_one_id_are_an_incident(ledger: MemoryLedger) -> None:
    decide(ledger, ("a", 1, 10, "d"), ("b", 1, 7, "e"))
    decide(ledger, ("c", 1, 7, "e"), ("a", 1, 11, "d"), ("b", 1, 8, "other"))
    said = sorted(map(str, verify(ledger).incidents))
    assert len(said) == 2
    assert "'a' the scores 10 and 11: the same event was scored differently" in said[0]
    assert "'b' the scores 7 and 8: two different events have this id" in said[1]
