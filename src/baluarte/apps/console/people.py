"""Accounts and their keys: looked at and changed, each change in the ledger first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from baluarte.apps.console.asked import Asked
from baluarte.apps.console.problem import Refused
from baluarte.apps.console.wire import (
    AccountRow,
    Done,
    KeyIssued,
    KeyRow,
    MyPassword,
    NewAccount,
    NewGrants,
    NewKey,
    NewPassword,
    Reason,
    read,
)
from baluarte.apps.scoring.body import query_of
from baluarte.core.accounts import (
    Account,
    ApiKey,
    check_grants,
    check_name,
    check_password,
    format_grant,
    parse_grant,
)
from baluarte.core.policy import Action, Grant, Principal, permits, resources_of, rules_over
from baluarte.errors import DataError
from baluarte.ports import Accounts, Clock
from baluarte.stages.access import Access, Door

PAGE = 200  #: rows of one answer
T = TypeVar("T")


class People:
    """Answers by the store of accounts.

    Args:
        access_for: what changes accounts on behalf of an actor.
        acting: held while something is changed: one act after another.
    """

    def __init__(
        self,
        *,
        accounts: Accounts,
        access_for: Callable[[str], Access],
        door: Door,
        clock: Clock,
        acting: AbstractContextManager[object],
    ) -> None:
        self._accounts, self._access_for = accounts, access_for
        self._door, self._clock, self._acting = door, clock, acting

    # --- looking ------------------------------------------------------------------------------

    def accounts(self, asked: Asked) -> list[AccountRow]:
        """Accounts that reach into a tenant whose accounts the caller may read."""
        found = [
            account
            for account in self._accounts.accounts()
            if _reaches(asked.who, "accounts.read", account.grants)
        ]
        return [_account_row(a, asked.who) for a in _page(found, asked.query, lambda a: a.name)]

    def keys(self, asked: Asked) -> list[KeyRow]:
        """The keys of accounts whose keys the caller may read."""
        known = {account.name: account for account in self._accounts.accounts()}
        found = [
            key
            for key in sorted(self._accounts.api_keys(), key=lambda key: key.id)
            if _reaches(asked.who, "keys.read", known[key.account].grants)
        ]
        now = self._clock.now_us()
        return [
            _key_row(key, known[key.account], now)
            for key in _page(found, asked.query, lambda key: key.id)
        ]

    # --- whose it is --------------------------------------------------------------------------

    def check(self, asked: Asked, action: Action) -> None:
        """Return if the caller may do that to the account, or the key, that the path names.

        Raises:
            Refused: 403; or 404 where the caller must not even learn that it is there.
        """
        name = asked.name if asked.route.scope == "account" else self._holder_of(asked.name)
        account = self._accounts.account(name) if name else None
        sees: Action = "accounts.read" if asked.route.scope == "account" else "keys.read"
        if account is None or not _reaches(asked.who, sees, account.grants):
            # Where nothing is to be learnt, whether there is one decides nothing.
            if not any(permits(asked.who, action, one) for one in resources_of(asked.who.grants)):
                raise Refused("forbidden", f"this needs the right to {action}")
            raise Refused("not_found", f"there is no such {asked.route.scope}")
        if not rules_over(asked.who, action, account.grants):
            raise Refused("forbidden", f"this needs the right to {action} of all that it reaches")

    def _holder_of(self, key_id: str) -> str:
        return next((k.account for k in self._accounts.api_keys() if k.id == key_id), "")

    # --- changing -----------------------------------------------------------------------------

    def add(self, asked: Asked) -> AccountRow:
        """Make an account, with no role in a tenant that the caller doesn't rule."""
        new = read(asked.body, NewAccount)
        grants = self._given(asked.who, new.grants)
        if new.kind == "person" and (new.password is None) == (new.subject is None):
            raise Refused("wrong_shape", "expected a person to have a password or a subject")
        with _well_formed():
            check_name(new.name)
            check_grants(new.kind, grants, where=new.name)
            if new.password is not None:
                check_password(new.password, account=new.name)
        with self._acting:
            account = self._access(asked).add(
                new.name,
                kind=new.kind,
                grants=grants,
                owner=new.owner,
                subject=new.subject,
                password=new.password,
                reason=new.reason,
            )
        return _account_row(account, asked.who)

    def grant(self, asked: Asked) -> AccountRow:
        """Give other roles; nobody gives them to themselves."""
        new = read(asked.body, NewGrants)
        self._require_other(asked)
        grants = self._given(asked.who, new.grants)
        with self._acting:
            self.check(asked, "accounts.change")
            account = self._access(asked).grant(asked.name, grants, reason=new.reason)
        return _account_row(account, asked.who)

    def set_password(self, asked: Asked) -> Done:
        """Set somebody's password."""
        new = read(asked.body, NewPassword)
        self._require_other(asked)
        with _well_formed():
            check_password(new.password, account=asked.name)
        with self._acting:
            self.check(asked, "accounts.change")
            self._access(asked).set_password(asked.name, new.password, reason=new.reason)
        return Done()

    def disable(self, asked: Asked) -> AccountRow:
        """Let nobody in by it any more."""
        reason = read(asked.body, Reason).reason
        with self._acting:
            self.check(asked, "accounts.change")
            account = self._access(asked).disable(asked.name, reason=reason)
        return _account_row(account, asked.who)

    def my_password(self, asked: Asked) -> Done:
        """Set one's own password, in a session, by the one that holds."""
        new = read(asked.body, MyPassword)
        who = asked.who
        if who.via != "session":
            raise Refused("forbidden", "this needs a session")
        with _well_formed():
            check_password(new.password, account=who.name)
        if self._door.proves(who.name, new.current, address=asked.address) is None:
            raise Refused("forbidden", "expected the password that holds")
        with self._acting:
            self._access(asked).set_password(who.name, new.password, reason="by themselves")
        return Done()

    def issue_key(self, asked: Asked) -> KeyIssued:
        """Issue a key."""
        new = read(asked.body, NewKey)
        with self._acting:
            self.check(asked, "keys.change")
            key, text = self._access(asked).issue_key(
                asked.name,
                note=new.note,
                days=new.days,
                rate_per_s=new.rate_per_s,
                burst=new.burst,
                reason=new.reason,
            )
        return KeyIssued(id=key.id, key=text, until=key.until)

    def withdraw_key(self, asked: Asked) -> Done:
        """Take a key back."""
        reason = read(asked.body, Reason).reason
        with self._acting:
            self.check(asked, "keys.change")
            self._access(asked).withdraw_key(asked.name, reason=reason)
        return Done()

    # --- within -------------------------------------------------------------------------------

    def _access(self, asked: Asked) -> Access:
        return self._access_for(asked.who.name)

    def _require_other(self, asked: Asked) -> None:
        if asked.name == asked.who.name:
            raise Refused("forbidden", "nobody does this to their own account")

    def _given(self, who: Principal, texts: tuple[str, ...]) -> list[Grant]:
        """The grants that are asked for, all of them in tenants that the caller rules."""
        with _well_formed():
            grants = [parse_grant(text) for text in texts]
        if not rules_over(who, "accounts.change", grants):
            raise Refused("forbidden", "this needs the right to accounts.change in every tenant")
        return grants


