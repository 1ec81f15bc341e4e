"""Who may ask: make accounts, give them roles in tenants, set passwords, let nobody in any more.

The first admin is made here, by whoever has this machine; nothing comes with a default password.
"""

from __future__ import annotations

import argparse
import getpass
import sys

from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.place import Place, find_workspace
from baluarte.apps.session import Session, add_actor, session_of, texts_anywhere
from baluarte.core.accounts import Account, format_grant, parse_grant
from baluarte.core.policy import MATRIX
from baluarte.errors import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte users``."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add = verbs.add_parser("add", help="make an account; a person gets a password or a subject")
    add.add_argument("name", help="lower-case letters, digits, . _ @ and -")
    _add_grants(add)
    add.add_argument("--service", action="store_true", help="a program's, which has keys only")
    add.add_argument("--owner", help="of a program's: who answers for it (default: you)")
    add.add_argument("--subject", help="ISSUER#SUBJECT of the provider that signs the person in")
    _add_password(add)
    grant = verbs.add_parser("grant", help="give roles in the place of those that there are")
    grant.add_argument("name", help="as users list shows it")
    _add_grants(grant)
    password = verbs.add_parser("password", help="set a person's password; their sessions end")
    password.add_argument("name", help="as users list shows it")
    _add_password(password)
    disable = verbs.add_parser("disable", help="let nobody in by it any more")
    disable.add_argument("name", help="as users list shows it")
    verbs.add_parser("list", help="every account with its roles")
    verbs.add_parser("roles", help="what each role may do")
    for verb in (add, grant, password, disable):
        add_actor(verb)


def _add_grants(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="ROLE@TENANT[:DETECTOR,…]",
        help=f"one of {', '.join(MATRIX)}, in a tenant or in * for all; may be repeated",
    )


def _add_password(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input, its first line",
    )


def run(args: argparse.Namespace) -> int:
    """Do one verb."""
    screen = Screen(as_json=args.json)
    texts = screen.speaks(texts_anywhere(args))
    if args.verb == "roles":
        for role, actions in MATRIX.items():
            screen.item(role, ", ".join(sorted(actions)))
        screen.data(roles={role: sorted(actions) for role, actions in MATRIX.items()})
        screen.next("baluarte users add NAME --role ROLE@TENANT")
        return screen.end()
    place = find_workspace(args)
    with session_of(args, place) as session:
        if args.verb == "list":
            _list(session, place, screen, texts)
        else:
            verbs = {"add": _add, "grant": _grant, "password": _password, "disable": _disable}
            _show(screen, texts, verbs[args.verb](args, session, texts))
            screen.next("baluarte users list", "baluarte keys issue ACCOUNT")
    return screen.end()


def _add(args: argparse.Namespace, session: Session, texts: Texts) -> Account:
    grants = [parse_grant(text) for text in args.role]
    by_password = not args.service and args.subject is None
    password = _read_password(args, texts) if by_password else None
    return session.access.add(
        args.name,
        kind="service" if args.service else "person",
        grants=grants,
        owner=args.owner,
        subject=args.subject,
        reason=args.reason,
        password=password,
    )


def _grant(args: argparse.Namespace, session: Session, _: Texts) -> Account:
    grants = [parse_grant(text) for text in args.role]
    return session.access.grant(args.name, grants, reason=args.reason)


def _password(args: argparse.Namespace, session: Session, texts: Texts) -> Account:
    session.access.set_password(args.name, _read_password(args, texts), reason=args.reason)
    account = session.accounts.account(args.name)
    if account is None:
        raise DataError(f"there is no account {args.name}")
    return account


def _disable(args: argparse.Namespace, session: Session, _: Texts) -> Account:
    return session.access.disable(args.name, reason=args.reason)


def _list(session: Session, place: Place, screen: Screen, texts: Texts) -> None:
    accounts = session.accounts.accounts() if place.has_accounts else []
    for account in accounts:
        _show(screen, texts, account)
    if not accounts:
        screen.line(texts.get("users.none"))
    rows = [_row(account) for account in accounts]
    screen.data(accounts=rows)
    screen.next("baluarte users add NAME --role ROLE@TENANT", "baluarte users roles")


def _show(screen: Screen, texts: Texts, account: Account) -> None:
    row = _row(account)
    roles = " ".join(format_grant(grant) for grant in account.grants)
    kind, state = texts.get(f"users.kind_{row['kind']}"), texts.get(f"users.state_{row['state']}")
    said = f"{account.name:<20} {kind:<8} {state:<9} {roles}"
    screen.line(said, "dim" if account.disabled_at is not None else "plain")
    screen.data(**row)


def _row(account: Account) -> dict[str, object]:
    return {
        "name": account.name,
        "kind": account.kind,
        "owner": account.owner,
        "state": "active" if account.disabled_at is None else "disabled",
        "roles": [format_grant(grant) for grant in account.grants],
    }


def _read_password(args: argparse.Namespace, texts: Texts) -> str:
    """A password, never from the command line, where other processes see it.

    Raises:
        DataError: the two that were typed differ, or there was none.
    """
    if args.password_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise DataError(
            "expected a password; there is no terminal to ask on",
            hint="Pipe it in with --password-stdin.",
        )
    first = getpass.getpass(f"  {texts.get('users.password')}")
    if getpass.getpass(f"  {texts.get('users.again')}") != first:
        raise DataError("the two passwords differ", hint="Type the same one twice.")
    return first
