"""The lane of plain requests for decisions: taken as they come, worked on together.

A request that waits for nothing but its record needs no task. What has come when the loop turns is
let in, read, identified, claimed, scored, recorded and answered a batch a step, in the order and by
the checks of :meth:`baluarte.apps.scoring.door.Door.handle`, which gets all other requests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import cast

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
_NO_CHAMPION = cast("Champion", None)  # until the loop turns


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


class Taken(Request, eq=False):
    """A request that came whole, and is answered on its wire.

    Its champion is known when the loop turns; its rows are read when somebody asks for them.

    Attributes:
        at_s: when it came.
        read: its rows, once somebody asked for them.
        shape: in which they came.
    """

    lane: Lane
    form: Form
    body: bytes
    wire: Wire
    at_s: float
    is_settled: bool = False
    read: list[Values] | None = None
    shape: Shape = "one"

    @property
    def rows(self) -> list[Values]:
        """Its events, in record form."""
        if self.read is None:
            self.has(self.lane.read(self.champion, self.body, self.form))
        return cast("list[Values]", self.read)

    def has(self, found: tuple[list[Values], Shape]) -> None:
        """These are its events, and the shape in which they came."""
        self.read, self.shape = found
        self.n_rows = len(self.read)

    def fail(self, error: BaseException) -> None:
        """Answer why there is no decision."""
        self.is_settled = True
        if isinstance(error, Refusal):
            error.body_read = True
        self.wire.answer(*self.lane.failed(error))

    def settle(self, failure: BaseException | None) -> None:
        """Answer the caller, once."""
        if self.is_settled:
            return
        if failure is None:
            self.settle_all([self])
        elif isinstance(failure, Again):
            self.lane.plane.decide_again(self, self._told)
        else:
            self.lane.leave([self])
            self.fail(failure)

    @classmethod
    def settle_all(cls, requests: Sequence[Request]) -> None:
        """Answer the callers of requests of one champion that were decided."""
        batch = [one for one in cast("Sequence[Taken]", requests) if not one.is_settled]
        if not batch:
            return
        lane, scorer = batch[0].lane, batch[0].champion.scorer
        lane.leave(batch)
        now_s = time.perf_counter()
        lane.counts.answered([now_s - one.at_s for one in batch], scorer.detector, scorer.version)
        for one in batch:
            one.is_settled = True
            if one.content is not None:
                one.wire.answer(200, _JSON, one.content)
            else:
                content, content_type = encode_answers(one.answers, one.shape)
                one.wire.answer(200, [("content-type", content_type)], content)

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
        self._arrived: dict[Kind, list[Taken]] = {}
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
        at_s = time.perf_counter()
        one = Taken(_NO_CHAMPION, kind.reasons, 1, self, kind.form, body, wire, at_s)
        waiting = self._arrived.get(kind)
        if waiting is None:
            self._arrived[kind] = [one]
        else:
            waiting.append(one)
        return True

    def leave(self, requests: Sequence[Request]) -> None:
        """These are answered."""
        self.plane.given_back(requests)
        self.inflight.n -= len(requests)

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

    def _begin(self, kind: Kind, arrived: list[Taken]) -> None:
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
        for one in arrived:
            one.champion = champion
        admitted = self._count_in(arrived, holder)
        try:
            groups, others = self._read_plain(champion, admitted, kind)
        except BaseException:
            self.inflight.n -= len(admitted)
            raise
        for some, plain in groups:
            if self._has_room(kind, len(some)):
                plane.decide_now(champion, some, plain)
            else:
                others += some  # each is told
        if others:
            self._take_each(champion, kind, others)

    def _count_in(self, arrived: list[Taken], holder: Holder | None) -> list[Taken]:
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

    def _read_plain(
        self, champion: Champion, arrived: list[Taken], kind: Kind
    ) -> tuple[list[tuple[list[Taken], PlainRows]], list[Taken]]:
        """Those whose bodies are one plain object each, in groups with their rows; the others."""
        if champion.plain is None or kind.form != "json":
            return [], arrived
        groups: list[tuple[list[Taken], PlainRows]] = []
        others: list[Taken] = []
        for start in range(0, len(arrived), GROUP_ROWS):
            some: Sequence[Taken] = arrived[start : start + GROUP_ROWS]
            found = champion.plain.read(
                [one.body for one in some], max_depth=self._limits.max_depth
            )
            if len(found.which) < len(some):
                plain = set(found.which)
                others += [one for i, one in enumerate(some) if i not in plain]
                some = [some[i] for i in found.which]
            if some:
                groups.append((list(some), found))
        return groups, others

    def _has_room(self, kind: Kind, n: int) -> bool:
        """Whether so many events may be decided now; they are counted then."""
        try:
            self.plane.require_room(n)
            self._guard.spend(kind.name, n)
        except Refusal:
            return False
        return True

    def _take_each(self, champion: Champion, kind: Kind, admitted: list[Taken]) -> None:
        """Read requests one by one, and decide them together."""
        try:
            found = self._read_each(champion, admitted, kind)
        except Exception as error:  # noqa: BLE001 - a fault of ours, and of these alone
            self.inflight.n -= len(admitted)
            for one in admitted:
                one.fail(error)
            return
        n_rows = 0
        requests: list[Request] = []
        for one, quick in zip(admitted, found, strict=True):
            try:
                self.plane.require_room(n_rows + 1)
                one.has(quick or self.read(champion, one.body, kind.form))
                self.plane.require_room(n_rows + one.n_rows)
                self._guard.spend(kind.name, one.n_rows)
            except Exception as error:  # noqa: BLE001 - the caller's fault, or ours: this one's
                self.inflight.n -= 1
                one.fail(error)
                continue
            n_rows += one.n_rows
            requests.append(one)
        if requests:
            self.plane.decide_now(champion, requests)

    def _read_each(
        self, champion: Champion, arrived: list[Taken], kind: Kind
    ) -> list[tuple[list[Values], Shape] | None]:
        """The events of bodies that are a plain object each; None where :meth:`read` must look."""
        if champion.quick is None or kind.form != "json" or len(arrived) == 1:
            return [None] * len(arrived)
        bodies = [one.body for one in arrived]
        found = champion.quick.read_each(bodies, max_depth=self._limits.max_depth)
        return [None if one is None or one[1] else (one[0], "one") for one in found]
