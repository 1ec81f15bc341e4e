"""``baluarte ledger index`` and ``export --parquet``: decisions by event, time and column."""

from __future__ import annotations

import argparse

from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.decided import Wanted
from baluarte.apps.exporting import export_decisions
from baluarte.apps.period import add_period, period_of
from baluarte.apps.session import Session
from baluarte.stages.index import rebuild, refresh


def add_index(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of ``baluarte ledger index``."""
    index = verbs.add_parser("index", help="bring the index over the ledger up to date")
    index.add_argument("--rebuild", action="store_true", help="drop it and read all records again")


def add_export(parser: argparse.ArgumentParser) -> None:
    """More arguments of ``baluarte ledger export``."""
    parser.add_argument(
        "--parquet", metavar="FILE|FOLDER", help="decisions as typed columns, for analysis"
    )
    parser.add_argument("--detector", help="--parquet: only decisions of this detector")
    add_period(parser)


def run_index(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> int:
    """Index the ledger."""
    with screen.progress(texts.get("index.label")) as bar:
        work = rebuild if args.rebuild else refresh
        done = work(session.index, session.reader, progress=bar)
    n = session.index.count()
    screen.item(
        texts.get("index.label"),
        texts.get("index.done", n=n, records=done.records, decisions=done.decisions),
        "kept",
    )
    if done.again:
        screen.item("", texts.get("index.again", shards=", ".join(done.again)), "unsure")
    screen.data(indexed=n, read=done.records, decisions=done.decisions, again=done.again)
    screen.next("baluarte explain EVENT_ID", "baluarte replay --since 1d")
    return 0


def run_parquet(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> int:
    """Export decisions."""
    since, until = period_of(args, now_us=session.clock.now_us())
    wanted = Wanted(detector=args.detector, since=since, until=until)
    with screen.progress(texts.get("export.label")) as bar:
        done = export_decisions(session, args.parquet, wanted, progress=bar)
    for path, n in done.items():
        screen.item(texts.get("export.label"), texts.get("export.done", n=n, path=path), "kept")
    screen.item("", texts.get("export.personal"), "dim")
    screen.data(files=[{"path": path, "rows": n} for path, n in done.items()])
    screen.next("baluarte ledger verify")
    return 0
