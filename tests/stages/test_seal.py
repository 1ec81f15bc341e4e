"""baluarte.stages.seal: what passed becomes a version; the ledger knows before the registry."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec
import pytest

from baluarte.core.bundle import BundleParts
from baluarte.core.decision import ActRecord
from baluarte.core.evidence import Verdict
from baluarte.core.registry import Version
from baluarte.errors import DataError, OutsideError, TrustError
from baluarte.stages.fetch import open_version
from baluarte.stages.seal import seal
from baluarte.testing.bundles import sample_parts
from baluarte.testing.clock import FixedClock
from baluarte.testing.signers import MemorySigner, MemoryVerifier
from baluarte.testing.stores import MemoryBundles, MemoryLedger, MemoryRegistry


@dataclass
class Place:
    """A workspace in memory."""

    signer: MemorySigner = field(default_factory=MemorySigner)
    bundles: MemoryBundles = field(default_factory=MemoryBundles)
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    clock: FixedClock = field(default_factory=FixedClock)

    def __post_init__(self) -> None:
        self.verifier = MemoryVerifier(self.signer.key)
        self.shard = self.ledger.open_shard()

    def seal(self, verdict: Verdict = "pass", parts: BundleParts | None = None) -> Version:
        return seal(
            parts or sample_parts(verdict=verdict),
            actor="ada",
            signer=self.signer,
            verifier=self.verifier,
            bundles=self.bundles,
            registry=self.registry,
            ledger=self.shard,
            clock=self.clock,
        )

    def acts(self) -> list[ActRecord]:
        records = self.ledger.records(self.shard.tag)
        return [msgspec.json.decode(record, type=ActRecord) for record in records]


@pytest.fixture
def place() -> Place:
    return Place()


def test_versions_and_epochs_count_up_and_each_seal_is_in_the_ledger(place: Place) -> None:
    one, two = place.seal(), place.seal(parts=replace(sample_parts(), card="# Two"))
    assert [(v.version, v.epoch) for v in (one, two)] == [(1, 1), (2, 2)]
    assert place.registry.versions("flows") == [one, two]
    assert [(act.act, act.actor, act.version, act.bundle) for act in place.acts()] == [
        ("seal", "ada", 1, one.digest),
        ("seal", "ada", 2, two.digest),
    ]
    assert one.trained_by == "eve"
    assert one.sealed_by == "ada"


def test_a_sealed_version_opens(place: Place) -> None:
    version = place.seal()
    bundle = open_version(
        version, bundles=place.bundles, verifier=place.verifier, at_us=place.clock.now_us()
    )
    assert (bundle.digest, bundle.manifest.epoch) == (version.digest, 1)


def test_too_little_data_makes_a_provisional_version(place: Place) -> None:
    assert place.seal("not_enough_data").provisional
    assert not place.seal("pass").provisional


def test_what_failed_its_proof_is_not_sealed(place: Place) -> None:
    with pytest.raises(DataError, match="said fail"):
        place.seal("fail")
    assert (place.bundles.kept, place.acts(), place.registry.detectors()) == ({}, [], [])


def test_an_expired_key_seals_nothing(place: Place) -> None:
    place.clock.advance(10**15)
    with pytest.raises(TrustError, match="expired"):
        place.seal()
    assert place.bundles.kept == {}


def test_a_key_that_nobody_trusts_registers_nothing(place: Place) -> None:
    place.verifier = MemoryVerifier(MemorySigner("stranger").key)
    with pytest.raises(TrustError, match="not trusted"):
        place.seal()
    assert (place.acts(), place.registry.detectors()) == ([], [])


def test_parts_that_do_not_fit_register_nothing(place: Place) -> None:
    with pytest.raises(TrustError):
        place.seal(parts=replace(sample_parts(), encoder_json=b"{}"))
    assert (place.acts(), place.registry.detectors()) == ([], [])


def test_without_room_in_the_ledger_the_registry_is_unchanged(place: Place) -> None:
    place.ledger.full = True
    with pytest.raises(OutsideError):
        place.seal()
    assert place.registry.versions("flows") == []


def test_a_bundle_that_was_exchanged_in_its_store_does_not_open_as_the_version(
    place: Place,
) -> None:
    one, two = place.seal(), place.seal(parts=replace(sample_parts(), card="# Two"))
    place.bundles.kept[two.digest] = place.bundles.kept[one.digest]
    with pytest.raises(TrustError, match="expected digest"):
        open_version(
            two, bundles=place.bundles, verifier=place.verifier, at_us=place.clock.now_us()
        )
