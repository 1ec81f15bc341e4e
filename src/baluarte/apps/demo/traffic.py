"""Events through the running server, as a collector would send them: keep-alive, few at a time."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from baluarte.errors import OutsideError

_RETRIES = 3
_TIMEOUT_S = 30.0


class Answered(msgspec.Struct, frozen=True):
    """What the demo reads of one answer."""

    id: str
    event_id: str
    version: int
    outcome: str
    points: int
    score: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of some events, in the order they were given."""

    answers: list[Answered]
    seconds: float
    retried: int  #: requests that had to be sent again
    at: list[float]  #: of each answer: monotonic seconds


class Client:
    """Sends events to one detector over a few connections at once.

    Args:
        url: of the server.
        token: bearer token.
        connections: how many are open at once; workers share them.
        chunk: events a request.
    """

    def __init__(
        self, url: str, token: str, detector: str, *, connections: int = 4, chunk: int = 25
    ) -> None:
        self._host = urlsplit(url).netloc
        self._path = f"/v1/detectors/{detector}/decisions"
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
        }
        self._chunk = chunk
        self._decode = msgspec.json.Decoder(list[Answered]).decode
        self._pool = ThreadPoolExecutor(connections)
        self._free = [self._connect() for _ in range(connections)]

    def close(self) -> None:
        """Close all connections."""
        self._pool.shutdown()
        for connection in self._free:
            connection.close()

    def send(self, events: Sequence[Mapping[str, object]]) -> Sent:
        """Send events and wait for every answer.

        Raises:
            OutsideError: a request stayed unanswered after its retries, or was refused.
        """
        started = time.monotonic()
        chunks = [events[i : i + self._chunk] for i in range(0, len(events), self._chunk)]
        parts = list(self._pool.map(self._one, chunks))
        return Sent(
            answers=[answer for answers, _, _ in parts for answer in answers],
            seconds=time.monotonic() - started,
            retried=sum(retried for _, retried, _ in parts),
            at=[at for answers, _, at in parts for _ in answers],
        )

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, timeout=_TIMEOUT_S)

    def _one(self, events: Sequence[Mapping[str, object]]) -> tuple[list[Answered], int, float]:
        body = msgspec.json.encode(events)
        connection = self._free.pop()
        try:
            for attempt in _attempts():
                try:
                    connection.request("POST", self._path, body, self._headers)
                    answer = connection.getresponse()
                    said = answer.read()
                except (OSError, http.client.HTTPException):
                    connection.close()
                    continue
                if answer.status == 200:
                    return self._decode(said), attempt, time.monotonic()
                raise OutsideError(
                    f"expected 200; found {answer.status}: {said[:300].decode(errors='replace')}",
                    where=self._path,
                )
            raise OutsideError("no answer after three tries", where=self._host, retryable=True)
        finally:
            self._free.append(connection)


def _attempts() -> Iterator[int]:
    for attempt in range(_RETRIES):
        if attempt:
            time.sleep(0.1 * attempt)
        yield attempt
