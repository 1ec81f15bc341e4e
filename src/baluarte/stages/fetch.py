"""Fetch a sealed version from the store, with every check."""

from __future__ import annotations

from baluarte.core.bundle import SealedBundle, open_bundle
from baluarte.core.registry import Version
from baluarte.ports import BundleStore, Verifier


def open_version(
    version: Version, *, bundles: BundleStore, verifier: Verifier, at_us: int
) -> SealedBundle:
    """The bundle of a version, checked against everything that the registry says of it.

    Args:
        at_us: when the key must be valid: now, or for a replay when the decision was made.

    Raises:
        DataError: the store has no such bundle.
        TrustError: anything doesn't hold.
    """
    return open_bundle(
        bundles.get(version.digest),
        verifier,
        at_us=at_us,
        expect_digest=version.digest,
        expect_name=version.detector,
        expect_version=version.version,
        min_epoch=version.epoch,
    )
