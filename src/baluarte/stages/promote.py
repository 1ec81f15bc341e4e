"""Change which version decides: approve, decline, promote, roll back; in the ledger first.

Four eyes are kept between persons: where accounts are known, whoever is behind an author's account
approves through none, and two approvals with a person in common are one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from types import MappingProxyType
from typing import Literal

import msgspec

from baluarte.core.accounts import Account, eyes_behind
from baluarte.core.decision import ActRecord
from baluarte.core.registry import Promotion, Version
from baluarte.errors import DataError
from baluarte.ports import BundleStore, Clock, LedgerShard, Registry, Verifier
from baluarte.stages.fetch import open_version

#: Accounts by name; where none are known, a name stands for a person.
Accounts = Mapping[str, Account]
NOBODY: Accounts = MappingProxyType({})


def approve(
    detector: str,
    number: int,
    *,
    actor: str,
    reason: str,
    registry: Registry,
    ledger: LedgerShard,
    clock: Clock,
    accounts: Accounts = NOBODY,
) -> None:
    """Record a person's approval of a version; who trained or sealed it can't give one.

    Raises:
        DataError: there is no such version, it is the person's own, it was declined, or they
            approved it before.
    """
    version = find_version(registry, detector, number)
    _require_another(version, actor, accounts)
    if any(by == actor for by, _, _ in registry.approvals(detector, number)):
        raise DataError(f"{actor} approved {detector}@{number} before")
    _require_undeclined(registry, version)
    at = clock.now_us()
    _record(ledger, "approve", version, at=at, actor=actor, reason=reason, details={})
    registry.approve(detector, number, actor=actor, at=at, reason=reason)


def decline(
    detector: str,
    number: int,
    *,
    actor: str,
    reason: str,
    registry: Registry,
    ledger: LedgerShard,
    clock: Clock,
    accounts: Accounts = NOBODY,
) -> None:
    """Record that a person declined a version: from then on it can't be promoted.

    Raises:
        DataError: there is no such version, it is the person's own, it decides already, they
            declined it before, or there is no reason.
    """
    version = find_version(registry, detector, number)
    _require_another(version, actor, accounts)
    if not reason.strip():
        raise DataError("expected a reason", hint="Say why the version is declined.")
    if any(by == actor for by, _, _ in registry.declines(detector, number)):
        raise DataError(f"{actor} declined {detector}@{number} before")
    champion = registry.champion(detector)
    if champion is not None and champion.version == number:
        raise DataError(
            f"{detector}@{number} decides already", hint=f"`baluarte rollback {detector}`."
        )
    at = clock.now_us()
    _record(ledger, "decline", version, at=at, actor=actor, reason=reason, details={})
    registry.decline(detector, number, actor=actor, at=at, reason=reason)


def promote(
    detector: str,
    number: int,
    *,
    actor: str,
    reason: str,
    approvals: int,
    registry: Registry,
    bundles: BundleStore,
    verifier: Verifier,
    ledger: LedgerShard,
    clock: Clock,
    accounts: Accounts = NOBODY,
) -> Promotion:
    """Make a later version the one that decides.

    Args:
        approvals: how many persons other than its authors must have approved it; with 0 the act
            says that it is self-approved.

    Raises:
        DataError: there is no such version, it is provisional, not later than the one that decides,
            was declined, or lacks approvals.
        TrustError: its bundle doesn't hold.
        OutsideError: the ledger or the registry can't be written.
    """
    version = find_version(registry, detector, number)
    if version.provisional:
        raise DataError(
            f"{detector}@{number} is provisional: its proof lacked data, so it may not decide",
            hint="`baluarte status` says how many labelled events are missing.",
        )
    champion = registry.champion(detector)
    if champion is not None and version.epoch <= champion.epoch:
        raise DataError(
            f"{detector}@{number} is not later than {detector}@{champion.version}, which decides",
            hint="To go back on purpose: `baluarte rollback`.",
        )
    _require_undeclined(registry, version)
    approvers = approvers_of(registry, version, accounts)
    if not suffices(approvers, approvals, accounts):
        raise DataError(
            f"{detector}@{number} needs {approvals} approvals by others than its authors, each by "
            f"another person; found {', '.join(approvers) or 'none'}",
            hint=f"`baluarte approve {detector}@{number}`, by another person.",
        )
    said = ", ".join(approvers) if approvals else f"self ({actor})"
    return _change(
        "promote", version, actor=actor, reason=reason, approved=said,
        registry=registry, bundles=bundles, verifier=verifier, ledger=ledger, clock=clock,
    )  # fmt: skip


def rollback(
    detector: str,
    number: int | None = None,
    *,
    actor: str,
    reason: str,
    registry: Registry,
    bundles: BundleStore,
    verifier: Verifier,
    ledger: LedgerShard,
    clock: Clock,
) -> Promotion:
    """Let a version decide that decided before; None is the last one before the present champion.

    It was approved when it was promoted, so that going back needs nobody else.

    Raises:
        DataError: there is no champion, or no such version ever decided.
        TrustError: its bundle doesn't hold.
        OutsideError: the ledger or the registry can't be written.
    """
    champion = registry.champion(detector)
    before = [promotion.version for promotion in registry.promotions(detector)]
    earlier = [one for one in before if champion is not None and one != champion.version]
    if not earlier or (number is not None and number not in earlier):
        wanted = f"{detector}@{number}" if number is not None else f"an earlier {detector}"
        raise DataError(f"{wanted} never decided, so there is no way back to it")
    version = find_version(registry, detector, earlier[-1] if number is None else number)
    return _change(
        "rollback", version, actor=actor, reason=reason, approved="at its promotion",
        registry=registry, bundles=bundles, verifier=verifier, ledger=ledger, clock=clock,
    )  # fmt: skip


def find_version(registry: Registry, detector: str, number: int) -> Version:
    """A version by its number.

    Raises:
        DataError: there is none.
    """
    versions = registry.versions(detector)
    for version in versions:
        if version.version == number:
            return version
    known = ", ".join(str(version.version) for version in versions) or "none"
    raise DataError(f"there is no {detector}@{number}; versions: {known}")


def authors_of(version: Version, accounts: Accounts = NOBODY) -> frozenset[str]:
    """Who trained and sealed a version, and everyone behind their accounts."""
    return eyes_behind((version.sealed_by, version.trained_by), accounts)


def approvers_of(registry: Registry, version: Version, accounts: Accounts = NOBODY) -> list[str]:
    """Who approved it and may: counted again here, whatever the registry let in."""
    given = {actor for actor, _, _ in registry.approvals(version.detector, version.version)}
    authors = authors_of(version, accounts)
    return sorted(actor for actor in given if not eyes_behind([actor], accounts) & authors)


def suffices(approvers: Iterable[str], wanted: int, accounts: Accounts = NOBODY) -> bool:
    """Whether so many of them have nobody in common behind their accounts."""
    eyes = [eyes_behind([actor], accounts) for actor in approvers]
    return any(
        all(not one & other for one, other in combinations(some, 2))
        for some in combinations(eyes, wanted)
    )


def _require_another(version: Version, actor: str, accounts: Accounts) -> None:
    if eyes_behind([actor], accounts) & authors_of(version, accounts):
        raise DataError(
            f"{actor}, or who is behind that account, trained or sealed "
            f"{version.detector}@{version.version}: another person approves or declines it",
            hint="Ask another person.",
        )


def _require_undeclined(registry: Registry, version: Version) -> None:
    for actor, _, reason in registry.declines(version.detector, version.version):
        raise DataError(
            f"{version.detector}@{version.version} was declined by {actor}: {reason}",
            hint="Seal a new version that answers it.",
        )


def _change(
    kind: Literal["promote", "rollback"],
    version: Version,
    *,
    actor: str,
    reason: str,
    approved: str,
    registry: Registry,
    bundles: BundleStore,
    verifier: Verifier,
    ledger: LedgerShard,
    clock: Clock,
) -> Promotion:
    at = clock.now_us()
    open_version(version, bundles=bundles, verifier=verifier, at_us=at)
    details: dict[str, str | int | float | bool | None] = {"approved_by": approved}
    _record(ledger, kind, version, at=at, actor=actor, reason=reason, details=details)
    promotion = Promotion(
        detector=version.detector,
        version=version.version,
        at=at,
        actor=actor,
        reason=reason,
        kind=kind,
    )
    registry.set_champion(promotion)
    return promotion


def _record(
    ledger: LedgerShard,
    act: Literal["approve", "decline", "promote", "rollback"],
    version: Version,
    *,
    at: int,
    actor: str,
    reason: str,
    details: dict[str, str | int | float | bool | None],
) -> None:
    record = ActRecord(
        at=at,
        act=act,
        actor=actor,
        detector=version.detector,
        version=version.version,
        bundle=version.digest,
        reason=reason,
        details=details,
    )
    ledger.append([msgspec.json.encode(record)])
    ledger.commit()
