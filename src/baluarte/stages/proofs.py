"""Prove what the ledger holds: a record under a checkpoint, a checkpoint after an older one."""

from __future__ import annotations

from dataclasses import dataclass

from baluarte.core.checkpoint import Checkpoint, ShardHead, lists_heads, read_entry, signed_at
from baluarte.core.merkle import leaf_hash
from baluarte.core.record_proof import RecordProof, check_proof
from baluarte.core.tiles import Tree, tree_of
from baluarte.errors import DataError, TrustError
from baluarte.ports import LedgerReader, Verifier
from baluarte.stages.notes import NO_WITNESSES, WitnessPolicy, cosigners, verify_note


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The checkpoint that proofs lead to."""

    checkpoint: Checkpoint
    note: bytes
    witnesses: dict[str, int]  #: who cosigned it, and when (POSIX time)

    @property
    def at_us(self) -> int:
        """When it was signed."""
        return signed_at(self.checkpoint)


def find_anchor(
    reader: LedgerReader, verifier: Verifier, *, witnesses: WitnessPolicy = NO_WITNESSES
) -> Anchor | None:
    """The newest checkpoint with enough cosignatures, else the newest one; None where none is.

    Raises:
        TrustError: a checkpoint is not signed by a trusted key, or a cosignature doesn't hold.
    """
    newest: Anchor | None = None
    for note in reversed(reader.notes(None)):
        checkpoint = verify_note(note, verifier, origin=None)
        if lists_heads(checkpoint):
            break
        found = Anchor(checkpoint=checkpoint, note=note, witnesses=cosigners(note, witnesses))
        newest = newest or found
        if len(found.witnesses) >= witnesses.quorum:
            return found
    return newest


class Prover:
    """Proves records under one checkpoint: the log of heads is read once."""

    def __init__(self, reader: LedgerReader, anchor: Anchor) -> None:
        entries = reader.heads()[: anchor.checkpoint.size]
        self._reader, self.anchor = reader, anchor
        self._shards: dict[str, Tree] = {}
        self._tree = tree_of([leaf_hash(entry) for entry in entries])
        if (self._tree.size, self._tree.root()) != (anchor.checkpoint.size, anchor.checkpoint.root):
            raise TrustError(
                "the log of heads is not the one that was signed",
                where="heads",
                hint="`baluarte ledger verify` names the damage.",
            )
        read = (read_entry(entry, where=f"heads/{n}") for n, entry in enumerate(entries))
        self.heads = list(enumerate(read))  #: (place, head) of each head under the checkpoint

    def sizes(self) -> dict[str, int]:
        """How many records of each shard the checkpoint covers."""
        return {head.tag: head.size for _, head in self.heads}

    def prove(self, tag: str, index: int) -> tuple[bytes, RecordProof]:
        """A record and its proof, which was checked.

        Raises:
            DataError: the checkpoint doesn't cover the record.
            TrustError: the record is not the one that was signed.
        """
        covering = [(at, h) for at, h in self.heads if h.tag == tag and h.size > index >= 0]
        if not covering:
            raise DataError(
                f"no checkpoint covers record {index} of shard {tag} yet",
                hint="`baluarte ledger checkpoint` signs one.",
            )
        at, head = covering[0]
        record = self._reader.record(tag, index)
        proof = RecordProof(
            shard=tag,
            index=index,
            size=head.size,
            at_us=head.at_us,
            path=tuple(self._shard(tag, head).inclusion(index, head.size)),
            head_index=at,
            head_path=tuple(self._tree.inclusion(at, self._tree.size)),
        )
        check_proof(record, proof, self.anchor.checkpoint)
        return record, proof

    def _shard(self, tag: str, head: ShardHead) -> Tree:
        """The shard's tree; tiles that don't lead to its head are made again from the leaves."""
        tree = self._shards.get(tag) or self._reader.tree(tag)
        if tree.size < head.size or tree.root(head.size) != head.root:
            tree = self._reader.tree(tag, fresh=True)
        self._shards[tag] = tree
        if tree.size < head.size:
            raise TrustError(
                f"a signed checkpoint covers {head.size} records, found {tree.size}", where=tag
            )
        return tree


def append_proof(reader: LedgerReader, old: Checkpoint, new: Checkpoint) -> list[bytes]:
    """Proof that the log of heads that ``new`` covers begins with the one that ``old`` covers.

    Raises:
        DataError: they are not of one log, or in another order.
        TrustError: the log is not the one that either was signed of.
    """
    if old.origin != new.origin or lists_heads(old) or old.size > new.size:
        raise DataError(
            f"expected two checkpoints of one log, the older first; found {old.origin[:100]!r} "
            f"with {old.size} entries and {new.origin[:100]!r} with {new.size}"
        )
    tree = tree_of([leaf_hash(entry) for entry in reader.heads()])
    for one in (old, new):
        if one.size > tree.size or tree.root(one.size) != one.root:
            raise TrustError(
                f"the log of heads doesn't begin with the {one.size} entries that were signed",
                where="heads",
            )
    return tree.consistency(old.size, new.size) if old.size else []
