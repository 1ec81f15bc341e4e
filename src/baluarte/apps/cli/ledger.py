"""The ledger: verify all of it, prove one decision, show its end, sign a checkpoint, export."""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import sys
from pathlib import Path

import msgspec

from baluarte.apps.cli.ledger_tables import add_export, add_index, run_index, run_parquet
from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.place import find_workspace
from baluarte.apps.session import Session, session_of, texts_of
from baluarte.core.checkpoint import LEDGER_ORIGIN
from baluarte.core.ids import parse_id
from baluarte.core.merkle import inclusion_proof, leaf_hash, verify_inclusion
from baluarte.core.retention import CLASSES
from baluarte.errors import DataError, OutsideError
from baluarte.stages.checkpoint import checkpoint
from baluarte.stages.index import forget
from baluarte.stages.sweep import sweep
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
    swept = verbs.add_parser("sweep", help="compress what is old, drop what is past its retention")
    swept.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")
    swept.add_argument("--idle", action="store_true", help="nothing was recorded for over a year")
    export = verbs.add_parser("export", help="every record as a line of JSON")
    export.add_argument("--out", help="a file (default: standard output)")
    add_export(export)
    add_index(verbs)


def run(args: argparse.Namespace) -> int:
    """Do one verb."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    verbs = {
        "verify": _verify,
        "proof": _proof,
        "tail": _tail,
        "checkpoint": _checkpoint,
        "sweep": _sweep,
        "export": _export,
        "index": run_index,
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
    for fault in (*report.all_faults, *report.incidents):
        screen.line(str(fault), "broken")
    total = sum(shard.size for shard in report.shards)
    holds = not report.all_faults
    dropped = sum(shard.dropped for shard in report.shards)
    screen.data(
        holds=holds,
        records=total,
        dropped=dropped,
        events=report.events,
        gap_decisions=report.gap_decisions,
        shards=rows,
        faults=[str(f) for f in report.all_faults],
        incidents=[str(f) for f in report.incidents],
    )
    if dropped:
        screen.item("Dropped", f"{dropped:,} records past their retention, each accounted for")
    if report.gap_decisions:
        n = report.gap_decisions
        screen.item("Gap", f"{n:,} decisions were answered without a record: ledger tail", "unsure")
    said = f"{total:,} records hold" if holds else f"{len(report.all_faults)} faults"
    screen.item("Ledger", said, "kept" if holds else "broken")
    screen.next(
        "baluarte ledger checkpoint" if holds else "keep it as it is; restore a copy beside it"
    )
    return 4 if not holds else 1 if report.incidents else 0


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
    _settle(session, screen)
    head = checkpoint(
        session.reader, signer=session.signer, verifier=session.verifier, clock=session.clock
    )
    screen.data(shards=head.size, root=head.root.hex())
    screen.item("Checkpoint", f"over {head.size} shards, root {head.root.hex()[:16]}…", "kept")
    screen.next("baluarte ledger proof LAST", "keep a copy of the checkpoint elsewhere")
    return 0


def _settle(session: Session, screen: Screen) -> None:
    """Recover what shards without an owner hold behind their heads, so that it is signed, too."""
    with contextlib.suppress(OutsideError), session.keeper() as keeper:
        for tag in keeper.settle():
            screen.item(f"Shard {tag}"[:12], "had no owner and was not closed: recovered")


def _sweep(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    settings = session.place.workspace.ledger
    with session.keeper() as keeper:
        report = sweep(
            session.reader,
            keeper,
            session.new_shard,
            retention=settings.retention,
            cold_after_days=settings.cold_after_days,
            clock=session.clock,
            actor=session.actor,
            idle=args.idle,
            dry_run=args.dry_run,
        )
    texts = texts_of(args, session.place)
    key = "would" if args.dry_run else "did"
    for tag in report.settled:
        screen.item(f"Shard {tag}"[:12], texts.get("sweep.settled"))
    kept = [k for k in CLASSES if settings.retention.days(k) is None]
    for kind in CLASSES:
        days = settings.retention.days(kind)
        if days is not None:
            n = report.dropped.get(kind, 0)
            said = texts.get(f"sweep.{key}_drop", n=n, days=days)
            screen.item(texts.get(f"sweep.{kind}"), said)
    if kept:
        names = ", ".join(texts.get(f"sweep.{kind}") for kind in kept)
        screen.item(texts.get("sweep.for_ever"), names)
    screen.item(texts.get("sweep.segments"), texts.get(f"sweep.{key}_cool", n=report.cooled))
    if report.rewritten and not args.dry_run:
        forget(session.index)  # of what was dropped nothing stays there, either
    screen.data(
        dry_run=args.dry_run,
        settled=list(report.settled),
        compressed=report.cooled,
        rewritten=report.rewritten,
        dropped={kind: report.dropped.get(kind, 0) for kind in CLASSES},
    )
    screen.next("baluarte ledger sweep" if args.dry_run else "baluarte ledger checkpoint")
    return 0


def _export(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    if args.parquet:
        return run_parquet(args, session, screen)
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
