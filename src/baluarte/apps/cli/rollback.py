"""Let a version that decided before decide again; it was approved then, so no one else is asked."""

from __future__ import annotations

import argparse

from baluarte.apps.acknowledged import wait_for_workers
from baluarte.apps.cli.screen import Screen
from baluarte.apps.cli.workers import add_wait, tell_workers
from baluarte.apps.place import find_workspace
from baluarte.apps.session import add_actor, named_version, session_of, texts_of
from baluarte.stages.promote import rollback


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte rollback``."""
    parser.add_argument(
        "version", nargs="?", help="DETECTOR or DETECTOR@NUMBER (default: the one before)"
    )
    add_actor(parser)
    add_wait(parser)


def run(args: argparse.Namespace) -> int:
    """Roll back."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    name, number = named_version(args.version) if args.version else (None, None)
    detector = name or place.detector(None).name
    with session_of(args, place) as session:
        promotion = rollback(
            detector,
            number,
            actor=session.actor,
            reason=args.reason,
            registry=session.registry,
            bundles=session.bundles,
            verifier=session.verifier,
            ledger=session.shard,
            clock=session.clock,
        )
        found = wait_for_workers(
            session.registry, session.clock, detector, promotion.version, limit_s=args.wait
        )
    screen.data(detector=detector, version=promotion.version)
    said = texts.get("screen.decides_again", version=f"{detector}@{promotion.version}")
    screen.item(texts.get("screen.rollback"), said, "kept")
    status = tell_workers(screen, texts, found, detector, promotion.version)
    screen.next("baluarte status")
    return screen.end(status)
