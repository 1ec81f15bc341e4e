"""Signed checkpoints: how large a log is and its Merkle head, as a note that anyone can check.

Source: C2SP tlog-checkpoint and signed-note (https://c2sp.org), Ed25519 signatures.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence

import msgspec

from baluarte.core.ids import is_tag
from baluarte.core.merkle import HASH_BYTES, leaf_hash, root_of
from baluarte.errors import TrustError

LEDGER_ORIGIN = "baluarte/ledger"  #: of a shard, before its tag; of all heads in version 0.1
HEADS_ORIGIN = "baluarte/heads"  #: of the log of heads, where the workspace gives no other
_KEY_HASH_BYTES = 4
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SPACE = re.compile(r"[\s+]")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The first lines of a note."""

    origin: str  #: which log
    size: int  #: its leaves
    root: bytes  #: 32 bytes
    extensions: tuple[str, ...] = ()  #: further lines


class NoteSignature(msgspec.Struct, frozen=True, kw_only=True):
    """One signature line of a note."""

    name: str
    key_hash: bytes  #: 4 bytes, a hint which key it is
    signature: bytes


class ShardHead(msgspec.Struct, frozen=True, kw_only=True):
    """How far one shard was when it was signed."""

    tag: str
    size: int
    root: bytes
    at_us: int = 0  #: when that was so; 0 in checkpoints of version 0.1, which say it once for all


def shard_checkpoint(tag: str, size: int, root: bytes, *, at_us: int) -> Checkpoint:
    """The checkpoint of one shard."""
    return Checkpoint(
        origin=f"{LEDGER_ORIGIN}/{tag}", size=size, root=root, extensions=(f"at {at_us}",)
    )


def head_entry(head: ShardHead) -> bytes:
    """A shard's head as an entry of the log of heads."""
    return f"{head.tag} {head.size} {base64.b64encode(head.root).decode()} {head.at_us}".encode()


def read_entry(entry: bytes, *, where: str) -> ShardHead:
    """The shard's head in an entry of the log of heads.

    Raises:
        TrustError: it is none, or spelled another way.
    """
    text = entry.decode("ascii", "replace")
    line, _, at = text.rpartition(" ")
    if not _NUMBER.fullmatch(at):
        raise TrustError(f"expected a shard's head, found {text[:100]!r}", where=where)
    head = msgspec.structs.replace(_read_head(line, where=where), at_us=int(at))
    if head_entry(head) != entry:
        raise TrustError("expected the one spelling of a shard's head", where=where)
    return head


def log_checkpoint(origin: str, size: int, root: bytes, *, at_us: int) -> Checkpoint:
    """The checkpoint of the log of heads, which covers all shards."""
    return Checkpoint(origin=origin, size=size, root=root, extensions=(f"at {at_us}",))


def lists_heads(checkpoint: Checkpoint) -> bool:
    """Whether it is one of version 0.1, which lists the heads in itself and is no log's."""
    return checkpoint.origin == LEDGER_ORIGIN


def heads_checkpoint(heads: Sequence[ShardHead], *, at_us: int) -> Checkpoint:
    """The checkpoint over all shards of version 0.1: its leaves are the lines that list heads."""
    ordered = sorted(heads, key=lambda head: head.tag)
    lines = tuple(f"{h.tag} {h.size} {base64.b64encode(h.root).decode()}" for h in ordered)
    return Checkpoint(
        origin=LEDGER_ORIGIN,
        size=len(lines),
        root=root_of(leaf_hash(line.encode()) for line in lines),
        extensions=(f"at {at_us}", *lines),
    )


def signed_at(checkpoint: Checkpoint) -> int:
    """When it says that it was signed, microseconds of UTC.

    Raises:
        TrustError: it doesn't say.
    """
    word, _, number = (checkpoint.extensions or ("",))[0].partition(" ")
    if word != "at" or not _NUMBER.fullmatch(number):
        raise TrustError("the checkpoint doesn't say when it was signed", where=checkpoint.origin)
    return int(number)


