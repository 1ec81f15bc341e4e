"""Which workers decide by a version, as promote and rollback tell it."""

from __future__ import annotations

import argparse

from baluarte.apps.acknowledged import LIMIT_S, Acknowledged
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


def tell_workers(screen: Screen, found: Acknowledged, detector: str, version: int) -> int:
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
        screen.item("Workers", "none is running")
    elif not found.not_yet:
        screen.item("Workers", f"all {n} decide by {named} ({found.seconds:.1f} s)", "kept")
    else:
        screen.item("Workers", f"{len(found.by)} of {n} decide by {named}; not yet:", "unsure")
        for state in found.not_yet:
            other = state.deciding.get(detector)
            by = "by none" if other is None else f"by {detector}@{other}"
            screen.item("", f"{state.where} decides {by}", "unsure")
        screen.next("baluarte status", "the server's log says why a version is not let in")
    return 1 if found.not_yet else 0
