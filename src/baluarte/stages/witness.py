"""Be a witness: cosign a log's checkpoint if it extends everything that was seen of that log."""

from __future__ import annotations

from baluarte.core.checkpoint import Checkpoint, NoteSignature, cosigned, note_of, read_note
from baluarte.core.note_keys import (
    NoteKey,
    signature_line,
    signed_message,
    split_signature,
)
from baluarte.core.witnessing import LastSeen, Refused, next_seen, read_request
from baluarte.errors import TrustError
from baluarte.ports import Clock, PrivateKey, Verifier, WitnessStore

_SECOND_US = 1_000_000


def cosign(
    body: bytes,
    *,
    store: WitnessStore,
    verifier: Verifier,
    key: NoteKey,
    private: PrivateKey,
    clock: Clock,
) -> bytes | Refused:
    """The signature line for a request of add-checkpoint, once it is remembered durably.

    Args:
        verifier: checks signatures by the keys of all logs that the store knows.
        key: the witness's own, by which others check ``private``.

    Raises:
        OutsideError: what was seen can't be read or kept; nothing was cosigned.
    """
    request = read_request(body)
    if isinstance(request, Refused):
        return request
    try:
        checkpoint, lines = read_note(request.note, where="checkpoint")
    except TrustError as error:
        return Refused(kind="malformed", message=error.faults[0].message)
    keys = store.keys_of(checkpoint.origin)
    if not keys:
        return Refused(kind="unknown", message=f"no key is known for {checkpoint.origin[:200]!r}")
    try:
        held = _held(checkpoint, lines, keys, verifier)
    except TrustError as error:
        return Refused(kind="unsigned", message=error.faults[0].message)
    with store.alone():  # what was seen is read and replaced by one at a time
        seen = next_seen(
            _last_seen(store, checkpoint.origin),
            checkpoint,
            old_size=request.old_size,
            proof=request.proof,
        )
        if isinstance(seen, Refused):
            return seen
        time_s = clock.now_us() // _SECOND_US
        signature = private.sign(signed_message(key, checkpoint, time_s))
        line = signature_line(key, signature, time_s)
        log_alone = note_of(checkpoint, held)
        store.keep(checkpoint.origin, cosigned(log_alone, [line], where="checkpoint"))
    return note_of(checkpoint, [line]).rpartition(b"\n\n")[2]


def _held(
    checkpoint: Checkpoint,
    lines: list[NoteSignature],
    keys: tuple[NoteKey, ...],
    verifier: Verifier,
) -> list[NoteSignature]:
    """The lines by the log's own keys, each of which holds."""
    known = {(key.name, key.key_hash): key for key in keys}
    held = []
    for line in lines:
        key = known.get((line.name, line.key_hash))
        if key is not None:
            signature, time_s = split_signature(key, line)
            verifier.verify(
                signed_message(key, checkpoint, time_s),
                signature,
                key_id=key.as_public().key_id,
                at_us=0,
            )
            held.append(line)
    if not held:
        raise TrustError("no known key of this log signed the checkpoint")
    return held


def _last_seen(store: WitnessStore, origin: str) -> LastSeen:
    note = store.last(origin)
    if note is None:
        return LastSeen()
    checkpoint, _ = read_note(note, where=origin)
    return LastSeen(size=checkpoint.size, root=checkpoint.root)
