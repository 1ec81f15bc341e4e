"""Erase people for good: their keys are destroyed, and every proof stays valid."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.erasing import (
    erasing_tools,
    event_subjects,
    finish_what_was_begun,
    subjects_of,
)
from baluarte.apps.place import find_workspace
from baluarte.apps.session import Session, add_actor, session_of, texts_of
from baluarte.core.envelope import Subject
from baluarte.errors import DataError
from baluarte.stages.erase import Asked, Erased, erase


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte erase``."""
    parser.add_argument("names", nargs="*", metavar="SUBJECT", help="as events name the person")
    parser.add_argument(
        "--from", dest="file", metavar="FILE", help="a name a line; - is standard input"
    )
    parser.add_argument("--of", metavar="FIELD", help="the field that names people so")
    parser.add_argument(
        "--event", action="append", default=[], metavar="ID",
        help="an event that names nobody, by its id",
    )  # fmt: skip
    parser.add_argument("--detector", help="of --event (default: the one of this folder)")
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Erase; exit 5 where another process still has to forget."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    names = [*args.names, *_names_in(args.file)]
    if not names and not args.event:
        raise DataError("expected whom to erase, found nobody", hint="baluarte erase SUBJECT")
    if not args.reason:
        raise DataError("expected a reason: the ledger keeps it", where="--reason")
    with session_of(args, place) as session:
        for done in finish_what_was_begun(session):
            _tell(screen, texts, done)
        subjects = _subjects(args, session, names)
        asked = Asked(
            subjects=subjects,
            texts=tuple(dict.fromkeys([*names, *(subject.name for subject in subjects)])),
            actor=session.actor,
            reason=args.reason,
        )
        done = erase(asked, erasing_tools(session))
    _tell(screen, texts, done)
    screen.data(erasure=done.id, keys=len(done.keys), left=list(done.left))
    screen.next("baluarte ledger verify", "baluarte backup DEST")
    return screen.end(5 if done.left else 0)


def _names_in(file: str | None) -> list[str]:
    if file is None:
        return []
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"expected names, a line each, in UTF-8: {error}", where=file) from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _subjects(args: argparse.Namespace, session: Session, names: list[str]) -> list[Subject]:
    found = subjects_of(session, names, field=args.of) if names else []
    if args.event:
        detector = args.detector or session.place.detector(None).name
        found += event_subjects(session, detector, args.event)
    return found


def _tell(screen: Screen, texts: Texts, done: Erased) -> None:
    screen.item(texts.get("erase.label"), texts.get("erase.done", n=len(done.keys)), "kept")
    if not done.keys:
        screen.item("", texts.get("erase.nobody"), "unsure")
    for place in done.left:
        screen.item("", texts.get("erase.left", place=place), "unsure")
