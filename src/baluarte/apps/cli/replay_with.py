"""``baluarte replay --with VERSION``: what would that version have decided, and at what cost?"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import msgspec

from baluarte import wiring
from baluarte.adapters.disk import write_aside
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.comparing import bundle_named, segment_fields
from baluarte.apps.decided import Wanted, batches
from baluarte.apps.period import period_of
from baluarte.apps.session import Session
from baluarte.apps.whatif_page import whatif_page
from baluarte.apps.whatif_words import (
    alerts_line,
    changed_lines,
    costs_line,
    gap_line,
    judged_cells,
    labels_line,
    lead,
    move_lines,
    paired_lines,
    pairs,
    part_cells,
    read_line,
)
from baluarte.core.decision import DecisionRecord
from baluarte.core.whatif import WhatIf
from baluarte.errors import DataError, TrustError
from baluarte.stages.score import Kernel
from baluarte.stages.whatif import what_if

_MOST = 12  #: lines of a group; --json and --page have all


def run_with(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> int:
    """Ask, and tell; exit 0 whatever differs."""
    if args.ids or args.sample is not None:
        raise DataError("--with takes --since and --until, no ids and no sample")
    if args.kernel == "both":
        raise DataError("--with takes one kernel: both give the same bits", where="--kernel")
    bundle = bundle_named(session, args.version)
    name = bundle.manifest.name
    if args.detector not in {None, name}:
        raise DataError(f"expected a version of {args.detector}; found {args.version}")
    since, until = period_of(args, now_us=session.clock.now_us())
    started = time.monotonic()
    with screen.progress(texts.get("whatif.label")) as bar:
        found = what_if(
            (
                _sound(batch.records, [one.id for one in batch.damaged])
                for batch in batches(
                    session, Wanted(detector=name, since=since, until=until), progress=bar
                )
            ),
            bundle,
            labels_of=lambda events: session.registry.labels_of(name, events),
            open_bundle=session.bundle,
            unsealer=session.unsealer,
            fields=segment_fields(bundle.contract.events, args.by),
            kernel=_kernel(args.kernel),
        )
    took = time.monotonic() - started
    if not found.n:
        raise DataError(
            f"no decision of {name} was made then",
            where=str(session.place.ledger),
            hint="baluarte serve, or baluarte score FILE.",
        )
    _tell(screen, texts, found)
    rate = found.n / max(took, 1e-9)
    screen.item("", texts.get("whatif.rate", seconds=round(took, 1), rate=round(rate)), "dim")
    screen.data(**_document(found), seconds=round(took, 3))
    if args.page:
        write_aside(Path(args.page), whatif_page(found, texts).encode())
        screen.item(texts.get("plan.page"), args.page)
        screen.data(page=args.page)
    screen.next(f"baluarte report evidence {found.version}", f"baluarte promote {found.version}")
    return screen.end()


def _kernel(said: str | None) -> Kernel:
    match said:
        case "auto" | "c" | "numpy":
            return said
    return wiring.kernel_choice()


def _sound(records: list[DecisionRecord], damaged: list[str]) -> list[DecisionRecord]:
    if damaged:
        raise TrustError(
            "a record can't be read as a decision, or stands in a wrong place",
            where=", ".join(damaged[:5]),
            hint="baluarte replay names what is wrong, baluarte ledger verify the change.",
        )
    return records


def _tell(screen: Screen, texts: Texts, found: WhatIf) -> None:
    screen.item(texts.get("whatif.label"), lead(texts, found))
    screen.item("", read_line(texts, found), "dim")
    if found.erased:
        screen.item("", texts.get("whatif.erased", n=found.erased), "unsure")
    for gap in found.gaps:
        screen.item("", gap_line(texts, gap), "unsure")
    _group(screen, texts.get("whatif.label_changes"), move_lines(texts, found))
    _group(screen, "", changed_lines(texts, found))
    screen.item(texts.get("whatif.label_labels"), labels_line(texts, found))
    if found.attacks + found.others:
        names = ("caught", "missed", "false", "cost")
        rows = zip(
            names,
            judged_cells(texts, found, found.old),
            judged_cells(texts, found, found.new),
            strict=True,
        )
        label = texts.get("whatif.label_cost")
        for name, old, new in rows:
            screen.item(label, f"{texts.get(f'whatif.row_{name}'):<24} {old:>16} → {new}")
            label = ""
        screen.item("", costs_line(texts, found), "dim")
        _group(screen, "", paired_lines(texts, found))
    screen.item(texts.get("whatif.label_days"), alerts_line(texts, found))
    changed = [part for part in found.segments if part.changed]
    cells = [part_cells(texts, part) for part in changed]
    _group(
        screen,
        texts.get("diff.label_segments"),
        [texts.get("whatif.segment", name=c[0], n=c[1], changed=c[2], alerts=c[3]) for c in cells],
    )
    if len(changed) > _MOST:
        screen.item("", texts.get("diff.more", n=len(changed) - _MOST), "dim")


def _group(screen: Screen, label: str, lines: list[str]) -> None:
    for line in lines[:_MOST]:
        screen.item(label, line)
        label = ""


def _document(found: WhatIf) -> dict[str, object]:
    old, new = found.alerts_a_day()
    document: dict[str, object] = msgspec.to_builtins(found)
    return document | {
        "unlabelled": found.unlabelled,
        "alerts_a_day": [old, new],
        "paired": msgspec.to_builtins(pairs(found)),
    }
