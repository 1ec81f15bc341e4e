"""Let a version score every event beside the champion; it decides nothing."""

from __future__ import annotations

import argparse

from baluarte.apps.cli.screen import Screen
from baluarte.apps.place import find_workspace
from baluarte.apps.session import add_actor, named_version, session_of, texts_of
from baluarte.errors import DataError
from baluarte.stages.shadow import shadow, unshadow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte shadow``."""
    parser.add_argument("version", help="DETECTOR@NUMBER")
    parser.add_argument("--end", action="store_true", help="it scores no more")
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Begin or end a shadow; the data plane follows within a second."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    name, number = named_version(args.version)
    if number is None:
        raise DataError(f"expected DETECTOR@NUMBER; found {args.version!r}", hint="baluarte status")
    with session_of(args, place) as session:
        if args.end:
            unshadow(
                name,
                number,
                actor=session.actor,
                reason=args.reason,
                registry=session.registry,
                ledger=session.shard,
                clock=session.clock,
            )
        else:
            shadow(
                name,
                number,
                actor=session.actor,
                reason=args.reason,
                registry=session.registry,
                bundles=session.bundles,
                verifier=session.verifier,
                ledger=session.shard,
                clock=session.clock,
            )
        beside = [one.version for one in session.registry.challengers(name)]
    screen.data(detector=name, version=number, challengers=beside)
    key = "screen.scores_no_more" if args.end else "screen.scores_beside"
    screen.item(texts.get("screen.shadow"), texts.get(key, version=f"{name}@{number}"), "kept")
    screen.next(f"baluarte status {name}")
    return screen.end()
