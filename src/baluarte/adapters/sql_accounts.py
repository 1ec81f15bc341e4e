"""Accounts, keys and sessions in a SQL database: SQLite and PostgreSQL in the same words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import msgspec

from baluarte.adapters.sql_store import SqlStore
from baluarte.core.accounts import LOCK_US, Account, ApiKey, Failures, Session
from baluarte.core.policy import Grant
from baluarte.errors import DataError

_ACCOUNT = (
    "SELECT name, kind, owner, grants, hands, made_at, made_by, disabled_at, subject FROM accounts"
)
_KEY = (
    "SELECT id, account, note, mac, made_at, made_by, until, revoked_at, rate_per_s, burst "
    "FROM keys ORDER BY made_at, id"
)
_PUT = (
    "INSERT INTO accounts (name, kind, owner, grants, hands, made_at, made_by, disabled_at, "
    "subject) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
    "kind = excluded.kind, owner = excluded.owner, grants = excluded.grants, "
    "hands = excluded.hands, disabled_at = excluded.disabled_at, subject = excluded.subject"
)
_FAIL = (
    "INSERT INTO failures VALUES (?, 1, ?) ON CONFLICT (name) DO UPDATE SET "
    "count = CASE WHEN failures.last_at + ? <= excluded.last_at THEN 1 "
    "ELSE failures.count + 1 END, "
    "last_at = excluded.last_at"
)
_ADD_KEY = "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_USE = (
    "INSERT INTO used VALUES (?, ?, ?) ON CONFLICT (tenant, day) "
    "DO UPDATE SET n = used.n + excluded.n"
)
_GRANTS = msgspec.json.Decoder(tuple[Grant, ...])
_HANDS = msgspec.json.Decoder(frozenset[str])


class SqlAccounts:
    """Who may ask, in one database; safe to share between the threads of a process.

    Args:
        store: with the tables that these statements name.
    """

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def close(self) -> None:
        """Close the store; nothing may be called after."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def generation(self) -> int:
        """Rises by every change that a guard must know: cheap to poll."""
        return int(self._store.read("SELECT n FROM generation")[0][0])

    # --- accounts -----------------------------------------------------------------------------

    def put(self, account: Account) -> None:
        """Keep an account in the place of the one of its name, or as a new one.

        Raises:
            DataError: another account has its subject.
        """
        with self._store.transaction():
            clash = "SELECT 1 FROM accounts WHERE subject = ? AND name <> ?"
            if account.subject and self._store.rows(clash, account.subject, account.name):
                raise DataError(f"another account signs in as {account.subject}")
            self._store.rows(
                _PUT,
                account.name,
                account.kind,
                account.owner,
                msgspec.json.encode(account.grants),
                msgspec.json.encode(sorted(account.hands)),
                account.made_at,
                account.made_by,
                account.disabled_at,
                account.subject,
            )
            self._changed()

    def account(self, name: str) -> Account | None:
        """The account of this name."""
        rows = self._store.read(f"{_ACCOUNT} WHERE name = ?", name)
        return _account(rows[0]) if rows else None

    def accounts(self) -> list[Account]:
        """All accounts, disabled ones too, by name."""
        return [_account(row) for row in self._store.read(f"{_ACCOUNT} ORDER BY name")]

    # --- passwords ----------------------------------------------------------------------------

    def put_password(self, name: str, kept: str) -> None:
        """Keep a person's password; sessions of theirs end, failures are forgotten.

        Raises:
            DataError: there is no such account.
        """
        with self._store.transaction():
            self._must_exist(name)
            self._store.rows("UPDATE accounts SET password = ? WHERE name = ?", kept, name)
            self._store.rows("DELETE FROM sessions WHERE account = ?", name)
            self._store.rows("DELETE FROM failures WHERE name = ?", name)
            self._changed()

    def password(self, name: str) -> str | None:
        """What is kept of a person's password."""
        rows = self._store.read("SELECT password FROM accounts WHERE name = ?", name)
        return rows[0][0] if rows else None

    def failures(self, name: str) -> Failures:
        """Failed sign-ins in a row, of any name that was tried."""
        rows = self._store.read("SELECT count, last_at FROM failures WHERE name = ?", name)
        return Failures(count=rows[0][0], last_at=rows[0][1]) if rows else Failures()

    def fail(self, name: str, *, at: int) -> Failures:
        """Count one more; what there is then."""
        with self._store.transaction():
            self._store.rows(_FAIL, name, at, LOCK_US)
            # names that were only ever guessed don't pile up
            self._store.rows("DELETE FROM failures WHERE last_at + ? < ?", LOCK_US, at)
        return self.failures(name)

    def forgive(self, name: str) -> None:
        """Forget failures."""
        with self._store.transaction():
            self._store.rows("DELETE FROM failures WHERE name = ?", name)

    # --- keys and sessions --------------------------------------------------------------------

    def add_key(self, key: ApiKey) -> None:
        """Keep a new key.

        Raises:
            DataError: its id is known, or there is no such account.
        """
        with self._store.transaction():
            self._must_exist(key.account)
            if self._store.rows("SELECT 1 FROM keys WHERE id = ?", key.id):
                raise DataError(f"there is a key {key.id} already")
            self._store.rows(_ADD_KEY, *msgspec.structs.astuple(key))
            self._changed()

    def api_keys(self) -> list[ApiKey]:
        """All keys, revoked and expired ones too, oldest first."""
        return [
            ApiKey(**dict(zip(ApiKey.__struct_fields__, row, strict=True)))
            for row in self._store.read(_KEY)
        ]

    def revoke_key(self, key: str, *, at: int) -> None:
        """Take a key back, for good.

        Raises:
            DataError: there is no such key, or it was revoked before.
        """
        with self._store.transaction():
            rows = self._store.rows("SELECT revoked_at FROM keys WHERE id = ?", key)
            if not rows or rows[0][0] is not None:
                found = "was revoked before" if rows else "is not there"
                raise DataError(f"the key {key[:80]!r} {found}", hint="`baluarte keys issued`.")
            self._store.rows("UPDATE keys SET revoked_at = ? WHERE id = ?", at, key)
            self._changed()

    def open_session(self, session: Session) -> None:
        """Keep a new session; those that have ended go."""
        with self._store.transaction():
            self._must_exist(session.account)
            self._store.rows("DELETE FROM sessions WHERE until < ?", session.made_at)
            self._store.rows(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)", *msgspec.structs.astuple(session)
            )

    def session(self, mac: bytes) -> Session | None:
        """The session, whether it still holds or not."""
        rows = self._store.read(
            "SELECT mac, account, made_at, until, how, seen_at FROM sessions WHERE mac = ?", mac
        )
        if not rows:
            return None
        return Session(**dict(zip(Session.__struct_fields__, rows[0], strict=True)))

    def see_session(self, mac: bytes, *, at: int) -> None:
        """Note that a session was used."""
        with self._store.transaction():
            self._store.rows("UPDATE sessions SET seen_at = ? WHERE mac = ?", at, mac)

    def end_session(self, mac: bytes) -> None:
        """End one session."""
        with self._store.transaction():
            self._store.rows("DELETE FROM sessions WHERE mac = ?", mac)

    def end_sessions(self, account: str) -> None:
        """End every session of an account."""
        with self._store.transaction():
            self._store.rows("DELETE FROM sessions WHERE account = ?", account)

    def use(self, tenant: str, *, day: int, n: int) -> int:
        """Count ``n`` events of a tenant on a day (of UTC since 1970); all that it had by then."""
        with self._store.transaction():
            if n:
                self._store.rows(_USE, tenant, day, n)
                self._store.rows("DELETE FROM used WHERE day < ?", day - 400)
            rows = self._store.rows("SELECT n FROM used WHERE tenant = ? AND day = ?", tenant, day)
        return int(rows[0][0]) if rows else 0

    # --- within -------------------------------------------------------------------------------

    def _changed(self) -> None:
        self._store.rows("UPDATE generation SET n = n + 1")

    def _must_exist(self, name: str) -> None:
        if not self._store.rows("SELECT 1 FROM accounts WHERE name = ?", name):
            raise DataError(f"there is no account {name[:80]!r}", hint="`baluarte users list`.")


def _account(row: Sequence[Any]) -> Account:
    name, kind, owner, grants, hands, made_at, made_by, disabled_at, subject = row
    return Account(
        name=name,
        kind=kind,
        owner=owner,
        grants=_GRANTS.decode(grants),
        hands=_HANDS.decode(hands),
        made_at=made_at,
        made_by=made_by,
        disabled_at=disabled_at,
        subject=subject,
    )
