"""The HTTP door: check who asks, find the route, read the body, render the answer.

Raw RSGI: one coroutine a request, no framework and no access log; what must be recorded is recorded
by the ledger.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, cast, get_args
from urllib.parse import parse_qsl

import msgspec

from baluarte.apps.scoring.answer import encode_answers
from baluarte.apps.scoring.body import form_of, parse_body
from baluarte.apps.scoring.counts import Counts
from baluarte.apps.scoring.guard import Guard
from baluarte.apps.scoring.label_intake import LabelIntake
from baluarte.apps.scoring.openapi import DetectorInfo, LedgerState, Readiness, openapi_bytes
from baluarte.apps.scoring.plane import Plane
from baluarte.apps.scoring.problem import Refusal
from baluarte.apps.scoring.routes import ROUTES, Route, find
from baluarte.apps.scoring.rsgi import HTTPProtocol, Scope
from baluarte.apps.scoring.settings import Limits
from baluarte.core.ids import parse_id
from baluarte.core.policy import Principal
from baluarte.errors import BaluarteError, DataError
from baluarte.ports import Clock, LedgerReader
from baluarte.stages.score import Reasons

LOG = logging.getLogger("baluarte.scoring")

_JSON = [("content-type", "application/json")]
_Reply = tuple[int, list[tuple[str, str]], bytes]
_REASONS: frozenset[str] = frozenset(get_args(Reasons))


class _OfDetector(msgspec.Struct):
    """Of a record, whose it is."""

    detector: str


_DETECTOR_OF = msgspec.json.Decoder(_OfDetector)


class _Asked(NamedTuple):
    """One request that was let in."""

    route: Route
    name: str  #: in its path
    caller: Principal | None  #: None where anyone may ask
    scope: Scope
    protocol: HTTPProtocol


class Door:
    """Answers requests by a plane.

    Args:
        reader: reads the ledger that the plane records to.
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
        reader: LedgerReader,
    ) -> None:
        self._plane = plane
        self._labels = labels
        self._guard = guard
        self._counts = counts
        self._limits = limits
        self._clock = clock
        self._reader = reader
        self._n_open = 0  # requests for decisions that are being answered
        self._openapi = openapi_bytes()
        self._routes: dict[str, Callable[[_Asked], _Reply | Awaitable[_Reply]]] = {
            "healthz": lambda _: (200, _JSON, b'{"status":"alive"}'),
            "readyz": lambda _: self._readyz(),
            "metrics": lambda _: self._metrics(),
            "openapi": lambda _: (200, _JSON, self._openapi),
            "decide": lambda asked: self._counted(self._decide(asked)),
            "label": self._label,
            "detectors": lambda asked: (200, _JSON, msgspec.json.encode(self._detectors(asked))),
            "detector": lambda asked: (200, _JSON, msgspec.json.encode(self._detector(asked.name))),
            "decision": self._record,
        }
        if self._routes.keys() != {route.name for route in ROUTES}:
            raise ValueError("the inventory of routes and what the door answers differ")

    async def handle(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request; whatever happens, it gets exactly one answer."""
        try:
            status, headers, body = await self._reply(scope, protocol)
        except Refusal as refusal:
            self._counts.refused(refusal.code)
            status, headers, body = refusal.status, refusal.head(), refusal.body()
        except Exception:  # our bug: the log has it, the caller learns nothing of the inside
            LOG.exception("a request failed")
            self._counts.refused("internal")
            failure = Refusal("internal")
            status, headers, body = failure.status, failure.head(), failure.body()
        protocol.response_bytes(status, headers, body)

    async def _reply(self, scope: Scope, protocol: HTTPProtocol) -> _Reply:
        headers = scope.headers
        self._guard.check_host(headers.get_all("host"), scope.authority)
        route, name = find(scope.method, scope.path)
        caller = None
        if route.action is not None and not (route.loopback_open and self._guard.is_local):
            caller = self._guard.admit(headers.get("authorization"), now_us=self._clock.now_us())
            if route.scope != "decision":  # of a decision: once it is known whose it is
                self._guard.check(caller, route, name or None)
        reply = self._routes[route.name](_Asked(route, name, caller, scope, protocol))
        return await reply if isinstance(reply, Awaitable) else reply

    # --- decisions --------------------------------------------------------------------------

    async def _counted(self, reply: Awaitable[_Reply]) -> _Reply:
        started = time.perf_counter()
        self._n_open += 1
        try:
            answered = await reply
        finally:
            self._n_open -= 1
        self._counts.answered(time.perf_counter() - started)
        return answered

    async def _decide(self, asked: _Asked) -> _Reply:
        name, scope = asked.name, asked.scope
        if self._n_open > self._limits.max_inflight:
            raise Refusal("overloaded", "try again", retry_after_s=1)
        reasons = _reasons_of(scope.query_string)
        form = form_of(scope.headers.get("content-type"))
        self._plane.champion(name)
        body = await self._body(scope, asked.protocol)
        try:
            rows, shape = parse_body(body, form, self._limits)
            self._guard.spend(name, len(rows))
            answers = await self._plane.decide(name, rows, reasons)
        except Refusal as refusal:
            refusal.body_read = True
            raise
        content, content_type = encode_answers(answers, shape)
        return 200, [("content-type", content_type)], content

    async def _label(self, asked: _Asked) -> _Reply:
        """Take labels in; the answer leaves when they are recorded and kept."""
        name, scope = asked.name, asked.scope
        if scope.query_string:
            raise Refusal("bad_query", "expected none")
        form = form_of(scope.headers.get("content-type"))
        self._plane.champion(name)
        body = await self._body(scope, asked.protocol)
        try:
            rows, _ = parse_body(body, form, self._limits)
            taken = await self._labels.take(name, rows)
        except Refusal as refusal:
            refusal.body_read = True
            raise
        return 200, _JSON, msgspec.json.encode(taken)

    async def _body(self, scope: Scope, protocol: HTTPProtocol) -> bytes:
        """The body, if it stays within the limit; of a longer one no more than that is kept."""
        headers, limit = scope.headers, self._limits.max_body_bytes
        if headers.get("content-encoding") not in (None, "identity"):
            raise Refusal("unsupported_media_type", "expected a body without content coding")
        length = headers.get("content-length")
        if length is not None:
            if not length.isdecimal() or int(length) > limit:
                raise _too_large(limit)
            return await protocol()
        parts: list[bytes] = []
        size = 0
        async for part in protocol:
            size += len(part)
            parts.append(part)
            if size > limit or len(parts) > self._limits.max_body_parts:
                raise _too_large(limit)
        return b"".join(parts)

    # --- what there is ----------------------------------------------------------------------

    def _detectors(self, asked: _Asked) -> list[DetectorInfo]:
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

    def _record(self, asked: _Asked) -> _Reply:
        decision_id = asked.name
        try:
            found = parse_id(decision_id)
            record = self._reader.record(found.tag, found.index)
        except DataError:
            raise _no_decision() from None
        except BaluarteError as error:
            LOG.error("a record can't be read: %s", error)  # noqa: TRY400 - an answer, not a crash
            raise Refusal("internal") from None
        if not record.startswith(f'{{"kind":"decision","v":1,"id":"{decision_id}"'.encode()):
            raise _no_decision()
        detector = _DETECTOR_OF.decode(record).detector
        if asked.caller is None or not self._guard.may(asked.caller, "decisions.read", detector):
            if asked.caller is not None and self._guard.may(
                asked.caller, "detectors.read", detector
            ):
                raise Refusal("forbidden", "this needs the right to decisions.read")
            raise _no_decision()
        return 200, _JSON, record

    def readiness(self) -> Readiness:
        """Ready is: a champion is in, and decisions can be recorded."""
        champions, recorder = self._plane.champions, self._plane.recorder
        current = champions.current
        missing = sorted(champions.names - current.keys())
        decides = recorder.accepts or self._plane.gaps is not None
        return Readiness(
            status="ready" if current and decides else "not ready",
            detectors={name: current[name].version.version for name in sorted(current)},
            without_champion=missing,
            kernel=next((c.scorer.kernel for c in current.values()), None),
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

    def _readyz(self) -> _Reply:
        readiness = self.readiness()
        return (200 if readiness.status == "ready" else 503), _JSON, msgspec.json.encode(readiness)

    def _metrics(self) -> _Reply:
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
    given = parse_qsl(query, keep_blank_values=True, max_num_fields=8)
    if len(given) == 1 and given[0][0] == "reasons" and given[0][1] in _REASONS:
        return cast("Reasons", given[0][1])
    raise Refusal("bad_query", "expected only reasons=alerts, reasons=all or reasons=none")


def _too_large(limit: int) -> Refusal:
    return Refusal("body_too_large", f"expected at most {limit} bytes")
