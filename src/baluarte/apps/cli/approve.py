"""Approve a version, or decline it, as a person who neither trained nor sealed it."""

from __future__ import annotations

import argparse

from baluarte.apps.cli.screen import Screen
from baluarte.apps.place import find_workspace
from baluarte.apps.session import add_actor, named_version, session_of, texts_of
from baluarte.errors import DataError
from baluarte.stages.promote import approve, decline


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte approve``."""
    parser.add_argument("version", help="DETECTOR@NUMBER")
    parser.add_argument(
        "--decline", action="store_true", help="it can't be promoted from then on; needs --reason"
    )
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Approve."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    detector, number = named_version(args.version)
    if number is None:
        raise DataError(f"expected DETECTOR@NUMBER; found {args.version!r}")
    with session_of(args, place) as session:
        judge = decline if args.decline else approve
        judge(
            detector,
            number,
            actor=session.actor,
            reason=args.reason,
            registry=session.registry,
            ledger=session.shard,
            clock=session.clock,
            accounts=session.accounts_by_name(),
        )
        given = len(session.registry.approvals(detector, number))
    screen.data(detector=detector, version=number, actor=session.actor, approvals=given)
    wanted, label = place.workspace.approvals, f"{detector}@{number}"
    if args.decline:
        screen.data(declined=True)
        said = texts.get("screen.declined", version=label, by=session.actor, reason=args.reason)
        screen.item(texts.get("screen.decline"), said, "broken")
        screen.next("baluarte status")
        return screen.end()
    said = texts.get("screen.approved", version=label, by=session.actor, given=given, wanted=wanted)
    screen.item(texts.get("screen.approve"), said, "kept")
    screen.next(f"baluarte promote {detector}@{number}")
    return screen.end()
