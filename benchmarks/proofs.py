"""Proofs of records: made from tiles beside made from all leaf hashes, and verified.

The peer makes the same proof as ledgers without tiles do: it reads the leaf hash of every record
and hashes the tree. Both proofs are compared byte for byte. Rounds are interleaved; medians and
the median of the ratios are printed. A proof is verified by the product and by the offline
verifier, both in Python; the checkpoint's signature is checked apart, since one check serves every
proof under it.

    python benchmarks/proofs.py [--records 1000000] [--rounds 5] [--proofs 200]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src")]

from baluarte.adapters.stores.segments import Segments  # noqa: E402 - after the path
from baluarte.apps import offline_verifier  # noqa: E402
from baluarte.core.merkle import inclusion_proof  # noqa: E402
from baluarte.core.note_keys import log_key  # noqa: E402
from baluarte.core.record_proof import check_proof, write_proof  # noqa: E402
from baluarte.ports import LedgerReader  # noqa: E402
from baluarte.stages.checkpoint import checkpoint  # noqa: E402
from baluarte.stages.notes import verify_note  # noqa: E402
from baluarte.stages.proofs import Prover, find_anchor  # noqa: E402
from baluarte.testing.clock import FixedClock  # noqa: E402
from baluarte.testing.signers import MemorySigner, MemoryVerifier  # noqa: E402

STEP = 20_000


def seconds(do: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def from_leaves(reader: LedgerReader, tag: str, index: int, n: int) -> list[bytes]:
    """The peer: every leaf hash is read, and the tree hashed."""
    return inclusion_proof(reader.leaf_hashes(tag), index, n)


def main() -> None:
    """Make a ledger, prove and verify."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--proofs", type=int, default=200)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), args.records, args.rounds, args.proofs)


def measure(root: Path, n: int, rounds: int, n_proofs: int) -> None:
    """Print every figure."""
    ledger = Segments(root)
    with ledger.open_shard() as shard:
        tag = shard.tag
        for start in range(0, n, STEP):
            shard.append([b'{"kind":"act","n":%d}' % k for k in range(start, min(n, start + STEP))])
            shard.commit()
    reader, signer = ledger.reader(), MemorySigner()
    verifier = MemoryVerifier(signer.key)
    took = seconds(lambda: checkpoint(reader, signer=signer, verifier=verifier, clock=FixedClock()))
    print(f"sign a checkpoint over {n:,} new records: {took:.2f} s")
    anchor = find_anchor(reader, verifier)
    if anchor is None:
        raise SystemExit("no checkpoint")
    prover = Prover(reader, anchor)
    chance, ratios, tiles, leaves = random.Random(1), [], [], []
    for _ in range(rounds):
        index = chance.randrange(n)
        fresh = Prover(reader, anchor)  # nothing read before
        ours = seconds(partial(fresh.prove, tag, index))
        theirs = seconds(partial(from_leaves, reader, tag, index, n))
        if list(prover.prove(tag, index)[1].path) != from_leaves(reader, tag, index, n):
            raise SystemExit("the proofs differ")
        tiles.append(ours)
        leaves.append(theirs)
        ratios.append(theirs / ours)
    print(
        f"make a proof: {1e3 * statistics.median(tiles):.1f} ms from tiles, "
        f"{1e3 * statistics.median(leaves):.0f} ms from all leaf hashes; "
        f"ratio {statistics.median(ratios):.0f}"
    )
    proofs = [prover.prove(tag, chance.randrange(n)) for _ in range(n_proofs)]
    print(f"hashes of a proof within its shard: at most {max(len(p.path) for _, p in proofs)}")
    keys = offline_verifier.read_keys(log_key(anchor.checkpoint.origin, signer.key).vkey)
    offline = offline_verifier.Checkpoint(anchor.note, keys)
    texts = [(record, write_proof(proof)) for record, proof in proofs]
    product = [seconds(partial(check_proof, r, p, anchor.checkpoint)) for r, p in proofs]
    alone = [seconds(partial(offline_verifier.check_record, offline, r, t)) for r, t in texts]
    for name, times in (("product", product), ("offline", alone)):
        print(
            f"verify a proof, {name}: median {1e3 * statistics.median(times):.3f} ms, "
            f"slowest {1e3 * max(times):.3f} ms"
        )
    for name, do in (
        ("product", lambda: verify_note(anchor.note, verifier, origin=None)),
        ("offline", lambda: offline_verifier.Checkpoint(anchor.note, keys)),
    ):
        took = statistics.median(seconds(do) for _ in range(20))
        print(f"check a checkpoint's signature, {name}: {1e3 * took:.2f} ms")


if __name__ == "__main__":
    main()
