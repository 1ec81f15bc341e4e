"""Sign a checkpoint as a note, and say who of those that are known signed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from baluarte.core.checkpoint import (
    Checkpoint,
    NoteSignature,
    note_of,
    read_note,
    signed_at,
)
from baluarte.core.note_keys import (
    NoteKey,
    log_key,
    signature_line,
    signed_message,
    split_signature,
)
from baluarte.errors import TrustError
from baluarte.ports import Signer, Verifier

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessPolicy:
    """Whose cosignatures count, and how many a checkpoint must have."""

    keys: tuple[NoteKey, ...] = ()
    quorum: int = 0
    verifier: Verifier | None = None  #: checks signatures by these keys; None where there are none


NO_WITNESSES = WitnessPolicy()


def sign_note(checkpoint: Checkpoint, signers: Sequence[Signer]) -> bytes:
    """The checkpoint as a note that these signed, under the log's own name.

    A checkpoint says when it was signed; kinds of signature that say it too say the same.
    """
    lines = []
    for signer in signers:
        key = log_key(checkpoint.origin, signer.key)
        time_s = signed_at(checkpoint) // _SECOND_US
        signature = signer.sign(signed_message(key, checkpoint, time_s))
        lines.append(signature_line(key, signature, time_s))
    return note_of(checkpoint, lines)


def verify_note(note: bytes, verifier: Verifier, *, origin: str | None) -> Checkpoint:
    """The checkpoint in a note, if a trusted key signed it and was valid then.

    Args:
        origin: of which log it must be; None takes any.

    Raises:
        TrustError: nobody trusted signed it, a trusted key's signature doesn't hold, or it is of
            another log.
    """
    where = origin or "checkpoint"
    checkpoint, signatures = read_note(note, where=where)
    if origin is not None and checkpoint.origin != origin:
        raise TrustError(f"expected a checkpoint of {origin}, found {checkpoint.origin[:100]!r}")
    at_us = signed_at(checkpoint)
    # Version 0.1 signed with the key's own name; now a log signs under its origin.
    known = {
        (key.name, key.key_hash): (key, public.key_id)
        for public in verifier.public_keys()
        for key in (log_key(checkpoint.origin, public), log_key(public.name, public))
    }
    n_held = 0
    for line in signatures:
        found = known.get((line.name, line.key_hash))
        if found is None:
            continue
        key, key_id = found
        signature, time_s = split_signature(key, line)
        if key.timed and time_s != at_us // _SECOND_US:
            raise TrustError("the checkpoint and its signature say different times", where=where)
        message = signed_message(key, checkpoint, time_s)
        verifier.verify(message, signature, key_id=key_id, at_us=at_us)
        n_held += 1
    if n_held == 0:
        raise TrustError("no trusted key signed the checkpoint", where=where)
    return checkpoint


def cosigners(note: bytes, policy: WitnessPolicy) -> dict[str, int]:
    """The known witnesses that cosigned a note, with the POSIX time that each says.

    Raises:
        TrustError: a known witness's cosignature doesn't hold.
    """
    if policy.verifier is None:
        return {}
    checkpoint, signatures = read_note(note, where="checkpoint")
    known = {(key.name, key.key_hash): key for key in policy.keys}
    found: dict[str, int] = {}
    for line in signatures:
        key = known.get((line.name, line.key_hash))
        if key is not None:
            found[key.name] = check_cosignature(checkpoint, line, key, policy.verifier)
    return found


def check_cosignature(
    checkpoint: Checkpoint, line: NoteSignature, key: NoteKey, verifier: Verifier
) -> int:
    """The POSIX time of a cosignature that holds.

    Raises:
        TrustError: it doesn't.
    """
    signature, time_s = split_signature(key, line)
    public = key.as_public()
    verifier.verify(
        signed_message(key, checkpoint, time_s), signature, key_id=public.key_id, at_us=0
    )
    return time_s
