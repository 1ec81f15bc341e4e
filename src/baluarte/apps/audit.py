"""What an audit pack holds: drawn decisions with proofs and replays, who decided on versions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from baluarte import __version__, wiring
from baluarte.apps.proving import anchor_of
from baluarte.apps.session import Session
from baluarte.apps.story import instant
from baluarte.core.bundle import SealedBundle
from baluarte.core.decision import ActRecord, DecisionRecord, Record
from baluarte.core.record_proof import RecordProof
from baluarte.core.registry import Version
from baluarte.core.retention import Dropped
from baluarte.errors import BaluarteError
from baluarte.stages.draw import draw
from baluarte.stages.proofs import Anchor, Prover
from baluarte.stages.replay import Replayed, replay

_COUNTED = frozenset({"label", "alarm"})  #: acts that the pack counts, and does not list
_BATCH = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One decision of the sample."""

    tag: str
    index: int
    record: DecisionRecord  #: as the ledger holds it; personal values stay sealed
    data: bytes  #: its bytes, the leaf
    proof: RecordProof
    replayed: Replayed


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act, proved as a decision is."""

    tag: str
    index: int
    record: ActRecord
    data: bytes
    proof: RecordProof


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """One version that decided something in the sample, and who let it."""

    version: Version
    bundle: SealedBundle | None  #: None where it doesn't hold or isn't there
    fault: str  #: why not
    approvals: tuple[tuple[str, int, str], ...]  #: (actor, at, reason)
    declines: tuple[tuple[str, int, str], ...]  #: likewise
    promotions: tuple[tuple[str, str, int, str], ...]  #: (kind, actor, at, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All of it."""

    anchor: Anchor
    seed: int
    asked: int  #: how many decisions were asked for
    detector: str | None
    sizes: dict[str, int]  #: records of each shard under the checkpoint
    counts: dict[str, int]  #: records by kind: decisions and the acts
    decisions: tuple[Drawn, ...]
    acts: tuple[Act, ...]  #: every act but labels and alarms, by time
    versions: tuple[Approved, ...]

    @property
    def n_identical(self) -> int:
        """Decisions that came out the same to the last bit."""
        return sum(d.replayed.difference is None and not d.replayed.erased for d in self.decisions)

    @property
    def n_erased(self) -> int:
        """Decisions about people who were erased, which nobody can compute again."""
        return sum(d.replayed.erased for d in self.decisions)

    @property
    def n_different(self) -> int:
        """Decisions that came out otherwise."""
        return sum(d.replayed.difference is not None for d in self.decisions)

    @property
    def holds(self) -> bool:
        """Whether nothing came out otherwise and every version holds."""
        return self.n_different == 0 and not any(one.fault for one in self.versions)


def audit(session: Session, *, n: int, seed: int, detector: str | None = None) -> Audit:
    """Draw decisions, prove and replay each, and collect who let their versions decide.

    Raises:
        DataError: there is no checkpoint or no decision yet.
        TrustError: a record is not the one that was signed.
    """
    anchor = anchor_of(session)
    prover = Prover(session.reader, anchor)
    sizes = prover.sizes()
    sample = draw(session.reader, sizes, n=n, seed=seed, detector=detector)
    replayed = replay(
        [record for _, _, record in sample],
        session.bundle,
        kernel=wiring.kernel_choice(),
        unsealer=session.unsealer,
    )
    decisions = []
    for (tag, index, record), found in zip(sample, replayed, strict=True):
        data, proof = prover.prove(tag, index)
        decisions.append(
            Drawn(tag=tag, index=index, record=record, data=data, proof=proof, replayed=found)
        )
    counts, acts = _acts(session, prover, sizes)
    return Audit(
        anchor=anchor,
        seed=seed,
        asked=n,
        detector=detector,
        sizes=sizes,
        counts=counts,
        decisions=tuple(decisions),
        acts=tuple(acts),
        versions=tuple(_versions(session, [record for _, _, record in sample])),
    )


def _acts(
    session: Session, prover: Prover, sizes: dict[str, int]
) -> tuple[dict[str, int], list[Act]]:
    counts = {"decision": 0}
    acts: list[Act] = []
    decode = msgspec.json.Decoder(Record).decode
    for tag, size in sorted(sizes.items()):
        for index, entry in enumerate(session.reader.entries(tag, 0, size)):
            if isinstance(entry, Dropped):
                counts["dropped"] = counts.get("dropped", 0) + 1
                continue
            if entry.startswith(b'{"kind":"decision"'):
                counts["decision"] += 1
                continue
            record = decode(entry)
            if isinstance(record, ActRecord):
                counts[record.act] = counts.get(record.act, 0) + 1
                if record.act not in _COUNTED:
                    data, proof = prover.prove(tag, index)
                    act = Act(tag=tag, index=index, record=record, data=data, proof=proof)
                    acts.append(act)
    return counts, sorted(acts, key=lambda act: (act.record.at, act.tag, act.index))


