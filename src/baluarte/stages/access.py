"""Who may ask: make accounts, grant, hand out keys, sign in. Each change is in the ledger first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from baluarte.core.accounts import (
    KEY_ENTROPY,
    MAX_ADDRESS_FAILURES,
    MAX_FAILURES,
    SECRET_BYTES,
    SESSION_US,
    Account,
    ApiKey,
    Session,
    check_grants,
    check_name,
    check_password,
    eyes_behind,
    format_grant,
    key_text,
    mac_of,
)
from baluarte.core.decision import ActRecord
from baluarte.core.policy import Grant, Kind, Principal
from baluarte.errors import DataError
from baluarte.ports import Accounts, Clock, Entropy, LedgerShard, Passwords

DAY_US = 86_400_000_000
_SEEN_US = 60_000_000  #: between two notes that a session is in use
_MOST_NAME = 63


class Access:
    """What changes accounts, on behalf of somebody.

    Args:
        actor: who changes; their hands are on what they make from then on.
        pepper: under which keys and sessions are kept.
    """

    def __init__(
        self,
        *,
        accounts: Accounts,
        passwords: Passwords,
        ledger: LedgerShard,
        clock: Clock,
        entropy: Entropy,
        pepper: bytes,
        actor: str,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._ledger = ledger
        self._clock = clock
        self._entropy = entropy
        self._pepper = pepper
        self._actor = actor

    # --- accounts -----------------------------------------------------------------------------

    def add(
        self,
        name: str,
        *,
        kind: Kind,
        grants: Sequence[Grant],
        owner: str | None = None,
        subject: str | None = None,
        password: str | None = None,
        reason: str = "",
    ) -> Account:
        """Make an account: whole, with its password if it gets one, or not at all.

        Args:
            owner: of a service account: the person who answers for it (default: who makes it).
            subject: ``issuer#subject`` of the provider that signs the person in: then who makes the
                account never holds what opens it, and has no hand in it.

        Raises:
            DataError: the name is taken or none, or the grants can't stand together.
        """
        check_name(name)
        if self._accounts.account(name) is not None:
            raise DataError(f"there is an account {name} already", hint="`baluarte users list`.")
        check_grants(kind, grants, where=name)
        kept = self._keep(name, kind, password) if password is not None else None
        account = Account(
            name=name,
            kind=kind,
            owner=name if kind == "person" else owner or self._actor,
            grants=tuple(sorted(set(grants))),
            hands=frozenset() if subject else self._eyes(),
            made_at=self._clock.now_us(),
            made_by=self._actor,
            subject=subject,
        )
        self._record("account made", name, reason, kind=kind, grants=_said(account.grants))
        self._accounts.put(account)
        if kept is not None:
            self._accounts.put_password(name, kept)
        return account

    def grant(self, name: str, grants: Sequence[Grant], *, reason: str = "") -> Account:
        """Give an account these grants in the place of those that it has; its sessions end.

        Raises:
            DataError: there is no such account, the grants can't stand together, or nobody else is
                an admin.
        """
        account = self._must(name)
        check_grants(account.kind, grants, where=name)
        changed = msgspec.structs.replace(account, grants=tuple(sorted(set(grants))))
        if not _is_admin(changed):
            self._keep_an_admin(name)
        self._record(
            "grants changed", name, reason,
            before=_said(account.grants), after=_said(changed.grants),
        )  # fmt: skip
        self._accounts.put(changed)
        self._accounts.end_sessions(name)  # nobody goes on in a session of other rights
        return changed

    def disable(self, name: str, *, reason: str = "") -> Account:
        """Let an account in no more; its keys and sessions hold no longer.

        Raises:
            DataError: there is no such account, it is disabled, or nobody else is an admin.
        """
        account = self._must(name)
        if account.disabled_at is not None:
            raise DataError(f"{name} was disabled before")
        self._keep_an_admin(name)
        changed = msgspec.structs.replace(account, disabled_at=self._clock.now_us())
        self._record("account disabled", name, reason)
        self._accounts.put(changed)
        self._accounts.end_sessions(name)
        return changed

    def set_password(self, name: str, password: str, *, reason: str = "") -> None:
        """Set a person's password; whoever sets another's has a hand in that account for good.

        Raises:
            DataError: there is no such person, or the password is too weak.
        """
        account = self._must(name)
        kept = self._keep(name, account.kind, password)
        self._record("password set", name, reason)
        touched = account.hands | self._eyes()
        if touched != account.hands:
            self._accounts.put(msgspec.structs.replace(account, hands=touched))
        self._accounts.put_password(name, kept)

    # --- keys ---------------------------------------------------------------------------------

    def issue_key(
        self,
        name: str,
        *,
        note: str,
        days: int,
        rate_per_s: float | None = None,
        burst: int | None = None,
        reason: str = "",
    ) -> tuple[ApiKey, str]:
        """A new key for an account, and its text, which is shown once and kept nowhere.

        Args:
            days: how long it holds.
            rate_per_s: requests a second that it may make, over all workers.

        Raises:
            DataError: there is no such account, or it is disabled.
        """
        account = self._must(name)
        if account.disabled_at is not None:
            raise DataError(f"{name} is disabled")
        if days < 1:
            raise DataError(f"expected a key to hold for a day at least, found {days}")
        now = self._clock.now_us()
        key_id, text = key_text(self._entropy.token(KEY_ENTROPY))
        key = ApiKey(
            id=key_id,
            account=name,
            note=note,
            mac=mac_of(self._pepper, text.encode()),
            made_at=now,
            made_by=self._actor,
            until=now + days * DAY_US,
            rate_per_s=rate_per_s,
            burst=burst,
        )
        self._record("key issued", name, reason, key=key_id, until=key.until)
        touched = account.hands | self._eyes()
        if touched != account.hands:
            self._accounts.put(msgspec.structs.replace(account, hands=touched))
        self._accounts.add_key(key)
        return key, text

    def withdraw_key(self, key: str, *, reason: str = "") -> None:
        """Take a key back; no worker takes it a second later.

        Raises:
            DataError: there is no such key, or it was taken back before.
        """
        if key not in {known.id for known in self._accounts.api_keys()}:
            raise DataError(f"there is no key {key[:80]!r}", hint="`baluarte keys issued`.")
        self._record("key withdrawn", key, reason)
        self._accounts.revoke_key(key, at=self._clock.now_us())

    def note_sign_in(self, name: str, *, how: str) -> None:
        """Record that somebody signed in: an act of theirs like others."""
        self._record("signed in", name, "", how=how)

    def note_lock(self, name: str) -> None:
        """Record that an account takes no password for a while: too many tries failed."""
        if self._accounts.account(name) is not None:
            self._record("account locked", name, "")

    # --- within -------------------------------------------------------------------------------

    def _keep_an_admin(self, without: str) -> None:
        admins = [a.name for a in self._accounts.accounts() if _is_admin(a)]
        if admins == [without]:
            raise DataError(
                f"{without} is the only admin", hint="Make another one first: `baluarte users add`."
            )

    def _keep(self, name: str, kind: Kind, password: str) -> str:
        if kind != "person":
            raise DataError(f"{name} is a service account: it has keys and no password")
        check_password(password, account=name)
        return self._passwords.keep(password)

    def _must(self, name: str) -> Account:
        account = self._accounts.account(name)
        if account is None:
            raise DataError(f"there is no account {name[:80]!r}", hint="`baluarte users list`.")
        return account

    def _eyes(self) -> frozenset[str]:
        """Everyone behind the actor: what they set, all of these had a hand in."""
        known = {account.name: account for account in self._accounts.accounts()}
        return eyes_behind([self._actor], known)

    def _record(self, what: str, subject: str, reason: str, **details: str | int) -> None:
        act = ActRecord(
            at=self._clock.now_us(),
            act="access",
            actor=self._actor,
            detector="",
            reason=reason,
            details={"what": what, "subject": subject, **details},
        )
        self._ledger.append([msgspec.json.encode(act)])
        self._ledger.commit()


class Door:
    """Lets persons in: by password, and by the session that follows.

    Every answer to a wrong name, a wrong password, a locked and a disabled account is the same, and
    takes as long.

    Args:
        on_lock: is told the name whose tries are used up, whether an account has it or not.
    """

    def __init__(
        self,
        *,
        accounts: Accounts,
        passwords: Passwords,
        clock: Clock,
        entropy: Entropy,
        pepper: bytes,
        on_lock: Callable[[str], None] | None = None,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._clock = clock
        self._entropy = entropy
        self._pepper = pepper
        self._on_lock = on_lock

    def note_failure(self, address: str) -> None:
        """Count a failed sign-in of another kind than a password's for an address."""
        self._accounts.fail(_of_address(address), at=self._clock.now_us())

    def must_wait(self, address: str) -> bool:
        """Whether an address failed so often of late that nothing of it is looked at."""
        failures = self._accounts.failures(_of_address(address))
        return failures.locked(self._clock.now_us(), most=MAX_ADDRESS_FAILURES)

    def sign_in(self, name: str, password: str, *, address: str = "") -> str | None:
        """The secret of a new session; None where the two don't let anybody in."""
        account = self.proves(name, password, address=address)
        return None if account is None else self.open(account, how="password")

    def proves(self, name: str, password: str, *, address: str = "") -> Account | None:
        """The account that name and password open; None where they open none.

        A try is counted before the password is looked at, so that many at the same time are no more
        than one after another.

        Args:
            address: where it comes from; failures are counted for it, too.
        """
        now, name = self._clock.now_us(), name[:_MOST_NAME]
        account = self._accounts.account(name)
        locked, n_tries = self._accounts.failures(name).locked(now), 0
        if not locked:
            n_tries = self._accounts.fail(name, at=now).count
            locked = n_tries > MAX_FAILURES
        holds = self._passwords.matches(password, self._accounts.password(name))
        if locked or not holds or account is None or account.disabled_at is not None:
            if self._on_lock is not None and n_tries == MAX_FAILURES:
                self._on_lock(name)
            if address:
                self._accounts.fail(_of_address(address), at=now)
            return None
        self._accounts.forgive(name)
        return account

    def open(self, account: Account, *, how: str) -> str:
        """The secret of a new session for an account that was let in."""
        now = self._clock.now_us()
        secret = self._entropy.token(SECRET_BYTES)
        self._accounts.open_session(
            Session(
                mac=mac_of(self._pepper, secret),
                account=account.name,
                made_at=now,
                until=now + SESSION_US,
                how=how,
                seen_at=now,
            )
        )
        return secret.hex()

    def of_session(self, secret: str) -> Principal | None:
        """Who a session's secret stands for; None where it holds no longer."""
        mac = self._mac(secret)
        session = self._accounts.session(mac) if mac is not None else None
        now = self._clock.now_us()
        if session is None or not session.holds(now):
            return None
        account = self._accounts.account(session.account)
        if account is None or account.disabled_at is not None:
            return None
        if now - session.seen_at >= _SEEN_US:
            self._accounts.see_session(session.mac, at=now)
        return principal_of(account)

    def token_of(self, secret: str) -> str:
        """What a page of a session repeats with every change, which no page of others can know.

        Source: OWASP Cross-Site Request Forgery Prevention, signed tokens bound to the session.
        """
        return mac_of(self._pepper, b"page token " + secret.encode()).hex()

    def sign_out(self, secret: str) -> None:
        """End the session."""
        mac = self._mac(secret)
        if mac is not None:
            self._accounts.end_session(mac)

    def _mac(self, secret: str) -> bytes | None:
        try:
            raw = bytes.fromhex(secret)
        except ValueError:
            return None
        return mac_of(self._pepper, raw)


def principal_of(account: Account, key: ApiKey | None = None) -> Principal:
    """Who asks, in a session of an account or by a key of it."""
    hands = account.hands | {account.owner}
    return Principal(
        name=account.name,
        kind=account.kind,
        via="session" if key is None else "key",
        grants=account.grants,
        hands=hands if key is None else hands | {key.made_by},
        key="" if key is None else key.id,
    )


def _of_address(address: str) -> str:
    """The name that an address's failures are kept under; no account can have it."""
    return f"address:{address}"


def _is_admin(account: Account) -> bool:
    return account.disabled_at is None and any(g.role == "admin" for g in account.grants)


def _said(grants: Sequence[Grant]) -> str:
    return " ".join(format_grant(grant) for grant in sorted(grants)) or "none"
