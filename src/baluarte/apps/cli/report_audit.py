"""``baluarte report audit-pack``: what an auditor takes along, and checks alone."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.place import find_workspace
from baluarte.apps.session import session_of, texts_of
from baluarte.core.decision import ActRecord
from baluarte.errors import DataError


def add_audit(parser: argparse.ArgumentParser) -> None:
    """The arguments that only an audit pack has."""
    parser.add_argument(
        "--sample", type=int, default=60, metavar="N", help="audit-pack: decisions (default: 60)"
    )
    parser.add_argument("--out", metavar="PATH", help="audit-pack: a folder, or a file FILE.zip")


def run_audit(args: argparse.Namespace, screen: Screen) -> int:
    """Write the pack; exit 1 where a decision came out otherwise or a version doesn't hold."""
    from baluarte.apps.audit import audit  # noqa: PLC0415 - each report its own
    from baluarte.apps.audit_files import SUMS, pack_files, write_pack  # noqa: PLC0415 - likewise

    if args.sample < 1 or args.seed < 0:
        raise DataError("expected a sample of 1 or more and a seed of 0 or more")
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    out = Path(args.out or f"audit-{args.seed}")
    with session_of(args, place) as session:
        found = audit(session, n=args.sample, seed=args.seed, detector=args.version)
        files = pack_files(found, session, texts)
        write_pack(out, files)
        session.record_act(
            ActRecord(
                at=session.clock.now_us(),
                act="export",
                actor=session.actor,
                detector=found.detector or "",
                reason="audit pack",
                details={
                    "seed": found.seed,
                    "decisions": len(found.decisions),
                    "sums": hashlib.sha256(files[SUMS]).hexdigest(),
                },
            )
        )
    tone: Tone = "kept" if found.holds else "broken"
    screen.item(
        texts.get("audit.label"),
        texts.get(
            "audit.said", n=len(found.decisions), identical=found.n_identical, acts=len(found.acts)
        ),
        tone,
    )
    screen.item(texts.get("plan.page"), str(out if out.suffix == ".zip" else out / "index.html"))
    screen.data(
        out=str(out),
        seed=found.seed,
        decisions=[one.record.id for one in found.decisions],
        identical=found.n_identical,
        erased=found.n_erased,
        different=found.n_different,
        acts=len(found.acts),
        witnesses=sorted(found.anchor.witnesses),
    )
    screen.next(f"cd {out.with_suffix('')} && python3 verify.py --pack . checkpoint KEYS")
    return screen.end(0 if found.holds else 1)
