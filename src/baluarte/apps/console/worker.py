"""The control plane's worker: its stores, opened in its own process."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor

from baluarte import wiring
from baluarte.adapters.passwords import Argon2Passwords
from baluarte.adapters.system import SystemClock, SystemEntropy
from baluarte.apps.console.acts import Acts
from baluarte.apps.console.door import Door
from baluarte.apps.console.flow import Flows
from baluarte.apps.console.guard import Guard
from baluarte.apps.console.openapi import openapi_bytes
from baluarte.apps.console.pages import Pages
from baluarte.apps.console.people import People
from baluarte.apps.console.settings import ConsoleSettings, ProviderSettings
from baluarte.apps.console.versions import Versions
from baluarte.apps.http.exchange import HTTPProtocol, Scope, Wire
from baluarte.apps.http.head import Head
from baluarte.apps.scoring.access import Access as Followed
from baluarte.apps.scoring.rates import Rates
from baluarte.apps.scoring.reports import Readiness, WorkerReport, report, telling
from baluarte.errors import BaluarteError
from baluarte.ports import (
    Accounts,
    BundleStore,
    Clock,
    IdentityProvider,
    LedgerShard,
    Passwords,
    Registry,
    Verifier,
)
from baluarte.stages.access import Access
from baluarte.stages.access import Door as Sessions

LOG = logging.getLogger("baluarte.console")
_ACTOR = "console"  #: what does by itself what no person did
_THREADS = 8
_READY = Readiness(
    status="ready",
    detectors={},
    without_champion=[],
    kernel=None,
    ledger="writable",
    registry="followed",
)


class Worker:
    """What a worker process answers by."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        password = settings.stores_password
        self._registry = wiring.open_registry(settings.registry, password=lambda: password)
        self._accounts = wiring.open_accounts(settings.accounts, password=lambda: password)
        self._acts = Acts(functools.partial(wiring.open_ledger_shard, settings.ledger))
        self._keys = Followed(self._accounts, clock=self._clock, quotas={})
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="console")
        self._door: Door | None = None

    def open(self, _loop: asyncio.AbstractEventLoop) -> None:
        """Open the door."""
        settings = self._settings
        with telling(settings.metrics_dir):
            self._door = door_of(
                settings,
                registry=self._registry,
                bundles=wiring.open_bundles(settings.bundles),
                verifier=wiring.open_verifier(settings.trusted),
                accounts=self._accounts,
                passwords=Argon2Passwords(),
                acts=self._acts,
                keys=self._keys,
                clock=self._clock,
                pool=self._pool,
            )
        self._keys.follow()
        report(settings.metrics_dir, WorkerReport(pid=os.getpid(), readiness=_READY))

    async def handle(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request."""
        if self._door is not None:  # open is called first
            await self._door.handle(scope, protocol)

    def handle_now(self, head: Head, body: bytes, wire: Wire) -> bool:  # noqa: ARG002
        """None is: answers come of threads."""
        return False

    def close(self, _loop: asyncio.AbstractEventLoop) -> None:
        """What was open is answered; every act was durable before its answer."""
        self._pool.shutdown()
        self._keys.stop()
        self._acts.close()
        self._accounts.close()
        self._registry.close()


def load(settings: ConsoleSettings) -> Worker:
    """A worker, made in its own process; one that can't start says why and ends."""
    with telling(settings.metrics_dir):
        return Worker(settings)


def door_of(
    settings: ConsoleSettings,
    *,
    registry: Registry,
    bundles: BundleStore,
    verifier: Verifier,
    accounts: Accounts,
    passwords: Passwords,
    acts: LedgerShard,
    keys: Followed,
    clock: Clock,
    pool: Executor,
) -> Door:
    """The door and everything behind it."""
    entropy = SystemEntropy()
    pepper = settings.pepper
    acting = threading.RLock()  # one act after another, each on what the one before left

    def access_for(actor: str) -> Access:
        return Access(
            accounts=accounts,
            passwords=passwords,
            ledger=acts,
            clock=clock,
            entropy=entropy,
            pepper=pepper,
            actor=actor,
        )

    def note_lock(name: str) -> None:
        try:
            access_for(_ACTOR).note_lock(name)
        except BaluarteError:
            LOG.exception("a locked account could not be recorded")

    sessions = Sessions(
        accounts=accounts,
        passwords=passwords,
        clock=clock,
        entropy=entropy,
        pepper=pepper,
        # Later, in a thread: how long an answer takes must not tell which names there are.
        on_lock=lambda name: _later(pool, note_lock, name),
    )
    guard = Guard(
        host=settings.host,
        port=settings.port,
        hosts=settings.hosts,
        secure=bool(settings.tls_cert),
        door=sessions,
        keys=keys,
        pepper=pepper,
        rates=Rates(settings.metrics_dir),
        clock=clock,
        tenants=settings.tenants,
    )

    return Door(
        settings,
        guard=guard,
        versions=Versions(
            guard=guard,
            registry=registry,
            bundles=bundles,
            verifier=verifier,
            ledger=acts,
            clock=clock,
            accounts=accounts,
            wanted=settings.approvals,
            acting=acting,
        ),
        people=People(
            accounts=accounts,
            access_for=access_for,
            door=sessions,
            clock=clock,
            acting=acting,
        ),
        flows=Flows(
            {one.name: (one, _provider(one, clock)) for one in settings.providers},
            accounts=accounts,
            access_for=access_for,
            clock=clock,
            entropy=entropy,
            pepper=pepper,
        ),
        pages=Pages(settings.language),
        sessions=sessions,
        accounts=accounts,
        access_for=access_for,
        openapi=openapi_bytes(),
        pool=pool,
    )


def _later(pool: Executor, act: Callable[[str], None], name: str) -> None:
    pool.submit(act, name)


def _provider(said: ProviderSettings, clock: Clock) -> IdentityProvider:
    return wiring.open_provider(
        clock=clock,
        issuer=said.issuer,
        client_id=said.client_id,
        secret=said.client_secret,
        algorithms=said.algorithms,
        hosts=said.hosts,
        scopes=said.scopes,
        ca=said.ca,
    )
