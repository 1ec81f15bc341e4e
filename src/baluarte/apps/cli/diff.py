"""What changed between two versions: contract, data, features, figures, and what they decide."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec

from baluarte import wiring
from baluarte.adapters.disk import write_aside
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.compare_page import compare_page
from baluarte.apps.compare_words import (
    changed_line,
    contract_line,
    data_line,
    feature_line,
    figure_cells,
    lead,
    move_line,
    moved_reason,
    mover_line,
    paired_line,
    segment_line,
)
from baluarte.apps.comparing import bundle_named, events_of_file, events_of_ledger
from baluarte.apps.place import find_workspace
from baluarte.apps.session import session_of, texts_of
from baluarte.stages.compare import Comparison, SameEvents, compare

_MOST = 12  #: lines of a group; --json and --page have all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte diff``."""
    parser.add_argument("old", metavar="V1", help="DETECTOR@NUMBER, or a bundle's folder")
    parser.add_argument("new", metavar="V2", help="likewise")
    parser.add_argument(
        "--events", metavar="FILE", help="events to decide by both (default: the ledger's newest)"
    )
    parser.add_argument(
        "--sample", type=int, default=5_000, help="events of the ledger (default: 5000; 0: none)"
    )
    parser.add_argument(
        "--by", action="append", default=[], metavar="FIELD", help="tell events apart by a field"
    )
    parser.add_argument("--page", metavar="FILE", help="write it as a page that can be printed")


def run(args: argparse.Namespace) -> int:
    """Compare; exit 0 whatever differs."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    with session_of(args, place) as session:
        old, new = bundle_named(session, args.old), bundle_named(session, args.new)
        if args.events:
            shared = events_of_file(args.events, old, new, args.by)
        else:
            shared = events_of_ledger(session, new, args.by, max(0, args.sample))
        found = compare(old, new, shared, kernel=wiring.kernel_choice())
    _tell(screen, texts, found)
    screen.data(**msgspec.to_builtins(found))
    if args.page:
        write_aside(Path(args.page), compare_page(found, texts).encode())
        screen.item(texts.get("plan.page"), args.page)
        screen.data(page=args.page)
    screen.next(f"baluarte report evidence {found.new}", f"baluarte promote {found.new}")
    return screen.end()


def _tell(screen: Screen, texts: Texts, found: Comparison) -> None:
    screen.item(texts.get("diff.label"), lead(texts, found))
    _group(screen, texts, "contract", [contract_line(texts, c) for c in found.contract])
    _group(screen, texts, "features", [feature_line(texts, c) for c in found.features])
    _group(screen, texts, "data", [data_line(texts, c) for c in found.data])
    figures = [figure_cells(texts, pair.name, (pair.old, pair.new)) for pair in found.figures]
    _group(screen, texts, "figures", [f"{name}: {old} → {new}" for name, old, new in figures])
    if found.events is not None:
        _tell_events(screen, texts, found.events)


def _tell_events(screen: Screen, texts: Texts, events: SameEvents) -> None:
    lines = [changed_line(texts, events)]
    lines += [move_line(texts, move) for move in events.moves if move[0] != move[1]]
    lines += [paired_line(texts, pair) for pair in events.paired]
    if events.absent:
        lines.append(texts.get("diff.absent", fields=", ".join(events.absent)))
    _group(screen, texts, "events", lines)
    changed = [segment for segment in events.segments if segment.changed]
    if changed:
        _group(screen, texts, "segments", [segment_line(texts, s) for s in changed])
    label = texts.get("diff.label_movers")
    for mover in events.movers:
        reasons = " · ".join(moved_reason(texts, reason) for reason in mover.reasons[:3])
        screen.item(label, mover_line(texts, mover))
        screen.item("", reasons, "dim")
        label = ""


def _group(screen: Screen, texts: Texts, name: str, lines: Sequence[str]) -> None:
    label = texts.get(f"diff.label_{name}")
    for line in list(lines)[:_MOST] or [texts.get("diff.nothing")]:
        screen.item(label, line)
        label = ""
    if len(lines) > _MOST:
        screen.item("", texts.get("diff.more", n=len(lines) - _MOST), "dim")
