"""The HTTP door: check who asks, find the route, read the body, render the answer.

One coroutine a request, no framework and no access log; what must be recorded is recorded
by the ledger.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import cast, get_args

import msgspec

from baluarte.apps.http.exchange import HTTPProtocol, Scope, Wire
from baluarte.apps.http.head import Head
from baluarte.apps.scoring.answer import Answer, encode_answers
from baluarte.apps.scoring.asked import JSON, Asked, Reply
from baluarte.apps.scoring.bodies import Bodies
from baluarte.apps.scoring.body import Row, form_of, parse_body, query_of
from baluarte.apps.scoring.champions import Champion
from baluarte.apps.scoring.counts import Counts
from baluarte.apps.scoring.foreign import Foreign
from baluarte.apps.scoring.guard import Guard
from baluarte.apps.scoring.label_intake import LabelIntake
from baluarte.apps.scoring.lane import Inflight, Lane
from baluarte.apps.scoring.openapi import DetectorInfo, openapi_bytes
from baluarte.apps.scoring.plane import Plane
from baluarte.apps.scoring.problem import Refusal
from baluarte.apps.scoring.reports import LedgerState, Readiness
from baluarte.apps.scoring.routes import ROUTES, Route, find
from baluarte.apps.scoring.settings import Limits
from baluarte.core.ids import parse_id
from baluarte.errors import BaluarteError, DataError
from baluarte.ports import Clock, LedgerReader
from baluarte.stages.score import Reasons

LOG = logging.getLogger("baluarte.scoring")

_REASONS: frozenset[str] = frozenset(get_args(Reasons))


class _OfDetector(msgspec.Struct):
    """Of a record, whose it is."""

    detector: str


_DETECTOR_OF = msgspec.json.Decoder(_OfDetector)


class Door:
    """Answers requests by a plane.

    Args:
        reader: reads the ledger that the plane records to.
        sole: the detector that is meant where a protocol names none; empty: the only one.
    """

    def __init__(
        self,
        plane: Plane,
        *,
        labels: LabelIntake,
        guard: Guard,
        counts: Counts,
        limits: Limits,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        reader: LedgerReader,
        sole: str = "",
        require_kernel: bool = False,
    ) -> None:
        self._plane = plane
        self._named = sole
        self._require_kernel = require_kernel
        self._labels = labels
        self._guard = guard
        self._counts = counts
        self._limits = limits
        self._clock = clock
        self._reader = reader
        self._bodies = Bodies(limits)
        self._inflight = Inflight(limits.max_inflight)
        self._lane = Lane(
            plane,
            guard=guard,
            counts=counts,
            limits=limits,
            clock=clock,
            loop=loop,
            inflight=self._inflight,
            reasons_of=_reasons_of,
            failed=self._failed,
        )
        self._openapi = openapi_bytes()
        self._routes: dict[str, Callable[[Asked], Reply | Awaitable[Reply]]] = {
            "healthz": lambda _: (200, JSON, b'{"status":"alive"}'),
            "readyz": lambda _: self._readyz(),
            "metrics": lambda _: self._metrics(),
            "openapi": lambda _: (200, JSON, self._openapi),
            "decide": self._decide,
            "label": self._label,
            "detectors": lambda asked: (200, JSON, msgspec.json.encode(self._detectors(asked))),
            "detector": lambda asked: (200, JSON, msgspec.json.encode(self._detector(asked.name))),
            "decision": self._record,
            **Foreign(self, limits).handlers,
        }
        if self._routes.keys() != {route.name for route in ROUTES}:
            raise ValueError("the inventory of routes and what the door answers differ")

    @property
    def is_asked(self) -> bool:
        """Whether requests came that nobody looked at yet."""
        return self._lane.has_arrived

    @property
    def own_name(self) -> str:
        """A host that requests may name."""
        return self._guard.name

    async def handle(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request; whatever happens, it gets exactly one answer."""
        route: Route | None = None
        try:
            self._guard.check_host(scope.headers.get_all("host"), scope.authority)
            route, name, version = find(scope.method, scope.path)
            asked = self._admitted(route, name, version, scope, protocol)
            if route.action == "decisions.create":
                started = self._begun()
                try:
                    reply = self._routes[route.name](asked)
                    if not isinstance(reply, tuple):
                        reply = await reply
                finally:
                    self._inflight.n -= 1
                self._timed(asked.name, started)
            else:
                reply = self._routes[route.name](asked)
                if not isinstance(reply, tuple):
                    reply = await reply
            status, headers, body = reply
        except Exception as error:  # noqa: BLE001 - the caller's fault, or ours
            if isinstance(error, Refusal):
                error.plain = route is not None and route.plain_errors
            status, headers, body = self._failed(error)
        protocol.response_bytes(status, headers, body)

    def _failed(self, error: BaseException) -> Reply:
        """The answer to a refusal, or to a fault of ours: the log has that, the caller nothing."""
        if not isinstance(error, Refusal):
            LOG.error("a request failed", exc_info=error)
            error = Refusal("internal")
        self._counts.refused(error.code)
        return error.status, error.head(), error.body()

    def handle_now(self, head: Head, body: bytes, wire: Wire) -> bool:
        """Take a request whose body is there, if it is a plain one for decisions."""
        return self._lane.take(head, body, wire)

    def _admitted(
        self, route: Route, name: str, version: str, scope: Scope, protocol: HTTPProtocol
    ) -> Asked:
        """The request, where the caller may ask for that.

        Raises:
            Refusal: they may not.
        """
        if route.scope == "sole":
            name = self._sole()
        caller = None
        if route.action is not None and not (route.loopback_open and self._guard.is_local):
            caller = self._guard.admit(
                scope.headers.get("authorization"),
                now_us=self._clock.now_us(),
                by_platform=route.scope == "sole",
            )
            if route.scope != "decision":  # of a decision: once it is known whose it is
                self._guard.check(caller, route, name or None)
        return Asked(route, name, version, caller, scope, protocol)

    def _begun(self) -> float:
        """Count a request for decisions in.

        Raises:
            Refusal: too many are open.
        """
        self._inflight.begin()
        return time.perf_counter()

    def _timed(self, detector: str, started: float) -> None:
        champion = self._plane.champions.current.get(detector)
        version = 0 if champion is None else champion.version.version
        self._counts.answered([time.perf_counter() - started], detector, version)

    # --- decisions --------------------------------------------------------------------------

    async def decided(
        self, name: str, read: Callable[[], Sequence[Row]], reasons: Reasons = "none"
    ) -> list[Answer]:
        """Answers for the rows that ``read`` finds, when they are recorded.

        Raises:
            Refusal: faults in the rows, no room to record, too much at once, a quota used up.
        """
        try:
            rows = read()
            self._guard.spend(name, len(rows))
            return await self._plane.decide(name, rows, reasons)
        except Refusal as refusal:
            refusal.body_read = True
            raise

    async def _decide(self, asked: Asked) -> Reply:
        name, scope = asked.name, asked.scope
        reasons = _reasons_of(scope.query_string)
        form = form_of(scope.headers.get("content-type"))
        self._plane.champion(name)
        body = await self.body(asked)
        try:
            champion = self._plane.champion(name)
            self._plane.require_room(1)
            records, shape = self._lane.read(champion, body, form)
            self._guard.spend(name, len(records))
            answers = await self._plane.decide_records(champion, records, reasons)
        except Refusal as refusal:
            refusal.body_read = True
            raise
        content, content_type = encode_answers(answers, shape)
        return 200, [("content-type", content_type)], content

    async def _label(self, asked: Asked) -> Reply:
        """Take labels in; the answer leaves when they are recorded and kept."""
        name, scope = asked.name, asked.scope
        if scope.query_string:
            raise Refusal("bad_query", "expected none")
        form = form_of(scope.headers.get("content-type"), arrow=False)
        self._plane.champion(name)
        body = await self.body(asked)
        try:
            rows, _ = parse_body(body, form, self._limits)
            taken = await self._labels.take(name, rows)
        except Refusal as refusal:
            refusal.body_read = True
            raise
        return 200, JSON, msgspec.json.encode(taken)

    async def body(self, asked: Asked) -> bytes:
        """The body; while it comes the request takes no place of those that are answered.

        Raises:
            Refusal: as :meth:`Bodies.read`.
        """
        counted = asked.route.action == "decisions.create"
        self._inflight.n -= counted
        try:
            return await self._bodies.read(asked)
        finally:
            self._inflight.n += counted

    def champion(self, name: str) -> Champion:
        """The version that decides.

        Raises:
            Refusal: there is no such detector, or none that decides.
        """
        return self._plane.champion(name)

    def _sole(self) -> str:
        """The detector that a platform's protocol means without naming it.

        Raises:
            Refusal: none was named in the workspace, and there isn't just one.
        """
        names = [self._named] if self._named else sorted(self._plane.champions.names)
        if len(names) != 1:
            raise Refusal("not_found", "name the one that is meant in serve.detector")
        return names[0]

    # --- what there is ----------------------------------------------------------------------

    def _detectors(self, asked: Asked) -> list[DetectorInfo]:
        """Those that the caller may see."""
        names = sorted(self._plane.champions.current)
        caller, may = asked.caller, self._guard.may
        return [
            self._detector(name)
            for name in names
            if caller is not None and may(caller, "detectors.read", name)
        ]

    def _detector(self, name: str) -> DetectorInfo:
        champion = self._plane.champion(name)
        scorer = champion.scorer
        return DetectorInfo(
            name=name,
            version=scorer.version,
            bundle=scorer.digest,
            purpose=scorer.contract.purpose,
            outcomes=scorer.outcomes,
            thresholds=scorer.thresholds,
            fields=scorer.contract.events.fields,
        )

    def _record(self, asked: Asked) -> Reply:
        decision_id = asked.name
        try:
            found = parse_id(decision_id)
            record = self._reader.record(found.tag, found.index)
        except DataError:
            raise _no_decision() from None
        except BaluarteError as error:
            LOG.error("a record can't be read: %s", error)  # noqa: TRY400 - an answer, not a crash
            raise Refusal("internal") from None
        if not record.startswith(_heads_of(decision_id)):
            raise _no_decision()
        detector = _DETECTOR_OF.decode(record).detector
        if asked.caller is None or not self._guard.may(asked.caller, "decisions.read", detector):
            if asked.caller is not None and self._guard.may(
                asked.caller, "detectors.read", detector
            ):
                raise Refusal("forbidden", "this needs the right to decisions.read")
            raise _no_decision()
        return 200, JSON, record

    def readiness(self) -> Readiness:
        """Ready is: a champion is in, by a kernel that will do, and decisions can be recorded."""
        champions, recorder = self._plane.champions, self._plane.recorder
        current = champions.current
        missing = sorted(champions.names - current.keys())
        decides = recorder.accepts or self._plane.gaps is not None
        kernel = next((c.scorer.kernel for c in current.values()), None)
        quick = kernel == "c" or not self._require_kernel
        return Readiness(
            status="ready" if current and decides and quick else "not ready",
            detectors={name: current[name].version.version for name in sorted(current)},
            without_champion=missing,
            kernel=kernel,
            ledger=self._ledger_state(),
            registry="away" if champions.registry_away else "followed",
        )

    def _ledger_state(self) -> LedgerState:
        recorder = self._plane.recorder
        if recorder.accepts:
            return "writable"
        if self._plane.gaps is not None:
            return "away, gap is marked"
        return "refuses records" if recorder.shard is None else "nearly full"

    def _readyz(self) -> Reply:
        readiness = self.readiness()
        return (200 if readiness.status == "ready" else 503), JSON, msgspec.json.encode(readiness)

    def _metrics(self) -> Reply:
        text = "text/plain; version=0.0.4; charset=utf-8"
        return 200, [("content-type", text)], self._counts.page()


def _heads_of(decision_id: str) -> tuple[bytes, ...]:
    """How the record of a decision begins, in each form."""
    return tuple(f'{{"kind":"decision","v":{v},"id":"{decision_id}"'.encode() for v in (1, 2))


def _no_decision() -> Refusal:
    """The same for one that isn't there and for one of another tenant."""
    return Refusal("not_found", "there is no such decision, or not yet")


def _reasons_of(query: str) -> Reasons:
    if not query:
        return "alerts"
    given = query_of(query, most=8)
    if len(given) == 1 and given[0][0] == "reasons" and given[0][1] in _REASONS:
        return cast("Reasons", given[0][1])
    raise Refusal("bad_query", "expected only reasons=alerts, reasons=all or reasons=none")
