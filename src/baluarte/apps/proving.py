"""What is handed to somebody who asks for a proof: files that need nothing of Baluarte."""

from __future__ import annotations

import base64
from functools import partial
from importlib.resources import files
from pathlib import Path

from baluarte.adapters.disk import write_aside
from baluarte.adapters.ledger.tiles_export import export_log
from baluarte.apps.session import Session
from baluarte.core.checkpoint import LEDGER_ORIGIN, lists_heads, read_note
from baluarte.core.ids import is_tag, parse_id
from baluarte.core.merkle import leaf_hash
from baluarte.core.note_keys import log_key
from baluarte.core.record_proof import RecordProof, write_proof
from baluarte.core.tiles import tree_of
from baluarte.errors import DataError
from baluarte.stages.notes import verify_note
from baluarte.stages.proofs import Anchor, Prover, find_anchor

VERIFIER = "verify.py"
CHECKPOINT = "checkpoint"
KEYS = "keys.txt"


def verifier_source() -> bytes:
    """The offline verifier: one file that runs on any machine with Python."""
    return files("baluarte.apps").joinpath("offline_verifier.py").read_bytes()


def keys_text(session: Session) -> str:
    """The keys that checkpoints are checked with, one a line: the log's, then the witnesses'.

    Keys that were revoked are left out: what they signed before is checked with `ledger verify`.
    """
    origin = session.place.workspace.checkpoints.origin
    logs = [k for k in session.verifier.public_keys() if k.revoked_at is None]
    lines = [log_key(origin, key).vkey for key in logs]
    lines += [key.vkey for key in session.witnesses.keys]
    return "".join(f"{line}\n" for line in lines)


def anchor_of(session: Session) -> Anchor:
    """The checkpoint that proofs lead to.

    Raises:
        DataError: there is none yet.
    """
    found = find_anchor(session.reader, session.verifier, witnesses=session.witnesses)
    if found is None:
        raise DataError(
            "no checkpoint covers the ledger yet",
            where=str(session.place.ledger),
            hint="`baluarte ledger checkpoint` signs one.",
        )
    return found


def place_of(session: Session, said: str) -> tuple[str, int]:
    """Shard and index of what was named: a decision's id, LAST, or TAG/INDEX of any record.

    Raises:
        DataError: it is none of these, or there is no such decision.
    """
    tag, slash, number = said.partition("/")
    if slash:
        if not is_tag(tag) or not number.isdecimal():
            raise DataError(f"expected TAG/INDEX, such as 3fa04c/41; found {said[:80]!r}")
        return tag, int(number)
    decision = session.last_decision() if said == "LAST" else session.decision(said)
    place = parse_id(decision.id)
    return place.tag, place.index


def proof_document(record: bytes, proof: RecordProof, anchor: Anchor) -> dict[str, object]:
    """Record, proof and checkpoint as one JSON document."""
    return {
        "format": "baluarte-proof/2",
        "shard": proof.shard,
        "index": proof.index,
        "record": base64.b64encode(record).decode(),
        "proof": write_proof(proof),
        "checkpoint": anchor.note.decode(),
        "witnesses": sorted(anchor.witnesses),
    }


def write_proof_files(folder: Path, session: Session, tag: str, index: int) -> RecordProof:
    """Record, proof, checkpoint, keys and verifier in a folder, to be handed over.

    Raises:
        DataError: no checkpoint covers the record yet.
        TrustError: the record is not the one that was signed.
    """
    prover = Prover(session.reader, anchor_of(session))
    record, proof = prover.prove(tag, index)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (
        ("record.json", record),
        ("proof", write_proof(proof).encode()),
        (CHECKPOINT, prover.anchor.note),
        (KEYS, keys_text(session).encode()),
        (VERIFIER, verifier_source()),
    ):
        write_aside(folder / name, data)
    return proof


def export_tiles(folder: Path, session: Session) -> dict[str, int]:
    """The log of heads and every shard's log as static tiles; how many entries each has.

    Raises:
        DataError: there is no checkpoint yet.
    """
    anchor = anchor_of(session)
    entries = session.reader.heads()
    prover = Prover(session.reader, anchor)
    written = {"heads": anchor.checkpoint.size}
    for tag, size in prover.sizes().items():
        export_log(
            folder / "shards" / tag,
            session.reader.tree(tag),
            size,
            partial(session.reader.entries, tag),
            checkpoint=_shard_note(session, tag, size),
        )
        written[tag] = size
    log = tree_of([leaf_hash(entry) for entry in entries[: anchor.checkpoint.size]])
    export_log(
        folder / "heads",
        log,
        log.size,
        lambda start, stop: entries[start:stop],
        checkpoint=anchor.note,
    )
    return written


def kept_checkpoint(path: str, session: Session) -> bytes:
    """A checkpoint that was kept elsewhere, from its file, with its signature checked.

    Raises:
        DataError: the file can't be read, or it is a checkpoint of version 0.1 or of a shard.
        TrustError: no trusted key signed it.
    """
    try:
        note = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"the checkpoint can't be read: {error.strerror}", where=path) from error
    checkpoint = verify_note(note, session.verifier, origin=None)
    if checkpoint.origin.startswith(f"{LEDGER_ORIGIN}/"):
        raise DataError("expected a checkpoint over all shards, found a shard's", where=path)
    return note


def _shard_note(session: Session, tag: str, size: int) -> bytes | None:
    for note in session.reader.notes(tag):
        checkpoint, _ = read_note(note, where=tag)
        if checkpoint.size == size and not lists_heads(checkpoint):
            return note
    return None
