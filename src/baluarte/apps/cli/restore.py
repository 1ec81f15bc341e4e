"""Bring a backup back: checked by its proofs beside what is there, then put in its place.

Nothing is restored over a ledger that is newer, nor while a server runs. Whom to believe, who may
do what, and the keys of people stay where they are there: they know what was revoked and erased.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from baluarte.adapters.backup_folder import BackupFolder
from baluarte.apps.cli.backup import add_passphrase, passphrase_of
from baluarte.apps.cli.screen import Screen
from baluarte.apps.place import WORKSPACE_FILE, open_place, workspace_path
from baluarte.apps.restoring import (
    Restored,
    choose,
    finish_restore,
    restore,
    restore_settings,
    told_kept,
)
from baluarte.apps.session import Session, add_actor, session_of, texts_of
from baluarte.apps.story import instant
from baluarte.core.decision import ActRecord
from baluarte.errors import DataError
from baluarte.stages.erase import EVERY


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte restore``."""
    parser.add_argument("src", metavar="SRC", help="a folder that baluarte backup wrote")
    parser.add_argument("--into", metavar="FOLDER", help="a workspace's folder, made if need be")
    parser.add_argument("--at", type=int, metavar="TIME", help="as backup said (default: the last)")
    parser.add_argument(
        "--trusted", metavar="FOLDER", help="public keys to believe (default: the workspace's own)"
    )
    add_passphrase(parser, "bring private keys back, with the passphrase in this variable")
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Restore."""
    screen = Screen(as_json=args.json)
    path = Path(args.into).resolve() / WORKSPACE_FILE if args.into else workspace_path(args)
    done = finish_restore(path.parent)
    finished = done is not None
    if done is None:
        done = _restore(args, path, screen)
    place = open_place(path, overrides=args.set)
    texts = screen.speaks(texts_of(args, place))
    with session_of(args, place) as session:
        _record(session, done, args.reason)
    said = texts.get("restore.done", records=done.n_records, at=instant(done.at))
    screen.item(texts.get("restore.label"), said, "kept")
    if finished:
        screen.item("", texts.get("restore.finished"), "unsure")
    if done.n_erased:
        screen.item("", texts.get("restore.erased", n=done.n_erased))
    if done.own_trust:
        screen.item("", texts.get("restore.own_trust"), "unsure")
    kept = told_kept(done.kept, place.root)
    if kept:
        screen.item("", texts.get("restore.kept", paths=", ".join(kept)), "unsure")
    screen.data(
        backup=done.backup, at=done.at, records=done.n_records, erased=done.n_erased, kept=kept
    )
    screen.next("baluarte ledger verify", "baluarte status")
    return screen.end()


def _restore(args: argparse.Namespace, path: Path, screen: Screen) -> Restored:
    if not Path(args.src).is_dir():
        raise DataError("there is no such folder", where=args.src)
    with BackupFolder(Path(args.src)) as folder:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            restore_settings(folder, choose(folder, args.at)[0], path.parent)
        place = open_place(path, overrides=args.set)
        with screen.progress(texts_of(args, place).get("restore.label")) as bar:
            return restore(
                place,
                folder,
                at=args.at,
                trusted=Path(args.trusted) if args.trusted else None,
                passphrase=passphrase_of(args),
                progress=bar,
            )


def _record(session: Session, done: Restored, reason: str) -> None:
    session.record_act(
        ActRecord(
            at=session.clock.now_us(),
            act="restore",
            actor=session.actor,
            detector=EVERY,
            reason=reason,
            details={"backup": done.backup, "records": done.n_records},
        )
    )
