"""Sign how far the ledger is: one checkpoint a shard, and one over all their heads."""

from __future__ import annotations

from baluarte.core.checkpoint import (
    LEDGER_ORIGIN,
    Checkpoint,
    NoteSignature,
    ShardHead,
    heads_checkpoint,
    key_hash,
    note_of,
    shard_checkpoint,
    text_of,
)
from baluarte.core.merkle import Frontier
from baluarte.errors import TrustError
from baluarte.ports import Clock, LedgerReader, Signer, Verifier
from baluarte.stages.verify import verify_note


def checkpoint(
    reader: LedgerReader, *, signer: Signer, verifier: Verifier, clock: Clock
) -> Checkpoint:
    """Sign the heads of all shards that have records; returns the checkpoint over all of them.

    Each head is computed from the leaves again, and must extend every head that was signed before:
    a ledger whose past was changed is never signed.

    Raises:
        TrustError: a shard doesn't extend what was signed of it, or the key isn't valid.
    """
    at_us = clock.now_us()
    signer.key.check_valid(at_us)
    found = [_head(reader, verifier, tag) for tag in reader.shards()]
    for head, signed_size in found:
        if head.size > signed_size:  # a checkpoint that was signed once is never replaced
            one = shard_checkpoint(head.tag, head.size, head.root, at_us=at_us)
            reader.put_note(head.tag, head.size, _sign(one, signer))
    whole = heads_checkpoint([head for head, _ in found if head.size], at_us=at_us)
    reader.put_note(None, at_us, _sign(whole, signer))
    return whole


def _sign(checkpoint: Checkpoint, signer: Signer) -> bytes:
    line = NoteSignature(
        name=signer.key.name,
        key_hash=key_hash(signer.key.name, signer.key.public_key),
        signature=signer.sign(text_of(checkpoint)),
    )
    return note_of(checkpoint, [line])


def _head(reader: LedgerReader, verifier: Verifier, tag: str) -> tuple[ShardHead, int]:
    """A shard's head, and how many of its records were signed before."""
    origin = f"{LEDGER_ORIGIN}/{tag}"
    signed = [verify_note(note, verifier, origin=origin) for note in reader.notes(tag)]
    leaves = reader.leaf_hashes(tag)
    frontier = Frontier()
    for before in sorted(signed, key=lambda checkpoint: checkpoint.size):
        frontier.extend(leaves[frontier.size : before.size])
        if (frontier.size, frontier.root()) != (before.size, before.root):
            raise TrustError(
                f"the first {before.size} records are not the ones that were signed",
                where=tag,
                hint="`baluarte ledger verify` names the damage.",
            )
    signed_size = frontier.size
    frontier.extend(leaves[signed_size:])
    return ShardHead(tag=tag, size=frontier.size, root=frontier.root()), signed_size
