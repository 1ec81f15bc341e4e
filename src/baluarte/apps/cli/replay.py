"""Compute past decisions again from their records, bit for bit, or name the first difference."""

from __future__ import annotations

import argparse
import random
import time

from baluarte import wiring
from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.place import find_workspace
from baluarte.apps.session import Session, session_of
from baluarte.core.decision import DecisionRecord
from baluarte.errors import DataError
from baluarte.stages.replay import Replayed, replay

_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte replay``."""
    parser.add_argument("ids", nargs="*", metavar="ID", help="decision ids, or LAST")
    parser.add_argument("--sample", type=int, metavar="N", help="N decisions drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    parser.add_argument("--detector", help="only decisions of this detector")


def run(args: argparse.Namespace) -> int:
    """Replay; exit 1 where a decision came out otherwise."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    with session_of(args, place) as session:
        records = _chosen(args, session)
        started = time.monotonic()
        found = replay(records, session.bundle, kernel=wiring.kernel_choice())
        took = time.monotonic() - started
    differ = [one for one in found if one.difference is not None]
    for one in differ[:_SHOWN]:
        screen.item(one.id, _named(one), "broken")
    identical = len(found) - len(differ)
    reasons = sum(one.n_reasons for one in found)
    screen.data(
        replayed=len(found),
        identical=identical,
        differences=[{"id": one.id, "difference": _named(one)} for one in differ],
    )
    tone: Tone = "broken" if differ else "kept"
    screen.item(
        "Replay",
        f"{identical:,} of {len(found):,} identical: features, score, points, outcome and "
        f"{reasons:,} reasons, to the last bit ({took:.1f} s)",
        tone,
    )
    screen.next("baluarte explain ID", "baluarte ledger verify")
    return screen.end(1 if differ else 0)


def _chosen(args: argparse.Namespace, session: Session) -> list[DecisionRecord]:
    if args.ids:
        return [session.last_decision() if i == "LAST" else session.decision(i) for i in args.ids]
    if args.sample is None:
        return list(session.decisions(args.detector))
    kept: list[DecisionRecord] = []
    draw = random.Random(args.seed)  # noqa: S311 - a repeatable sample, not a secret
    for seen, record in enumerate(session.decisions(args.detector)):
        if len(kept) < args.sample:
            kept.append(record)
        elif (at := draw.randrange(seen + 1)) < args.sample:
            kept[at] = record
    if not kept:
        raise DataError("the ledger has no decision yet", hint="baluarte serve, or score FILE.")
    return kept


def _named(one: Replayed) -> str:
    d = one.difference
    if d is None:
        return "identical"
    field = f" of {d.field}" if d.field else ""
    return f"{d.component}{field}: recorded {d.recorded}, computed {d.computed}"
