"""Signing keys: make one, list those that are trusted, trust another's, revoke."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.place import Place, find_workspace

_DAY_US = 86_400_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte keys``."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    create = verbs.add_parser("create", help="make a key pair; the private key is only yours")
    create.add_argument("name", nargs="?", default="signing", help="default: signing")
    create.add_argument("--days", type=int, default=730, help="validity (default: 730)")
    verbs.add_parser("list", help="the keys that are trusted")
    trust = verbs.add_parser("trust", help="trust the public key in a file")
    trust.add_argument("file", help="a public record, as in the folder of trusted keys")
    revoke = verbs.add_parser("revoke", help="take trust back, for good")
    revoke.add_argument("name", help="as keys list shows it")


def run(args: argparse.Namespace) -> int:
    """Do one verb."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    {"create": _create, "list": _list, "trust": _trust, "revoke": _revoke}[args.verb](
        args, place, screen
    )
    return screen.end()


def private_folder(place: Place) -> Path:
    """Where private keys are kept: the folder of the signing key."""
    return place.signing.parent


def _create(args: argparse.Namespace, place: Place, screen: Screen) -> None:
    from baluarte.adapters.signers.ed25519 import create_key  # noqa: PLC0415 - loads cryptography
    from baluarte.adapters.system import SystemClock  # noqa: PLC0415 - likewise

    now = SystemClock().now_us()
    key = create_key(
        private_folder(place),
        place.trusted,
        args.name,
        not_before=now,
        not_after=now + args.days * _DAY_US,
    )
    path = private_folder(place) / f"{args.name}.key"
    screen.data(name=key.name, key_id=key.key_id, private=str(path))
    screen.item("Key", f"{key.name}  {key.key_id[:16]}…  private: {path} (0600)")
    screen.next("baluarte build")


def _list(_: argparse.Namespace, place: Place, screen: Screen) -> None:
    from baluarte.adapters.signers.ed25519 import TrustedKeys  # noqa: PLC0415 - loads cryptography
    from baluarte.adapters.system import SystemClock  # noqa: PLC0415 - likewise

    now = SystemClock().now_us()
    rows = []
    for key in TrustedKeys(place.trusted).public_keys():
        ends = datetime.fromtimestamp(key.not_after / 1e6, UTC).date().isoformat()
        revoked = key.revoked_at is not None
        state = "revoked" if revoked else "expired" if key.not_after < now else "trusted"
        rows.append({"name": key.name, "key_id": key.key_id, "state": state, "until": ends})
        tone: Tone = "kept" if state == "trusted" else "broken"
        screen.item(key.name, f"{state} until {ends}  {key.key_id[:16]}…", tone)
    if not rows:
        screen.line("no key is trusted yet")
    screen.data(keys=rows)
    screen.next("baluarte keys create" if not rows else "baluarte keys revoke NAME")


def _trust(args: argparse.Namespace, place: Place, screen: Screen) -> None:
    from baluarte.adapters.signers.ed25519 import (  # noqa: PLC0415 - loads cryptography
        read_public_key,
        trust_key,
    )

    key = read_public_key(Path(args.file).read_bytes(), where=args.file)
    trust_key(place.trusted, key)
    screen.data(name=key.name, key_id=key.key_id)
    screen.item("Trusted", f"{key.name}  {key.key_id[:16]}…")
    screen.next("baluarte keys list")


def _revoke(args: argparse.Namespace, place: Place, screen: Screen) -> None:
    from baluarte.adapters.signers.ed25519 import revoke_key  # noqa: PLC0415 - loads cryptography
    from baluarte.adapters.system import SystemClock  # noqa: PLC0415 - likewise

    key = revoke_key(place.trusted, args.name, at=SystemClock().now_us())
    screen.data(name=key.name, key_id=key.key_id)
    screen.item("Revoked", f"{key.name}  {key.key_id[:16]}…  from now on", "broken")
    screen.next("baluarte keys create NEW_NAME")
