"""Take labels in from a file, an object or a database: event id, label, when and by whom."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.intake import Intake, shown
from baluarte.apps.labelling import read_labels, take_labels
from baluarte.apps.place import find_workspace
from baluarte.apps.pseudonyms import pseudonyms_of
from baluarte.apps.session import Session, add_actor, session_of, texts_of
from baluarte.core.label_rows import delays_days
from baluarte.core.registry import LabelRow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte label``."""
    parser.add_argument(
        "file",
        nargs="?",
        help="address of event_id, label and optional at and source (default: as workspace.toml "
        "says)",
    )
    parser.add_argument("--detector", help="default: the one of this folder")
    parser.add_argument("--source", default="", help="who says so (default: the file's name)")
    parser.add_argument("--conflicts", action="store_true", help="show where sources differ")
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Take labels in, or show the conflicts."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    detector = place.detector(args.detector)
    texts = screen.speaks(texts_of(args, place))
    address = args.file or detector.labels
    with session_of(args, place) as session:
        if args.conflicts or not address:
            return _show_conflicts(screen, session, detector.name)
        source = args.source or Path(shown(address)).name
        intake = Intake(place, detector.name, address)
        contract = detector.contract()
        rows = read_labels(
            intake,
            contract,
            source=source,
            taken_at=session.clock.now_us(),
            pseudonyms=pseudonyms_of(place, contract.events),
        )
        intake.tell(screen, texts)
        counts = take_labels(session, detector.name, rows, source=source, reason=args.reason)
        screen.item(texts.get("screen.label"), texts.get("label.taken", **counts))
        _tell_delays(screen, texts, session, detector.name, rows)
    if counts["conflicts"]:
        said = texts.get("label.conflicts_kept", command="baluarte label --conflicts")
        screen.item("", said, "unsure")
    screen.data(**counts)
    screen.next("baluarte watch --once", "baluarte retrain")
    return screen.end()


def _show_conflicts(screen: Screen, session: Session, detector: str) -> int:
    rows = session.registry.label_conflicts(detector)
    for row in rows:
        at = datetime.fromtimestamp(row.at / 1e6, UTC).strftime("%Y-%m-%d %H:%M")
        screen.line(f"{row.event_id}  {row.label}  {row.source}  {at}")
    screen.data(
        conflicts=[
            {"event_id": r.event_id, "label": r.label, "source": r.source, "at": r.at} for r in rows
        ]
    )
    screen.next("baluarte label FILE")
    return screen.end()


def delay_line(texts: Texts, typical: float, late: float) -> str:
    """How many days half of the labels took, and nine in ten; once where that is the same."""
    told = {"typical": round(typical, 1), "late": round(late, 1)}
    alike = texts.written(told["typical"]) == texts.written(told["late"])
    return texts.get("label.delay_one" if alike else "label.delay", **told)


def _tell_delays(
    screen: Screen, texts: Texts, session: Session, detector: str, rows: list[LabelRow]
) -> None:
    """How long the labels took, and how many are of events that were never decided."""
    named = {row.event_id for row in rows}
    decided = session.indexed().of_events(sorted(named), detector=detector)
    happened = {event_id: found[-1].event_at for event_id, found in decided.items()}
    unknown = len(named - happened.keys())
    delays = delays_days(rows, happened)
    if delays:
        typical, late = delays[len(delays) // 2], delays[(9 * len(delays)) // 10]
        screen.item("", delay_line(texts, typical, late))
        screen.data(delay_days={"median": typical, "nine_in_ten": late})
    if unknown:
        screen.item("", texts.get("label.unknown", n=unknown), "unsure")
    screen.data(never_decided=unknown)