@contextmanager
def _well_formed() -> Iterator[None]:
    """A value that can't be what it is given as is a fault of the body."""
    try:
        yield
    except DataError as error:
        raise Refused("wrong_shape", error.faults[0].message) from None


def _reaches(who: Principal, action: Action, grants: tuple[Grant, ...]) -> bool:
    """Whether the caller may do that to some of what these grants reach."""
    return any(permits(who, action, resource) for resource in resources_of(grants))


def _page(rows: list[T], query: str, key: Callable[[T], str]) -> list[T]:
    """At most :data:`PAGE` rows, after the one that the query names.

    Raises:
        Refused: the query is another one.
    """
    said = query_of(query, most=2)
    if [name for name, _ in said] not in ([], ["after"]):
        raise Refused("bad_query", "expected only after=NAME")
    after = said[0][1] if said else ""
    return [row for row in rows if key(row) > after][:PAGE]


def _account_row(account: Account, who: Principal) -> AccountRow:
    seen = [grant for grant in account.grants if _reaches(who, "accounts.read", (grant,))]
    return AccountRow(
        name=account.name,
        kind=account.kind,
        owner=account.owner,
        state="active" if account.disabled_at is None else "disabled",
        grants=tuple(format_grant(grant) for grant in seen),
        made_at=account.made_at,
        made_by=account.made_by,
        subject=account.subject,
    )


def _key_row(key: ApiKey, account: Account, now: int) -> KeyRow:
    return KeyRow(
        id=key.id,
        account=key.account,
        note=key.note,
        state="withdrawn"
        if key.revoked_at is not None
        else "disabled"
        if account.disabled_at is not None
        else "expired"
        if key.until <= now
        else "holds",
        made_at=key.made_at,
        made_by=key.made_by,
        until=key.until,
        rate_per_s=key.rate_per_s,
        burst=key.burst,
    )
