"""The ledger: verify all of it, prove one decision, show its end, sign a checkpoint, export."""

from __future__ import annotations

import argparse
import base64
import json
import sys
from pathlib import Path

import msgspec

from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.place import find_workspace
from baluarte.apps.session import Session, session_of
from baluarte.core.checkpoint import LEDGER_ORIGIN
from baluarte.core.ids import parse_id
from baluarte.core.merkle import inclusion_proof, leaf_hash, verify_inclusion
from baluarte.errors import DataError
from baluarte.stages.checkpoint import checkpoint
from baluarte.stages.verify import verify_ledger, verify_note


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte ledger``."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("verify", help="read every record and hold it against every checkpoint")
    proof = verbs.add_parser("proof", help="a decision's record with its inclusion proof")
    proof.add_argument("id", help="a decision's id, or LAST")
    proof.add_argument("--out", help="write it there (default: standard output)")
    tail = verbs.add_parser("tail", help="the newest records")
    tail.add_argument("-n", type=int, default=10, help="how many of each shard (default: 10)")
    verbs.add_parser("checkpoint", help="sign how far the ledger is")
    export = verbs.add_parser("export", help="every record as a line of JSON")
    export.add_argument("--out", help="a file (default: standard output)")


def run(args: argparse.Namespace) -> int:
    """Do one verb."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    verbs = {
        "verify": _verify,
        "proof": _proof,
        "tail": _tail,
        "checkpoint": _checkpoint,
        "export": _export,
    }
    with session_of(args, place) as session:
        return screen.end(verbs[args.verb](args, session, screen))


def _verify(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    del args
    with screen.progress("Verify") as bar:
        report = verify_ledger(session.reader, session.verifier, progress=bar)
    rows = []
    for shard in report.shards:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(shard.records.items()))
        tone: Tone = "broken" if shard.faults else "kept"
        screen.item(
            f"Shard {shard.tag}"[:12],
            f"{shard.size:,} records ({kinds}), {shard.signed_size:,} under a checkpoint, "
            f"root {shard.root.hex()[:16]}…",
            tone,
        )
        rows.append({"shard": shard.tag, "size": shard.size, "root": shard.root.hex()})
    for fault in report.all_faults:
        screen.line(str(fault), "broken")
    total = sum(shard.size for shard in report.shards)
    holds = not report.all_faults
    screen.data(holds=holds, records=total, shards=rows, faults=[str(f) for f in report.all_faults])
    said = f"{total:,} records hold" if holds else f"{len(report.all_faults)} faults"
    screen.item("Ledger", said, "kept" if holds else "broken")
    screen.next(
        "baluarte ledger checkpoint" if holds else "keep it as it is; restore a copy beside it"
    )
    return 0 if holds else 4


def _proof(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    decision = session.last_decision() if args.id == "LAST" else session.decision(args.id)
    place = parse_id(decision.id)
    notes = session.reader.notes(place.tag)
    origin = f"{LEDGER_ORIGIN}/{place.tag}"
    signed = [(verify_note(note, session.verifier, origin=origin), note) for note in notes]
    covering = [(c, note) for c, note in signed if c.size > place.index]
    if not covering:
        raise DataError(
            f"no checkpoint covers record {place.index} of shard {place.tag} yet",
            hint="baluarte ledger checkpoint signs one.",
        )
    head, note = min(covering, key=lambda pair: pair[0].size)
    leaves = session.reader.leaf_hashes(place.tag, head.size)
    path = inclusion_proof(leaves, place.index, head.size)
    record = session.reader.record(place.tag, place.index)
    verify_inclusion(leaf_hash(record), place.index, head.size, path, head.root)
    document = {
        "format": "baluarte-proof/1",
        "record": base64.b64encode(record).decode(),
        "shard": place.tag,
        "index": place.index,
        "size": head.size,
        "path": [base64.b64encode(step).decode() for step in path],
        "checkpoint": note.decode(),
    }
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if args.out:
        Path(args.out).write_text(text, "utf-8")
        screen.item("Proof", f"{args.out}: record, {len(path)} hashes, signed checkpoint", "kept")
        screen.data(id=decision.id, out=args.out, hashes=len(path))
        screen.next(f"hand {args.out} and your public key to whoever asks")
    else:
        sys.stdout.write(text)
        screen.as_json = False
    return 0


def _tail(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    shown: dict[str, list[object]] = {}
    for tag in session.reader.shards():
        size = session.reader.size(tag)
        shown[tag] = []
        for data in session.reader.records(tag, max(0, size - args.n)):
            record = msgspec.json.decode(data)
            shown[tag].append(record)
            kind = record.get("act") or record.get("outcome")
            name = f"{record.get('detector')}@{record.get('version')}"
            screen.line(f"{tag}  {name:<20} {kind:<10} {record.get('id') or record.get('actor')}")
    screen.data(shards=shown)
    screen.next("baluarte explain ID", "baluarte ledger verify")
    return 0


def _checkpoint(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    del args
    head = checkpoint(
        session.reader, signer=session.signer, verifier=session.verifier, clock=session.clock
    )
    screen.data(shards=head.size, root=head.root.hex())
    screen.item("Checkpoint", f"over {head.size} shards, root {head.root.hex()[:16]}…", "kept")
    screen.next("baluarte ledger proof LAST", "keep a copy of the checkpoint elsewhere")
    return 0


def _export(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    count = 0
    if args.out:
        aside = Path(args.out + ".part")
        with aside.open("wb") as out:
            for tag in session.reader.shards():
                for record in session.reader.records(tag):
                    out.write(record + b"\n")
                    count += 1
        aside.replace(args.out)
        screen.data(records=count, out=args.out)
        screen.item("Export", f"{count:,} records to {args.out}")
        screen.next("baluarte ledger verify")
        return 0
    for tag in session.reader.shards():
        for record in session.reader.records(tag):
            sys.stdout.buffer.write(record + b"\n")
    screen.as_json = False
    return 0
