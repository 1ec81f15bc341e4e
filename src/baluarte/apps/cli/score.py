"""Score a file of events by the champion; every decision goes into the ledger."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from baluarte import wiring
from baluarte.apps.batch import score_file
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.gate_words import outcome_name
from baluarte.apps.intake import Intake
from baluarte.apps.place import find_workspace
from baluarte.apps.pseudonyms import sealed_pseudonyms
from baluarte.apps.session import named_version, session_of, texts_of
from baluarte.apps.windows_at_hand import closing_windows, session_windows
from baluarte.errors import DataError
from baluarte.stages.promote import find_version
from baluarte.stages.score import Scorer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte score``."""
    parser.add_argument("events", help="a file (CSV, Parquet, NDJSON, Arrow), object or database")
    parser.add_argument("--out", help="default: the events' name with -decisions")
    parser.add_argument("--version", metavar="DETECTOR[@N]", help="default: the champion")
    parser.add_argument("--threads", type=int, default=1, help="of the evaluator (default: 1)")
    parser.add_argument(
        "--no-record", action="store_true", help="leave the ledger alone: these decide nothing"
    )


def run(args: argparse.Namespace) -> int:
    """Score."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    name, number = named_version(args.version) if args.version else (None, None)
    detector = name or place.detector(None).name
    source = Path(args.events)
    out = args.out or str(source.with_name(f"{source.stem}-decisions{source.suffix}"))
    started = time.monotonic()
    with session_of(args, place) as session:
        version = (
            session.registry.champion(detector)
            if number is None
            else find_version(session.registry, detector, number)
        )
        if version is None:
            raise DataError(f"{detector} has no champion", hint="baluarte promote.")
        bundle = session.bundle(version.digest)
        sealed_pseudonyms(place.known_pseudonym_key(), bundle)  # refuses another key
        scorer = Scorer(bundle, kernel=wiring.kernel_choice())
        intake = Intake(place, detector, args.events)
        if not args.no_record:  # what is decided is recorded for good: read it to the end first
            intake.check(scorer.contract.events)
        windows = session_windows(session, scorer.contract, private=args.no_record)
        with screen.progress(texts.get("screen.score")) as bar, closing_windows(windows):
            done = score_file(
                scorer,
                args.events,
                out,
                source=intake,
                sink=wiring.sink_for(out),
                clock=session.clock,
                shard=None if args.no_record else session.shard,
                windows=windows,
                people=None if scorer.personal is None else session.people,
                batch_rows=place.workspace.limits.batch_rows,
                threads=args.threads,
                progress=bar,
            )
    took = time.monotonic() - started
    said = texts.get(
        "screen.scored",
        n=done.rows,
        version=f"{detector}@{done.version}",
        outcomes=_outcomes(texts, done.outcomes),
        rate=round(done.rows / max(took, 1e-9)),
        recorded=texts.get("screen.recorded" if done.recorded else "screen.unrecorded"),
    )
    screen.item(texts.get("screen.score"), said)
    intake.tell(screen, texts)
    screen.item(texts.get("screen.wrote"), out)
    screen.data(**msgspec.to_builtins(done), out=out, seconds=took)
    screen.next("baluarte explain LAST", "baluarte replay --sample 1000")
    return screen.end()


def _outcomes(texts: Texts, counts: Mapping[str, int]) -> str:
    """How many events of each outcome; an outcome that the author named stands as it is."""
    return ", ".join(
        f"{texts.written(n)} {outcome_name(texts, name)}" for name, n in counts.items()
    )
