"""Look at the data before anyone trains: what they can certify, and what would spoil it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

import msgspec

from baluarte import __version__
from baluarte.adapters.disk import write_aside
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.dry_run import foretell
from baluarte.apps.finding_text import cure_text, finding_text
from baluarte.apps.forecast_text import forecast_lines, no_forecast_line
from baluarte.apps.gate_words import promise_name
from baluarte.apps.intake import intake_of
from baluarte.apps.making import new_labelled_events, plan_detector, survey_events
from baluarte.apps.place import Detector, find_workspace
from baluarte.apps.plan_page import plan_page
from baluarte.apps.session import Session, session_of, texts_of
from baluarte.core.contract import Contract
from baluarte.core.contract_fix import accept_finding, apply_fix
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.findings import finding_name
from baluarte.core.nearest import did_you_mean
from baluarte.errors import ContractError
from baluarte.stages.plan import PlanResult, accepting

MOST_NOTES = 8  #: on the screen; the page has all
_TONES: dict[str, Tone] = {"block": "broken", "warn": "unsure", "note": "plain"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte plan``."""
    parser.add_argument("detector", nargs="?", help="default: the one of this folder")
    parser.add_argument("--events", metavar="FILE", help="default: as workspace.toml says")
    parser.add_argument(
        "--fix", action="append", default=[], metavar="NAME", help="write this cure into the file"
    )
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="NAME",
        help="write into the file that this finding is accepted",
    )
    parser.add_argument("--because", metavar="REASON", help="why, for all of --accept")
    parser.add_argument(
        "--holdout", metavar="FILE", help="events to compare with; default: as workspace.toml says"
    )
    parser.add_argument("--page", metavar="FILE", help="default: plan.html beside detector.toml")


