"""Hold the log of heads: its lines, what was signed of it, and what it promises of each shard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from baluarte.core.checkpoint import (
    LEDGER_ORIGIN,
    Checkpoint,
    ShardHead,
    lists_heads,
    read_entry,
    read_heads,
)
from baluarte.core.merkle import leaf_hash
from baluarte.core.tiles import tree_of
from baluarte.errors import BaluarteError, Fault, TrustError


class HeadsWalk:
    """One pass over the log of heads.

    Attributes:
        promised: for each shard the roots that were signed, by size.
        faults: what doesn't hold.
    """

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.promised: dict[str, dict[int, set[bytes]]] = defaultdict(lambda: defaultdict(set))
        self.faults: list[Fault] = []
        self.tree = tree_of([leaf_hash(entry) for entry in entries])
        last: dict[str, ShardHead] = {}
        for number, entry in enumerate(entries):
            try:
                head = read_entry(entry, where=f"heads/{number}")
            except BaluarteError as error:
                self.faults += error.faults
                continue
            before = last.get(head.tag)
            if before is not None and head.size <= before.size:
                said = f"shard {head.tag} had {before.size} records before, and {head.size} here"
                self.faults.append(Fault(said, where=f"heads/{number}"))
            last[head.tag] = head
            self.promised[head.tag][head.size].add(head.root)

    def hold(self, checkpoint: Checkpoint) -> None:
        """Hold the log against a checkpoint whose signature was checked.

        Raises:
            TrustError: the log is not the one that was signed.
        """
        if checkpoint.origin.startswith(f"{LEDGER_ORIGIN}/"):
            raise TrustError(
                f"expected a checkpoint over all shards, found one of {checkpoint.origin}"
            )
        if lists_heads(checkpoint):
            for head in read_heads(checkpoint):
                self.promised[head.tag][head.size].add(head.root)
            return
        if checkpoint.size > self.tree.size:
            raise TrustError(
                f"a signed checkpoint covers {checkpoint.size} entries of the log of heads, "
                f"found {self.tree.size}"
            )
        if self.tree.root(checkpoint.size) != checkpoint.root:
            raise TrustError(
                f"the first {checkpoint.size} entries of the log of heads are not the ones that "
                "were signed"
            )
