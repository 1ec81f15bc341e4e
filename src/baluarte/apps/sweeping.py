"""Keep the ledger in order: settle shards nobody owns, compress, drop what is past its time."""

from __future__ import annotations

import argparse
import contextlib

from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.session import Session
from baluarte.core.retention import CLASSES
from baluarte.errors import OutsideError
from baluarte.stages.index import forget
from baluarte.stages.sweep import sweep


def settle_shards(session: Session, screen: Screen, texts: Texts) -> None:
    """Recover what shards without an owner hold behind their heads, so that it is signed, too."""
    with contextlib.suppress(OutsideError), session.keeper() as keeper:
        for tag in keeper.settle():
            screen.item(texts.get("ledger.shard", tag=tag), texts.get("sweep.settled"))


def sweep_ledger(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> int:
    """Do what ``baluarte ledger sweep`` was asked for."""
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
    key = "would" if args.dry_run else "did"
    for tag in report.settled:
        screen.item(texts.get("ledger.shard", tag=tag), texts.get("sweep.settled"))
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
