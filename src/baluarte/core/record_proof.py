"""The proof that a record is in the ledger: record, its shard's head, the checkpoint over all.

A text of two parts: where the record stands in its shard, with the path to the shard's head, and
where that head stands in the log of heads, with the path to the checkpoint::

    baluarte-proof/2
    shard 3fa04c
    index 41
    size 4096
    at 1700000000000000
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
    …

    heads 17
    jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
    …
"""

from __future__ import annotations

import base64
import binascii
import re

import msgspec

from baluarte.core.checkpoint import Checkpoint, ShardHead, head_entry
from baluarte.core.ids import is_tag
from baluarte.core.merkle import HASH_BYTES, head_by_inclusion, leaf_hash
from baluarte.errors import TrustError

FORMAT = "baluarte-proof/2"
_FIELDS = ("shard", "index", "size", "at")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class RecordProof(msgspec.Struct, frozen=True, kw_only=True):
    """Where a record stands, and the hashes that lead from it to a checkpoint."""

    shard: str
    index: int
    size: int  #: records of the shard when its head was signed
    at_us: int  #: when that was
    path: tuple[bytes, ...]  #: to the shard's head
    head_index: int  #: where that head stands in the log of heads
    head_path: tuple[bytes, ...]  #: to the checkpoint

    @property
    def n_hashes(self) -> int:
        """Of both paths together."""
        return len(self.path) + len(self.head_path)


def write_proof(proof: RecordProof) -> str:
    """The proof's text."""
    lines = [
        FORMAT,
        f"shard {proof.shard}",
        f"index {proof.index}",
        f"size {proof.size}",
        f"at {proof.at_us}",
        *(base64.b64encode(step).decode() for step in proof.path),
        "",
        f"heads {proof.head_index}",
        *(base64.b64encode(step).decode() for step in proof.head_path),
    ]
    return "".join(f"{line}\n" for line in lines)


def read_proof(text: str, *, where: str) -> RecordProof:
    """A proof from its text.

    Raises:
        TrustError: it is none, or spelled another way.
    """
    first, _, second = text.partition("\n\n")
    kind, *lines = first.split("\n")
    names = [line.partition(" ")[0] for line in lines[:4]]
    values = [line.partition(" ")[2] for line in lines[:4]]
    place, *steps = second.removesuffix("\n").split("\n")
    numbers = [*values[1:], place.removeprefix("heads ")]
    if kind != FORMAT or tuple(names) != _FIELDS or not all(map(_NUMBER.fullmatch, numbers)):
        raise TrustError(f"expected a proof of the form {FORMAT}", where=where)
    if not is_tag(values[0]):
        raise TrustError(f"expected a shard's tag, found {values[0][:40]!r}", where=where)
    proof = RecordProof(
        shard=values[0],
        index=int(values[1]),
        size=int(values[2]),
        at_us=int(values[3]),
        path=_hashes(lines[4:], where),
        head_index=int(numbers[-1]),
        head_path=_hashes(steps, where),
    )
    if write_proof(proof) != text:
        raise TrustError("expected the one spelling of a proof", where=where)
    return proof


def check_proof(record: bytes, proof: RecordProof, checkpoint: Checkpoint) -> None:
    """Return if record and proof lead to the checkpoint, whose signature was checked before.

    Raises:
        TrustError: they don't.
    """
    root = head_by_inclusion(leaf_hash(record), proof.index, proof.size, proof.path)
    head = ShardHead(tag=proof.shard, size=proof.size, root=root, at_us=proof.at_us)
    leaf = leaf_hash(head_entry(head))
    found = head_by_inclusion(leaf, proof.head_index, checkpoint.size, proof.head_path)
    if found != checkpoint.root:
        raise TrustError(
            "record and proof don't lead to the checkpoint", where=f"{proof.shard}/{proof.index}"
        )


def _hashes(lines: list[str], where: str) -> tuple[bytes, ...]:
    try:
        steps = tuple(base64.b64decode(line, validate=True) for line in lines)
    except (binascii.Error, ValueError) as error:
        raise TrustError("expected hashes in base64", where=where) from error
    if any(len(step) != HASH_BYTES for step in steps):
        raise TrustError(f"expected hashes of {HASH_BYTES} bytes", where=where)
    return steps
