"""Keys that sign: make, list, trust, revoke. API keys of accounts: issue, list, withdraw."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from baluarte import wiring
from baluarte.adapters.disk import write_aside
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.place import find_workspace
from baluarte.apps.rotating import rotate_people
from baluarte.apps.session import Session, add_actor, session_of, texts_of
from baluarte.core.decision import ActRecord
from baluarte.errors import DataError

_DAY_US = 86_400_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte keys``."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    create = verbs.add_parser("create", help="make a key pair; the private key is only yours")
    create.add_argument("name", nargs="?", default="signing", help="default: signing")
    create.add_argument("--days", type=int, default=730, help="validity (default: 730)")
    create.add_argument(
        "--algorithm", choices=("ed25519", "ml-dsa-44"), default="ed25519",
        help="ml-dsa-44 withstands quantum computers; its signatures have 2,420 bytes",
    )  # fmt: skip
    verbs.add_parser("list", help="the keys that are trusted")
    trust = verbs.add_parser("trust", help="trust the public key in a file")
    trust.add_argument("file", help="a public record, as in the folder of trusted keys")
    revoke = verbs.add_parser("revoke", help="take trust back, for good")
    revoke.add_argument("name", help="as keys list shows it")
    issue = verbs.add_parser("issue", help="an API key for an account; it is shown once")
    issue.add_argument("account", help="as users list shows it")
    issue.add_argument("--note", default="", help="what it is for")
    issue.add_argument("--days", type=int, default=365, help="how long it holds (default: 365)")
    issue.add_argument("--rate", type=float, help="requests a second that it may make")
    issue.add_argument("--burst", type=int, help="requests at once (default: a second's worth)")
    add_actor(issue)
    verbs.add_parser("issued", help="the API keys, and whether they hold")
    withdraw = verbs.add_parser("withdraw", help="take an API key back; it holds no second longer")
    withdraw.add_argument("id", help="as keys issued shows it")
    add_actor(withdraw)
    verifier = verbs.add_parser("verifier", help="the keys that an auditor checks the ledger with")
    verifier.add_argument("--out", help="a file (default: standard output)")
    rotate = verbs.add_parser(
        "rotate-people", help="a new master key of personal values in the place of the old one"
    )
    fields = verbs.add_parser(
        "fields", help="a new key that callers seal fields to; older ones open until removed"
    )
    fields.add_argument("--out", help="a file for its public record (default: standard output)")
    for verb in (create, trust, revoke, rotate, fields):
        add_actor(verb)


def run(args: argparse.Namespace) -> int:
    """Do one verb; what changes who is believed is recorded in the ledger."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    verbs = {
        "create": _create,
        "list": _list,
        "trust": _trust,
        "revoke": _revoke,
        "verifier": _verifier,
        "issue": _issue,
        "issued": _issued,
        "withdraw": _withdraw,
        "rotate-people": _rotate_people,
        "fields": _fields,
    }
    with session_of(args, place) as session:
        verbs[args.verb](args, session, screen, texts)
    return screen.end()


