"""Plan, train, prove and seal, one after another; stop at the first no."""

from __future__ import annotations

import argparse
import time

from baluarte.apps.cli.plan import tell_cures, tell_plan, write_plan_page
from baluarte.apps.cli.prove import tell_proof
from baluarte.apps.cli.screen import Screen
from baluarte.apps.cli.seal import ensure_key, tell_seal
from baluarte.apps.cli.train import tell_training
from baluarte.apps.intake import material_of
from baluarte.apps.making import (
    plan_material,
    prove_pending,
    seal_pending,
    train_candidate,
)
from baluarte.apps.place import find_workspace
from baluarte.apps.session import add_actor, session_of, texts_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte build``."""
    parser.add_argument("detector", nargs="?", help="default: the one of this folder")
    parser.add_argument("--events", metavar="FILE", help="default: as workspace.toml says")
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Build; exit 1 at the first no."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    detector = place.detector(args.detector)
    texts = screen.speaks(texts_of(args, place))
    contract = detector.contract()
    material = material_of(place, detector, contract, args.events)
    material.tell(screen, texts)
    with session_of(args, place) as session:
        ensure_key(session)
        with screen.progress(texts.get("build.plan")) as bar:
            result = plan_material(session, contract, material, progress=bar)
        tell_plan(screen, texts, result)
        write_plan_page(detector.path.parent / "plan.html", texts, result, detector=detector)
        if result.blocking:
            tell_cures(screen, result)
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
        proof = prove_pending(session, detector, material.events)
        tell_proof(screen, texts, proof)
        if proof.verdict == "fail":
            screen.next(texts.get("screen.debug"))
            return screen.end(1)
        version = seal_pending(session, detector.name)
        tell_seal(screen, texts, session, version)
    screen.next(texts.get("screen.label_more") if version.provisional else "baluarte promote")
    return screen.end(1 if version.provisional else 0)
