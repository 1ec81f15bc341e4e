"""What was sealed and recorded once must open, decide and verify for good: tests/golden holds it.

A red test here means that a format or an evaluator changed its meaning: sealed bundles and ledgers
of others would no longer hold. Make a new folder beside the old one; never change the old one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pytest

from baluarte.adapters.stores.segments import Segments
from baluarte.core.bundle import SealedBundle, open_bundle
from baluarte.core.decision import DecisionRecord
from baluarte.core.event import Values
from baluarte.core.keys import PublicKey
from baluarte.stages.replay import replay
from baluarte.stages.score import Scorer
from baluarte.stages.verify import verify_ledger
from baluarte.testing.signers import MemoryVerifier

GOLDEN = Path(__file__).parents[1] / "golden"
AGES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir() and path.name[0] == "v")


class Sealed:
    """One age's files, and what was expected of them then."""

    def __init__(self, folder: Path, copy: Path) -> None:
        key = msgspec.json.decode((folder / "key.json").read_bytes(), type=PublicKey)
        self.key_id = key.key_id
        self.verifier = MemoryVerifier(key)
        bundle = folder / "bundle"
        self.files = {
            path.relative_to(bundle).as_posix(): path.read_bytes()
            for path in bundle.rglob("*")
            if path.is_file()
        }
        self.expected: dict[str, Any] = json.loads((folder / "expected.json").read_text("utf-8"))
        self.events: list[Values] = json.loads((folder / "events.json").read_text("utf-8"))
        self.ledger = copy / "ledger"
        shutil.copytree(folder / "ledger", self.ledger)

    def open(self) -> SealedBundle:
        """The bundle, with every check."""
        digest, at = self.expected["digest"], self.expected["at"]
        return open_bundle(self.files, self.verifier, at_us=at, expect_digest=digest)


@pytest.fixture(params=AGES)
def sealed(request: pytest.FixtureRequest, tmp_path: Path) -> Sealed:
    """Every age that is kept."""
    return Sealed(GOLDEN / request.param, tmp_path)


def test_there_is_an_age_to_keep() -> None:
    assert "v0.1" in AGES


def test_a_bundle_of_then_opens_with_every_check(sealed: Sealed) -> None:
    bundle = sealed.open()
    assert bundle.digest == sealed.expected["digest"]
    assert bundle.key_id == sealed.key_id
    assert bundle.contract.name == sealed.expected["detector"]


@pytest.mark.parametrize("kernel", ["c", "numpy"])
def test_events_of_then_are_decided_as_then_to_the_last_bit(
    sealed: Sealed, kernel: Literal["c", "numpy"]
) -> None:
    if kernel == "c":
        pytest.importorskip("baluarte.core.program._kernel", reason="no compiled kernel here")
    decisions = Scorer(sealed.open(), kernel=kernel).decide_records(sealed.events, reasons="all")
    want = sealed.expected
    assert decisions.scores.tolist() == want["scores"]
    assert decisions.points.tolist() == want["points"]
    assert [decisions.outcomes[band] for band in decisions.bands] == want["outcomes"]
    assert decisions.probability.tolist() == want["probabilities"]
    assert decisions.base == want["base"]
    assert list(decisions.fields) == want["fields"]
    assert decisions.phi.tolist() == want["reasons"]
    np.testing.assert_array_equal(decisions.base + decisions.phi.sum(axis=1), decisions.scores)


def test_a_ledger_of_then_still_holds_and_so_do_its_checkpoints(sealed: Sealed) -> None:
    report = verify_ledger(Segments(sealed.ledger).reader(), sealed.verifier)
    assert not report.all_faults
    assert report.n_heads == 1
    (shard,) = report.shards
    assert shard.tag == sealed.expected["shard"]
    assert shard.size == shard.signed_size == sealed.expected["size"]
    assert shard.root.hex() == sealed.expected["root"]
    assert shard.records == {"decision": len(sealed.events), "seal": 1, "promote": 1}


def test_a_ledger_of_then_is_written_on(sealed: Sealed) -> None:
    shard = Segments(sealed.ledger).open_shard()
    assert shard.tag == sealed.expected["shard"]
    assert shard.size == sealed.expected["size"]
    assert shard.root().hex() == sealed.expected["root"]
    shard.close()


def test_decisions_of_then_are_computed_again_to_the_last_bit(sealed: Sealed) -> None:
    bundle, tag = sealed.open(), sealed.expected["shard"]
    records = list(Segments(sealed.ledger).reader().records(tag))
    decided = [
        msgspec.json.decode(record, type=DecisionRecord)
        for record in records
        if "score" in msgspec.json.decode(record)
    ]
    assert [record.id for record in decided] == sealed.expected["ids"]
    found = replay(decided, lambda *_: bundle)
    assert [one.difference for one in found] == [None] * len(sealed.events)