def _create(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> None:
    path = session.place.signing.parent / f"{args.name}.key"
    now = session.clock.now_us()
    key = wiring.create_key(
        path,
        session.place.trusted,
        algorithm=args.algorithm,
        not_before=now,
        not_after=now + args.days * _DAY_US,
    )
    session.record_key("create", key, reason=args.reason)
    screen.data(name=key.name, key_id=key.key_id, algorithm=key.algorithm, private=str(path))
    said = texts.get(
        "keys.made",
        name=key.name,
        algorithm=key.algorithm,
        key_id=f"{key.key_id[:16]}…",
        path=str(path),
    )
    screen.item(texts.get("keys.key"), said)
    screen.next("baluarte build")


def _fields(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> None:
    from baluarte.adapters.field_keys import create_field_key  # noqa: PLC0415 - this verb

    folder, now = session.place.field_keys, session.clock.now_us()
    key = create_field_key(folder, now_us=now)
    details: dict[str, str | int | float | bool | None] = {"done": "create fields", "key": key.key}
    act = ActRecord(
        at=now, act="key", actor=session.actor, detector="", reason=args.reason, details=details
    )
    session.record_act(act)
    public = msgspec.json.encode(key)
    if args.out:
        write_aside(Path(args.out), public)
    else:
        screen.line(public.decode())
    screen.data(key=key.key, public=public.decode(), private=str(folder / f"{key.key}.key"))
    said = texts.get("keys.made_field", name=key.key, path=str(folder / f"{key.key}.key"))
    screen.item(texts.get("keys.key"), said)
    screen.next(texts.get("keys.give_public"))


def _list(_: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> None:
    now = session.clock.now_us()
    rows = []
    for key in session.verifier.public_keys():
        ends = _day(key.not_after)
        revoked = key.revoked_at is not None
        state = "revoked" if revoked else "expired" if key.not_after < now else "trusted"
        row = {"name": key.name, "key_id": key.key_id, "state": state, "until": ends}
        rows.append(row | {"algorithm": key.algorithm})
        tone: Tone = "kept" if state == "trusted" else "broken"
        said = texts.get(
            "keys.row",
            state=texts.get(f"keys.state_{state}"),
            until=ends,
            algorithm=key.algorithm,
            key_id=f"{key.key_id[:16]}…",
        )
        screen.item(key.name, said, tone)
    if not rows:
        screen.line(texts.get("keys.none"))
    screen.data(keys=rows)
    screen.next("baluarte keys create" if not rows else "baluarte keys revoke NAME")


def _trust(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> None:
    from baluarte.adapters.key_files import read_public_key, trust_key  # noqa: PLC0415 - this verb

    key = read_public_key(Path(args.file).read_bytes(), where=args.file)
    trust_key(session.place.trusted, key)
    session.record_key("trust", key, reason=args.reason)
    screen.data(name=key.name, key_id=key.key_id)
    screen.item(texts.get("keys.trusted"), f"{key.name}  {key.key_id[:16]}…")
    screen.next("baluarte keys list")


def _revoke(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> None:
    from baluarte.adapters.key_files import revoke_key  # noqa: PLC0415 - this verb

    key = revoke_key(session.place.trusted, args.name, at=session.clock.now_us())
    session.record_key("revoke", key, reason=args.reason)
    screen.data(name=key.name, key_id=key.key_id)
    said = texts.get("keys.revoked_line", name=key.name, key_id=f"{key.key_id[:16]}…")
    screen.item(texts.get("keys.revoked"), said, "broken")
    screen.next("baluarte keys create NEW_NAME")


def _verifier(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> None:
    from baluarte.apps.proving import keys_text  # noqa: PLC0415 - this verb

    text = keys_text(session)
    if not args.out:
        sys.stdout.write(text)
        screen.as_json = False
        return
    write_aside(Path(args.out), text.encode())
    screen.data(out=args.out, keys=text.splitlines())
    screen.item(texts.get("keys.many"), texts.get("keys.verifier", out=args.out))
    screen.next("baluarte ledger proof LAST --out FOLDER")


def _issue(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> None:
    if args.rate is not None and args.rate <= 0:
        raise DataError(f"expected a rate above 0; found {args.rate:g}")
    if args.burst is not None and (args.burst < 1 or args.rate is None):
        raise DataError("expected a burst of 1 or more, together with a rate")
    key, text = session.access.issue_key(
        args.account,
        note=args.note,
        days=args.days,
        rate_per_s=args.rate,
        burst=args.burst,
        reason=args.reason,
    )
    screen.data(id=key.id, account=key.account, key=text, until=_day(key.until))
    said = texts.get("keys.issued", id=key.id, account=key.account, until=_day(key.until))
    screen.item(texts.get("keys.key"), said)
    screen.line(text)
    screen.line(texts.get("keys.shown_once"), "dim")
    screen.next(f"baluarte keys withdraw {key.id}")


def _issued(_: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> None:
    rows = []
    now = session.clock.now_us()
    for key in session.accounts.api_keys() if session.place.has_accounts else []:
        gone = key.revoked_at is not None
        state = "withdrawn" if gone else "expired" if key.until <= now else "holds"
        rate = f"{key.rate_per_s:g}/s" if key.rate_per_s is not None else ""
        rows.append({"id": key.id, "account": key.account, "state": state, "note": key.note})
        said = texts.get(f"keys.state_{state}")
        until = texts.get("keys.until", at=_day(key.until))
        screen.line(
            f"{key.id}  {key.account:<20} {said:<10} {until}  {rate:<8} {key.note}".rstrip(),
            "kept" if state == "holds" else "dim",
        )
    if not rows:
        screen.line(texts.get("keys.none_issued"))
    screen.data(keys=rows)
    screen.next("baluarte keys issue ACCOUNT")


def _withdraw(args: argparse.Namespace, session: Session, screen: Screen, texts: Texts) -> None:
    session.access.withdraw_key(args.id, reason=args.reason)
    screen.data(id=args.id, state="withdrawn")
    screen.item(texts.get("keys.key"), texts.get("keys.withdrawn", id=args.id))
    screen.next("baluarte keys issued")


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).date().isoformat()


def _rotate_people(
    args: argparse.Namespace, session: Session, screen: Screen, texts: Texts
) -> None:
    n = rotate_people(session, reason=args.reason)
    screen.data(keys=n, file=session.place.people_master_file)
    screen.item(texts.get("keys.rotated"), texts.get("keys.rotated_line", n=n), "kept")
    screen.next("baluarte backup DEST")
