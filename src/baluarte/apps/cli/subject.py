"""What is recorded about a person: every decision with its values and reasons, to hand over."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from baluarte.adapters.disk import outside, write_aside
from baluarte.apps.about_person import about_page, about_person, record_export
from baluarte.apps.cli.screen import Screen
from baluarte.apps.erasing import finish_what_was_begun, subjects_of
from baluarte.apps.gate_words import outcome_name
from baluarte.apps.place import find_workspace
from baluarte.apps.session import add_actor, session_of, texts_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte subject``."""
    parser.add_argument("name", metavar="SUBJECT", help="as events name the person")
    parser.add_argument("--of", metavar="FIELD", help="the field that names people so")
    parser.add_argument("--out", metavar="FILE", help="write it there as JSON")
    parser.add_argument("--page", metavar="FILE", help="write it there as a page")
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Tell, and record that it was told."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    with session_of(args, place) as session:
        finish_what_was_begun(session)
        subjects = subjects_of(session, [args.name], field=args.of)
        about = about_person(session, subjects, texts)
        record_export(session, about, reason=args.reason)
    n = len(about.decisions)
    screen.item(texts.get("subject.label"), texts.get("subject.found", n=n))
    if args.out:
        _write(Path(args.out), msgspec.json.format(msgspec.json.encode(about), indent=2))
        screen.item("", args.out)
    if args.page:
        _write(Path(args.page), about_page(about, texts).encode())
        screen.item(texts.get("plan.page"), args.page)
    if args.out or args.page:
        screen.data(decisions=n, out=args.out, page=args.page)
        screen.item("", texts.get("subject.yours"), "unsure")
    else:
        for one in about.decisions:
            outcome = outcome_name(texts, one.outcome)
            screen.line(f"{one.decided_at}  {one.detector}@{one.version}  {outcome}  {one.id}")
        screen.data(**msgspec.to_builtins(about))
    screen.next("baluarte erase SUBJECT --reason WHY")
    return screen.end()


def _write(path: Path, data: bytes) -> None:
    with outside("the file can't be written", path):
        write_aside(path, data)
