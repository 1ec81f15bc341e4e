"""Make a sealed version the champion: the one that decides."""

from __future__ import annotations

import argparse

from baluarte.apps.acknowledged import wait_for_workers
from baluarte.apps.cli.screen import Screen
from baluarte.apps.cli.workers import add_wait, tell_workers
from baluarte.apps.place import find_workspace
from baluarte.apps.session import add_actor, named_version, session_of, texts_of
from baluarte.errors import DataError
from baluarte.stages.promote import promote


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte promote``."""
    parser.add_argument(
        "version", nargs="?", help="DETECTOR@NUMBER (default: the newest of this detector)"
    )
    add_actor(parser)
    add_wait(parser)


def run(args: argparse.Namespace) -> int:
    """Promote."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    with session_of(args, place) as session:
        name, number = named_version(args.version) if args.version else (None, None)
        detector = name or place.detector(None).name
        if number is None:
            known = session.registry.versions(detector)
            if not known:
                raise DataError(f"{detector} has no sealed version", hint="baluarte build.")
            number = known[-1].version
        promote(
            detector,
            number,
            actor=session.actor,
            reason=args.reason,
            approvals=place.workspace.approvals,
            registry=session.registry,
            bundles=session.bundles,
            verifier=session.verifier,
            ledger=session.shard,
            clock=session.clock,
            accounts=session.accounts_by_name(),
        )
        approved = (
            ", ".join(a for a, _, _ in session.registry.approvals(detector, number))
            if place.workspace.approvals
            else texts.get("screen.self_approved", who=session.actor)
        )
        found = wait_for_workers(
            session.registry, session.clock, detector, number, limit_s=args.wait
        )
    screen.data(detector=detector, version=number, approved=approved)
    said = texts.get("screen.decides", version=f"{detector}@{number}", by=approved)
    screen.item(texts.get("screen.promote"), said, "kept")
    status = tell_workers(screen, texts, found, detector, number)
    screen.next("baluarte serve", "baluarte score FILE")
    return screen.end(status)
