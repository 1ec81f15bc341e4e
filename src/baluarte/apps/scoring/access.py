"""Accounts and keys as a worker sees them: followed in their store, looked up without it.

The store is polled for its generation several times a second; a change makes a new table, so that a
key that was withdrawn opens nothing a second later. Where the store is away the last table goes on.
"""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from baluarte.core.accounts import ApiKey, id_of_key, mac_of
from baluarte.core.policy import Principal
from baluarte.errors import OutsideError
from baluarte.ports import Accounts, Clock
from baluarte.stages.access import DAY_US, principal_of

LOG = logging.getLogger("baluarte.scoring")
POLL_S = 0.2


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A key that may be shown, and who stands behind it."""

    key: ApiKey
    slot: int  #: of the shared count of requests
    principal: Principal


class Access:
    """Keys by id, and what tenants used today.

    Args:
        accounts: None where there are none: only the server's own token opens then.
        quotas: events a day by tenant, for those that have a limit.
    """

    def __init__(
        self, accounts: Accounts | None, *, clock: Clock, quotas: Mapping[str, int]
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._quotas = dict(quotas)
        self._generation = -1
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._pending: dict[str, int] = {}  # events that the store doesn't know of yet
        self._used: dict[str, int] = {}  # events of today that it knows of
        self._day = 0
        self.generation = 0  #: of the table; what was looked up under another is looked up again
        self.away = False
        self.keys: Mapping[str, Holder] = MappingProxyType({})
        if accounts is not None:  # one that is away is no reason not to start: nobody is let in
            self._again(accounts)

    def follow(self) -> None:
        """Follow the store in a thread until :meth:`stop`."""
        accounts = self._accounts
        if accounts is None or self._thread is not None:
            return

        def run() -> None:
            while not self._stopping.wait(POLL_S):
                self._again(accounts)
            self._again(accounts)  # what was used last is counted, too

        self._thread = threading.Thread(target=run, name="accounts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def holder(self, shown: bytes, pepper: bytes) -> Holder | None:
        """Whose key this text is; None where it is none that may be shown."""
        found = self.keys.get(id_of_key(shown.decode("ascii", "replace")) or "")
        if found is None or not hmac.compare_digest(mac_of(pepper, shown), found.key.mac):
            return None
        return found

    def use(self, tenant: str, n: int) -> float | None:
        """Count events of a tenant.

        A quota is shared by all workers and machines; each knows of the others' events a fifth of a
        second later, so it may be passed by what comes in that time.

        Returns:
            None where it may have them, else the seconds until tomorrow.
        """
        limit = self._quotas.get(tenant)
        if limit is None:
            return None
        now = self._clock.now_us()
        with self._lock:
            self._turn(now // DAY_US)
            used = self._used.get(tenant, 0) + self._pending.get(tenant, 0)
            if used + n > limit:
                return (DAY_US - now % DAY_US) / 1e6
            self._pending[tenant] = self._pending.get(tenant, 0) + n
        return None

    # --- within -------------------------------------------------------------------------------

    def _again(self, accounts: Accounts) -> None:
        try:
            self._count(accounts)
            if accounts.generation() != self._generation:
                self._refresh(accounts)
            self.away = False
        except OutsideError as error:
            if not self.away:
                LOG.error("the accounts are away, the last known go on: %s", error)  # noqa: TRY400 - no crash
            self.away = True
        except Exception:  # the last known go on, and the log says why
            LOG.exception("the accounts could not be followed")
            self.away = True

    def _refresh(self, accounts: Accounts) -> None:
        generation = accounts.generation()  # before what is read: a change in between comes again
        known = {account.name: account for account in accounts.accounts()}
        self.keys = MappingProxyType(
            {
                key.id: Holder(key=key, slot=slot, principal=principal_of(known[key.account], key))
                for slot, key in enumerate(accounts.api_keys())
                if key.revoked_at is None and known[key.account].disabled_at is None
            }
        )
        self._generation = generation
        self.generation += 1

    def _count(self, accounts: Accounts) -> None:
        """Tell the store what was used, and learn what others used."""
        with self._lock:
            self._turn(self._clock.now_us() // DAY_US)
            day, pending = self._day, self._pending
            self._pending = {}
        told: dict[str, int] = {}
        try:
            for tenant in self._quotas:
                told[tenant] = accounts.use(tenant, day=day, n=pending.get(tenant, 0))
        finally:
            with self._lock:
                if day == self._day:
                    for tenant in self._quotas:
                        if tenant in told:
                            self._used[tenant] = told[tenant]
                        elif n := pending.get(tenant, 0):
                            self._pending[tenant] = self._pending.get(tenant, 0) + n

    def _turn(self, day: int) -> None:
        if day != self._day:
            self._day, self._used, self._pending = day, {}, {}
