"""Spend a look at the sealed proof rows; the answer is pass, fail or not enough data."""

from __future__ import annotations

import argparse

from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.cli.train import TONES, tell_gate, tell_legacy
from baluarte.apps.legacy_words import legacy_figures
from baluarte.apps.making import pending_candidate, prove_pending, training_events
from baluarte.apps.place import find_workspace
from baluarte.apps.session import add_actor, session_of, texts_of
from baluarte.stages.prove import LookCost, Proof, look_cost


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte prove``."""
    parser.add_argument("detector", nargs="?", help="default: the one of this folder")
    parser.add_argument("--events", metavar="FILE", help="the file it was trained from")
    parser.add_argument("--cost", action="store_true", help="only say what a look would cost")
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Prove; exit 1 after anything but a pass."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    detector = place.detector(args.detector)
    texts = screen.speaks(texts_of(args, place))
    with session_of(args, place) as session:
        _, candidate = pending_candidate(session, detector.name)
        cost = look_cost(candidate, session.registry)
        if args.cost:
            tell_cost(screen, texts, cost)
            screen.next("baluarte prove")
            return screen.end()
        events = training_events(session, detector, args.events)
        proof = prove_pending(session, detector, events)
    tell_proof(screen, texts, proof)
    after = {"pass": "baluarte seal", "not_enough_data": texts.get("screen.seal_provisional")}
    screen.next(after.get(proof.verdict, texts.get("screen.debug")))
    return screen.end(0 if proof.verdict == "pass" else 1)


def tell_cost(screen: Screen, texts: Texts, cost: LookCost) -> None:
    """What the next look spends."""
    said = texts.get(
        "build.look_cost", look=cost.look, alpha=cost.alpha, spent=cost.spent, total=cost.total
    )
    screen.item(texts.get("build.look"), said)
    screen.data(look=cost.look, alpha=cost.alpha, spent=cost.spent)


def tell_proof(screen: Screen, texts: Texts, proof: Proof) -> None:
    """The verdict, and after a pass every gate with its bound."""
    said = (
        texts.get("verdict.not_enough_data_needed", n=proof.needed)
        if proof.verdict == "not_enough_data"
        else texts.get(f"verdict.{proof.verdict}")
    )
    bits = proof.evidence.faithfulness.get("same_bits", "")
    rows = proof.evidence.faithfulness.get("same_bits_rows", 0)
    look = texts.get("build.look_of", look=proof.cost.look, alpha=proof.cost.alpha)
    if bits and rows:
        bits = texts.get("build.same_bits", kernels=bits, n=rows)
    elif bits:
        bits = texts.get("build.one_kernel")
    screen.item(texts.get("build.prove"), f"{said}    {look}    {bits}", TONES[proof.verdict])
    for gate in proof.evidence.gates:
        tell_gate(screen, texts, gate)
    tell_legacy(screen, texts, proof.evidence.figures)
    if proof.verdict != "pass":
        screen.item("", texts.get("gate.blind"))
    screen.data(
        verdict=proof.verdict,
        needed=proof.needed,
        look=proof.cost.look,
        alpha=proof.cost.alpha,
        gates=[
            {"gate": g.gate, "value": g.figure.value, "bound": g.bound, "limit": g.limit}
            for g in proof.evidence.gates
        ],
        legacy=legacy_figures(proof.evidence.figures),
    )
