"""Back the workspace up while it runs: ledger, registry, bundles, accounts, keys of people.

Private keys are in a backup only under a passphrase, if one is given. Keep the master key of
personal values apart from backups: who has both can read what was not erased.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from baluarte.adapters.backup_folder import BackupFolder
from baluarte.apps.backing_up import back_up
from baluarte.apps.cli.screen import Screen
from baluarte.apps.place import find_workspace
from baluarte.apps.session import session_of, texts_of
from baluarte.apps.story import instant
from baluarte.errors import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte backup``."""
    parser.add_argument("dest", metavar="DEST", help="a folder; it may hold earlier backups")
    parser.add_argument("--keep", type=int, metavar="N", help="how many stay (default: all)")
    add_passphrase(parser, "hold the private keys, too, under the passphrase in this variable")
    parser.add_argument("--actor", help="who acts (default: BALUARTE_ACTOR, or your login name)")


def add_passphrase(parser: argparse.ArgumentParser, said: str) -> None:
    """A passphrase by reference, never on the command line."""
    parser.add_argument("--passphrase-env", metavar="NAME", help=said)


def passphrase_of(args: argparse.Namespace) -> str | None:
    """The passphrase that the command line refers to.

    Raises:
        DataError: the variable is not set.
    """
    if args.passphrase_env is None:
        return None
    found = os.environ.get(args.passphrase_env)
    if not found:
        raise DataError("expected a passphrase, found none", where=args.passphrase_env)
    return found


def run(args: argparse.Namespace) -> int:
    """Back up."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    if args.keep is not None and args.keep < 1:
        raise DataError(f"expected 1 or more, found {args.keep}", where="--keep")
    with (
        session_of(args, place) as session,
        BackupFolder(Path(args.dest)) as folder,
        screen.progress(texts.get("backup.label")) as bar,
    ):
        done = back_up(
            session, folder, passphrase=passphrase_of(args), keep=args.keep, progress=bar
        )
    records = sum(shard.size for shard in done.manifest.shards)
    screen.item(
        texts.get("backup.label"),
        texts.get(
            "backup.done",
            records=records,
            files=len(done.manifest.files),
            new=done.n_new,
            at=instant(done.manifest.at),
        ),
        "kept",
    )
    for store in done.manifest.left_out:
        screen.item("", texts.get("backup.left_out", store=store), "unsure")
    screen.data(
        backup=done.manifest.id,
        at=done.manifest.at,
        records=records,
        files=len(done.manifest.files),
        new_files=done.n_new,
        bytes=done.n_bytes,
        left_out=list(done.manifest.left_out),
    )
    screen.next(f"baluarte restore {args.dest} --into ELSEWHERE")
    return screen.end()
