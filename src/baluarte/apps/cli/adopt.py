"""Seal what already runs: read a model that another tool made, as this detector's candidate.

MODEL is a LightGBM text file, XGBoost JSON or UBJ, a scikit-learn model saved with skops, ONNX,
PMML, or an MLflow model folder of one of these. Nothing in it is run. Thresholds are set and
gates judged on your own rows: give rows that the model was not trained on, or it will look better
than it is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from baluarte.apps.adopting import Wanted, adopt_model
from baluarte.apps.adoption_words import doubts, likeness
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.cli.train import tell_gate, tell_legacy
from baluarte.apps.intake import material_of
from baluarte.apps.place import find_workspace
from baluarte.apps.session import add_actor, session_of, texts_of
from baluarte.core.candidate import Candidate
from baluarte.core.certificate import Certificate

_SHOWN = 5  #: changed decisions that a person is shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte adopt``."""
    parser.add_argument("model", metavar="MODEL", help="the model's file or folder")
    parser.add_argument(
        "--name", metavar="DETECTOR", help="detector that it becomes (default: of this folder)"
    )
    parser.add_argument("--events", metavar="FILE", help="default: as workspace.toml says")
    parser.add_argument("--positive", metavar="CLASS", help="the attack, among several classes")
    parser.add_argument(
        "--columns",
        metavar="NAMES",
        help="fields in the order of the model's inputs, joined by commas, where it doesn't name "
        "them; `fields` for the order of detector.toml",
    )
    parser.add_argument(
        "--unsafe-pickle",
        action="store_true",
        help="unpickle MODEL in a confined child process: only for files that you made",
    )
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Adopt."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    detector = place.detector(args.name)
    texts = screen.speaks(texts_of(args, place))
    wanted = Wanted(
        path=Path(args.model),
        positive=args.positive,
        columns=tuple(name.strip() for name in (args.columns or "").split(",") if name.strip()),
        unsafe_pickle=args.unsafe_pickle,
    )
    material = material_of(place, detector, detector.contract(), args.events)
    material.tell(screen, texts)
    with session_of(args, place) as session:
        candidate = adopt_model(
            session,
            detector,
            wanted,
            material.events,
            sources=material.sources,
            n_apart=material.n_apart,
        )
    tell_adoption(screen, texts, candidate)
    tell_legacy(screen, texts, candidate.training.rehearsal)
    for gate in candidate.training.rehearsal_gates:
        tell_gate(screen, texts, gate)
    again = f" --events {args.events}" if args.events else ""
    screen.next(f"baluarte prove{again}")
    return screen.end()


def tell_adoption(screen: Screen, texts: Texts, candidate: Candidate) -> None:
    """What was read, and how like it the program is."""
    certificate = candidate.training.certificate
    if not isinstance(certificate, Certificate):
        raise TypeError(certificate)
    screen.item(
        texts.get("adopt.label"),
        texts.get(
            "adopt.read",
            read_as=certificate.read_as,
            n=len(candidate.contract.events.features),
            digest=certificate.model[:19],
        ),
    )
    if certificate.unpickled:
        screen.item("", texts.get("adopt.unpickled", how=certificate.unpickled), "unsure")
    tone: Tone = "unsure" if certificate.n_changed or certificate.reference == "reader" else "kept"
    screen.item(texts.get("adopt.like"), likeness(texts, certificate), tone)
    for line in doubts(texts, certificate):
        screen.item("", line, "unsure")
    for one in certificate.changed[:_SHOWN]:
        key = "adopt.changed_tie" if one.tie else "adopt.changed_row"
        screen.item("", texts.get(key, row=one.row, program=one.program, model=one.model))
    figures = {figure.name: figure.value for figure in candidate.training.rehearsal}
    if "recall" in figures:
        screen.item(texts.get("adopt.rows"), texts.get("adopt.rehearsed", recall=figures["recall"]))
    screen.item("", texts.get("adopt.unseen"))
    screen.data(
        read_as=certificate.read_as,
        certificate=msgspec.to_builtins(certificate),
        rehearsal=figures,
        rows={part: sum(n) for part, n in candidate.training.split.counts.items()},
    )
