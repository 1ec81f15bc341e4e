"""Seal a proved candidate: pack, sign, keep, record, register."""

from __future__ import annotations

import msgspec

from baluarte.core.bundle import BundleParts, bundle_digest, pack
from baluarte.core.decision import ActRecord
from baluarte.core.registry import Version
from baluarte.core.statement import SIGNATURE_FILE, envelope, signed_bytes
from baluarte.errors import DataError
from baluarte.ports import BundleStore, Clock, LedgerShard, Registry, Signer, Verifier
from baluarte.stages.fetch import open_version


def seal(
    parts: BundleParts,
    *,
    actor: str,
    signer: Signer,
    verifier: Verifier,
    bundles: BundleStore,
    registry: Registry,
    ledger: LedgerShard,
    clock: Clock,
) -> Version:
    """Make the next version of the contract's detector; provisional where the proof lacked data.

    The bundle is opened as a server would open it before anything points to it, and the act is
    durable in the ledger before the registry knows the version.

    Raises:
        DataError: the proof said no.
        TrustError: the bundle doesn't open again: the key isn't trusted, or the parts don't fit.
        OutsideError: a store can't be written; the registry is unchanged.
    """
    if parts.evidence.verdict == "fail":
        raise DataError(
            f"the proof of {parts.contract.name} said fail: it can't be sealed",
            hint="`baluarte prove` says what a further look costs.",
        )
    at = clock.now_us()
    signer.key.check_valid(at)
    detector = parts.contract.name
    known = registry.versions(detector)
    number = known[-1].version + 1 if known else 1
    epoch = max((version.epoch for version in known), default=0) + 1
    files, payload = pack(parts, version=number, epoch=epoch, created_at=at)
    files[SIGNATURE_FILE] = envelope(
        payload, key_id=signer.key_id, signature=signer.sign(signed_bytes(payload))
    )
    version = Version(
        detector=detector,
        version=number,
        digest=bundle_digest(files),
        epoch=epoch,
        sealed_at=at,
        sealed_by=actor,
        trained_by=parts.lineage.trained_by,
        provisional=parts.evidence.verdict != "pass",
    )
    bundles.put(files, version.digest)
    open_version(version, bundles=bundles, verifier=verifier, at_us=at)
    act = ActRecord(
        at=at,
        act="seal",
        actor=actor,
        detector=detector,
        version=number,
        bundle=version.digest,
        details={"epoch": epoch, "provisional": version.provisional, "key": signer.key_id},
    )
    ledger.append([msgspec.json.encode(act)])
    ledger.commit()
    registry.add(version)
    return version