def run(args: argparse.Namespace) -> int:
    """Plan; exit 1 where something blocks."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    detector = place.detector(args.detector)
    texts = screen.speaks(texts_of(args, place))
    cured = _cured(args, detector)
    contract = cured.contract()
    intake = intake_of(place, detector, args.events)
    events = survey_events(place, cured, intake, holdout=args.holdout)
    intake.tell(screen, texts)
    with session_of(args, place) as session, screen.progress(texts.get("build.plan")) as bar:
        told = foretell(contract, events, place.workspace.prices)
        result = plan_detector(
            session,
            contract,
            events,
            progress=bar,
            forecast=told,
            labelled=_labelled(session, detector.name, contract),
        )
    edited = _accepted(args, cured, {finding_name(finding) for finding in result.findings})
    result = accepting(result, edited.contract())
    _write(args, screen, texts, edited)
    tell_plan(screen, texts, result)
    page = Path(args.page) if args.page else detector.path.parent / "plan.html"
    write_plan_page(page, texts, result, detector=detector)
    screen.item(texts.get("plan.page"), str(page))
    if not result.blocking:
        screen.next("baluarte train")
        return screen.end()
    tell_cures(screen, result)
    return screen.end(1)


def _labelled(session: Session, name: str, contract: Contract) -> Events | None:
    """The decided events with the labels that were delivered; None where none were."""
    if contract.label is None or not session.registry.labels(name):
        return None
    return new_labelled_events(session, name, contract)


def _cured(args: argparse.Namespace, detector: Detector) -> Detector:
    """The detector with the cures in its text; nothing is written yet."""
    if args.accept and not args.because:
        raise ContractError(
            "expected the reason why; found none",
            where="--accept",
            hint='Add --because "REASON".',
        )
    text = detector.text()
    for fix in args.fix:
        text = apply_fix(text, fix, where=str(detector.path))
    return replace(detector, draft=text)


def _accepted(args: argparse.Namespace, cured: Detector, found: set[str]) -> Detector:
    """The detector with the acceptances in its text too; what was accepted before may be again.

    Raises:
        ContractError: a name is that of no finding, so that accepting it would do nothing.
    """
    known = found | {accept.finding for accept in cured.contract().accept}
    text = cured.text()
    for name in args.accept:
        if name not in known:
            raise ContractError(
                f"expected the name of a finding of this plan; found {name!r}",
                where="--accept",
                hint=did_you_mean(name, sorted(known)) or "baluarte plan shows them.",
            )
        text = accept_finding(text, name, args.because, where=str(cured.path))
    return replace(cured, draft=text)


def _write(args: argparse.Namespace, screen: Screen, texts: Texts, edited: Detector) -> None:
    """Write cures and acceptances into the file: all of them, or none."""
    text, path = edited.text(), edited.path
    if text == replace(edited, draft=None).text():
        return
    write_aside(path, text.encode())
    for fix in args.fix:
        said = texts.get("screen.fixed_in", fix=fix, file=path.name)
        screen.item(texts.get("plan.fixed"), said, "kept")
    for name in args.accept:
        said = texts.get("screen.fixed_in", fix=name, file=path.name)
        screen.item(texts.get("plan.accepted"), said, "kept")


def blocked(result: PlanResult) -> list[Finding]:
    """The findings that stop training."""
    return [f for f in result.findings if finding_name(f) in result.blocking]


def tell_cures(screen: Screen, result: PlanResult) -> None:
    """The command that cures all that blocks, as the next one."""
    fixes = [f"--fix {quote(f.fix)}" for f in blocked(result) if f.fix]
    screen.next(f"baluarte plan {' '.join(fixes)}".rstrip())


def tell_blocks(screen: Screen, texts: Texts, result: PlanResult) -> None:
    """Only what stops training, and what cures it."""
    for finding in blocked(result):
        screen.item(texts.get("level.block"), finding_text(texts, finding), "broken")
        screen.item("", cure_text(texts, finding))
    screen.data(blocking=list(result.blocking))
    tell_cures(screen, result)


def tell_plan(screen: Screen, texts: Texts, result: PlanResult) -> None:
    """The findings, each in a line, the worst first, then what the contract needs."""
    notes = [finding for finding in result.findings if finding.level == "note"]
    for finding in result.findings:
        if finding in notes[MOST_NOTES:]:
            continue
        accepted = result.accepted.get(finding_name(finding))
        said = finding_text(texts, finding)
        tone = _TONES[finding.level] if accepted is None else "dim"
        screen.item(texts.get(f"level.{finding.level}"), said, tone)
        if accepted is not None:
            screen.item("", texts.get("cure.accepted", reason=accepted), "dim")
        elif finding.level != "note" or finding.fix:
            screen.item("", cure_text(texts, finding))
    if len(notes) > MOST_NOTES:
        screen.item("", texts.get("plan.more_notes", n=len(notes) - MOST_NOTES), "dim")
    counts = result.counts
    screen.item(
        texts.get("plan.data"),
        texts.get("plan.data_line", n=counts.events, positives=counts.positives),
    )
    for need in result.needs:
        if need.look != result.next_look:
            continue
        for what, needed, there in (
            ("positives", need.positives, need.positives_there),
            ("negatives", need.negatives, need.negatives_there),
        ):
            if needed:
                enough = needed <= there
                name = promise_name(texts, need.gate)
                line = texts.get(
                    "plan.need_line",
                    gate=name if need.by is None else f"{name}, {need.by}",
                    n=needed,
                    needed=f"{texts.written(needed)} {texts.get(f'what.{what}')}",
                    found=texts.written(there),
                )
                screen.item("", line, "kept" if enough else "unsure")
    _tell_forecast(screen, texts, result)
    screen.data(plan=msgspec.to_builtins(result))


def _tell_forecast(screen: Screen, texts: Texts, result: PlanResult) -> None:
    """What the detector will take, or why that isn't known."""
    if result.forecast is not None:
        for name, value, _ in forecast_lines(result.forecast, texts):
            screen.item(texts.get("plan.forecast_short") if name == "train" else "", value)
    if result.no_forecast is not None:
        said = no_forecast_line(result.no_forecast, texts)
        screen.item(texts.get("plan.forecast_short"), said, "dim")


def write_plan_page(path: Path, texts: Texts, result: PlanResult, *, detector: Detector) -> None:
    """The plan as one page."""
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    footer = f"baluarte {__version__} · {detector.path.name} · {at}"
    page = plan_page(result, texts, source=f"baluarte plan {detector.name}", footer=footer)
    write_aside(path, page.encode())
