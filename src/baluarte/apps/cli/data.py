"""The version of data: its digest and size; and DVC's own files of them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from baluarte import wiring
from baluarte.adapters import dvc
from baluarte.apps.cli.screen import Screen
from baluarte.apps.session import texts_anywhere
from baluarte.errors import ContractError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte data``."""
    parser.add_argument("address", nargs="+", help="a file, an object, a table; or DATA.dvc")
    parser.add_argument("--dvc", action="store_true", help="write FILE.dvc, as dvc add does")
    parser.add_argument(
        "--lock", metavar="STAGE", help="write the files into dvc.lock as what this stage read"
    )
    parser.add_argument(
        "--command", default="baluarte train", help="of the stage (default: baluarte train)"
    )


def run(args: argparse.Namespace) -> int:
    """Say which data they are; the check of a DVC file that fails is exit 4."""
    screen = Screen(as_json=args.json)
    texts = screen.speaks(texts_anywhere(args))
    told = []
    for address in args.address:
        found = dvc.resolved(address)
        digest = wiring.source_for(found).digest(found)
        path = Path(found)
        size = path.stat().st_size if "://" not in found and path.is_file() else None
        shown = "" if size is None else f"  {texts.numerals.size(size, 3)}"
        screen.item(texts.get("data.label"), f"{found}  {digest}{shown}")
        told.append({"address": found, "digest": digest, "bytes": size})
        if args.dvc:
            screen.item(texts.get("screen.wrote"), str(dvc.write_dvc(_file(found))))
    if args.lock:
        lock = Path("dvc.lock")
        deps = [os.path.relpath(_file(str(one["address"]))) for one in told]
        dvc.write_lock(lock, args.lock, command=args.command, deps=deps)
        screen.item(texts.get("screen.wrote"), f"{lock}: {args.lock}")
    screen.data(data=told)
    screen.next("baluarte plan")
    return screen.end()


def _file(address: str) -> Path:
    path = Path(address)
    if not path.is_file():
        raise ContractError(
            "expected a file on this machine: DVC knows others by their own commands",
            where=address,
        )
    return path
