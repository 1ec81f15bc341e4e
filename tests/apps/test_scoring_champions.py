"""baluarte.apps.scoring.champions: what verifies is let in, stays while the registry is away."""

from __future__ import annotations

import pytest
from scoring_ground import CountsKept

from baluarte.adapters.stores.postgresql import PostgresqlRegistry
from baluarte.apps.scoring.champions import Champions
from baluarte.core.event import Values
from baluarte.core.registry import Promotion, Version
from baluarte.errors import OutsideError
from baluarte.stages.seal import seal
from baluarte.testing.bundles import sample_parts
from baluarte.testing.clock import FixedClock
from baluarte.testing.signers import MemorySigner, MemoryVerifier
from baluarte.testing.stores import MemoryBundles, MemoryLedger, MemoryRegistry
from postgres_ground import PASSWORD, PostgresServer


class Ground:
    """Stores in memory and the champions that follow them."""

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.signer = MemorySigner()
        self.verifier = MemoryVerifier(self.signer.key)
        self.registry = MemoryRegistry()
        self.bundles = MemoryBundles()
        self.counts = CountsKept()
        self.champions = Champions(
            registry=self.registry,
            bundles=self.bundles,
            verifier=lambda: self.verifier,
            clock=self.clock,
            kernel="auto",
            language="en",
            counts=self.counts,
        )

    def seal(self, **changes: str) -> Version:
        return seal(
            sample_parts(**changes),  # type: ignore[arg-type]
            actor="ana",
            signer=self.signer,
            verifier=self.verifier,
            bundles=self.bundles,
            registry=self.registry,
            ledger=MemoryLedger().open_shard(),
            clock=self.clock,
        )

    def make_champion(self, version: Version) -> None:
        self.registry.set_champion(
            Promotion(
                detector=version.detector,
                version=version.version,
                at=self.clock.now_us(),
                actor="ana",
                reason="",
                kind="promote",
            )
        )

    def deciding(self) -> dict[str, int]:
        self.champions.refresh()
        return {name: c.scorer.version for name, c in self.champions.current.items()}


def test_the_champion_is_let_in_and_followed() -> None:
    ground = Ground()
    assert ground.deciding() == {}
    one = ground.seal()
    assert ground.deciding() == {}
    assert ground.champions.names == {"flows"}
    ground.make_champion(one)
    assert ground.deciding() == {"flows": 1}
    two = ground.seal()
    ground.make_champion(two)
    assert ground.deciding() == {"flows": 2}
    ground.make_champion(one)
    assert ground.deciding() == {"flows": 1}
    assert ground.counts.champions == [("flows", 1), ("flows", 2), ("flows", 1)]


def test_while_the_registry_is_away_the_last_verified_champion_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ground = Ground()
    ground.make_champion(ground.seal())
    ground.deciding()

    def away() -> list[str]:
        raise OutsideError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(ground.registry, "detectors", away)
        assert ground.deciding() == {"flows": 1}
        assert ground.champions.registry_away
    ground.deciding()
    assert not ground.champions.registry_away


def test_a_damaged_bundle_is_not_let_in_and_the_old_champion_decides_on() -> None:
    ground = Ground()
    ground.make_champion(ground.seal())
    ground.deciding()
    two = ground.seal()
    kept = ground.bundles.get(two.digest)
    ground.bundles.kept[two.digest] = {**kept, "program.bin": kept["program.bin"] + b"\x00"}
    ground.make_champion(two)
    assert ground.deciding() == {"flows": 1}
    assert ground.deciding() == {"flows": 1}
    assert ground.counts.refused_champions == ["TrustError"]


def test_a_revoked_key_lets_no_new_champion_in() -> None:
    ground = Ground()
    one = ground.seal()
    ground.make_champion(one)
    ground.verifier.revoke(ground.signer.key.name, at=ground.clock.now_us())
    assert ground.deciding() == {}
    assert ground.counts.refused_champions == ["TrustError"]


def test_a_provisional_version_never_decides() -> None:
    ground = Ground()
    version = ground.seal(verdict="not_enough_data")
    assert version.provisional
    ground.make_champion(version)
    assert ground.deciding() == {}


def test_a_bundle_that_comes_late_is_let_in_when_it_is_there() -> None:
    ground = Ground()
    version = ground.seal()
    files = ground.bundles.kept.pop(version.digest)
    ground.make_champion(version)
    assert ground.deciding() == {}
    assert ground.deciding() == {}
    ground.bundles.kept[version.digest] = files
    assert ground.deciding() == {"flows": 1}
    assert ground.counts.refused_champions == ["DataError"]


def test_a_champion_reads_events_and_says_why() -> None:
    ground = Ground()
    ground.make_champion(ground.seal())
    ground.deciding()
    champion = ground.champions.current["flows"]
    values: list[Values] = champion.reader.records([{"service": "gopher"}])
    assert champion.scorer.decide_records(values).n == 1
    assert champion.say("service", "gopher") == "service gopher: never seen before"
    assert champion.say("failures", None) == "failures is missing"


def test_a_data_plane_goes_on_with_its_champion_while_the_server_is_away(
    postgres_server: PostgresServer,
) -> None:
    signer = MemorySigner()
    verifier, bundles, clock = MemoryVerifier(signer.key), MemoryBundles(), FixedClock()
    ledger = MemoryLedger().open_shard()

    def promoted(number: int) -> Promotion:
        return Promotion(
            detector="flows", version=number, at=1, actor="a", reason="", kind="promote"
        )

    address = postgres_server.over_tcp("champions")
    with PostgresqlRegistry(address, password=lambda: PASSWORD) as registry:
        sealed = [
            seal(
                sample_parts(), actor="ada", signer=signer, verifier=verifier, bundles=bundles,
                registry=registry, ledger=ledger, clock=clock,
            )
            for _ in range(2)
        ]  # fmt: skip
        registry.set_champion(promoted(1))
        champions = Champions(
            registry=registry, bundles=bundles, verifier=lambda: verifier, clock=clock,
            kernel="auto", language="en", counts=CountsKept(),
        )  # fmt: skip
        champions.refresh()
        postgres_server.stop()
        try:
            champions.refresh()
            assert champions.registry_away
            assert champions.current["flows"].version == sealed[0]
        finally:
            postgres_server.start()
        registry.set_champion(promoted(2))
        champions.refresh()
        assert not champions.registry_away
        assert champions.current["flows"].version == sealed[1]
