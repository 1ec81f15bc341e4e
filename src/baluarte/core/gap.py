"""Gaps: decisions that were answered while the ledger was away, and the signed record of them.

Where a workspace says ``on_ledger_failure = "decide-and-mark-gap"`` a server goes on deciding when
nothing can be recorded. What it can still do is say so: how many, by which version, from when to
when, and a digest chain over the records that were not written. The act is signed, since no
checkpoint covers what is not there, and appended as soon as the ledger takes records again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from baluarte.core.decision import ActRecord
from baluarte.core.merkle import HASH_BYTES, leaf_hash
from baluarte.errors import TrustError

GAP_INDEX = 1 << 55  #: ids of decisions in a gap have indexes from here on: no record has
_DOMAIN = b"baluarte/gap/1\n"
_SIGNED = ("key", "signature")


@dataclass(slots=True, kw_only=True)
class Gap:
    """Decisions of one version that stand in no ledger."""

    detector: str
    version: int
    bundle: str
    count: int = 0
    first_at: int = 0  #: microseconds of UTC
    last_at: int = 0
    chain: bytes = field(default=bytes(HASH_BYTES))

    def add(self, records: Iterable[bytes], at: int) -> None:
        """Decisions that were answered, by the records that they would have had."""
        for record in records:
            self.chain = hashlib.sha256(self.chain + leaf_hash(record)).digest()
            self.count += 1
        self.first_at = min(self.first_at or at, at)
        self.last_at = max(self.last_at, at)


def act_of(gap: Gap, *, at: int, why: str) -> ActRecord:
    """The act that marks a gap, not signed yet."""
    return ActRecord(
        at=at,
        act="gap",
        actor="server",
        detector=gap.detector,
        version=gap.version,
        bundle=gap.bundle,
        reason=why[:200],
        details={
            "decisions": gap.count,
            "from": gap.first_at,
            "to": gap.last_at,
            "chain": f"sha256:{gap.chain.hex()}",
        },
    )


def payload(act: ActRecord) -> bytes:
    """What is signed: the act's JSON without its signature, after a word that says what it is."""
    details = {name: value for name, value in act.details.items() if name not in _SIGNED}
    return _DOMAIN + msgspec.json.encode(msgspec.structs.replace(act, details=details))


def with_signature(act: ActRecord, *, key_id: str, signature: bytes) -> ActRecord:
    """The act with its signature and the id of the key."""
    signed = {"key": key_id, "signature": base64.b64encode(signature).decode()}
    return msgspec.structs.replace(act, details={**act.details, **signed})


def signature_of(act: ActRecord) -> tuple[str, bytes]:
    """The id of the key and the signature that an act carries.

    Raises:
        TrustError: it carries none.
    """
    key_id, encoded = act.details.get("key"), act.details.get("signature")
    if not isinstance(key_id, str) or not isinstance(encoded, str):
        raise TrustError("expected a signed gap record, found one without a signature")
    try:
        return key_id, base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TrustError("the gap record's signature is no base64") from error
