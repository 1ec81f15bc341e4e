"""The ledger: verify all of it, prove one record, show its end, sign a checkpoint, export."""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
from pathlib import Path

import msgspec

from baluarte.adapters.disk import write_aside
from baluarte.apps.cli.ledger_tables import add_export, add_index, run_index, run_parquet
from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.cosigning import ask_all, newest_note, request_for, take_in
from baluarte.apps.place import find_workspace
from baluarte.apps.proving import (
    anchor_of,
    export_tiles,
    kept_checkpoint,
    place_of,
    proof_document,
    verifier_source,
    write_proof_files,
)
from baluarte.apps.session import Session, session_of
from baluarte.apps.sweeping import settle_shards, sweep_ledger
from baluarte.apps.witness_words import tell_answers, tell_witnessed
from baluarte.core.checkpoint import read_note
from baluarte.stages.proofs import Prover, append_proof
from baluarte.stages.verify import verify_ledger

_FOLLOW_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte ledger``."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verify = verbs.add_parser("verify", help="read every record and hold it to every checkpoint")
    verify.add_argument(
        "--against", action="append", default=[], metavar="FILE",
        help="a checkpoint that was kept elsewhere: finds what was cut off or forked",
    )  # fmt: skip
    proof = verbs.add_parser("proof", help="a record with its proof, or that the log only grew")
    proof.add_argument("id", nargs="?", help="a decision's id, LAST, or TAG/INDEX of any record")
    proof.add_argument("--out", help="a folder for all that an auditor needs (default: as JSON)")
    proof.add_argument(
        "--since", metavar="FILE",
        help="prove instead that the newest checkpoint only added to the one in this file",
    )  # fmt: skip
    tail = verbs.add_parser("tail", help="the newest records")
    tail.add_argument("-n", type=int, default=10, help="how many of each shard (default: 10)")
    tail.add_argument("--follow", action="store_true", help="go on with what is written next")
    sign = verbs.add_parser("checkpoint", help="sign how far the ledger is; ask the witnesses")
    sign.add_argument("--out", help="a copy of it, to be kept elsewhere")
    swept = verbs.add_parser("sweep", help="compress what is old, drop what is past its retention")
    swept.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")
    swept.add_argument("--idle", action="store_true", help="nothing was recorded for over a year")
    export = verbs.add_parser("export", help="every record as a line of JSON, or as tiles")
    export.add_argument("--out", help="a file (default: standard output)")
    export.add_argument("--tiles", metavar="FOLDER", help="C2SP tiles that any client reads")
    add_export(export)
    add_index(verbs)
    witness = verbs.add_parser("witness", help="cosignatures of the newest checkpoint")
    witness.add_argument("--request", metavar="FILE", help="write what a witness is asked")
    witness.add_argument("--old", type=int, default=0, help="entries that it saw last (default: 0)")
    witness.add_argument("--add", metavar="FILE", help="take in what a witness answered")
    verifier = verbs.add_parser("verifier", help="the offline verifier, one file of Python")
    verifier.add_argument("--out", help="a file (default: standard output)")


