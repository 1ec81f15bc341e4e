"""Which workers decide by a version, as promote and rollback tell it."""

from __future__ import annotations

import argparse

from baluarte.apps.acknowledged import LIMIT_S, Acknowledged
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen


def add_wait(parser: argparse.ArgumentParser) -> None:
    """The argument of commands that change which version decides."""
    parser.add_argument(
        "--wait",
        type=float,
        metavar="SECONDS",
        default=LIMIT_S,
        help="for live workers to decide by it (default: 10; 0: look once)",
    )


def tell_workers(
    screen: Screen, texts: Texts, found: Acknowledged, detector: str, version: int
) -> int:
    """Say who decides by the version; 1 where some worker doesn't yet."""
    named, n = f"{detector}@{version}", len(found.by) + len(found.not_yet)
    screen.data(
        workers=n,
        seconds=round(found.seconds, 3),
        not_yet=[
            {
                "worker": state.worker,
                "where": state.where,
                "decides_by": state.deciding.get(detector),
            }
            for state in found.not_yet
        ],
    )
    if not n:
        screen.item(texts.get("screen.workers"), texts.get("screen.no_workers"))
    elif not found.not_yet:
        took = round(found.seconds, 1)
        said = texts.get("screen.all_decide", n=n, version=named, seconds=took)
        screen.item(texts.get("screen.workers"), said, "kept")
    else:
        said = texts.get("screen.some_decide", some=len(found.by), n=n, version=named)
        screen.item(texts.get("screen.workers"), said, "unsure")
        for state in found.not_yet:
            other = state.deciding.get(detector)
            key = "screen.decides_by_none" if other is None else "screen.decides_by"
            said = texts.get(key, where=state.where, version=f"{detector}@{other}")
            screen.item("", said, "unsure")
        screen.next("baluarte status", texts.get("screen.why_not_in"))
    return 1 if found.not_yet else 0
