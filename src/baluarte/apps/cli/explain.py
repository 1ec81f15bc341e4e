"""The whole story of one decision: event, reasons, threshold, version, evidence, replay, proof."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import msgspec

from baluarte.adapters.disk import write_aside
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import WIDTH, Screen, Tone
from baluarte.apps.customer import letter_of, letter_page
from baluarte.apps.decision_page import decision_page, kinds_of
from baluarte.apps.gate_words import TONES, gate_sentence
from baluarte.apps.numerals import spoken_instant
from baluarte.apps.otherwise import (
    SECONDS,
    counterfactuals_of,
    deadline,
    otherwise_line,
    proof_of_least,
)
from baluarte.apps.place import find_workspace
from baluarte.apps.scoring.answer import Reason
from baluarte.apps.session import session_of, texts_of
from baluarte.apps.story import Facts, Story, document, facts_of, story_of
from baluarte.apps.story_words import (
    about_line,
    computed_line,
    encoded_text,
    estimated_line,
    outcome_line,
    proof_line,
    replay_line,
    signed_count,
    sum_line,
    value_text,
    version_lines,
)
from baluarte.stages.counterfactual import Counterfactual

_MOST = 12  #: reasons that the terminal shows one by one; --all shows every one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte explain``."""
    parser.add_argument("id", metavar="ID", help="a decision's id, an event's, or LAST")
    parser.add_argument("--page", metavar="FILE", help="write it as a page that can be printed")
    parser.add_argument("--all", action="store_true", help="every reason, not the largest only")
    parser.add_argument(
        "--customer", action="store_true", help="only what the person concerned may read"
    )
    parser.add_argument(
        "--counterfactual", action="store_true", help="the least change to another outcome"
    )
    parser.add_argument(
        "--to", metavar="OUTCOME", help="which one (default: the next lower, else the next higher)"
    )
    parser.add_argument(
        "--exact", action="store_true", help="prove how small it can be (trees and tables)"
    )
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"for the proof (default: {SECONDS:g})"
    )


