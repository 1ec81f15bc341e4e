"""What a witness remembers of a log, and whether it may cosign what is shown to it next.

Rules, in the order in which they are held:

1. The note is a checkpoint, signed by the key that is known for its origin.
2. The old size that the log names is the one that was cosigned last.
3. A tree never shrinks, and one size has one root.
4. The proof shows that the new tree only appended to the old one.

Source: C2SP tlog-witness, add-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from baluarte.core.checkpoint import Checkpoint
from baluarte.core.merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from baluarte.errors import TrustError

_MAX_STEPS = 63
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")

Refusal = Literal["malformed", "unknown", "unsigned", "conflict", "inconsistent"]


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Why a witness doesn't cosign."""

    kind: Refusal
    message: str
    size: int = 0  #: what was cosigned last, where that is the reason


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a log shows to a witness."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes


class LastSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The last tree of a log that a witness cosigned."""

    size: int = 0
    root: bytes = EMPTY_ROOT


def write_request(request: Request) -> bytes:
    """The body of add-checkpoint."""
    lines = [f"old {request.old_size}\n"]
    lines += [base64.b64encode(step).decode() + "\n" for step in request.proof]
    return "".join(lines).encode() + b"\n" + request.note


def read_request(body: bytes) -> Request | Refused:
    """The parts of a body of add-checkpoint."""
    head, separator, note = body.partition(b"\n\n")
    old, *steps = head.split(b"\n")
    number = old.removeprefix(b"old ").decode("ascii", "replace")
    if not separator or not old.startswith(b"old ") or not _NUMBER.fullmatch(number):
        return _malformed("expected a line 'old SIZE', a proof, an empty line and a checkpoint")
    if len(steps) > _MAX_STEPS:
        return _malformed(f"expected at most {_MAX_STEPS} lines of proof, found {len(steps)}")
    try:
        proof = tuple(base64.b64decode(step, validate=True) for step in steps)
    except (binascii.Error, ValueError):
        return _malformed("expected a proof in base64, a hash a line")
    if any(len(step) != HASH_BYTES for step in proof):
        return _malformed(f"expected hashes of {HASH_BYTES} bytes")
    return Request(old_size=int(number), proof=proof, note=note)


def next_seen(
    last: LastSeen, checkpoint: Checkpoint, *, old_size: int, proof: Sequence[bytes]
) -> LastSeen | Refused:
    """What the witness remembers once it cosigns this checkpoint, whose signature was checked."""
    if old_size > checkpoint.size:
        return _malformed(f"the old size {old_size} is more than the new one, {checkpoint.size}")
    if old_size != last.size:
        said = f"a tree of {last.size} was cosigned last, the request is after {old_size}"
        return Refused(kind="conflict", message=said, size=last.size)
    try:
        _check_extension(last, checkpoint, proof)
    except TrustError as error:
        return Refused(kind="inconsistent", message=error.faults[0].message)
    return LastSeen(size=checkpoint.size, root=checkpoint.root)


def _check_extension(last: LastSeen, checkpoint: Checkpoint, proof: Sequence[bytes]) -> None:
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise TrustError("a tree of no entries has one root only")
    if last.size == 0:
        if proof:
            raise TrustError("a first tree needs no proof")
        return
    verify_consistency(last.size, checkpoint.size, last.root, checkpoint.root, proof)


def _malformed(message: str) -> Refused:
    return Refused(kind="malformed", message=message)