def _versions(session: Session, records: list[DecisionRecord]) -> Iterable[Approved]:
    named = sorted({(record.detector, record.version) for record in records})
    for detector, number in named:
        known = session.registry.versions(detector)
        version = next((one for one in known if one.version == number), None)
        if version is None:
            continue
        bundle, fault = None, ""
        try:
            bundle = session.bundle(version.digest, version.sealed_at)
        except BaluarteError as error:
            fault = str(error)
        yield Approved(
            version=version,
            bundle=bundle,
            fault=fault,
            approvals=tuple(session.registry.approvals(detector, number)),
            declines=tuple(session.registry.declines(detector, number)),
            promotions=tuple(
                (p.kind, p.actor, p.at, p.reason)
                for p in session.registry.promotions(detector)
                if p.version == number
            ),
        )


# --- as documents --------------------------------------------------------------------------------


def replays_document(found: Audit) -> list[dict[str, object]]:
    """What replay said of each decision."""
    return [
        {
            "id": one.record.id,
            "version": f"{one.record.detector}@{one.record.version}",
            "result": "erased"
            if one.replayed.erased
            else "identical"
            if one.replayed.difference is None
            else "different",
            "difference": msgspec.to_builtins(one.replayed.difference),
            "reasons_identical": one.replayed.n_reasons,
        }
        for one in found.decisions
    ]


def approvals_document(found: Audit) -> list[dict[str, object]]:
    """Who sealed, approved and promoted each version, when and why, and on what evidence."""
    return [
        {
            "version": f"{one.version.detector}@{one.version.version}",
            "bundle": one.version.digest,
            "trained_by": one.version.trained_by,
            "sealed": {"by": one.version.sealed_by, "at": instant(one.version.sealed_at)},
            "approvals": [
                {"by": actor, "at": instant(at), "why": reason}
                for actor, at, reason in one.approvals
            ],
            "declines": [
                {"by": actor, "at": instant(at), "why": reason}
                for actor, at, reason in one.declines
            ],
            "promotions": [
                {"kind": kind, "by": actor, "at": instant(at), "why": reason}
                for kind, actor, at, reason in one.promotions
            ],
            "fault": one.fault or None,
            "evidence": None if one.bundle is None else msgspec.to_builtins(one.bundle.evidence),
        }
        for one in found.versions
    ]


def inventory_document(found: Audit, session: Session) -> dict[str, object]:
    """What there is: software, sample, ledger, versions, keys, witnesses."""
    return {
        "software": {"name": "baluarte", "version": __version__},
        "sample": {
            "asked": found.asked,
            "drawn": len(found.decisions),
            "seed": found.seed,
            "detector": found.detector,
            "of_decisions": found.counts["decision"],
            "method": "random.Random(seed).randrange over all records under the checkpoint, "
            "shards by tag; what is no decision is passed over",
        },
        "checkpoint": {
            "origin": found.anchor.checkpoint.origin,
            "size": found.anchor.checkpoint.size,
            "root": found.anchor.checkpoint.root.hex(),
            "at": instant(found.anchor.at_us),
            "witnesses": {
                name: instant(at * 1_000_000) for name, at in found.anchor.witnesses.items()
            },
            "quorum": session.witnesses.quorum,
        },
        "ledger": {"shards": found.sizes, "records": found.counts},
        "versions": [
            {
                "version": f"{v.detector}@{v.version}",
                "bundle": v.digest,
                "epoch": v.epoch,
                "provisional": v.provisional,
                "sealed_at": instant(v.sealed_at),
            }
            for detector in session.registry.detectors()
            for v in session.registry.versions(detector)
        ],
        "keys": [
            {
                "name": key.name,
                "algorithm": key.algorithm,
                "key_id": key.key_id,
                "not_before": instant(key.not_before),
                "not_after": instant(key.not_after),
                "revoked_at": None if key.revoked_at is None else instant(key.revoked_at),
            }
            for key in session.verifier.public_keys()
        ],
        "witness_keys": [key.vkey for key in session.witnesses.keys],
    }
