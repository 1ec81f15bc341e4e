"""Let a version score beside the one that decides, or end it. Each act is in the ledger first.

A challenger decides nothing, so that nobody's approval is asked for, and a provisional version may
be one: that is how it gets the events it lacked.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from baluarte.core.decision import ActRecord
from baluarte.core.registry import Shadowing
from baluarte.errors import DataError
from baluarte.ports import BundleStore, Clock, LedgerShard, Registry, Verifier
from baluarte.stages.fetch import open_version
from baluarte.stages.promote import find_version

MOST = 4  #: challengers of a detector at a time: each costs what the champion costs


def shadow(
    detector: str,
    number: int,
    *,
    actor: str,
    reason: str,
    registry: Registry,
    bundles: BundleStore,
    verifier: Verifier,
    ledger: LedgerShard,
    clock: Clock,
) -> Shadowing:
    """Let a version score every event of its detector from now on, and decide none.

    Raises:
        DataError: there is no such version, it decides, it is a challenger already, or there are
            four.
        TrustError: its bundle doesn't hold.
        OutsideError: the ledger or the registry can't be written.
    """
    version = find_version(registry, detector, number)
    champion = registry.champion(detector)
    if champion is not None and champion.version == number:
        raise DataError(f"{detector}@{number} decides; it can't be its own challenger")
    known = [one.version for one in registry.challengers(detector)]
    if number in known:
        raise DataError(f"{detector}@{number} is a challenger already")
    if len(known) >= MOST:
        said = ", ".join(f"{detector}@{one}" for one in known)
        raise DataError(
            f"expected at most {MOST} challengers of {detector}; there are {said}",
            hint=f"`baluarte shadow {detector}@{known[0]} --end` ends one.",
        )
    open_version(version, bundles=bundles, verifier=verifier, at_us=clock.now_us())
    return _change(
        "shadow", version.detector, number, version.digest,
        actor=actor, reason=reason, registry=registry, ledger=ledger, clock=clock,
    )  # fmt: skip


def unshadow(
    detector: str,
    number: int,
    *,
    actor: str,
    reason: str,
    registry: Registry,
    ledger: LedgerShard,
    clock: Clock,
) -> Shadowing:
    """A version is no challenger any more; what it said stays in the ledger.

    Raises:
        DataError: there is no such version, or it is none.
        OutsideError: the ledger or the registry can't be written.
    """
    version = find_version(registry, detector, number)
    if version not in registry.challengers(detector):
        raise DataError(f"{detector}@{number} is no challenger")
    return _change(
        "unshadow", version.detector, number, version.digest,
        actor=actor, reason=reason, registry=registry, ledger=ledger, clock=clock,
    )  # fmt: skip


def _change(
    kind: Literal["shadow", "unshadow"],
    detector: str,
    number: int,
    digest: str,
    *,
    actor: str,
    reason: str,
    registry: Registry,
    ledger: LedgerShard,
    clock: Clock,
) -> Shadowing:
    at = clock.now_us()
    record = ActRecord(
        at=at,
        act=kind,
        actor=actor,
        detector=detector,
        version=number,
        bundle=digest,
        reason=reason,
    )
    ledger.append([msgspec.json.encode(record)])
    ledger.commit()
    change = Shadowing(
        detector=detector, version=number, at=at, actor=actor, reason=reason, kind=kind
    )
    registry.shadow(change)
    return change
