"""Compute past decisions again from their records, bit for bit, or name the first difference.

With --with VERSION: what would that version have decided, and what would that have cost?
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import get_args

from baluarte import wiring
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.decided import Batch, Wanted, batches, sample
from baluarte.apps.period import add_period, period_of
from baluarte.apps.place import find_workspace
from baluarte.apps.replay_words import difference_text
from baluarte.apps.session import Session, session_of, texts_of
from baluarte.errors import DataError
from baluarte.ports import Progress
from baluarte.stages.replay import Replayed, Replayer
from baluarte.stages.score import Kernel

_SHOWN = 20
_KEPT = 10_000  #: differences that are told one by one; all are counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte replay``."""
    parser.add_argument("ids", nargs="*", metavar="ID", help="decisions, or events, or LAST")
    parser.add_argument("--sample", type=int, metavar="N", help="N decisions drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    add_period(parser)
    parser.add_argument("--detector", help="only decisions of this detector")
    parser.add_argument(
        "--kernel",
        choices=(*get_args(Kernel), "both"),
        help="which evaluator computes them (default: BALUARTE_KERNEL, or the compiled one)",
    )
    parser.add_argument(
        "--with", dest="version", metavar="VERSION", help="what would DETECTOR@NUMBER have decided?"
    )
    parser.add_argument(
        "--by", action="append", default=[], metavar="FIELD", help="--with: tell events apart by it"
    )
    parser.add_argument("--page", metavar="FILE", help="--with: write it as a page for print")


@dataclass(slots=True, kw_only=True)
class Tally:
    """What came of it so far."""

    n: int = 0
    n_reasons: int = 0
    n_differ: int = 0
    n_erased: int = 0
    differ: list[Replayed] = field(default_factory=list)  #: the first of them
    supplied: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    n_supplied: int = 0

    def add(self, found: list[Replayed]) -> None:
        """Count some."""
        for one in found:
            self.n += 1
            self.n_reasons += one.n_reasons
            self.n_erased += one.erased
            if one.difference is not None:
                self.n_differ += 1
                if len(self.differ) < _KEPT:
                    self.differ.append(one)
            if one.supplied is not None:
                self.n_supplied += 1
                if len(self.supplied) < _KEPT:
                    self.supplied[one.id] = one.supplied


def run(args: argparse.Namespace) -> int:
    """Replay; exit 1 where a decision came out otherwise."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    if args.version is not None:
        from baluarte.apps.cli.replay_with import run_with  # noqa: PLC0415 - another question

        with session_of(args, place) as session:
            return run_with(args, session, screen, texts)
    tally = Tally()
    with session_of(args, place) as session, screen.progress(texts.get("replay.label")) as bar:
        kernels = _kernels(args.kernel)
        replayers = [
            Replayer(session.bundle, kernel=kernel, unsealer=session.unsealer) for kernel in kernels
        ]
        started = time.monotonic()
        for batch in _chosen(args, session, bar):
            tally.add([*batch.damaged, *_agreed([r.replay(batch.records) for r in replayers])])
        took = time.monotonic() - started
    _tell(screen, texts, tally, kernels, took)
    return screen.end(1 if tally.n_differ else 0)


def _kernels(said: str | None) -> list[Kernel]:
    match said:
        case None:
            return [wiring.kernel_choice()]
        case "both":
            return ["c", "numpy"]
        case "auto" | "c" | "numpy":
            return [said]
    raise AssertionError(said)


def _agreed(found: list[list[Replayed]]) -> list[Replayed]:
    """Of each decision what the first evaluator found; or the other, where it differs."""
    return [
        next((one for one in each if one.difference), each[0]) for each in zip(*found, strict=True)
    ]


def _chosen(args: argparse.Namespace, session: Session, bar: Progress) -> Iterator[Batch]:
    if args.ids:
        if args.sample is not None or args.since or args.until:
            raise DataError("expected ids, or a sample or stretch of time; found both")
        records = [
            record
            for name in args.ids
            for record in (
                [session.last_decision()] if name == "LAST" else session.decisions_named(name)
            )
        ]
        yield Batch(records=records, damaged=[])
        return
    since, until = period_of(args, now_us=session.clock.now_us())
    wanted = Wanted(detector=args.detector, since=since, until=until)
    if args.sample is None:
        yield from batches(session, wanted, progress=bar)
        return
    if args.sample < 1:
        raise DataError(f"expected 1 or more, found {args.sample}", where="--sample")
    yield from sample(session, wanted, n=args.sample, seed=args.seed, progress=bar)


def _tell(screen: Screen, texts: Texts, tally: Tally, kernels: list[Kernel], took: float) -> None:
    for one in tally.differ[:_SHOWN]:
        screen.item(one.id, difference_text(texts, one.difference), "broken")
    if tally.n_differ > _SHOWN:
        screen.item("", texts.get("diff.more", n=tally.n_differ - _SHOWN), "dim")
    identical = tally.n - tally.n_differ - tally.n_erased
    screen.data(
        replayed=tally.n,
        identical=identical,
        different=tally.n_differ,
        erased=tally.n_erased,
        reasons=tally.n_reasons,
        kernels=kernels,
        seconds=round(took, 3),
        differences=[
            {
                "id": one.id,
                "component": one.difference.component,
                "field": one.difference.field,
                "recorded": one.difference.recorded,
                "computed": one.difference.computed,
            }
            for one in tally.differ
            if one.difference is not None
        ],
        supplied={
            name: {"base": base, "reasons": list(phi)}
            for name, (base, phi) in tally.supplied.items()
        },
    )
    said = texts.get("replay.identical", identical=identical, n=tally.n, reasons=tally.n_reasons)
    label = texts.get("replay.label")
    seconds = texts.numerals.number(round(took, 1))
    screen.item(label, f"{said} ({seconds} s)", "broken" if tally.n_differ else "kept")
    if tally.n_erased:
        screen.item("", texts.get("replay.erased", n=tally.n_erased), "unsure")
    if tally.n_supplied:
        screen.item("", texts.get("replay.supplied", n=tally.n_supplied), "dim")
    screen.next("baluarte explain ID", "baluarte ledger verify")