def run(args: argparse.Namespace) -> int:
    """Explain; exit 1 where reasons don't add up or the replay comes out otherwise."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    with session_of(args, place) as session:
        if args.id == "LAST":
            record = session.last_decision()
        else:  # of an event the decision that was made last
            record = session.unsealer.one(session.decisions_named(args.id)[-1])
        if record.is_sealed:
            return _erased(screen, texts, facts_of(session, record))
        story = story_of(session, record, texts)
    if args.customer:
        return _customer(args, screen, texts, story)
    tell(screen, texts, story, most=len(story.reasons) if args.all else _MOST)
    screen.data(**document(story))
    otherwise = _otherwise(args, screen, texts, story)
    if args.page:
        write_aside(Path(args.page), decision_page(story, texts, otherwise).encode())
        screen.item(texts.get("plan.page"), args.page)
        screen.data(page=args.page)
    covered = story.checkpoint is not None
    screen.next(
        f"baluarte ledger proof {record.id}" if covered else "baluarte ledger checkpoint",
    )
    holds = story.adds_up and story.replayed.difference is None
    return screen.end(0 if holds else 1)


def _erased(screen: Screen, texts: Texts, facts: Facts) -> int:
    """What stays where the person was erased: what was decided, by what, and the proof."""
    screen.item(texts.get("decision.label_decision"), about_line(texts, facts))
    screen.item(texts.get("decision.label_outcome"), outcome_line(texts, facts))
    screen.item(texts.get("decision.label_event"), texts.get("erase.explained"), "dim")
    label = texts.get("decision.label_version")
    for line in version_lines(texts, facts):
        screen.item(label, line)
        label = ""
    covered: Tone = "kept" if facts.checkpoint else "unsure"
    screen.item(texts.get("decision.label_proof"), proof_line(texts, facts), covered)
    screen.data(**document(facts))
    screen.next(f"baluarte ledger proof {facts.record.id}")
    return screen.end()


def _customer(args: argparse.Namespace, screen: Screen, texts: Texts, story: Story) -> int:
    """Only what the person concerned may read."""
    letter = letter_of(story, texts, counterfactual=args.counterfactual, seconds=args.seconds)
    said = texts.get(
        "customer.decided", at=spoken_instant(story.record.decided_at), outcome=letter.outcome
    )
    screen.item(texts.get("customer.label"), said)
    label = texts.get("decision.reasons")
    for reason in letter.reasons:
        screen.item(label, f"{reason.code}  {reason.text}" if reason.code else reason.text)
        label = ""
    if not letter.reasons:
        screen.item(label, texts.get("customer.nothing"))
    if letter.otherwise is not None:
        screen.item(texts.get("counterfactual.label"), letter.otherwise)
    screen.item(texts.get("customer.label_reference"), letter.id)
    screen.data(**msgspec.to_builtins(letter))
    if args.page:
        write_aside(Path(args.page), letter_page(letter, story, texts).encode())
        screen.item(texts.get("plan.page"), args.page)
    holds = story.adds_up and story.replayed.difference is None
    return screen.end(0 if holds else 1)


def _otherwise(
    args: argparse.Namespace, screen: Screen, texts: Texts, story: Story
) -> Counterfactual | None:
    """The counterfactual, where one was asked for."""
    if not (args.counterfactual or args.exact or args.to):
        return None
    found = counterfactuals_of(story.bundle).find(
        story.record.event, to=args.to, exact=args.exact, stop=deadline(args.seconds)
    )
    screen.item(texts.get("counterfactual.label"), otherwise_line(texts, found))
    if found is not None:
        screen.item("", proof_of_least(texts, found), "dim")
    screen.data(counterfactual=msgspec.to_builtins(found))
    return found


def tell(screen: Screen, texts: Texts, story: Story, *, most: int) -> None:
    """The story in lines of at most 100 columns."""
    screen.item(texts.get("decision.label_decision"), about_line(texts, story))
    screen.item(texts.get("decision.label_outcome"), outcome_line(texts, story))
    kinds = kinds_of(story.bundle)
    event = [f"{f.name}={value_text(texts, f.value, kinds.get(f.name))}" for f in story.event]
    screen.item(texts.get("decision.label_event"), " · ".join(event))
    encoded = [f"{f.name} {encoded_text(texts, f)}" for f in story.event if f.encoded is not None]
    if encoded:
        screen.item(texts.get("decision.label_encoded"), " · ".join(encoded))
    _tell_reasons(screen, texts, story, most)
    tone: Tone = "kept" if story.adds_up else "broken"
    screen.item(texts.get("decision.label_sum"), sum_line(texts, story), tone)
    label = texts.get("decision.label_version")
    for line in version_lines(texts, story):
        screen.item(label, line)
        label = ""
    label = texts.get("decision.label_evidence")
    for gate in story.bundle.evidence.gates:
        screen.item(label, gate_sentence(texts, gate), TONES[gate.verdict])
        label = ""
    replayed: Tone = "broken" if story.replayed.difference else "kept"
    screen.item(texts.get("decision.label_replay"), replay_line(texts, story), replayed)
    covered: Tone = "kept" if story.checkpoint else "unsure"
    screen.item(texts.get("decision.label_proof"), proof_line(texts, story), covered)


def _tell_reasons(screen: Screen, texts: Texts, story: Story, most: int) -> None:
    label = texts.get("decision.reasons")
    if story.computed_now:
        screen.item(label, computed_line(texts, story), "dim")
        label = ""
    shown, rest = story.reasons[:most], story.reasons[most:]
    wide = max((len(signed_count(texts, r.score)) for r in shown), default=0)
    for reason in shown:
        _tell_reason(screen, texts, reason, label, wide)
        label = ""
    if rest:
        units = signed_count(texts, sum(reason.score for reason in rest))
        screen.line(f"{'':<10} {units:>{wide}}          {texts.get('decision.rest', n=len(rest))}")
    estimated = estimated_line(texts, story)
    if estimated:
        screen.item("", estimated, "dim")


def _tell_reason(screen: Screen, texts: Texts, reason: Reason, label: str, wide: int) -> None:
    share = texts.numerals.percent(reason.share, 2)
    head = f"{label:<10} {signed_count(texts, reason.score):>{wide}} {share:>8} "
    text = f"{reason.code}  {reason.text}" if reason.code else reason.text
    lines = textwrap.wrap(text, WIDTH - 2 - len(head)) or [""]
    screen.line(head + lines[0])
    for line in lines[1:]:
        screen.line(" " * len(head) + line)
