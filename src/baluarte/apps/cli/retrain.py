"""Train a challenger from decided events whose labels have arrived, and prove it on the newest."""

from __future__ import annotations

import argparse
import time

from baluarte.apps.cli.prove import tell_proof
from baluarte.apps.cli.screen import Screen
from baluarte.apps.cli.seal import ensure_key, tell_seal
from baluarte.apps.cli.train import tell_training
from baluarte.apps.intake import intake_of
from baluarte.apps.making import (
    new_labelled_events,
    prove_pending,
    retrain_candidate,
    seal_pending,
)
from baluarte.apps.place import find_workspace
from baluarte.apps.session import add_actor, session_of, texts_of
from baluarte.stages.retrain import retraining_events


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte retrain``."""
    parser.add_argument("detector", nargs="?", help="default: the one of this folder")
    parser.add_argument("--events", metavar="FILE", help="the file the champion was trained from")
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Retrain, prove, seal; never promotes. Exit 1 where the challenger does not pass."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    detector = place.detector(args.detector)
    texts = screen.speaks(texts_of(args, place))
    contract = detector.contract()
    intake = intake_of(place, detector, args.events)
    old = intake.events(contract)
    intake.tell(screen, texts)
    with session_of(args, place) as session:
        ensure_key(session)
        new = new_labelled_events(session, detector.name, contract)
        started = time.monotonic()
        with screen.progress(texts.get("screen.retrain")) as bar:
            candidate = retrain_candidate(
                session, detector, old, new, progress=bar, sources=(intake.version,)
            )
        said = texts.get("screen.labelled", new=new.n, old=old.n)
        screen.item(texts.get("screen.labels"), said)
        tell_training(screen, texts, candidate, seconds=time.monotonic() - started)
        proof = prove_pending(session, detector, retraining_events(old, new))
        tell_proof(screen, texts, proof)
        if proof.verdict == "fail":
            screen.next(texts.get("screen.champion_stays"))
            return screen.end(1)
        version = seal_pending(session, detector.name)
        tell_seal(screen, texts, session, version)
    screen.next(f"baluarte promote {version.detector}@{version.version}")
    return screen.end(1 if version.provisional else 0)
