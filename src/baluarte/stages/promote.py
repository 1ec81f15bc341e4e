"""Change which version decides: approve, promote, roll back. Each act is in the ledger first."""

from __future__ import annotations

from typing import Literal

import msgspec

from baluarte.core.decision import ActRecord
from baluarte.core.registry import Promotion, Version
from baluarte.errors import DataError
from baluarte.ports import BundleStore, Clock, LedgerShard, Registry, Verifier
from baluarte.stages.verify import open_version


def approve(
    detector: str,
    number: int,
    *,
    actor: str,
    reason: str,
    registry: Registry,
    ledger: LedgerShard,
    clock: Clock,
) -> None:
    """Record a person's approval of a version; who trained or sealed it can't give one.

    Raises:
        DataError: there is no such version, it is the person's own, or it was approved before.
    """
    version = find_version(registry, detector, number)
    if actor in _authors(version):
        raise DataError(
            f"{actor} trained or sealed {detector}@{number} and can't approve it",
            hint="Ask another person.",
        )
    if actor in _approvers(registry, version):
        raise DataError(f"{actor} approved {detector}@{number} before")
    at = clock.now_us()
    _record(ledger, "approve", version, at=at, actor=actor, reason=reason, details={})
    registry.approve(detector, number, actor=actor, at=at, reason=reason)


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
) -> Promotion:
    """Make a later version the one that decides.

    Args:
        approvals: how many persons other than its authors must have approved it; with 0 the act
            says that it is self-approved.

    Raises:
        DataError: there is no such version, it is provisional, not later than the one that decides,
            or lacks approvals.
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
    approvers = _approvers(registry, version)
    if len(approvers) < approvals:
        raise DataError(
            f"{detector}@{number} needs {approvals} approvals by others than its authors, "
            f"found {len(approvers)}",
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


def _authors(version: Version) -> set[str]:
    return {version.sealed_by, version.trained_by} - {""}


def _approvers(registry: Registry, version: Version) -> list[str]:
    """Who approved it and may: counted again here, whatever the registry let in."""
    given = registry.approvals(version.detector, version.version)
    return sorted({actor for actor, _, _ in given} - _authors(version))


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
    act: Literal["approve", "promote", "rollback"],
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
