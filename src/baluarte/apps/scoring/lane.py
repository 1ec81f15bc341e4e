"""The lane of plain requests for decisions: taken as they come, worked on together.

A request that waits for nothing but its record needs no task. What has come when the loop turns is
let in, read, identified, claimed, scored, recorded and answered a batch a step, in the order and by
the checks of :meth:`baluarte.apps.scoring.door.Door.handle`, which gets all other requests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, overload

from baluarte.apps.http.exchange import Wire
from baluarte.apps.http.head import Head
from baluarte.apps.scoring.access import Holder
from baluarte.apps.scoring.answer import Answer, encode_answers
from baluarte.apps.scoring.body import Form, Shape, form_of, parse_body, read_quickly
from baluarte.apps.scoring.champions import Champion
from baluarte.apps.scoring.counts import Counts
from baluarte.apps.scoring.guard import Guard
from baluarte.apps.scoring.plane import Plane
from baluarte.apps.scoring.problem import Refusal
from baluarte.apps.scoring.repeats import Again
from baluarte.apps.scoring.requests import GROUP_ROWS, Request
from baluarte.apps.scoring.routes import Route, find
from baluarte.apps.scoring.settings import Limits
from baluarte.core.event import Values
from baluarte.core.plain_rows import PlainRows
from baluarte.ports import Clock
from baluarte.stages.score import Reasons

Failed = Callable[[BaseException], tuple[int, list[tuple[str, str]], bytes]]
_MOST_KINDS = 1_024
_JSON = [("content-type", "application/json")]


class Kind:
    """What a head asks for that asks for decisions and nothing unusual."""

    __slots__ = ("authorization", "form", "name", "reasons", "route")

    def __init__(
        self, route: Route, name: str, form: Form, reasons: Reasons, authorization: str | None
    ) -> None:
        self.route = route
        self.name = name  #: of the detector
        self.form: Form = form
        self.reasons: Reasons = reasons
        self.authorization = authorization


class Inflight:
    """How many requests for decisions are being answered, by whatever way."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.n = 0

    def begin(self) -> None:
        """Count one in.

        Raises:
            Refusal: too many are.
        """
        if self.n > self._most:
            raise Refusal("overloaded", "try again", retry_after_s=1)
        self.n += 1


class _Arrived(NamedTuple):
    """A request that came, and when."""

    body: bytes
    wire: Wire
    at_s: float


_Plain = tuple[list[_Arrived], PlainRows]  #: requests of one plain row each, and those


class _TextRow(Sequence[Values]):
    """The one row of a text that was read to columns, in record form for who wants that."""

    __slots__ = ("_body", "_champion", "_lane", "_rows")

    def __init__(self, lane: Lane, champion: Champion, body: bytes) -> None:
        self._lane, self._champion, self._body = lane, champion, body
        self._rows: list[Values] | None = None

    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, index: int) -> Values: ...
    @overload
    def __getitem__(self, index: slice) -> list[Values]: ...
    def __getitem__(self, index: int | slice) -> Values | list[Values]:
        if self._rows is None:
            self._rows, _ = self._lane.read(self._champion, self._body, "json")
        return self._rows[index]


class _Taken(Request):
    """A request that is answered on its wire."""

    __slots__ = ("_arrived", "_is_settled", "_lane", "_shape")

    def __init__(
        self, champion: Champion, rows: Sequence[Values], kind: Kind, *, lane: Lane,
        arrived: _Arrived, shape: Shape,
    ) -> None:  # fmt: skip
        super().__init__(champion, rows, kind.reasons)
        self._lane, self._arrived, self._shape = lane, arrived, shape
        self._is_settled = False

    def settle(self, failure: BaseException | None) -> None:
        """Answer the caller, once."""
        lane = self._lane
        if self._is_settled:
            return
        if isinstance(failure, Again):
            lane.plane.decide_again(self, self._told)
            return
        self._is_settled = True
        lane.plane.given_back(self)
        lane.inflight.n -= 1
        wire = self._arrived.wire
        if failure is not None:
            if isinstance(failure, Refusal):
                failure.body_read = True
            wire.answer(*lane.failed(failure))
            return
        scorer = self.champion.scorer
        lane.counts.answered(
            time.perf_counter() - self._arrived.at_s, scorer.detector, scorer.version
        )
        if self.content is not None:
            wire.answer(200, _JSON, self.content)
            return
        content, content_type = encode_answers(self.answers, self._shape)
        wire.answer(200, [("content-type", content_type)], content)

    def _told(self, found: list[Answer] | BaseException) -> None:
        """Of first decisions."""
        if isinstance(found, BaseException):
            self.settle(found)
        else:
            self.answers = found
            self.settle(None)


