"""Train a candidate: search, blend, seal to integers, set thresholds, rehearse on tuning rows.

A finding of ``baluarte plan`` that blocks stops it, until cured or accepted by name.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.plan import tell_blocks
from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.gate_words import promise_name
from baluarte.apps.intake import material_of
from baluarte.apps.legacy_words import legacy_lines
from baluarte.apps.making import plan_material, train_candidate
from baluarte.apps.place import find_workspace
from baluarte.apps.session import add_actor, session_of, texts_of
from baluarte.core.candidate import Candidate
from baluarte.core.evidence import Figure, GateResult, Verdict

TONES: dict[Verdict, Tone] = {"pass": "kept", "fail": "broken", "not_enough_data": "unsure"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte train``."""
    parser.add_argument("detector", nargs="?", help="default: the one of this folder")
    parser.add_argument("--events", metavar="FILE", help="default: as workspace.toml says")
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Train; exit 1 where the plan blocks."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    detector = place.detector(args.detector)
    texts = screen.speaks(texts_of(args, place))
    contract = detector.contract()
    material = material_of(place, detector, contract, args.events)
    material.tell(screen, texts)
    with session_of(args, place) as session:
        with screen.progress(texts.get("build.plan")) as bar:
            result = plan_material(session, contract, material, progress=bar)
        if result.blocking:
            tell_blocks(screen, texts, result)
            return screen.end(1)
        started = time.monotonic()
        with screen.progress(texts.get("build.train")) as bar:
            candidate = train_candidate(
                session,
                detector,
                material.events,
                progress=bar,
                sources=material.sources,
                n_apart=material.n_apart,
            )
    tell_training(screen, texts, candidate, seconds=time.monotonic() - started)
    tell_legacy(screen, texts, candidate.training.rehearsal)
    for gate in candidate.training.rehearsal_gates:
        tell_gate(screen, texts, gate)
    screen.next("baluarte prove")
    return screen.end()


def tell_training(screen: Screen, texts: Texts, candidate: Candidate, *, seconds: float) -> None:
    """What the search chose and what it reaches on tuning rows."""
    training = candidate.training
    number = texts.numerals.number
    chosen = " + ".join(f"{number(m.weight, 3)}·{m.model}" for m in training.members)
    if len(training.members) == 1:
        chosen = training.members[0].model
    if any(isinstance(m.slope, float) for m in training.members):
        models = ", ".join(m.model for m in training.members)
        chosen = texts.get("build.vote", models=models)
    figures = {figure.name: figure.value for figure in training.rehearsal}
    did = [texts.get("build.trials", n=len(training.trials))]
    if pruned := sum(trial.pruned for trial in training.trials):
        did.append(texts.get("build.broken_off", n=pruned))
    if training.stopped_early:
        did.append(texts.get("build.stopped"))
    best = [texts.get("build.best", chosen=chosen)]
    if "recall" in figures:
        best.append(texts.get("build.recall", recall=number(figures["recall"], 3)))
    said = f"{', '.join(did)}, {seconds:.0f} s    {', '.join(best)}"
    screen.item(texts.get("build.train"), said)
    if shown := training.faithfulness.get("monotone"):
        screen.item("", texts.get("build.monotone", shown=shown), "kept")
    for name, off in training.faithfulness.items():
        if name.endswith("_float32_difference"):
            family = name.removesuffix("_float32_difference")
            said = texts.get("build.float32", family=family, off=number(float(off), 2))
            screen.item("", said)
    screen.data(
        trials=len(training.trials),
        members=[{"model": m.model, "weight": m.weight} for m in training.members],
        rehearsal=figures,
        rows={part: sum(counts) for part, counts in training.split.counts.items()},
        faithfulness=training.faithfulness,
    )


def tell_legacy(screen: Screen, texts: Texts, figures: Sequence[Figure]) -> None:
    """Today's score beside the candidate, where the events bring one."""
    for i, line in enumerate(legacy_lines(texts, figures)):
        screen.item(texts.get("legacy.label") if i == 0 else "", line)


def tell_gate(screen: Screen, texts: Texts, gate: GateResult) -> None:
    """One gate's answer in a line."""
    number = texts.numerals.number
    name = promise_name(texts, gate.gate)
    said = [number(gate.figure.value)]
    if gate.bound is not None:
        said.append(texts.get("build.bound", value=number(gate.bound)))
    said.append(texts.get("build.limit", value=number(gate.limit, 6)))
    verdict = texts.get(f"verdict.{gate.verdict}")
    if gate.verdict == "not_enough_data":
        verdict += f" ({texts.get('build.more', n=gate.needed)})"
    where = f" [{gate.segment}]" if gate.segment else ""
    screen.item("", f"{name}{where}: {', '.join(said)}: {verdict}", TONES[gate.verdict])
