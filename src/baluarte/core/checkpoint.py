"""Signed checkpoints: how large a log is and its Merkle head, as a note that anyone can check.

Source: C2SP tlog-checkpoint and signed-note (https://c2sp.org), Ed25519 signatures.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence

import msgspec

from baluarte.core.ids import is_tag
from baluarte.core.merkle import HASH_BYTES, leaf_hash, root_of
from baluarte.errors import TrustError

LEDGER_ORIGIN = "baluarte/ledger"
_ED25519 = b"\x01"  # signature type of the signed-note specification
_KEY_HASH_BYTES = 4
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
    """One shard as a checkpoint over all heads lists it."""

    tag: str
    size: int
    root: bytes


def shard_checkpoint(tag: str, size: int, root: bytes, *, at_us: int) -> Checkpoint:
    """The checkpoint of one shard."""
    return Checkpoint(
        origin=f"{LEDGER_ORIGIN}/{tag}", size=size, root=root, extensions=(f"at {at_us}",)
    )


def heads_checkpoint(heads: Sequence[ShardHead], *, at_us: int) -> Checkpoint:
    """The checkpoint over all shards: a tree whose leaves are the lines that list their heads."""
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


def key_hash(name: str, public_key: bytes) -> bytes:
    """4 bytes: the hint by which a signature line names its Ed25519 key."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:_KEY_HASH_BYTES]


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
    if dash != "—" or not name or len(data) <= _KEY_HASH_BYTES:
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
