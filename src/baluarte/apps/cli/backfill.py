"""Warm the memory of window features with events of the past: made anew, then kept.

The file's events are shown in the order of time, with their labels where they have any; then what
the ledger decided beside them. A file of any size takes the memory of a batch, and room for a copy
of what the features read in the folder for temporary files. Nothing is decided and nothing is
recorded. Stop the server first where the state is kept in memory.
"""

from __future__ import annotations

import argparse
import time

import msgspec

from baluarte.adapters.history_file import HistoryFile
from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.intake import Intake
from baluarte.apps.place import find_workspace
from baluarte.apps.session import session_of, texts_of
from baluarte.apps.windows_at_hand import closing_windows, session_windows
from baluarte.errors import ContractError, DataError
from baluarte.stages.derive import past_events

#: What the rules did beside remembering, each a line where it happened; unsure where values differ.
_COUNTERS: dict[str, Tone] = {
    "too_late": "unsure",
    "too_early": "unsure",
    "repeats": "unsure",
    "labels": "plain",
    "labels_too_late": "unsure",
    "folded": "plain",
    "entities_forgotten": "unsure",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte backfill``."""
    parser.add_argument("events", help="events of the past, as baluarte score reads them")
    parser.add_argument("--detector", help="default: the one of this folder")


def run(args: argparse.Namespace) -> int:
    """Backfill."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    detector = place.detector(args.detector)
    texts = screen.speaks(texts_of(args, place))
    started = time.monotonic()
    with session_of(args, place) as session:
        champion = session.registry.champion(detector.name)
        contract = session.bundle(champion.digest).contract if champion else detector.contract()
        windows = session_windows(session, contract)
        if windows is None:
            raise ContractError(
                f"{detector.name} declares no window features, so there is nothing to warm",
                where=str(detector.path),
                hint="Write [windows.NAME] tables: docs/guides/windows.md.",
            )
        with closing_windows(windows), screen.progress(texts.get("backfill.label")) as bar:
            intake = Intake(place, detector.name, args.events)
            with HistoryFile(windows.plan) as history:
                # All of it is read before anything that is known is forgotten.
                for events in intake.read(intake.address, contract.events):
                    history.add(past_events(windows.plan, contract, events))
                if not history.n:
                    raise DataError("expected events, found none", where=args.events)
                windows.backfill(history, progress=bar)
            counts = windows.count()
    intake.tell(screen, texts)
    took = texts.numerals.number(round(time.monotonic() - started, 1))
    said = texts.get("backfill.done", events=counts.events, entities=counts.entities)
    screen.item(texts.get("backfill.label"), f"{said} ({took} s)")
    figures = msgspec.to_builtins(counts)
    for name, tone in _COUNTERS.items():
        if figures[name]:
            screen.item("", texts.get(f"backfill.{name}", n=figures[name]), tone)
    screen.data(**figures)
    screen.next("baluarte serve", "baluarte score FILE")
    return screen.end()
