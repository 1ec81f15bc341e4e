"""Take labels in from a file: event id, label, and when it was said."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from baluarte.apps.cli.screen import Screen
from baluarte.apps.place import find_workspace
from baluarte.apps.session import Session, add_actor, session_of, texts_of
from baluarte.core.contract import Contract
from baluarte.core.decision import ActRecord
from baluarte.core.registry import LabelRow
from baluarte.errors import DataError, Fault, OutsideError

_MAX_FAULTS = 20
_TRUE, _FALSE = {"1", "true", "yes", "attack"}, {"0", "false", "no"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte label``."""
    parser.add_argument("file", nargs="?", help="CSV or NDJSON with event_id, label, at (optional)")
    parser.add_argument("--detector", help="default: the one of this folder")
    parser.add_argument("--source", default="", help="who says so (default: the file's name)")
    parser.add_argument("--conflicts", action="store_true", help="show where sources differ")
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Take labels in, or show the conflicts."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    detector = place.detector(args.detector)
    texts = texts_of(args, place)
    with session_of(args, place) as session:
        if args.conflicts or not args.file:
            rows = session.registry.label_conflicts(detector.name)
            for row in rows:
                screen.line(f"{row.event_id}  {row.label}  {row.source}")
            screen.data(conflicts=[[r.event_id, r.label, r.source] for r in rows])
            screen.next("baluarte label FILE")
            return screen.end()
        source = args.source or Path(args.file).name
        rows = list(
            read_labels(
                Path(args.file),
                detector.contract(),
                source=source,
                now_us=session.clock.now_us(),
            )
        )
        counts = take_labels(session, detector.name, rows, source=source, reason=args.reason)
    screen.item("Label", texts.get("label.taken", **counts))
    if counts["conflicts"]:
        said = texts.get("label.conflicts_kept", command="baluarte label --conflicts")
        screen.item("", said, "unsure")
    screen.data(**counts)
    screen.next("baluarte watch --once", "baluarte retrain")
    return screen.end()


def take_labels(
    session: Session, detector: str, rows: list[LabelRow], *, source: str, reason: str = ""
) -> dict[str, int]:
    """Record the intake in the ledger, then keep the labels; what was new and what contradicted."""
    session.record_act(
        ActRecord(
            at=session.clock.now_us(),
            act="label",
            actor=session.actor,
            detector=detector,
            reason=reason,
            details={"rows": len(rows), "source": source},
        )
    )
    taken = session.registry.add_labels(detector, rows)
    same = len(rows) - taken.new - taken.corrections - taken.conflicts
    return {
        "new": taken.new,
        "same": max(0, same),
        "corrections": taken.corrections,
        "conflicts": taken.conflicts,
    }


def read_labels(path: Path, contract: Contract, *, source: str, now_us: int) -> Iterator[LabelRow]:
    """Labels from a file; a label is 0 or 1, or a value that the contract's label rule decides.

    Raises:
        DataError: every row that can't be read, with its line.
        OutsideError: the file can't be read.
    """
    faults: list[Fault] = []
    rows: list[LabelRow] = []
    for line, cells in _cells(path):
        where = f"{path.name}:{line}"
        event_id, said = cells.get("event_id"), cells.get("label")
        if not event_id:
            faults.append(Fault("expected event_id; found none", where))
            continue
        label = _label(said, contract)
        if label is None:
            faults.append(Fault(f"expected label 0 or 1; found {said!r}", where))
            continue
        at = _instant(cells.get("at"), now_us)
        if at is None:
            faults.append(Fault(f"expected at as RFC 3339; found {cells.get('at')!r}", where))
            continue
        rows.append(LabelRow(event_id=event_id, label=label, at=at, source=source))
    if faults:
        more = [Fault(f"and {len(faults) - _MAX_FAULTS} more", path.name)]
        raise DataError.of(faults[:_MAX_FAULTS] + (more if len(faults) > _MAX_FAULTS else []))
    yield from rows


def _cells(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("expected UTF-8", where=path.name) from error
    except OSError as error:
        raise OutsideError(f"can't be read: {error.strerror}", where=str(path)) from error
    if path.suffix in {".ndjson", ".jsonl"}:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    values = json.loads(line)
                except ValueError as error:
                    raise DataError(
                        f"expected JSON: {error}", where=f"{path.name}:{number}"
                    ) from error
                yield number, {k: str(v) for k, v in values.items() if v is not None}
        return
    reader = csv.DictReader(text.splitlines())
    missing = {"event_id", "label"} - set(reader.fieldnames or ())
    if missing:
        found = ", ".join(reader.fieldnames or ()) or "nothing"
        raise DataError(
            f"expected columns event_id and label; found {found}", where=f"{path.name}:1"
        )
    for cells in reader:
        yield reader.line_num, {k: v for k, v in cells.items() if k and v}


def _label(said: str | None, contract: Contract) -> Literal[0, 1] | None:
    """0, 1, or None where it is no label: the contract's own values first, then plain words."""
    if said is None:
        return None
    rule, word = contract.label, said.lower()
    positive = rule.positive if rule is not None else ()
    negative = rule.negative if rule is not None else ()
    if said in positive or (word in _TRUE and said not in negative):
        return 1
    if said in negative or word in _FALSE:
        return 0
    if negative:
        return 1
    return 0 if positive else None


def _instant(said: str | None, now_us: int) -> int | None:
    if not said:
        return now_us
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return int(at.timestamp() * 1_000_000)
