"""Ask witnesses to cosign the newest checkpoint, over HTTP or by files that somebody carries."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

from baluarte.adapters.outward import outward_tls
from baluarte.apps.session import Session
from baluarte.core.checkpoint import (
    NoteSignature,
    cosigned,
    read_note,
    read_signatures,
    signed_at,
)
from baluarte.core.note_keys import NoteKey
from baluarte.core.witnessing import Request, write_request
from baluarte.errors import BaluarteError, DataError, OutsideError, TrustError
from baluarte.stages.notes import check_cosignature, verify_note
from baluarte.stages.proofs import append_proof

_TIMEOUT_S = 15.0
_MAX_ANSWER_BYTES = 1 << 16
_CONFLICT = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of asking one witness."""

    name: str
    at_s: int | None  #: when it cosigned, POSIX time; None where it didn't
    said: str  #: why not
    by_files: bool = False  #: it has no address: somebody carries the files


def newest_note(session: Session) -> bytes:
    """The newest checkpoint over all shards.

    Raises:
        DataError: there is none yet.
    """
    notes = session.reader.notes(None)
    if not notes:
        raise DataError(
            "there is no checkpoint yet", hint="`baluarte ledger checkpoint` signs one."
        )
    return notes[-1]


def request_for(session: Session, note: bytes, old_size: int) -> bytes:
    """What is shown to a witness that saw ``old_size`` entries of the log of heads last.

    Raises:
        DataError: the log never had a checkpoint of that size.
        TrustError: the log is not the one that was signed.
    """
    new = verify_note(note, session.verifier, origin=None)
    proof: list[bytes] = []
    if old_size:
        signed = [verify_note(n, session.verifier, origin=None) for n in session.reader.notes(None)]
        old = next((c for c in signed if (c.origin, c.size) == (new.origin, old_size)), None)
        if old is None:
            raise DataError(
                f"the witness saw a log of {old_size} entries; this one signed none of that size",
                hint="It saw another ledger, or this one was rolled back: look before you go on.",
            )
        proof = append_proof(session.reader, old, new)
    return write_request(Request(old_size=old_size, proof=tuple(proof), note=note))


def ask_all(session: Session) -> list[Answer]:
    """Ask every witness with an address for the newest checkpoint, and keep what they cosigned."""
    note = newest_note(session)
    answers: list[Answer] = []
    lines: list[NoteSignature] = []
    said = session.place.workspace.checkpoints
    for key, witness in zip(session.witnesses.keys, said.witnesses, strict=True):
        if witness.url is None:
            answers.append(
                Answer(name=key.name, at_s=None, said="is asked by files", by_files=True)
            )
            continue
        try:
            line, at_s = _ask(session, key, witness.url, note)
        except BaluarteError as error:
            answers.append(Answer(name=key.name, at_s=None, said=str(error)))
        else:
            lines.append(line)
            answers.append(Answer(name=key.name, at_s=at_s, said=""))
    if lines:
        keep(session, note, lines)
    return answers


def take_in(session: Session, data: bytes) -> list[Answer]:
    """Cosignatures of the newest checkpoint from a file that a witness made.

    Raises:
        TrustError: none is by a known witness over that checkpoint.
    """
    note = newest_note(session)
    held = _held(session, note, read_signatures(data, where="the witness's answer"))
    if not held:
        raise TrustError("no known witness cosigned the newest checkpoint in this file")
    keep(session, note, [line for line, _, _ in held])
    return [Answer(name=key.name, at_s=at_s, said="") for _, key, at_s in held]


def keep(session: Session, note: bytes, lines: list[NoteSignature]) -> None:
    """Add cosignatures to a checkpoint that is kept; its text and its signature stay."""
    checkpoint, _ = read_note(note, where="checkpoint")
    at_us = signed_at(checkpoint)
    session.reader.put_note(None, at_us, cosigned(note, lines, where="checkpoint"))


def _ask(session: Session, key: NoteKey, url: str, note: bytes) -> tuple[NoteSignature, int]:
    """The witness's cosignature, after a first answer that says what it saw last if need be."""
    status, body = _post(url, request_for(session, note, _last_size(session, key)))
    if status == _CONFLICT:
        number = body.strip()
        if not number.isdigit() or len(number) > 18:
            raise OutsideError("the witness's answer is none", where=url)
        status, body = _post(url, request_for(session, note, int(number)))
    if status != http.client.OK:
        raise OutsideError(
            f"the witness doesn't cosign: {status} {body.decode('utf-8', 'replace').strip()[:200]}",
            where=url,
        )
    held = [one for one in _held(session, note, read_signatures(body, where=url)) if one[1] == key]
    if not held:
        raise TrustError("the answer holds no cosignature by its key", where=url)
    return held[0][0], held[0][2]


def _held(
    session: Session, note: bytes, lines: list[NoteSignature]
) -> list[tuple[NoteSignature, NoteKey, int]]:
    """The cosignatures by known witnesses that hold; others are left aside."""
    checkpoint, _ = read_note(note, where="checkpoint")
    known = {(key.name, key.key_hash): key for key in session.witnesses.keys}
    verifier = session.witnesses.verifier
    held = []
    for line in lines:
        key = known.get((line.name, line.key_hash))
        if key is not None and verifier is not None:
            held.append((line, key, check_cosignature(checkpoint, line, key, verifier)))
    return held


def _last_size(session: Session, key: NoteKey) -> int:
    """The size that this witness cosigned last, as far as the kept checkpoints say."""
    for note in reversed(session.reader.notes(None)):
        checkpoint, lines = read_note(note, where="heads")
        if any((line.name, line.key_hash) == (key.name, key.key_hash) for line in lines):
            return checkpoint.size
    return 0


def _post(url: str, body: bytes) -> tuple[int, bytes]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DataError(
            f"expected an address that begins with http:// or https://; found {url!r}",
            where="checkpoints.witnesses",
        )
    host, port = parts.hostname, parts.port
    connection = (
        http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=outward_tls())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    )
    try:
        connection.request("POST", f"{parts.path.rstrip('/')}/add-checkpoint", body=body)
        answer = connection.getresponse()
        return answer.status, answer.read(_MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise OutsideError(
            f"the witness doesn't answer: {error}", where=url, retryable=True
        ) from error
    finally:
        connection.close()
