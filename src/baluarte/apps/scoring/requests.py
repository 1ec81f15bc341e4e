"""Requests for decisions on their way through the plane: alone, in groups, and to their answers."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.apps.scoring.answer import Answer, answer, encode_answers, plain_answers
from baluarte.apps.scoring.champions import Champion
from baluarte.apps.scoring.repeats import EventKeys
from baluarte.core.decision import Decision
from baluarte.core.event import Values
from baluarte.core.plain_rows import PlainRows
from baluarte.stages.score import Decisions, Identity, Reasons

GROUP_ROWS = 256  #: rows of different requests that are decided and recorded together


class _Outcome(msgspec.Struct, kw_only=True, eq=False):
    """What became of a request.

    Attributes:
        keys: by which its events are claimed, where others have claimed one of them.
        answers: to each event, once it is decided.
        content: JSON of the one answer, where it was written at once instead.
    """

    keys: EventKeys = ([], [])
    answers: list[Answer] = []
    content: bytes | None = None


class Request(_Outcome, eq=False):
    """One request's events, from when they were read to its answer.

    Attributes:
        n_rows: how many events.
    """

    champion: Champion
    reasons: Reasons
    n_rows: int

    @property
    @abstractmethod
    def rows(self) -> list[Values]:
        """Its events, in record form."""

    @abstractmethod
    def settle(self, failure: BaseException | None) -> None:
        """Tell whoever waits that the answers are there, or why they aren't; once."""

    @classmethod
    def settle_all(cls, requests: Sequence[Request]) -> None:
        """Tell all who wait that their answers are there."""
        for request in requests:
            request.settle(None)


class Awaited(Request, eq=False):
    """A request that a task waits for, whose events are identified."""

    events: list[Values]
    identities: list[Identity]
    future: asyncio.Future[list[Answer]]

    @property
    def rows(self) -> list[Values]:
        """Its events, in record form."""
        return self.events

    def settle(self, failure: BaseException | None) -> None:
        """Answer the task; one that has gone away is not told."""
        if self.future.done():
            return
        if failure is None:
            self.future.set_result(self.answers)
        else:
            self.future.set_exception(failure)


class Batch:
    """Requests of one champion that are decided, recorded and answered together.

    Attributes:
        requests: at least one.
        identities: of their events, in order.
        keys: of each request, by which its events are claimed.
        plain: the row of each, where each has one that is read already.
    """

    __slots__ = ("identities", "keys", "plain", "requests")

    def __init__(
        self,
        requests: Sequence[Request],
        identities: list[Identity],
        keys: Sequence[EventKeys],
        plain: PlainRows | None = None,
    ) -> None:
        self.requests, self.identities, self.keys, self.plain = requests, identities, keys, plain

    @property
    def rows(self) -> list[Values]:
        """Their events, in record form."""
        return [row for request in self.requests for row in request.rows]

    @property
    def claimed(self) -> list[bytes]:
        """The keys of all events."""
        return [key for keys, _ in self.keys for key in keys]

    def those(self, chosen: Sequence[bool]) -> Batch:
        """Some of the requests; what was read of all of them at once they read themselves."""
        sizes = [request.n_rows for request in self.requests]
        of_rows = [wanted for wanted, n in zip(chosen, sizes, strict=True) for _ in range(n)]
        return Batch(
            list(compress(self.requests, chosen)),
            list(compress(self.identities, of_rows)),
            list(compress(self.keys, chosen)),
        )


Some = TypeVar("Some", bound=Request)


def groups(batch: Sequence[Some]) -> Iterator[list[Some]]:
    """Requests to decide together: while the disk works on some, the next are decided."""
    group: list[Some] = []
    n = 0
    for request in batch:
        if group and n + request.n_rows > GROUP_ROWS:
            yield group
            group, n = [], 0
        group.append(request)
        n += request.n_rows
    yield group


def answer_all(batch: Sequence[Request], decided: list[Decision], due: list[bool]) -> None:
    """Give each request the answers to its rows."""
    start = 0
    for request in batch:
        fields = request.champion.scorer.fields
        say = None if request.reasons == "none" else request.champion.say
        end = start + request.n_rows
        request.content = None  # what was written with ids that were never recorded
        request.answers = [
            answer(decision, values, fields, say, deferred=deferred)
            for decision, values, deferred in zip(
                decided[start:end], request.rows, due[start:end], strict=True
            )
        ]
        start = end


def answer_plain(
    batch: Sequence[Request],
    decisions: Decisions,
    ids: list[str],
    identities: list[Identity],
) -> None:
    """Write the answer of each request, which has one row; as :func:`answer_all`."""
    champion = batch[0].champion
    scorer = champion.scorer
    contents = plain_answers(decisions, ids, identities, scorer)
    for request, content in zip(batch, contents, strict=True):
        request.content = content
    if not len(decisions.explained):
        return
    explained = decisions.explained.tolist()
    for i, decision in zip(
        explained, scorer.answers(decisions, identities, ids, rows=explained), strict=True
    ):
        request = batch[i]
        request.content = encode_answers(
            [answer(decision, request.rows[0], scorer.fields, champion.say)], "one"
        )[0]


def settle(batch: Sequence[Request], failure: BaseException | None) -> None:
    """Settle each; all of a batch came the same way."""
    if failure is None:
        batch[0].settle_all(batch)
        return
    for request in batch:
        request.settle(failure)


def wishes(batch: Sequence[Request]) -> Reasons | NDArray[np.bool_]:
    """Which rows to explain; where requests differ a mask asks for more than the alerts."""
    said = {request.reasons for request in batch}
    if len(said) == 1:
        return said.pop()
    sizes = [request.n_rows for request in batch]
    mask: NDArray[np.bool_] = np.repeat([request.reasons == "all" for request in batch], sizes)
    return mask


def due_of(batch: Sequence[Request], bands: Sequence[Any]) -> list[bool]:
    """Whether each row's request would have had its reasons."""
    said = [request.reasons for request in batch for _ in range(request.n_rows)]
    return [
        wish == "all" or (wish == "alerts" and band > 0)
        for wish, band in zip(said, bands, strict=True)
    ]
