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
    texts = texts_of(args, place)
    contract = detector.contract()
    material = material_of(place, detector, contract, args.events)
    material.tell(screen, texts)
    with session_of(args, place) as session:
        with screen.progress("Plan") as bar:
            result = plan_material(session, contract, material, progress=bar)
        if result.blocking:
            tell_blocks(screen, texts, result)
            return screen.end(1)
        started = time.monotonic()
        with screen.progress("Train") as bar:
            candidate = train_candidate(
                session,
                detector,
                material.events,
                progress=bar,
                sources=material.sources,
                n_apart=material.n_apart,
            )
    tell_training(screen, candidate, seconds=time.monotonic() - started)
    tell_legacy(screen, texts, candidate.training.rehearsal)
    for gate in candidate.training.rehearsal_gates:
        tell_gate(screen, gate, texts.get(f"verdict.{gate.verdict}"))
    screen.next("baluarte prove")
    return screen.end()


def tell_training(screen: Screen, candidate: Candidate, *, seconds: float) -> None:
    """What the search chose and what it reaches on tuning rows."""
    training = candidate.training
    chosen = " + ".join(f"{m.weight:.3g}·{m.model}" for m in training.members)
    if any(isinstance(m.slope, float) for m in training.members):
        chosen = "vote of " + ", ".join(m.model for m in training.members)
    figures = {figure.name: figure.value for figure in training.rehearsal}
    recall = f", recall {figures['recall']:.3f} on tuning rows" if "recall" in figures else ""
    stopped = " (stopped by the clock)" if training.stopped_early else ""
    pruned = sum(trial.pruned for trial in training.trials)
    broken_off = f", {pruned} broken off" if pruned else ""
    screen.item(
        "Train",
        f"{len(training.trials)} trials{broken_off}{stopped}, {seconds:.0f} s    "
        f"best: {chosen}{recall}",
    )
    if shown := training.faithfulness.get("monotone"):
        screen.item("", f"shown on the sealed program, for every row: {shown}", "kept")
    for name, off in training.faithfulness.items():
        if name.endswith("_float32_difference"):
            family = name.removesuffix("_float32_difference")
            screen.item("", f"{family} adds up in float32: {float(off):.2g} from its own leaves")
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


def tell_gate(screen: Screen, gate: GateResult, verdict: str) -> None:
    """One gate's answer in a line."""
    bound = "" if gate.bound is None else f", bound {gate.bound:.4g}"
    needed = f" ({gate.needed:,} more)" if gate.verdict == "not_enough_data" else ""
    where = f" [{gate.segment}]" if gate.segment else ""
    screen.item(
        "",
        f"{gate.gate}{where}: {gate.figure.value:.4g}{bound}, limit {gate.limit:g}: "
        f"{verdict}{needed}",
        TONES[gate.verdict],
    )
