"""One worker: a process with an event loop, a ledger shard of its own and no state beside it.

Nothing that learns is imported here; what is imported is in ``tests/apps/test_scoring_server.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import os
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from baluarte import wiring
from baluarte.adapters.ledger.claims import Claims
from baluarte.adapters.system import SystemClock
from baluarte.apps.http.exchange import HTTPProtocol, Scope, Wire
from baluarte.apps.http.head import Head
from baluarte.apps.logs import configure
from baluarte.apps.pseudonyms import sealed_pseudonyms
from baluarte.apps.scoring.access import Access
from baluarte.apps.scoring.challengers import Challengers
from baluarte.apps.scoring.champions import Champions
from baluarte.apps.scoring.door import Door
from baluarte.apps.scoring.gaps import Gaps
from baluarte.apps.scoring.guard import Guard
from baluarte.apps.scoring.label_intake import LabelIntake
from baluarte.apps.scoring.metrics import Metrics
from baluarte.apps.scoring.opening import Opener
from baluarte.apps.scoring.people import People
from baluarte.apps.scoring.plane import Plane
from baluarte.apps.scoring.presence import Presence
from baluarte.apps.scoring.rates import Rates
from baluarte.apps.scoring.recorder import Recorder
from baluarte.apps.scoring.repeats import Repeats
from baluarte.apps.scoring.reports import WorkerReport, report, reports, telling
from baluarte.apps.scoring.settings import ServeSettings
from baluarte.apps.scoring.settling import Settler
from baluarte.apps.scoring.shadows import Shadows
from baluarte.apps.scoring.window_keeper import WindowKeeper
from baluarte.apps.windowed import Windowed, open_windows, require_one_process
from baluarte.core.contract import Contract
from baluarte.core.program.evaluate import SlowerWarning
from baluarte.core.window_plan import WindowPlan
from baluarte.errors import BaluarteError, OutsideError
from baluarte.ports import LedgerShard, WindowState
from baluarte.stages.unseal import Unsealer

LOG = logging.getLogger("baluarte.scoring")
_COLLECT = (20_000, 20, 20)  #: requests leave no cycles: to look for some seldom is enough

if TYPE_CHECKING:
    from baluarte.adapters.ledger.shard import SegmentShard
    from baluarte.apps.scoring.telemetry import Telemetry


class Worker:
    """What a worker process answers by."""

    def __init__(self, settings: ServeSettings, *, waits: bool = False) -> None:
        warnings.simplefilter("ignore", SlowerWarning)  # readiness has it, and who serves says so
        self._settings = settings
        self._at_hand: list[LedgerShard] = []  # opened before it was needed
        self._clock = SystemClock()
        self._counts = Metrics(settings.metrics_dir)
        self._registry = wiring.open_registry(
            settings.registry, password=lambda: settings.registry_password
        )
        self._people = People(
            functools.partial(
                wiring.open_people,
                settings.people,
                settings.people_master,
                reload=_reads(settings.people_master_file),
            )
        )
        self._champions = Champions(
            registry=self._registry,
            bundles=wiring.open_bundles(settings.bundles),
            verifier=functools.partial(wiring.open_verifier, settings.trusted),
            clock=self._clock,
            kernel=settings.kernel,
            language=settings.language,
            counts=self._counts,
            open_windows=self._open_windows,
            need_people=self._people.open,
            pseudonyms=functools.partial(sealed_pseudonyms, settings.pseudonym_key),
            opener=functools.partial(_opener, settings),
        )
        self._champions.waits = waits
        self._champions.refresh()
        self._access = Access(
            wiring.open_accounts(settings.accounts, password=lambda: settings.registry_password)
            if settings.accounts
            else None,
            clock=self._clock,
            quotas=settings.quotas,
        )
        self._keeper: WindowKeeper | None = None
        self._recorder: Recorder | None = None
        self._gaps: Gaps | None = None
        self._repeats: Repeats | None = None
        self._presence: Presence | None = None
        self._settler: Settler | None = None
        self._door: Door | None = None
        self._telemetry: Telemetry | None = None

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take a shard, and begin to follow what there is to follow."""
        settings = self._settings
        with telling(settings.metrics_dir):
            self._recorder = Recorder(
                self._open_shard,
                loop=loop,
                durability=settings.durability,
                interval_s=settings.interval_ms / 1000,
                counts=self._counts,
                shed_below_bytes=settings.shed_below_bytes,
            )
            self._gaps = self._open_gaps(self._recorder)
        self._repeats = self._open_repeats(loop)
        plane = Plane(
            champions=self._champions,
            recorder=self._recorder,
            clock=self._clock,
            limits=settings.limits,
            counts=self._counts,
            loop=loop,
            people=self._people,
            gaps=self._gaps,
            repeats=self._repeats,
        )
        self._challengers = Challengers(
            registry=self._registry,
            champions=self._champions,
            open_windows=self._open_windows_apart,
            counts=self._counts,
        )
        shadows = Shadows(
            challengers=self._challengers,
            recorder=self._recorder,
            clock=self._clock,
            counts=self._counts,
            loop=loop,
            is_busy=lambda: plane.is_deciding or (self._door is not None and self._door.is_asked),
        )
        plane.on_decided, plane.is_watched = shadows.offer, shadows.watches
        self._settler = Settler(
            functools.partial(wiring.open_ledger_keeper, settings.ledger),
            every_s=settings.settle_s,
            also=None if self._repeats is None else self._repeats.sync,
        )
        self._keeper = WindowKeeper(
            champions=self._champions,
            plane=plane,
            recorder=self._recorder,
            counts=self._counts,
            loop=loop,
            every_s=settings.snapshot_s,
            apart=self._challengers.windows,
        )
        self._people.on_erasure = self._keeper.hear
        self._presence = self._present()
        for follow in (self._challengers.refresh, self._presence.tell):
            follow()
            self._champions.followers.append(follow)
        self._door = Door(
            plane,
            labels=LabelIntake(plane, registry=self._registry, clock=self._clock, loop=loop),
            guard=Guard(
                host=settings.host,
                port=settings.port,
                hosts=settings.hosts,
                token_hash=settings.token_hash,
                token_pepper=settings.token_pepper,
                until_us=settings.token_until_us,
                access=self._access,
                pepper=settings.pepper,
                tenants=settings.tenants,
                rates=Rates(settings.metrics_dir),
                platform=settings.platform,
            ),
            counts=self._counts,
            limits=settings.limits,
            clock=self._clock,
            loop=loop,
            reader=wiring.open_ledger_reader(settings.ledger),
            sole=settings.sole,
            require_kernel=settings.require_kernel,
        )
        self._follow()
        self._counts.follow()
        self._telemetry = _told_to(settings, self._counts)
        _settle_in()
        LOG.info("a worker answers on port %d", settings.port)
        if settings.announced:
            report(
                settings.metrics_dir,
                WorkerReport(
                    pid=os.getpid(), worker=self._presence.worker, readiness=self._door.readiness()
                ),
            )

    @property
    def own_name(self) -> str:
        """A host that the worker's door answers for."""
        return "localhost" if self._door is None else self._door.own_name

    async def handle(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request."""
        if self._door is None:  # open is called first
            return
        if self._telemetry is None:
            await self._door.handle(scope, protocol)
        else:
            await self._telemetry.handle(self._door.handle, scope, protocol)

    def close(self, _loop: asyncio.AbstractEventLoop) -> None:
        """What was open is answered; what is recorded becomes durable."""
        LOG.info("a worker ends")
        self._champions.stop()
        if self._presence is not None:
            self._presence.leave()
        self._access.stop()
        if self._keeper is not None:
            self._keeper.stop()
        if self._settler is not None:
            self._settler.stop()
        if self._gaps is not None:
            self._gaps.mark_last()
        if self._recorder is not None:
            self._recorder.close()
        if self._keeper is not None:
            self._keeper.keep()
        if self._repeats is not None:
            self._repeats.close()
        self._people.close()
        self._counts.stop()
        if self._telemetry is not None:
            self._telemetry.stop()

    def handle_now(self, head: Head, body: bytes, wire: Wire) -> bool:
        """Take a request whose body is there; a span of it needs a task."""
        if self._door is None or self._telemetry is not None:
            return False
        return self._door.handle_now(head, body, wire)

    def take(self, shard: Future[SegmentShard]) -> None:
        """Write to a shard that was opened ahead; where it could not be, it is tried again.

        Raises:
            TrustError: the shard lost committed records.
        """
        with contextlib.suppress(OutsideError):
            self._at_hand.append(shard.result())

    def get_ready(self) -> None:
        """Do ahead what may be done before the worker is needed: it follows, and has a shard.

        Raises:
            TrustError: the shard lost committed records.
        """
        self._follow()
        with contextlib.suppress(OutsideError):
            self._at_hand.append(wiring.open_ledger_shard(self._settings.ledger))
        _settle_in()

    def begin(self) -> None:
        """It is needed now; what only one worker may hold can be had."""
        self._champions.waits = False
        self._champions.refresh()

    def end(self) -> None:
        """It is not needed."""
        self._champions.stop()
        self._access.stop()
        for shard in self._at_hand:
            shard.close()

    def _follow(self) -> None:
        self._champions.follow(every_s=self._settings.poll_ms / 1000)
        self._access.follow()

    def _open_shard(self) -> LedgerShard:
        if self._at_hand:
            return self._at_hand.pop()
        return wiring.open_ledger_shard(self._settings.ledger)

    def _present(self) -> Presence:
        """Tell the registry of this worker; and of those that died here that they did."""
        champions, challengers = self._champions, self._challengers
        presence = Presence(
            self._registry,
            clock=self._clock,
            pid=os.getpid(),
            deciding=lambda: {name: c.version.version for name, c in champions.current.items()},
            shadowing=lambda: {
                name: tuple(one.version.version for one in ones)
                for name, ones in challengers.current.items()
            },
        )
        died = [
            said.worker
            for said in reports(self._settings.metrics_dir)
            if said.worker and not Path(f"/proc/{said.pid}").exists()
        ]
        if died:
            presence.leave(died)
        return presence

    def _open_repeats(self, loop: asyncio.AbstractEventLoop) -> Repeats | None:
        """What knows which events were decided lately; None where the window is nothing."""
        settings = self._settings
        if not settings.repeat_window_s:
            return None

        def open_claims() -> Claims:
            return wiring.open_claims(
                settings.ledger,
                window_s=settings.repeat_window_s,
                max_events=settings.repeat_events,
                tenants=settings.tenants,
                now_s=self._clock.now_us() // 1_000_000,
            )

        return Repeats(
            open_claims,
            champions=self._champions,
            unsealer=lambda: Unsealer(self._people.open()),
            clock=self._clock,
            counts=self._counts,
            loop=loop,
        )

    def _open_gaps(self, recorder: Recorder) -> Gaps | None:
        """What marks gaps; None where nothing is decided that can't be recorded.

        Raises:
            TrustError: the key of gap records is not trusted, or can't be read.
        """
        settings = self._settings
        if settings.on_ledger_failure == "refuse":
            return None
        signer = wiring.open_signer(settings.gap_key, settings.trusted)
        gaps = Gaps(recorder, signer=signer, clock=self._clock, counts=self._counts)
        recorder.on_turn = gaps.mark
        return gaps

    def _open_windows_apart(self, contract: Contract) -> Windowed | None:
        """Window state of a challenger: in memory it is nobody else's, and is kept nowhere."""
        return self._open_windows(contract, apart=True)

    def _open_windows(self, contract: Contract, *, apart: bool = False) -> Windowed | None:
        if not contract.windows:
            return None
        settings = self._settings
        most = max(settings.workers, settings.max_workers) + bool(settings.grpc)
        require_one_process(settings.state, most, where=contract.name)
        folder = Path(settings.state_folder) if settings.state_folder and not apart else None

        def open_state(plan: WindowPlan, detector: str) -> WindowState:
            state: WindowState = wiring.open_state(
                settings.state,
                plan,
                detector=detector,
                folder=folder,
                password=lambda: settings.state_password,
            )
            return state

        def labels() -> dict[str, int]:
            known = self._registry.labels(contract.name)
            return {name: row.label for name, row in known.items()}

        reader = wiring.open_ledger_reader(settings.ledger)
        is_personal = any(field.is_personal for field in contract.events.fields)
        return open_windows(
            contract,
            open_state,
            reader=reader,
            labels=labels,
            unsealer=Unsealer(self._people.open()) if is_personal else None,
            kernel=settings.kernel,
        )


def _opener(settings: ServeSettings, contract: Contract) -> Opener | None:
    """What opens the sealed fields of a detector; None where none come sealed."""
    names = settings.sealed.get(contract.name, ())
    if not names:
        return None
    return Opener(contract, names, wiring.open_field_keys(settings.field_keys))


def _told_to(settings: ServeSettings, counts: Metrics) -> Telemetry | None:
    """What tells the workspace's collector; None where there is none."""
    if not settings.collector:
        return None
    from baluarte.apps.scoring.telemetry import to_collector  # noqa: PLC0415 - an extra's

    return to_collector(
        counts,
        endpoint=settings.collector,
        ratio=settings.trace_ratio,
        every_s=settings.telemetry_s,
    )


def _settle_in() -> None:
    """Let the collector leave out what was loaded."""
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    gc.enable()


def _reads(file: str) -> Callable[[], str] | None:
    return functools.partial(Path(file).read_text, "utf-8") if file else None


def load(settings: ServeSettings) -> Worker:
    """A worker, made in its own process; one that can't start says why and ends."""
    configure(settings.log)
    with telling(settings.metrics_dir), ThreadPoolExecutor(1) as pool:
        # The ledger waits for its disk, what is loaded for the processor.
        shard = pool.submit(wiring.open_ledger_shard, settings.ledger)
        try:
            worker = Worker(settings)
        except BaseException:
            with contextlib.suppress(BaluarteError):  # one reason is enough
                shard.result().close()
            raise
        worker.take(shard)
        return worker


def load_when_told(settings: ServeSettings, word: Connection) -> Worker:
    """A spare worker: made ahead, and begun when the parent says so; without a word it ends."""
    with telling(settings.metrics_dir):
        worker = Worker(settings, waits=True)
        worker.get_ready()
        try:
            word.recv_bytes()
        except (EOFError, OSError):  # the parent ends, or is gone
            worker.end()
            raise SystemExit(0) from None
        worker.begin()
    return worker
