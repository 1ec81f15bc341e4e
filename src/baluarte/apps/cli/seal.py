"""Sign the proved candidate as the next version of its detector."""

from __future__ import annotations

import argparse

from baluarte import wiring
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.making import seal_pending
from baluarte.apps.place import find_workspace
from baluarte.apps.session import Session, add_actor, session_of, texts_of
from baluarte.core.registry import Version

_DAY_US = 86_400_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte seal``."""
    parser.add_argument("detector", nargs="?", help="default: the one of this folder")
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Seal."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    with session_of(args, place) as session:
        made = ensure_key(session)
        version = seal_pending(session, place.detector(args.detector).name)
        if made:
            said = texts.get("build.key_made", path=str(place.signing))
            screen.item(texts.get("build.key"), said)
        tell_seal(screen, texts, session, version)
    screen.next(texts.get("screen.label_more") if version.provisional else "baluarte promote")
    return screen.end()


def ensure_key(session: Session) -> bool:
    """Make the workspace's signing key where nobody made one yet; whether it was made now."""
    path = session.place.signing
    if path.exists() or session.verifier.public_keys():
        return False
    now = session.clock.now_us()
    key = wiring.create_key(
        path,
        session.place.trusted,
        not_before=now,
        not_after=now + 730 * _DAY_US,
    )
    session.record_key("create", key, reason="the first key of this workspace")
    return True


def tell_seal(screen: Screen, texts: Texts, session: Session, version: Version) -> None:
    """The new version in a line."""
    label = f"{version.detector}@{version.version}"
    signed = texts.get("build.signed", signer=session.signer.key.name)
    state = f"  {texts.get('build.provisional')}" if version.provisional else ""
    screen.item(
        texts.get("build.seal"),
        f"{label}  {version.digest[:19]}…  {signed}{state}",
        "unsure" if version.provisional else "kept",
    )
    screen.data(version=label, digest=version.digest, provisional=version.provisional)