class Lane:
    """Takes plain requests.

    Args:
        failed: the answer to a refusal or a fault of ours; it is counted there.
    """

    def __init__(
        self,
        plane: Plane,
        *,
        guard: Guard,
        counts: Counts,
        limits: Limits,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        inflight: Inflight,
        reasons_of: Callable[[str], Reasons],
        failed: Failed,
    ) -> None:
        self.plane, self.counts, self.inflight, self.failed = plane, counts, inflight, failed
        self._guard, self._limits, self._clock, self._loop = guard, limits, clock, loop
        self._reasons_of = reasons_of
        self._arrived: dict[Kind, list[_Arrived]] = {}
        self._kinds: dict[tuple[object, ...], Kind] = {}

    @property
    def has_arrived(self) -> bool:
        """Whether requests wait for the turn of the loop."""
        return bool(self._arrived)

    def take(self, head: Head, body: bytes, wire: Wire) -> bool:
        """Take a request; False where it is none for this lane."""
        kind = head.memo
        if kind is None:
            kind = head.memo = self._kind_of(head) or False
        if not isinstance(kind, Kind):
            return False
        if not self._arrived:
            self._loop.call_soon(self._turn)
        arrived = _Arrived(body, wire, time.perf_counter())
        waiting = self._arrived.get(kind)
        if waiting is None:
            self._arrived[kind] = [arrived]
        else:
            waiting.append(arrived)
        return True

    def read(self, champion: Champion, body: bytes, form: Form) -> tuple[list[Values], Shape]:
        """The events of a body in record form.

        Raises:
            Refusal: they are none.
        """
        quick = read_quickly(body, form, champion.quick, self._limits)
        if quick is not None:
            return quick
        rows, shape = parse_body(body, form, self._limits)
        return self.plane.read(champion, rows), shape

    def _kind_of(self, head: Head) -> Kind | None:
        """What a head asks for; None: nothing for this lane."""
        headers = head.headers
        try:
            self._guard.check_host(headers.get_all("host"), head.authority)
            route, name, _ = find(head.method, head.path)
            if route.name != "decide" or headers.get("content-encoding") is not None:
                return None
            form = form_of(headers.get("content-type"))
            reasons = self._reasons_of(head.query_string)
        except Refusal:
            return None
        if form == "arrow":
            return None
        said = name, form, reasons, headers.get("authorization")
        kind = self._kinds.get(said)
        if kind is None:
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            kind = self._kinds[said] = Kind(route, *said)
        return kind

    def _turn(self) -> None:
        """Work on all that came."""
        came, self._arrived = self._arrived, {}
        for kind, arrived in came.items():
            try:
                self._begin(kind, arrived)
            except Exception as error:  # noqa: BLE001 - a fault of ours; each caller is told
                for one in arrived:
                    one.wire.answer(*self.failed(error))

    def _begin(self, kind: Kind, arrived: list[_Arrived]) -> None:
        plane = self.plane
        champion = plane.champions.current.get(kind.name)
        if champion is None or not plane.waits_for_nothing(champion):
            for one in arrived:
                one.wire.hand_over(one.body)
            return
        guard = self._guard
        try:
            caller, holder = guard.who(kind.authorization, now_us=self._clock.now_us())
            guard.check(caller, kind.route, kind.name)
        except Refusal as refusal:
            for one in arrived:
                one.wire.answer(*self.failed(refusal))
            return
        admitted = self._count_in(arrived, holder)
        try:
            groups, admitted = self._read_plain(champion, admitted, kind)
        except BaseException:
            self.inflight.n -= len(admitted)
            raise
        for some, plain in groups:
            if self._has_room(kind, len(some)):
                plane.decide_now(
                    champion, [self._taken(champion, kind, one) for one in some], plain
                )
            else:
                admitted += some  # each is told
        if admitted:
            self._take_each(champion, kind, admitted)

    def _taken(self, champion: Champion, kind: Kind, arrived: _Arrived) -> Request:
        """A request whose one row was read to columns."""
        row = _TextRow(self, champion, arrived.body)
        return _Taken(champion, row, kind, lane=self, arrived=arrived, shape="one")

    def _read_plain(
        self, champion: Champion, arrived: list[_Arrived], kind: Kind
    ) -> tuple[list[_Plain], list[_Arrived]]:
        """Those whose bodies are one plain object each, in groups, and the others."""
        if champion.plain is None or kind.form != "json":
            return [], arrived
        groups: list[_Plain] = []
        others: list[_Arrived] = []
        for start in range(0, len(arrived), GROUP_ROWS):
            some = arrived[start : start + GROUP_ROWS]
            found = champion.plain.read(
                [one.body for one in some], max_depth=self._limits.max_depth
            )
            if len(found.which) < len(some):
                plain = set(found.which)
                others += [one for i, one in enumerate(some) if i not in plain]
                some = [some[i] for i in found.which]
            if some:
                groups.append((some, found))
        return groups, others

    def _has_room(self, kind: Kind, n: int) -> bool:
        """Whether so many events may be decided now; they are counted then."""
        try:
            self.plane.require_room(n)
            self._guard.spend(kind.name, n)
        except Refusal:
            return False
        return True

    def _take_each(self, champion: Champion, kind: Kind, admitted: list[_Arrived]) -> None:
        """Read requests one by one, and decide them together."""
        plane, guard = self.plane, self._guard
        try:
            found = self._read_each(champion, admitted, kind)
        except BaseException:
            self.inflight.n -= len(admitted)
            raise
        n_rows = 0
        requests: list[Request] = []
        for one, quick in zip(admitted, found, strict=True):
            try:
                rows, shape = quick or self.read(champion, one.body, kind.form)
                plane.require_room(n_rows + len(rows))
                guard.spend(kind.name, len(rows))
            except Exception as error:  # noqa: BLE001 - the caller's fault, or ours: this one's
                if isinstance(error, Refusal):
                    error.body_read = True
                self.inflight.n -= 1
                one.wire.answer(*self.failed(error))
                continue
            n_rows += len(rows)
            requests.append(_Taken(champion, rows, kind, lane=self, arrived=one, shape=shape))
        if requests:
            plane.decide_now(champion, requests)

    def _count_in(self, arrived: list[_Arrived], holder: Holder | None) -> list[_Arrived]:
        """Those that the key's rate and this worker have room for; the others are refused."""
        admitted = []
        for one in arrived:
            try:
                self._guard.count(holder)
                self.inflight.begin()
            except Refusal as refusal:
                one.wire.answer(*self.failed(refusal))
            else:
                admitted.append(one)
        return admitted

    def _read_each(
        self, champion: Champion, arrived: list[_Arrived], kind: Kind
    ) -> list[tuple[list[Values], Shape] | None]:
        """The events of bodies that are a plain object each; None where :meth:`read` must look."""
        if champion.quick is None or kind.form != "json" or len(arrived) == 1:
            return [None] * len(arrived)
        bodies = [one.body for one in arrived]
        found = champion.quick.read_each(bodies, max_depth=self._limits.max_depth)
        return [None if one is None or one[1] else (one[0], "one") for one in found]
