"""Check a sealed version: signature, every digest, names and epoch; --bits compares evaluators."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.place import find_workspace
from baluarte.apps.session import named_version, session_of, texts_of
from baluarte.errors import DataError
from baluarte.stages.fetch import open_version


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte verify``."""
    parser.add_argument("version", nargs="?", help="DETECTOR[@NUMBER] (default: the champion)")
    parser.add_argument("--bits", action="store_true", help="C against NumPy on rows full of traps")
    parser.add_argument("--rows", type=int, default=20_000, help="rows for --bits (default: 20000)")
    parser.add_argument("--seed", type=int, default=0, help="of those rows")


def run(args: argparse.Namespace) -> int:
    """Verify; exit 1 where the evaluators differ, 4 where the bundle doesn't hold."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    name, number = named_version(args.version) if args.version else (None, None)
    detector = name or place.detector(None).name
    with session_of(args, place) as session:
        known = session.registry.versions(detector)
        champion = session.registry.champion(detector)
        version = (
            next((v for v in known if v.version == number), None)
            if number is not None
            else champion or (known[-1] if known else None)
        )
        if version is None:
            raise DataError(f"there is no such sealed version of {detector}", hint="baluarte build")
        bundle = open_version(
            version,
            bundles=session.bundles,
            verifier=session.verifier,
            at_us=session.clock.now_us(),
        )
    label = f"{detector}@{version.version}"
    files = len(bundle.manifest.files)
    screen.data(version=label, digest=version.digest, key=bundle.key_id, files=files)
    digest, signer = f"{version.digest[:23]}…", f"{bundle.key_id[:16]}…"
    held = texts.get("verify.holds", version=label, digest=digest, files=files)
    screen.item(texts.get("verify.bundle"), held, "kept")
    screen.item(texts.get("verify.signature"), texts.get("verify.trusted", signer=signer), "kept")
    status = 0
    if args.bits:
        status = _bits(args, screen, texts, bundle)
    screen.next("baluarte ledger verify", "baluarte replay --sample 1000")
    return screen.end(status)


def _bits(args: argparse.Namespace, screen: Screen, texts: Texts, bundle: object) -> int:
    import numpy as np  # noqa: PLC0415 - only for --bits

    from baluarte.core.bundle import SealedBundle  # noqa: PLC0415 - likewise
    from baluarte.stages.bits import verify_bits  # noqa: PLC0415 - likewise

    if not isinstance(bundle, SealedBundle):
        raise TypeError(bundle)
    report = verify_bits(
        bundle.program,
        bundle.encoder.columns,
        n_rows=args.rows,
        rng=np.random.default_rng(args.seed),
    )
    screen.data(bits=asdict(report))
    if report.n_different:
        said = texts.get("verify.differ", n=report.n_different, of=report.n_scores)
        screen.item(texts.get("verify.bits"), said, "broken")
        if report.first is not None:
            screen.item("", texts.get("verify.first", **asdict(report.first)), "broken")
        return 1
    said = texts.get("verify.same", rows=report.n_rows, scores=report.n_scores)
    screen.item(texts.get("verify.bits"), said, "kept")
    return 0