def read_heads(checkpoint: Checkpoint) -> list[ShardHead]:
    """The shards that a checkpoint over all heads lists.

    Raises:
        TrustError: it is none, or its lines don't lead to its own root.
    """
    at_us = signed_at(checkpoint)
    heads = [_read_head(line, where=checkpoint.origin) for line in checkpoint.extensions[1:]]
    if heads_checkpoint(heads, at_us=at_us) != checkpoint:
        raise TrustError("the listed heads are not those of the root", where=checkpoint.origin)
    return heads


def _read_head(line: str, *, where: str) -> ShardHead:
    tag, _, rest = line.partition(" ")
    size, _, root = rest.partition(" ")
    if not is_tag(tag) or not _NUMBER.fullmatch(size):
        raise TrustError(f"expected a shard's head, found {line[:100]!r}", where=where)
    return ShardHead(tag=tag, size=int(size), root=_read_root(root, where=where))


def text_of(checkpoint: Checkpoint) -> bytes:
    """What is signed: the note's text."""
    lines = (
        checkpoint.origin,
        str(checkpoint.size),
        base64.b64encode(checkpoint.root).decode(),
        *checkpoint.extensions,
    )
    return "".join(f"{line}\n" for line in lines).encode()


def note_of(checkpoint: Checkpoint, signatures: Sequence[NoteSignature]) -> bytes:
    """The whole note: text, empty line, signature lines."""
    lines = [
        f"— {s.name} {base64.b64encode(s.key_hash + s.signature).decode()}\n" for s in signatures
    ]
    return text_of(checkpoint) + b"\n" + "".join(lines).encode()


def cosigned(note: bytes, lines: Sequence[NoteSignature], *, where: str) -> bytes:
    """The note with further signature lines; one that is there already is not added again.

    Raises:
        TrustError: it is no signed note.
    """
    checkpoint, signatures = read_note(note, where=where)
    return note_of(checkpoint, [*signatures, *(line for line in lines if line not in signatures)])


def read_signatures(data: bytes, *, where: str) -> list[NoteSignature]:
    """Signature lines that stand alone, as a witness answers them.

    Raises:
        TrustError: they are none.
    """
    try:
        lines = [_read_signature(line, where=where) for line in data.decode().splitlines()]
    except UnicodeDecodeError as error:
        raise TrustError("expected signature lines, found no text", where=where) from error
    if not lines:
        raise TrustError("expected signature lines, found none", where=where)
    return lines


def read_note(data: bytes, *, where: str) -> tuple[Checkpoint, list[NoteSignature]]:
    """A note's checkpoint and its signature lines, not yet verified.

    Raises:
        TrustError: it is no signed note of a checkpoint, or spelled another way.
    """
    try:
        text, separator, tail = data.decode().rpartition("\n\n")
    except UnicodeDecodeError as error:
        raise TrustError("expected a signed note, found no text", where=where) from error
    lines = text.split("\n")
    if not separator or len(lines) < 3 or not _NUMBER.fullmatch(lines[1]):
        raise TrustError("expected a signed note of a checkpoint", where=where)
    if not all(lines) or _CONTROL.search(text):
        raise TrustError("a checkpoint has no empty line and no control character", where=where)
    checkpoint = Checkpoint(
        origin=lines[0],
        size=int(lines[1]),
        root=_read_root(lines[2], where=where),
        extensions=tuple(lines[3:]),
    )
    signatures = [_read_signature(line, where=where) for line in tail.splitlines()]
    if not signatures or note_of(checkpoint, signatures) != data:
        raise TrustError("expected the one spelling of a signed note", where=where)
    return checkpoint, signatures


def _read_signature(line: str, *, where: str) -> NoteSignature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    data = _base64(encoded, where=where)
    if dash != "—" or not name or _SPACE.search(name) or len(data) <= _KEY_HASH_BYTES:
        raise TrustError(f"expected a signature line, found {line[:100]!r}", where=where)
    return NoteSignature(
        name=name, key_hash=data[:_KEY_HASH_BYTES], signature=data[_KEY_HASH_BYTES:]
    )


def _read_root(text: str, *, where: str) -> bytes:
    root = _base64(text, where=where)
    if len(root) != HASH_BYTES:
        raise TrustError(f"expected a root of {HASH_BYTES} bytes", where=where)
    return root


def _base64(text: str, *, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TrustError(f"expected base64, found {text[:60]!r}", where=where) from error
