"""Sign how far the ledger is: one checkpoint a shard, and one of the log of all their heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from baluarte.core.checkpoint import (
    HEADS_ORIGIN,
    LEDGER_ORIGIN,
    Checkpoint,
    ShardHead,
    head_entry,
    log_checkpoint,
    read_entry,
    shard_checkpoint,
)
from baluarte.core.merkle import leaf_hash
from baluarte.core.tiles import Tree, tree_of
from baluarte.errors import TrustError
from baluarte.ports import Clock, LedgerReader, Signer, Verifier
from baluarte.stages.notes import sign_note, verify_note


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What was signed."""

    checkpoint: Checkpoint  #: of the log of heads: it covers every shard
    note: bytes
    heads: tuple[ShardHead, ...]  #: of the shards that have records, by tag


def checkpoint(
    reader: LedgerReader,
    *,
    signer: Signer,
    verifier: Verifier,
    clock: Clock,
    origin: str = HEADS_ORIGIN,
    also: Sequence[Signer] = (),
) -> Signed:
    """Sign the heads of all shards that have records, and the log that keeps every such head.

    Each head must extend the last one that was signed of its shard, and the log of heads the last
    one of it: a ledger whose past was changed is never signed.

    Args:
        also: further signers, such as one for signatures that quantum computers can't forge.

    Raises:
        TrustError: a shard or the log doesn't extend what was signed, or a key isn't valid.
        OutsideError: somebody else signs at this moment.
    """
    at_us = clock.now_us()
    signers = (signer, *also)
    for one in signers:
        one.key.check_valid(at_us)
    logged = reader.heads()
    _check_log(reader, verifier, logged)
    last = _last_heads(logged)
    heads = [_head(reader, verifier, tag, last.get(tag), at_us) for tag in reader.shards()]
    grown = [head for head in heads if head.size > _size_of(last.get(head.tag))]
    for head in grown:
        if not _is_signed(reader, head):  # a checkpoint that was signed once is never replaced
            one_shard = shard_checkpoint(head.tag, head.size, head.root, at_us=at_us)
            reader.put_note(head.tag, head.size, sign_note(one_shard, signers))
    entries = [head_entry(head) for head in grown]
    reader.add_heads(entries, after=len(logged))
    log = tree_of([leaf_hash(entry) for entry in (*logged, *entries)])
    whole = log_checkpoint(origin, log.size, log.root(), at_us=at_us)
    note = sign_note(whole, signers)
    reader.put_note(None, at_us, note)
    return Signed(checkpoint=whole, note=note, heads=tuple(h for h in heads if h.size))


def heads_tree(reader: LedgerReader) -> Tree:
    """The tree over the log of heads."""
    return tree_of([leaf_hash(entry) for entry in reader.heads()])


def _last_heads(entries: Sequence[bytes]) -> dict[str, ShardHead]:
    heads = (read_entry(entry, where=f"heads/{n}") for n, entry in enumerate(entries))
    return {head.tag: head for head in heads}


def _check_log(reader: LedgerReader, verifier: Verifier, logged: Sequence[bytes]) -> None:
    """The log of heads still begins with what was signed of it last."""
    notes = reader.notes(None)
    if not notes:
        return
    signed = verify_note(notes[-1], verifier, origin=None)
    if signed.origin == LEDGER_ORIGIN:
        return
    tree = tree_of([leaf_hash(entry) for entry in logged])
    if signed.size > tree.size or tree.root(signed.size) != signed.root:
        raise TrustError(
            f"the first {signed.size} entries of the log of heads are not the ones that were "
            "signed",
            where="heads",
            hint="`baluarte ledger verify` names the damage.",
        )


def _size_of(head: ShardHead | None) -> int:
    return 0 if head is None else head.size


def _is_signed(reader: LedgerReader, head: ShardHead) -> bool:
    origin = f"{LEDGER_ORIGIN}/{head.tag}"
    mark = f"{origin}\n{head.size}\n".encode()
    return any(note.startswith(mark) for note in reader.notes(head.tag))


def _head(
    reader: LedgerReader, verifier: Verifier, tag: str, logged: ShardHead | None, at_us: int
) -> ShardHead:
    """A shard's head; it extends every head that was signed of it, as the last one does.

    What comes after the last one is hashed from the leaves, never taken from tiles.
    """
    signed = [(head.size, head.root) for head in (logged,) if head is not None]
    origin = f"{LEDGER_ORIGIN}/{tag}"
    notes = reader.notes(tag)
    if notes:
        last = verify_note(notes[-1], verifier, origin=origin)
        signed.append((last.size, last.root))
    tree = reader.tree(tag)
    if not _all_hold(tree, signed):  # tiles are only kept for speed: look again without them
        tree = reader.tree(tag, fresh=True)
    if not _all_hold(tree, signed):
        every = [verify_note(note, verifier, origin=origin) for note in notes]
        signed += [(one.size, one.root) for one in every]
        first = min(size for size, root in signed if not _all_hold(tree, [(size, root)]))
        raise TrustError(
            f"the first {first} records are not the ones that were signed",
            where=tag,
            hint="`baluarte ledger verify` names the damage.",
        )
    frontier = tree.frontier(max((size for size, _ in signed), default=0))
    frontier.extend(reader.leaf_hashes(tag, tree.size, start=frontier.size))
    return ShardHead(tag=tag, size=frontier.size, root=frontier.root(), at_us=at_us)


def _all_hold(tree: Tree, signed: Sequence[tuple[int, bytes]]) -> bool:
    return all(size <= tree.size and tree.root(size) == root for size, root in signed)
