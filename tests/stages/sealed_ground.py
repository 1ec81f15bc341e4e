"""A version with personal fields, its keys, and records of what it decided."""

from __future__ import annotations

from pathlib import Path

import msgspec

from baluarte.adapters.keystores.sqlite import SqliteKeys
from baluarte.adapters.sealing import MasterKeys, new_master
from baluarte.core.bundle import SealedBundle
from baluarte.core.decision import DecisionRecord
from baluarte.core.event import Values
from baluarte.core.ids import format_ids
from baluarte.stages.fetch import open_version
from baluarte.stages.score import Scorer
from baluarte.stages.seal import seal
from baluarte.testing.bundles import personal_schema, sample_events, sample_parts
from baluarte.testing.clock import FixedClock
from baluarte.testing.signers import MemorySigner, MemoryVerifier
from baluarte.testing.stores import MemoryBundles, MemoryLedger, MemoryRegistry


def people(n: int) -> list[Values]:
    """Events of five people, and some that name nobody; two have no id."""
    events = sample_events(n)
    for i, event in enumerate(events):
        if i % 6 != 5:
            event["user"] = f"user-{i % 5}"
        event["full_name"] = f"Señora Ñandú {i % 5}"
    del events[0]["id"], events[5]["id"]
    return events


class Place:
    """A version with personal fields, its keys and what it decided."""

    def __init__(self, folder: Path, n: int = 60) -> None:
        signer = MemorySigner()
        self.bundles, self.verifier = MemoryBundles(), MemoryVerifier(signer.key)
        self.clock = FixedClock()
        self.version = seal(
            sample_parts(schema=personal_schema()), actor="ada", signer=signer,
            verifier=self.verifier, bundles=self.bundles, registry=MemoryRegistry(),
            ledger=MemoryLedger().open_shard(), clock=self.clock,
        )  # fmt: skip
        self.keys = SqliteKeys(folder / "people.sqlite", MasterKeys(new_master(), where="here"))
        self.scorer = Scorer(self.open(self.version.digest, self.clock.now_us()))
        self.events = people(n)
        tokens = iter(f"lone{i}" for i in range(n))
        self.subjects = self.scorer.subjects(self.events, lambda: next(tokens)) or []
        self.who = who = self.scorer.identify_all(
            self.events, ordinals=range(n), arrival_us=5, subjects=self.subjects,
            keys=self.keys.keys(self.subjects),
        )  # fmt: skip
        self.decisions = decisions = self.scorer.decide_records(self.events, reasons="all")
        ids = format_ids(self.clock.now_us() // 1000, "00000a", 0, n)
        self.answers = self.scorer.answers(decisions, who, ids)
        self.features = decisions.features
        self.data = self.scorer.records(decisions, ids, who, decided_at=self.clock.now_us())
        self.records = [msgspec.json.decode(data, type=DecisionRecord) for data in self.data]

    def open(self, digest: str, at_us: int) -> SealedBundle:
        return open_version(self.version, bundles=self.bundles, verifier=self.verifier, at_us=at_us)
