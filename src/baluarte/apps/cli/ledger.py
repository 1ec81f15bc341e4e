"""The ledger: verify all of it, prove one record, show its end, sign a checkpoint, export."""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from baluarte.adapters.disk import write_aside
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.ledger_tables import add_export, add_index, run_index, run_parquet
from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.cosigning import ask_all, newest_note, request_for, take_in
from baluarte.apps.gate_words import act_name, outcome_name
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
from baluarte.apps.session import Session, session_of, texts_of
from baluarte.apps.sweeping import settle_shards, sweep_ledger
from baluarte.apps.witness_words import tell_answers, tell_witnessed
from baluarte.core.checkpoint import read_note
from baluarte.errors import DataError
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
    texts = screen.speaks(texts_of(args, place))
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
        return screen.end(verbs[args.verb](args, session, screen, texts))


def _verify(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> int:
    kept = [kept_checkpoint(path, session) for path in args.against]
    with screen.progress(texts.get("ledger.verify")) as bar:
        report = verify_ledger(
            session.reader,
            session.verifier,
            witnesses=session.witnesses,
            kept=kept,
            progress=bar,
        )
    rows = []
    for shard in report.shards:
        tone: Tone = "broken" if shard.faults else "kept"
        screen.item(
            texts.get("ledger.shard", tag=shard.tag),
            texts.get(
                "ledger.shard_line" if shard.records else "ledger.shard_empty",
                n=shard.size,
                kinds=_kinds(texts, shard.records),
                signed=shard.signed_size,
                root=f"{shard.root.hex()[:16]}…",
            ),
            tone,
        )
        rows.append({"shard": shard.tag, "size": shard.size, "root": shard.root.hex()})
    tell_witnessed(report.witnessed, session, screen, texts)
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
        screen.item(texts.get("ledger.dropped_label"), texts.get("ledger.dropped", n=dropped))
    if report.gap_decisions:
        said = texts.get("ledger.gap", n=report.gap_decisions)
        screen.item(texts.get("ledger.gap_label"), said, "unsure")
    n_faults = len(report.all_faults)
    said = texts.get("ledger.holds", n=total) if holds else texts.get("ledger.faults", n=n_faults)
    screen.item(texts.get("ledger.label"), said, "kept" if holds else "broken")
    screen.next("baluarte ledger checkpoint" if holds else texts.get("ledger.keep_as_is"))
    return 4 if not holds else 1 if report.incidents else 0


def _kinds(texts: Texts, records: Mapping[str, int]) -> str:
    """How many records of each kind: decisions first, then the acts."""
    found = sorted(records.items(), key=lambda kind: (kind[0] != "decision", kind[0]))
    named = [
        (texts.get("ledger.decisions", n=n) if kind == "decision" else act_name(texts, kind), n)
        for kind, n in found
    ]
    return ", ".join(texts.get("ledger.kind", n=n, what=what) for what, n in named)


def _proof(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> int:
    if args.since:
        return _append_proof(args, session, screen, texts)
    tag, index = place_of(session, args.id or "LAST")
    if args.out:
        proof = write_proof_files(Path(args.out), session, tag, index)
        screen.data(shard=tag, index=index, out=args.out, hashes=len(proof.path))
        said = texts.get(
            "ledger.proof_files",
            out=args.out,
            place=f"{tag}/{index}",
            shard=len(proof.path),
            heads=len(proof.head_path),
        )
        screen.item(texts.get("ledger.proof"), said, "kept")
        screen.next(f"cd {args.out} && python3 verify.py checkpoint record.json proof keys.txt")
        return 0
    anchor = anchor_of(session)
    record, proof = Prover(session.reader, anchor).prove(tag, index)
    text = json.dumps(proof_document(record, proof, anchor), ensure_ascii=False, indent=2)
    sys.stdout.write(text + "\n")
    screen.as_json = False
    return 0


def _append_proof(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> int:
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
    said = texts.get(
        "ledger.append_proof", out=args.out, old=old.size, new=new.size, hashes=len(steps)
    )
    screen.item(texts.get("ledger.proof"), said)
    screen.next("python3 verify.py --append OLD checkpoint append-proof keys.txt")
    return 0


def _tail(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> int:
    shown: dict[str, list[object]] = {}
    reached: dict[str, int] = {}
    while True:
        for tag in session.reader.shards():
            size = session.reader.size(tag)
            start = reached.get(tag, max(0, size - args.n))
            shown.setdefault(tag, [])
            for data in session.reader.records(tag, start, size):
                shown[tag].append(_show(tag, data, screen, texts))
            reached[tag] = size
        if not args.follow:
            break
        shown.clear()
        time.sleep(_FOLLOW_S)
    screen.data(shards=shown)
    screen.next("baluarte explain ID", "baluarte ledger verify")
    return 0


def _show(tag: str, data: bytes, screen: Screen, texts: Texts) -> object:
    record = msgspec.json.decode(data)
    act = record.get("act")
    kind = act_name(texts, act) if act else outcome_name(texts, record["outcome"])
    about = record.get("detector") or texts.get("ledger.workspace")
    name = f"{about}@{record['version']}" if record.get("version") is not None else about
    screen.line(f"{tag}  {name:<20} {kind:<10} {record.get('id') or record.get('actor')}")
    return record


def _checkpoint(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> int:
    settle_shards(session, screen, texts)
    signed = session.sign_checkpoint()
    head = signed.checkpoint
    screen.data(shards=len(signed.heads), heads=head.size, origin=head.origin, root=head.root.hex())
    said = texts.get(
        "ledger.checkpoint_line",
        shards=len(signed.heads),
        heads=head.size,
        root=f"{head.root.hex()[:16]}…",
    )
    screen.item(texts.get("ledger.checkpoint"), said, "kept")
    if any(one.url is not None for one in session.place.workspace.checkpoints.witnesses):
        tell_answers(ask_all(session), session, screen, texts)
    if args.out:
        write_aside(Path(args.out), newest_note(session))
        screen.item(texts.get("ledger.copy"), args.out)
    screen.next("baluarte ledger proof LAST", texts.get("screen.keep_copy"))
    return 0


def _witness(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> int:
    if args.request:
        write_aside(Path(args.request), request_for(session, newest_note(session), args.old))
        screen.data(request=args.request)
        said = texts.get("ledger.request_line", file=args.request, n=args.old)
        screen.item(texts.get("ledger.request"), said)
        screen.next(f"baluarte witness sign FOLDER {args.request} --out ANSWER")
        return 0
    if args.add:
        try:
            data = Path(args.add).read_bytes()
        except OSError as error:
            raise DataError(f"can't be read: {error.strerror}", where=args.add) from error
        answers = take_in(session, data)
    else:
        answers = ask_all(session)
    enough = tell_answers(answers, session, screen, texts)
    screen.next("baluarte ledger verify")
    return 0 if enough else 1


def _export(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> int:
    if args.parquet:
        return run_parquet(args, session, screen, texts)
    if args.tiles:
        written = export_tiles(Path(args.tiles), session)
        records = sum(n for name, n in written.items() if name != "heads")
        screen.data(records=records, out=args.tiles, logs=written)
        shards = len(written) - 1
        said = texts.get("ledger.exported_tiles", n=records, shards=shards, path=args.tiles)
        screen.item(texts.get("export.label"), said)
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
        said = texts.get("ledger.exported", n=count, path=args.out)
        screen.item(texts.get("export.label"), said)
        screen.next("baluarte ledger verify")
        return 0
    for tag in session.reader.shards():
        for record in session.reader.records(tag):
            sys.stdout.buffer.write(record + b"\n")
    screen.as_json = False
    return 0


def _verifier(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> int:
    del session
    if not args.out:
        sys.stdout.write(verifier_source().decode())
        screen.as_json = False
        return 0
    write_aside(Path(args.out), verifier_source())
    screen.data(out=args.out)
    said = texts.get("ledger.verifier_line", out=args.out)
    screen.item(texts.get("ledger.verifier"), said)
    screen.next(f"python3 {args.out} --help")
    return 0
