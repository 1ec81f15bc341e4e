"""Made the folders beside it: a sealed bundle, its decisions and their ledger, once for good.

    python tests/golden/make.py tests/golden/v0.1

The tests never run it. A format that changes gets a new folder; an old one stays as it is, for
what was sealed once must open and decide the same for good. Key, clock, ids and events are fixed,
so the same code makes the same bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from baluarte.adapters.stores.segments import Segments
from baluarte.core.bundle import open_bundle
from baluarte.core.ids import format_ids
from baluarte.stages.checkpoint import checkpoint
from baluarte.stages.promote import promote
from baluarte.stages.score import Scorer
from baluarte.stages.seal import seal
from baluarte.testing.bundles import sample_events, sample_parts
from baluarte.testing.clock import FixedClock
from baluarte.testing.signers import MemorySigner, MemoryVerifier
from baluarte.testing.stores import MemoryBundles, MemoryRegistry

TAG = "601de0"  #: the shard's tag: an existing folder is taken before a new one gets a random tag
N_EVENTS = 60


def make(folder: Path) -> None:
    """Write everything into a new folder."""
    folder.mkdir(parents=True)
    (folder / "ledger" / TAG).mkdir(parents=True)
    signer, clock, registry, bundles = (
        MemorySigner(),
        FixedClock(),
        MemoryRegistry(),
        MemoryBundles(),
    )
    verifier = MemoryVerifier(signer.key)
    ledger = Segments(folder / "ledger")
    shard = ledger.open_shard()
    version = seal(
        sample_parts(),
        actor="eve",
        signer=signer,
        verifier=verifier,
        bundles=bundles,
        registry=registry,
        ledger=shard,
        clock=clock,
    )
    clock.advance(1_000_000)
    promote(
        version.detector,
        version.version,
        actor="ana",
        reason="the first",
        approvals=0,
        registry=registry,
        bundles=bundles,
        verifier=verifier,
        ledger=shard,
        clock=clock,
    )
    clock.advance(1_000_000)
    files, now = bundles.get(version.digest), clock.now_us()
    scorer = Scorer(open_bundle(files, verifier, at_us=now), kernel="numpy")
    events = sample_events(N_EVENTS)
    decisions = scorer.decide_records(events, reasons="all")
    identities = [scorer.identify(e, ordinal=i, arrival_us=now) for i, e in enumerate(events)]
    ids = format_ids(now // 1000, shard.tag, shard.size, len(events))
    shard.append(scorer.records(decisions, ids, identities, decided_at=now))
    shard.commit()
    shard.close()
    clock.advance(1_000_000)
    checkpoint(ledger.reader(), signer=signer, verifier=verifier, clock=clock)
    (folder / "ledger" / TAG / "lock").unlink()
    for name, data in files.items():
        path = folder / "bundle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "key.json").write_bytes(msgspec.json.encode(signer.key) + b"\n")
    write(folder / "events.json", events)
    write(
        folder / "expected.json",
        {
            "detector": version.detector,
            "digest": version.digest,
            "at": now,
            "shard": shard.tag,
            "size": shard.size,
            "root": shard.root().hex(),
            "ids": ids,
            "scores": decisions.scores.tolist(),
            "points": decisions.points.tolist(),
            "probabilities": decisions.probability.tolist(),
            "outcomes": [decisions.outcomes[band] for band in decisions.bands],
            "base": decisions.base,
            "fields": list(decisions.fields),
            "reasons": decisions.phi.tolist(),
        },
    )


def write(path: Path, value: object) -> None:
    """A JSON document, a line an element of its lists."""
    text = json.dumps(value, ensure_ascii=False, indent=1)
    path.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
