"""What is done with versions: looked at, approved, declined, promoted, rolled back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from baluarte.apps.acknowledged import wait_for_workers
from baluarte.apps.console.asked import Asked
from baluarte.apps.console.guard import Guard
from baluarte.apps.console.problem import Refused
from baluarte.apps.console.wire import (
    Back,
    Changed,
    DetectorRow,
    Reason,
    VersionPage,
    VersionRow,
    Why,
    Word,
    read,
)
from baluarte.core.accounts import Account
from baluarte.core.evidence import Evidence
from baluarte.core.policy import Principal, permits
from baluarte.core.registry import Promotion, Version
from baluarte.errors import BaluarteError
from baluarte.ports import Accounts, BundleStore, Clock, LedgerShard, Registry, Verifier
from baluarte.stages.fetch import open_version
from baluarte.stages.promote import (
    approve,
    approvers_of,
    authors_of,
    decline,
    promote,
    rollback,
    suffices,
)

_MOST_SHOWN = 20


class Judge(Protocol):
    """Approves or declines."""

    def __call__(
        self,
        detector: str,
        number: int,
        *,
        actor: str,
        reason: str,
        registry: Registry,
        ledger: LedgerShard,
        clock: Clock,
        accounts: Mapping[str, Account],
    ) -> None:
        """Record it."""
        ...


class Versions:
    """Answers by the registry; what changes it is in the ledger first.

    Args:
        wanted: approvals that a promotion needs.
        acting: held while something is changed: one act after another.
    """

    def __init__(
        self,
        *,
        guard: Guard,
        registry: Registry,
        bundles: BundleStore,
        verifier: Verifier,
        ledger: LedgerShard,
        clock: Clock,
        accounts: Accounts,
        wanted: int,
        acting: AbstractContextManager[object],
    ) -> None:
        self._guard, self._registry, self._accounts = guard, registry, accounts
        self._bundles, self._verifier = bundles, verifier
        self._ledger, self._clock = ledger, clock
        self._wanted, self._acting = wanted, acting

    # --- looking ------------------------------------------------------------------------------

    def detectors(self, asked: Asked) -> list[DetectorRow]:
        """Those that the caller may see."""
        return [self._detector(name) for name in self._visible(asked.who)]

    def of_detector(self, asked: Asked) -> list[VersionRow]:
        """All versions of one, newest first."""
        known = self._by_name()
        versions = self._registry.versions(asked.name)
        return [self._row(version, known, asked.who) for version in reversed(versions)]

    def waiting(self, asked: Asked) -> list[VersionRow]:
        """Versions that wait to be approved or promoted, in all detectors that the caller sees."""
        known = self._by_name()
        return [
            self._row(self._find(name, number), known, asked.who)
            for name in self._visible(asked.who)
            for number in self._detector(name).waiting
        ]

    def shown(self, asked: Asked) -> list[tuple[VersionRow, Evidence | None]]:
        """As many of those that wait as a page bears, with the evidence that the caller may see."""
        rows = sorted(self.waiting(asked), key=lambda row: (not row.yours, row.detector))
        return [
            (row, self._evidence(row) if self._sees(asked.who, row.detector) else None)
            for row in rows[:_MOST_SHOWN]
        ]

    def page(self, asked: Asked) -> VersionPage:
        """One version with its evidence, its seal checked."""
        version = self._find(asked.name, asked.version)
        bundle = open_version(
            version,
            bundles=self._bundles,
            verifier=self._verifier,
            at_us=self._clock.now_us(),
        )
        return VersionPage(
            version=self._row(version, self._by_name(), asked.who),
            purpose=bundle.contract.purpose,
            evidence=bundle.evidence,
        )

    # --- changing -----------------------------------------------------------------------------

    def require_known(self, detector: str) -> None:
        """Return if there is such a detector.

        Raises:
            Refused: 404.
        """
        if not self._registry.versions(detector):
            raise Refused("not_found", "there is no such detector")

    def require_another(self, asked: Asked) -> None:
        """Return if the version is not the caller's own, by whatever account.

        Raises:
            Refused: 403; or 404 where there is no such version.
        """
        authors = authors_of(self._find(asked.name, asked.version), self._by_name())
        resource = self._guard.resource(asked.name, authors)
        if not permits(asked.who, "versions.approve", resource):
            raise Refused(
                "forbidden",
                "who trained or sealed a version, by whatever account, doesn't judge it",
            )

    def approve(self, asked: Asked) -> VersionRow:
        """Record the caller's approval."""
        return self._judge(approve, asked, read(asked.body, Reason).reason)

    def decline(self, asked: Asked) -> VersionRow:
        """Record that the caller declines it."""
        return self._judge(decline, asked, read(asked.body, Why).reason)

    def promote(self, asked: Asked) -> Changed:
        """Make it the one that decides."""
        reason = read(asked.body, Reason).reason
        self._find(asked.name, asked.version)
        with self._acting:
            promotion = promote(
                asked.name,
                asked.version,
                actor=asked.who.name,
                reason=reason,
                approvals=self._wanted,
                registry=self._registry,
                bundles=self._bundles,
                verifier=self._verifier,
                ledger=self._ledger,
                clock=self._clock,
                accounts=self._by_name(),
            )
        return self._changed(promotion)

    def rollback(self, asked: Asked) -> Changed:
        """Let one decide that decided before."""
        wanted = read(asked.body, Back)
        with self._acting:
            promotion = rollback(
                asked.name,
                wanted.version,
                actor=asked.who.name,
                reason=wanted.reason,
                registry=self._registry,
                bundles=self._bundles,
                verifier=self._verifier,
                ledger=self._ledger,
                clock=self._clock,
            )
        return self._changed(promotion)

    # --- within -------------------------------------------------------------------------------

    def _changed(self, promotion: Promotion) -> Changed:
        """What is said when the live workers have taken it up, or which of them have not."""
        name, version = promotion.detector, promotion.version
        found = wait_for_workers(self._registry, self._clock, name, version)
        return Changed(
            detector=name,
            version=version,
            workers=len(found.by) + len(found.not_yet),
            not_yet=tuple(state.where for state in found.not_yet),
        )

    def _judge(self, judge: Judge, asked: Asked, reason: str) -> VersionRow:
        with self._acting:
            self.require_another(asked)  # the accounts may be others than when it was asked
            judge(
                asked.name,
                asked.version,
                actor=asked.who.name,
                reason=reason,
                registry=self._registry,
                ledger=self._ledger,
                clock=self._clock,
                accounts=self._by_name(),
            )
        version = self._find(asked.name, asked.version)
        return self._row(version, self._by_name(), asked.who)

    def _sees(self, who: Principal, detector: str) -> bool:
        return permits(who, "evidence.read", self._guard.resource(detector))

    def _evidence(self, row: VersionRow) -> Evidence | None:
        """None where the seal doesn't hold."""
        try:
            version = self._find(row.detector, row.version)
            return open_version(
                version,
                bundles=self._bundles,
                verifier=self._verifier,
                at_us=self._clock.now_us(),
            ).evidence
        except BaluarteError:
            return None

    def _visible(self, who: Principal) -> list[str]:
        return [
            name
            for name in self._registry.detectors()
            if permits(who, "detectors.read", self._guard.resource(name))
        ]

    def _detector(self, name: str) -> DetectorRow:
        versions = self._registry.versions(name)
        champion = self._registry.champion(name)
        return DetectorRow(
            name=name,
            tenant=self._guard.tenant(name),
            champion=champion.version if champion else None,
            newest=versions[-1].version if versions else None,
            waiting=tuple(
                version.version
                for version in versions
                if not version.provisional
                and (champion is None or version.epoch > champion.epoch)
                and not self._registry.declines(name, version.version)
            ),
        )

    def _find(self, detector: str, number: int) -> Version:
        for version in self._registry.versions(detector):
            if version.version == number:
                return version
        raise Refused("not_found", "there is no such version")

    def _row(self, version: Version, known: Mapping[str, Account], who: Principal) -> VersionRow:
        name, number = version.detector, version.version
        champion = self._registry.champion(name)
        given = approvers_of(self._registry, version, known)
        resource = self._guard.resource(name, authors_of(version, known))
        return VersionRow(
            detector=name,
            tenant=self._guard.tenant(name),
            version=number,
            bundle=version.digest,
            sealed_at=version.sealed_at,
            sealed_by=version.sealed_by,
            trained_by=version.trained_by,
            provisional=version.provisional,
            decides=champion is not None and champion.version == number,
            approvals=tuple(_word(*said) for said in self._registry.approvals(name, number)),
            declines=tuple(_word(*said) for said in self._registry.declines(name, number)),
            lacks=next(
                n for n in range(self._wanted + 1) if suffices(given, self._wanted - n, known)
            ),
            yours=permits(who, "versions.approve", resource),
        )

    def _by_name(self) -> dict[str, Account]:
        return {account.name: account for account in self._accounts.accounts()}


def _word(actor: str, at: int, reason: str) -> Word:
    return Word(by=actor, at=at, reason=reason)