def run(args: argparse.Namespace) -> int:
    """Do one verb."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    verbs = {
        "verify": _verify,
        "proof": _proof,
        "tail": _tail,
        "checkpoint": _checkpoint,
        "sweep": sweep_ledger,
        "export": _export,
        "index": run_index,
        "witness": _witness,
        "verifier": _verifier,
    }
    with session_of(args, place) as session:
        return screen.end(verbs[args.verb](args, session, screen))


def _verify(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    kept = [kept_checkpoint(path, session) for path in args.against]
    with screen.progress("Verify") as bar:
        report = verify_ledger(
            session.reader,
            session.verifier,
            witnesses=session.witnesses,
            kept=kept,
            progress=bar,
        )
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
    tell_witnessed(report.witnessed, session, screen)
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
        checkpoints=report.n_heads,
        heads=report.n_entries,
        against=len(kept),
        faults=[str(fault) for fault in report.all_faults],
        incidents=[str(fault) for fault in report.incidents],
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
    if args.since:
        return _append_proof(args, session, screen)
    tag, index = place_of(session, args.id or "LAST")
    if args.out:
        proof = write_proof_files(Path(args.out), session, tag, index)
        screen.data(shard=tag, index=index, out=args.out, hashes=len(proof.path))
        screen.item(
            "Proof",
            f"{args.out}: record {tag}/{index}, {len(proof.path)} + {len(proof.head_path)} hashes, "
            "checkpoint, keys, verifier",
            "kept",
        )
        screen.next(f"cd {args.out} && python3 verify.py checkpoint record.json proof keys.txt")
        return 0
    anchor = anchor_of(session)
    record, proof = Prover(session.reader, anchor).prove(tag, index)
    text = json.dumps(proof_document(record, proof, anchor), ensure_ascii=False, indent=2)
    sys.stdout.write(text + "\n")
    screen.as_json = False
    return 0


def _append_proof(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    old, _ = read_note(kept_checkpoint(args.since, session), where=args.since)
    note = newest_note(session)
    new, _ = read_note(note, where="checkpoint")
    steps = append_proof(session.reader, old, new)
    text = "".join(f"{base64.b64encode(step).decode()}\n" for step in steps)
    if not args.out:
        sys.stdout.write(text)
        screen.as_json = False
        return 0
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (("checkpoint", note), ("append-proof", text.encode())):
        write_aside(folder / name, data)
    write_aside(folder / "verify.py", verifier_source())
    screen.data(old=old.size, new=new.size, hashes=len(steps), out=args.out)
    screen.item("Proof", f"{args.out}: {old.size:,} → {new.size:,} entries, {len(steps)} hashes")
    screen.next("python3 verify.py --append OLD checkpoint append-proof keys.txt")
    return 0


def _tail(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    shown: dict[str, list[object]] = {}
    reached: dict[str, int] = {}
    while True:
        for tag in session.reader.shards():
            size = session.reader.size(tag)
            start = reached.get(tag, max(0, size - args.n))
            shown.setdefault(tag, [])
            for data in session.reader.records(tag, start, size):
                shown[tag].append(_show(tag, data, screen))
            reached[tag] = size
        if not args.follow:
            break
        shown.clear()
        time.sleep(_FOLLOW_S)
    screen.data(shards=shown)
    screen.next("baluarte explain ID", "baluarte ledger verify")
    return 0


def _show(tag: str, data: bytes, screen: Screen) -> object:
    record = msgspec.json.decode(data)
    kind = record.get("act") or record.get("outcome")
    about = record.get("detector") or "workspace"
    name = f"{about}@{record['version']}" if record.get("version") is not None else about
    screen.line(f"{tag}  {name:<20} {kind:<10} {record.get('id') or record.get('actor')}")
    return record


def _checkpoint(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    settle_shards(session, screen)
    signed = session.sign_checkpoint()
    head = signed.checkpoint
    screen.data(shards=len(signed.heads), heads=head.size, origin=head.origin, root=head.root.hex())
    screen.item(
        "Checkpoint",
        f"over {len(signed.heads)} shards, {head.size:,} heads so far, "
        f"root {head.root.hex()[:16]}…",
        "kept",
    )
    if any(one.url is not None for one in session.place.workspace.checkpoints.witnesses):
        tell_answers(ask_all(session), session, screen)
    if args.out:
        write_aside(Path(args.out), newest_note(session))
        screen.item("Copy", args.out)
    screen.next("baluarte ledger proof LAST", "keep a copy of the checkpoint elsewhere")
    return 0


def _witness(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    if args.request:
        write_aside(Path(args.request), request_for(session, newest_note(session), args.old))
        screen.data(request=args.request)
        screen.item("Request", f"{args.request}: for a witness that saw {args.old:,} entries last")
        screen.next(f"baluarte witness sign FOLDER {args.request} --out ANSWER")
        return 0
    if args.add:
        try:
            data = Path(args.add).read_bytes()
        except OSError as error:
            screen.line(f"{args.add}: {error.strerror}", "broken")
            return 3
        answers = take_in(session, data)
    else:
        answers = ask_all(session)
    enough = tell_answers(answers, session, screen)
    screen.next("baluarte ledger verify")
    return 0 if enough else 1


def _export(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    if args.parquet:
        return run_parquet(args, session, screen)
    if args.tiles:
        written = export_tiles(Path(args.tiles), session)
        records = sum(n for name, n in written.items() if name != "heads")
        screen.data(records=records, out=args.tiles, logs=written)
        screen.item("Export", f"{records:,} records of {len(written) - 1} shards to {args.tiles}")
        screen.next(f"python3 verify.py --ledger {args.tiles} {args.tiles}/heads/checkpoint KEYS")
        return 0
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


def _verifier(args: argparse.Namespace, session: Session, screen: Screen) -> int:
    del session
    if not args.out:
        sys.stdout.write(verifier_source().decode())
        screen.as_json = False
        return 0
    write_aside(Path(args.out), verifier_source())
    screen.data(out=args.out)
    screen.item("Verifier", f"{args.out}: needs Python 3.9 or later and nothing else")
    screen.next(f"python3 {args.out} --help")
    return 0
