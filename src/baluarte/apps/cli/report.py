"""Reports for others: evidence of a version, and the simulations behind every guarantee."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from baluarte.adapters.disk import write_aside
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.report_audit import add_audit, run_audit
from baluarte.apps.cli.screen import Screen
from baluarte.apps.place import find_workspace
from baluarte.apps.session import (
    Session,
    named_version,
    session_of,
    texts_anywhere,
    texts_of,
)
from baluarte.core.registry import Version
from baluarte.errors import DataError

_WHICH = (
    "evidence: what was proved of a version · guarantee: simulate every bound, in seconds · "
    "audit-pack: decisions drawn by a seed, with proofs, replays and approvals"
)
_NAME, _NUMBER = 46, 9  #: widths of the table's columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte report``."""
    parser.add_argument(
        "which", nargs="?", choices=("evidence", "guarantee", "audit-pack"), help=_WHICH
    )
    parser.add_argument(
        "version",
        nargs="?",
        help="evidence: DETECTOR[@N] (default: champion); audit-pack: DETECTOR (default: all)",
    )
    parser.add_argument("--page", metavar="FILE", help="write it as a page that can be printed")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the draw or the first simulation (default: 1)"
    )
    add_audit(parser)


def run(args: argparse.Namespace) -> int:
    """Make the report that was asked for, or say which there are."""
    screen = Screen(as_json=args.json)
    if args.which == "evidence":
        return _evidence(args, screen)
    if args.which == "guarantee":
        return _guarantee(args, screen)
    if args.which == "audit-pack":
        return run_audit(args, screen)
    reports = {
        "evidence": "baluarte report evidence [DETECTOR@N] [--page FILE]",
        "guarantee": "baluarte report guarantee [--page FILE]",
        "audit-pack": "baluarte report audit-pack [--sample N] [--seed S] [--out PATH]",
        "decision": "baluarte explain ID [--page FILE]",
        "plan": "baluarte plan [DETECTOR] [--page FILE]",
        "watch": "baluarte watch [DETECTOR] --once --page FILE",
    }
    texts = screen.speaks(texts_anywhere(args))
    for name, command in reports.items():
        screen.item(texts.get(f"report.{name.replace('-', '_')}"), command)
    screen.data(reports=reports)
    screen.next("baluarte report evidence --page evidence.html")
    return screen.end()


def _write(screen: Screen, texts: Texts, path: str, content: str) -> None:
    write_aside(Path(path), content.encode())
    screen.item(texts.get("plan.page"), path)
    screen.data(page=path)


# --- evidence ------------------------------------------------------------------------------------


def _evidence(args: argparse.Namespace, screen: Screen) -> int:
    from baluarte.apps.evidence_page import evidence_page  # noqa: PLC0415 - each report its own
    from baluarte.apps.gate_words import TONES, gate_sentence  # noqa: PLC0415 - likewise

    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    named, number = named_version(args.version) if args.version else (None, None)
    with session_of(args, place) as session:
        version = chosen_version(session, named or place.detector(None).name, number)
        bundle = session.bundle(version.digest)
    evidence = bundle.evidence
    label = f"{version.detector}@{version.version}"
    tone = TONES[evidence.verdict]
    screen.item(
        texts.get("decision.label_evidence"),
        f"{label}: {texts.get(f'verdict.{evidence.verdict}')}",
        tone,
    )
    for gate in evidence.gates:
        screen.item("", gate_sentence(texts, gate), TONES[gate.verdict])
    if not evidence.gates:
        screen.item("", texts.get("gate.blind"), tone)
    screen.data(version=label, digest=version.digest, evidence=msgspec.to_builtins(evidence))
    screen.data(lineage=msgspec.to_builtins(bundle.lineage))
    if args.page:
        _write(screen, texts, args.page, evidence_page(bundle, version, texts))
    screen.next(f"baluarte verify {label} --bits", "baluarte report guarantee")
    return screen.end(0 if evidence.verdict == "pass" else 1)


def chosen_version(session: Session, detector: str, number: int | None) -> Version:
    """The version that was named, else the champion, else the one sealed last.

    Raises:
        DataError: there is none.
    """
    known = session.registry.versions(detector)
    if number is not None:
        found = next((version for version in known if version.version == number), None)
    else:
        found = session.registry.champion(detector) or (known[-1] if known else None)
    if found is None:
        there = ", ".join(f"{v.detector}@{v.version}" for v in known) or "none"
        raise DataError(
            f"there is no such sealed version of {detector}; there is: {there}",
            hint="baluarte build makes one.",
        )
    return found


# --- guarantees ----------------------------------------------------------------------------------


def _guarantee(args: argparse.Namespace, screen: Screen) -> int:
    from baluarte.apps.guarantee_page import guarantee_page  # noqa: PLC0415 - loads simulations
    from baluarte.apps.guarantees import (  # noqa: PLC0415 - likewise
        SIMULATIONS,
        Guarantee,
        simulate,
    )

    texts = screen.speaks(texts_anywhere(args))
    if args.seed < 0:
        raise DataError(f"expected a seed of 0 or more; found {args.seed}", where="--seed")
    heads = [texts.get(f"guarantee.{key}") for key in ("promised", "measured")]
    screen.line(f"{'':<2}{'':<{_NAME}}{heads[0]:>{_NUMBER}} {heads[1]:>{_NUMBER}}", "dim")
    found: list[Guarantee] = []
    with screen.progress(texts.get("report.simulate")) as bar:
        for guarantee in simulate(args.seed):
            found.append(guarantee)
            bar.clear()
            _tell(screen, texts, guarantee)
            bar.step(len(found), len(SIMULATIONS))
    broken = [guarantee for guarantee in found if not guarantee.kept]
    key = "guarantee.lead_broken" if broken else "guarantee.lead"
    said = texts.get(key, n=len(found) - len(broken), n_all=len(found))
    screen.item(texts.get("guarantee.result"), said, "broken" if broken else "kept")
    screen.data(
        guarantees=[msgspec.to_builtins(g) | {"kept": g.kept} for g in found], kept=not broken
    )
    if args.page:
        _write(screen, texts, args.page, guarantee_page(found, texts))
    screen.next("baluarte report guarantee --seed ANY")
    return screen.end(1 if broken else 0)


def _tell(screen: Screen, texts: Texts, guarantee: object) -> None:
    """One guarantee in the table, the practices that it replaces below it."""
    from baluarte.apps.guarantees import Guarantee, amount, usual_words  # noqa: PLC0415 - as above

    if not isinstance(guarantee, Guarantee):
        raise TypeError(guarantee)
    mark = "✓" if guarantee.kept else "✗"
    said = [amount(texts.numerals, guarantee, v) for v in (guarantee.promised, guarantee.measured)]
    name = texts.get(f"guarantee.{guarantee.key}")
    run = texts.get("guarantee.run", n=guarantee.n, seed=guarantee.seed)
    screen.line(
        f"{mark} {name:<{_NAME}}{'≤ ' + said[0]:>{_NUMBER}} {said[1]:>{_NUMBER}}   {run}",
        "kept" if guarantee.kept else "broken",
    )
    for practice, value in usual_words(texts, guarantee):
        usual = amount(texts.numerals, guarantee, value)
        screen.line(f"    {practice:<{_NAME - 2}}{'':>{_NUMBER}} {usual:>{_NUMBER}}", "dim")
