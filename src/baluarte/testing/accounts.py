"""Accounts in memory, and what every store of accounts must do."""

from __future__ import annotations

import msgspec

from baluarte.core.accounts import LOCK_US, MAX_FAILURES, Account, ApiKey, Failures, Session
from baluarte.core.policy import Grant
from baluarte.errors import DataError
from baluarte.ports import Accounts
from baluarte.testing.expect import expect, refused, same


class PlainPasswords:
    """Passwords that cost nothing to check, for tests of what stands around them."""

    def keep(self, password: str) -> str:
        """The password behind a mark."""
        return f"plain:{password}"

    def matches(self, password: str, kept: str | None) -> bool:
        """Whether it is the one."""
        return kept == f"plain:{password}"


class MemoryAccounts:
    """Meets :class:`baluarte.ports.Accounts`, in memory."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._passwords: dict[str, str] = {}
        self._failures: dict[str, Failures] = {}
        self._keys: dict[str, ApiKey] = {}
        self._sessions: dict[bytes, Session] = {}
        self._used: dict[tuple[str, int], int] = {}
        self._generation = 0

    def generation(self) -> int:
        """Rises by every change that a guard must know."""
        return self._generation

    def put(self, account: Account) -> None:
        """Keep an account."""
        others = {a.subject for a in self._accounts.values() if a.name != account.name}
        if account.subject and account.subject in others:
            raise DataError(f"another account signs in as {account.subject}")
        self._accounts[account.name] = account
        self._generation += 1

    def account(self, name: str) -> Account | None:
        """The account of this name."""
        return self._accounts.get(name)

    def accounts(self) -> list[Account]:
        """All accounts, by name."""
        return [self._accounts[name] for name in sorted(self._accounts)]

    def put_password(self, name: str, kept: str) -> None:
        """Keep a password."""
        self._must_exist(name)
        self._passwords[name] = kept
        self._failures.pop(name, None)
        self.end_sessions(name)
        self._generation += 1

    def password(self, name: str) -> str | None:
        """What is kept of a password."""
        return self._passwords.get(name)

    def failures(self, name: str) -> Failures:
        """Failed sign-ins in a row."""
        return self._failures.get(name, Failures())

    def fail(self, name: str, *, at: int) -> Failures:
        """Count one more."""
        before = self.failures(name)
        count = before.count if before.last_at + LOCK_US > at else 0
        self._failures[name] = Failures(count=count + 1, last_at=at)
        return self._failures[name]

    def forgive(self, name: str) -> None:
        """Forget failures."""
        self._failures.pop(name, None)

    def add_key(self, key: ApiKey) -> None:
        """Keep a new key."""
        self._must_exist(key.account)
        if key.id in self._keys:
            raise DataError(f"there is a key {key.id} already")
        self._keys[key.id] = key
        self._generation += 1

    def api_keys(self) -> list[ApiKey]:
        """All keys, oldest first."""
        return sorted(self._keys.values(), key=lambda key: (key.made_at, key.id))

    def revoke_key(self, key: str, *, at: int) -> None:
        """Take a key back."""
        known = self._keys.get(key)
        if known is None or known.revoked_at is not None:
            raise DataError(f"the key {key!r} is not there, or was revoked before")
        self._keys[key] = msgspec.structs.replace(known, revoked_at=at)
        self._generation += 1

    def open_session(self, session: Session) -> None:
        """Keep a session."""
        self._must_exist(session.account)
        self._sessions = {m: s for m, s in self._sessions.items() if s.until >= session.made_at}
        self._sessions[session.mac] = session

    def session(self, mac: bytes) -> Session | None:
        """The session."""
        return self._sessions.get(mac)

    def see_session(self, mac: bytes, *, at: int) -> None:
        """It was used."""
        if mac in self._sessions:
            self._sessions[mac] = msgspec.structs.replace(self._sessions[mac], seen_at=at)

    def end_session(self, mac: bytes) -> None:
        """End it."""
        self._sessions.pop(mac, None)

    def end_sessions(self, account: str) -> None:
        """End all of an account."""
        self._sessions = {m: s for m, s in self._sessions.items() if s.account != account}

    def use(self, tenant: str, *, day: int, n: int) -> int:
        """Count events."""
        self._used[tenant, day] = self._used.get((tenant, day), 0) + n
        return self._used[tenant, day]

    def _must_exist(self, name: str) -> None:
        if name not in self._accounts:
            raise DataError(f"there is no account {name!r}")


def _account(name: str, **changes: object) -> Account:
    account = Account(
        name=name,
        kind="person",
        owner=name,
        grants=(Grant(role="analyst", tenant="cards", detectors=("fraud",)),),
        hands=frozenset({"root"}),
        made_at=1,
        made_by="root",
    )
    return msgspec.structs.replace(account, **changes)


def _key(name: str, account: str, made_at: int) -> ApiKey:
    return ApiKey(
        id=name, account=account, note="switch", mac=b"m" * 32, made_at=made_at, made_by="root",
        until=99, rate_per_s=2.5, burst=7,
    )  # fmt: skip


def _session(mark: bytes, account: str, *, made_at: int, until: int) -> Session:
    return Session(
        mac=mark * 32, account=account, made_at=made_at, until=until, how="password",
        seen_at=made_at,
    )  # fmt: skip


def check_accounts(store: Accounts) -> None:
    """What every store of accounts must do; call it with an empty one.

    Raises:
        AssertionError: it doesn't; says what.
    """
    _check_people(store)
    _check_passwords(store)
    _check_keys(store)
    _check_sessions(store)
    same([store.use("cards", day=20_000, n=n) for n in (0, 5, 7)], [0, 5, 12])
    same(store.use("cards", day=20_001, n=1), 1)
    same(store.use("nets", day=20_000, n=0), 0)


def _check_people(store: Accounts) -> None:
    before = store.generation()
    bea = _account("bea", subject="https://id.example#7")
    store.put(bea)
    store.put(_account("ana"))
    same([a.name for a in store.accounts()], ["ana", "bea"])
    same(store.account("bea"), bea)
    same(store.account("eva"), None)
    gone = msgspec.structs.replace(bea, disabled_at=5, grants=())
    store.put(gone)
    same(store.account("bea"), gone)
    refused(DataError, lambda: store.put(_account("eva", subject=bea.subject)))
    expect(store.generation() > before, "a guard must see that accounts changed")


def _check_passwords(store: Accounts) -> None:
    refused(DataError, lambda: store.put_password("eva", "kept"))
    same(store.password("ana"), None)
    for n in range(1, MAX_FAILURES + 1):
        same(store.fail("ana", at=n).count, n)
    expect(store.failures("ana").locked(MAX_FAILURES + 1), "failures must lock")
    expect(not store.failures("ana").locked(MAX_FAILURES + LOCK_US), "a lock must end")
    same(store.fail("ana", at=MAX_FAILURES + LOCK_US).count, 1)
    store.forgive("ana")
    same(store.failures("ana"), Failures())
    store.fail("nobody", at=3 * LOCK_US)
    store.open_session(_session(b"p", "ana", made_at=10, until=20))
    before = store.generation()
    store.put_password("ana", "kept")
    same(store.password("ana"), "kept")
    same(store.session(b"p" * 32), None)
    expect(store.generation() > before, "a guard must see that a password was set")


def _check_keys(store: Accounts) -> None:
    refused(DataError, lambda: store.add_key(_key("k0", "eva", 1)))
    second, first = _key("k2", "ana", 2), _key("k1", "ana", 1)
    store.add_key(second)
    store.add_key(first)
    same(store.api_keys(), [first, second])
    refused(DataError, lambda: store.add_key(first))
    before = store.generation()
    store.revoke_key("k1", at=7)
    same(store.api_keys()[0], msgspec.structs.replace(first, revoked_at=7))
    expect(store.generation() > before, "a guard must see that a key was revoked")
    refused(DataError, lambda: store.revoke_key("k1", at=8))
    refused(DataError, lambda: store.revoke_key("k9", at=8))


def _check_sessions(store: Accounts) -> None:
    one = _session(b"a", "ana", made_at=10, until=20)
    two = _session(b"b", "ana", made_at=11, until=40)
    three = _session(b"c", "bea", made_at=12, until=40)
    for session in (one, two, three):
        store.open_session(session)
    same(store.session(one.mac), one)
    store.see_session(one.mac, at=15)
    same(store.session(one.mac), msgspec.structs.replace(one, seen_at=15))
    store.see_session(b"z" * 32, at=15)
    same(store.session(b"z" * 32), None)
    store.end_session(one.mac)
    same(store.session(one.mac), None)
    store.end_sessions("ana")
    same([store.session(s.mac) for s in (two, three)], [None, three])
    refused(DataError, lambda: store.open_session(_session(b"d", "eva", made_at=1, until=2)))
    store.open_session(_session(b"e", "bea", made_at=50, until=60))
    same(store.session(three.mac), None)
