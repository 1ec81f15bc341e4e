"""baluarte.apps.scoring.bodies: clients that don't send what they said are in nobody's way."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from scoring_ground import Server, Workplace

from baluarte.apps.scoring.bodies import LARGE_BYTES, MOST_LARGE
from baluarte.apps.scoring.settings import Limits

POST = "/v1/detectors/flows/decisions"


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    place = Workplace(tmp_path)
    place.promote(place.seal())
    return place


@contextlib.contextmanager
def begun(server: Server, n: int, *, length: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Connections whose request has a whole head, and of its body no more than this."""
    head = (
        f"POST {POST} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()
    with contextlib.ExitStack() as stack:
        ones = []
        for _ in range(n):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            one.settimeout(30)
            one.sendall(head + sent)
            ones.append(one)
        yield ones


def test_bodies_that_do_not_come_take_no_place_and_are_given_up(place: Workplace) -> None:
    limits = Limits(max_inflight=4, body_s=1.0)
    with (
        Server(place, limits=limits) as server,
        begun(server, 100, length=40, sent=b'{"id":') as slow,
    ):
        assert server.fresh_decide({"id": "a"})[0] == 200
        for one in slow:
            answer = one.recv(4_096)
            assert answer.startswith(b"HTTP/1.1 408")
            assert b'"code":"too_slow"' in answer
            assert b"connection: close" in answer.lower()
        assert server.fresh_decide({"id": "b"})[0] == 200


def test_large_bodies_come_in_few_at_a_time_and_small_ones_beside_them(place: Workplace) -> None:
    with (
        Server(place) as server,
        begun(server, MOST_LARGE, length=LARGE_BYTES + 1, sent=b"["),
        begun(server, 1, length=LARGE_BYTES + 1, sent=b"[") as (late,),
    ):
        answer = late.recv(4_096)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in answer.lower()
        assert server.fresh_decide({"id": "a"})[0] == 200


def test_a_body_that_ends_too_soon_is_the_callers_fault(place: Workplace) -> None:
    with Server(place) as server, begun(server, 1, length=40, sent=b'{"id":') as (one,):
        one.shutdown(socket.SHUT_WR)
        answer = one.recv(4_096)
        assert answer.startswith(b"HTTP/1.1 400")
        assert b'"code":"incomplete_body"' in answer
        assert server.fresh_decide({"id": "a"})[0] == 200
