"""baluarte.stages.promote: who may change which version decides, and that it is written first."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from baluarte.core.accounts import Account
from baluarte.core.decision import ActRecord
from baluarte.core.registry import Promotion
from baluarte.errors import DataError, OutsideError, TrustError
from baluarte.stages.promote import approve, decline, find_version, promote, rollback
from baluarte.stages.seal import seal
from baluarte.testing.bundles import sample_parts
from baluarte.testing.clock import FixedClock
from baluarte.testing.signers import MemorySigner, MemoryVerifier
from baluarte.testing.stores import MemoryBundles, MemoryLedger, MemoryRegistry


class Place:
    """Three sealed versions, trained by eve and sealed by ada; the third is provisional."""

    def __init__(self) -> None:
        signer = MemorySigner()
        self.bundles, self.registry, self.ledger = MemoryBundles(), MemoryRegistry(), MemoryLedger()
        self.verifier, self.clock = MemoryVerifier(signer.key), FixedClock()
        self.shard = self.ledger.open_shard()
        self.accounts: dict[str, Account] = {}
        for number in (1, 2, 3):
            parts = sample_parts(verdict="pass" if number < 3 else "not_enough_data")
            seal(
                replace(parts, card=f"# {number}"),
                actor="ada",
                signer=signer,
                verifier=self.verifier,
                bundles=self.bundles,
                registry=self.registry,
                ledger=self.shard,
                clock=self.clock,
            )

    def approve(self, number: int, *, actor: str) -> None:
        approve(
            "flows",
            number,
            actor=actor,
            reason="read it",
            registry=self.registry,
            ledger=self.shard,
            clock=self.clock,
            accounts=self.accounts,
        )

    def decline(self, number: int, *, actor: str, reason: str) -> None:
        decline(
            "flows", number, actor=actor, reason=reason, registry=self.registry,
            ledger=self.shard, clock=self.clock, accounts=self.accounts,
        )  # fmt: skip

    def promote(self, number: int, *, approvals: int = 0, actor: str = "ada") -> Promotion:
        return promote(
            "flows",
            number,
            actor=actor,
            reason="better",
            approvals=approvals,
            accounts=self.accounts,
            registry=self.registry,
            bundles=self.bundles,
            verifier=self.verifier,
            ledger=self.shard,
            clock=self.clock,
        )

    def rollback(self, number: int | None = None) -> Promotion:
        return rollback(
            "flows",
            number,
            actor="ada",
            reason="worse",
            registry=self.registry,
            bundles=self.bundles,
            verifier=self.verifier,
            ledger=self.shard,
            clock=self.clock,
        )

    def champion(self) -> int | None:
        version = self.registry.champion("flows")
        return version.version if version else None

    def last_act(self) -> ActRecord:
        return msgspec.json.decode(self.ledger.kept[self.shard.tag][-1], type=ActRecord)


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_promoted_version_decides_and_who_when_why_is_known(place: Place) -> None:
    promotion = place.promote(1)
    assert place.champion() == 1
    assert place.registry.promotions("flows") == [promotion]
    act = place.last_act()
    assert (act.act, act.actor, act.version, act.reason) == ("promote", "ada", 1, "better")
    assert act.details["approved_by"] == "self (ada)"
    assert act.at == promotion.at == place.clock.now_us()


def test_a_provisional_version_never_decides(place: Place) -> None:
    with pytest.raises(DataError, match="provisional"):
        place.promote(3)
    assert place.champion() is None


def test_a_version_that_does_not_exist_is_named_beside_those_that_do(place: Place) -> None:
    with pytest.raises(DataError, match="no flows@9; versions: 1, 2, 3"):
        place.promote(9)
    assert find_version(place.registry, "flows", 2).version == 2


def test_approvals_by_others_are_needed_and_counted_once_a_person(place: Place) -> None:
    with pytest.raises(DataError, match="needs 2 approvals by others than its authors"):
        place.promote(1, approvals=2)
    place.approve(1, actor="bea")
    with pytest.raises(DataError, match="before"):
        place.approve(1, actor="bea")
    with pytest.raises(DataError, match="found bea"):
        place.promote(1, approvals=2)
    place.approve(1, actor="cid")
    place.promote(1, approvals=2)
    assert place.last_act().details["approved_by"] == "bea, cid"


@pytest.mark.parametrize("author", ["ada", "eve"])
def test_who_trained_or_sealed_a_version_cannot_approve_it(place: Place, author: str) -> None:
    with pytest.raises(DataError, match="another person"):
        place.approve(1, actor=author)
    # Not even where the registry was written to by other means.
    place.registry.approve("flows", 1, actor=author, at=1, reason="mine")
    with pytest.raises(DataError, match="found none"):
        place.promote(1, approvals=1)


def test_an_approval_is_of_one_version(place: Place) -> None:
    place.approve(1, actor="bea")
    assert place.last_act().act == "approve"
    with pytest.raises(DataError, match="found none"):
        place.promote(2, approvals=1)


def account(name: str, *hands: str) -> Account:
    return Account(
        name=name, kind="person", owner=name, grants=(), hands=frozenset(hands), made_at=1,
        made_by="root",
    )  # fmt: skip


def test_whoever_is_behind_an_authors_account_approves_through_none(place: Place) -> None:
    place.accounts = {a.name: a for a in (account("eve"), account("bea", "eve"), account("cid"))}
    with pytest.raises(DataError, match="another person"):
        place.approve(1, actor="bea")  # eve set bea's password
    place.registry.approve("flows", 1, actor="bea", at=1, reason="by other means")
    with pytest.raises(DataError, match="found none"):
        place.promote(1, approvals=1)
    place.approve(1, actor="cid")
    place.promote(1, approvals=1)


def test_two_approvals_with_a_person_in_common_are_one(place: Place) -> None:
    one, two = account("bea", "mia"), account("cid", "mia")
    place.accounts = {a.name: a for a in (one, two, account("dan"))}
    place.approve(1, actor="bea")
    place.approve(1, actor="cid")
    with pytest.raises(DataError, match="each by another person"):
        place.promote(1, approvals=2)
    place.approve(1, actor="dan")
    place.promote(1, approvals=2)


def test_a_declined_version_is_neither_approved_nor_promoted(place: Place) -> None:
    place.approve(1, actor="bea")
    with pytest.raises(DataError, match="expected a reason"):
        place.decline(1, actor="cid", reason=" ")
    with pytest.raises(DataError, match="another person"):
        place.decline(1, actor="eve", reason="mine")
    place.decline(1, actor="bea", reason="too many false alarms")
    assert (place.last_act().act, place.last_act().reason) == ("decline", "too many false alarms")
    with pytest.raises(DataError, match="declined by bea: too many false alarms"):
        place.approve(1, actor="cid")
    with pytest.raises(DataError, match="declined by bea"):
        place.promote(1)
    with pytest.raises(DataError, match="before"):
        place.decline(1, actor="bea", reason="again")


def test_a_version_that_decides_is_rolled_back_not_declined(place: Place) -> None:
    place.promote(1)
    with pytest.raises(DataError, match="decides already"):
        place.decline(1, actor="bea", reason="worse")


def test_a_promotion_goes_forward_only(place: Place) -> None:
    place.promote(2)
    for number in (1, 2):
        with pytest.raises(DataError, match="not later"):
            place.promote(number)
    assert place.champion() == 2


def test_a_rollback_goes_back_to_what_decided_before(place: Place) -> None:
    place.promote(1)
    place.promote(2)
    assert place.rollback().version == 1
    assert place.champion() == 1
    assert place.last_act().act == "rollback"
    place.promote(2)
    assert place.rollback(1).version == 1


def test_there_is_no_way_back_to_what_never_decided(place: Place) -> None:
    with pytest.raises(DataError, match="never decided"):
        place.rollback()
    place.promote(2)
    for number in (None, 1, 2, 3):
        with pytest.raises(DataError, match="never decided"):
            place.rollback(number)
    assert place.champion() == 2


def test_a_damaged_bundle_is_not_promoted(place: Place) -> None:
    version = find_version(place.registry, "flows", 1)
    files = place.bundles.kept[version.digest]
    files["program.bin"] = files["program.bin"][:-1] + b"\x01"
    with pytest.raises(TrustError, match=r"program\.bin"):
        place.promote(1)
    assert place.champion() is None
    assert place.last_act().act == "seal"


def test_a_bundle_by_a_revoked_key_is_neither_promoted_nor_rolled_back_to(place: Place) -> None:
    place.promote(1)
    place.promote(2)
    place.verifier.revoke("tester", at=place.clock.now_us())
    with pytest.raises(TrustError, match="revoked"):
        place.rollback()
    assert place.champion() == 2


def test_without_room_in_the_ledger_nothing_changes(place: Place) -> None:
    place.promote(1)
    place.ledger.full = True
    with pytest.raises(OutsideError):
        place.promote(2)
    assert place.champion() == 1
