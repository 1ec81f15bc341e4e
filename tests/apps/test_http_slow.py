"""baluarte.apps.http.connection: slow, greedy and vanishing callers cost little, for a while."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import socket
import threading
from collections.abc import Iterator

import pytest
from http_ground import Site, answers, be_quick, chunked, get, post, reset, rest_of

from baluarte.apps.http import connection
from baluarte.apps.http.connection import AHEAD_BYTES
from baluarte.apps.http.head import MOST_BYTES


@pytest.fixture
def site(caplog: pytest.LogCaptureFixture) -> Iterator[Site]:
    with Site() as made:
        yield made
        assert made.faults == []
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


def the_one(site: Site) -> connection.Connection:
    site.until(lambda: len(site.connections) == 1)
    return site.connections[0]


def flood(one: socket.socket, request: bytes, n_bytes: int) -> int:
    """Send a request again and again, so many bytes in all; how many of them are not taken."""
    one.settimeout(0.2)
    data = memoryview(request * (n_bytes // len(request)))
    with contextlib.suppress(TimeoutError):
        while data:
            data = data[one.send(data) :]
    return len(data)


def test_requests_that_nobody_has_answered_are_not_read_without_end(site: Site) -> None:
    with site.caller() as one:
        most = 0
        site.until(lambda: site.connections)
        flooding = threading.Thread(target=flood, args=(one, get("/later"), 24 << 20))
        flooding.start()
        while flooding.is_alive():
            most = max([most, *(len(each._rest) for each in site.connections)])
        reset(one)
    assert AHEAD_BYTES < most < 1 << 20


@pytest.mark.parametrize("path", ["/now", "/echo"])
def test_who_takes_no_answers_gets_no_more_of_them(site: Site, path: str) -> None:
    with site.caller(receive_bytes=4_096) as one:
        kept = the_one(site)
        most = 0
        request = post(path, b"x" * 30_000)
        one.settimeout(0)
        for _ in range(1_000):  # each in a segment of its own, as the loop turns
            with contextlib.suppress(BlockingIOError):
                one.send(request)
            most = max(most, site.call(kept._transport.get_write_buffer_size))
        assert 0 < most < (64 << 10) + 40_000
        assert site.call(lambda: kept.until_s) < float("inf")
        site.call(kept.expire)
        site.until(lambda: not site.keeper.open)


def test_who_takes_answers_slowly_gets_them_to_the_last_byte(site: Site) -> None:
    size = 8 << 20
    with site.caller(get(f"/big?{size}"), get("/now"), receive_bytes=4_096) as one:
        kept = the_one(site)
        site.until(lambda: kept._stalled)
        got = bytearray()
        for n in range(1, 5):
            while len(got) < n << 20:
                got += one.recv(1 << 20)
            site.until(lambda: kept._transport.get_write_buffer_size() < kept._untaken - 500_000)
            site.call(kept.expire)
        one.shutdown(socket.SHUT_WR)
        first, second = answers(bytes(got) + rest_of(one))
    assert (len(first.body), second.status) == (size, 200)


@pytest.mark.parametrize("lines", [(), ("connection: close",)])
def test_who_stops_taking_an_answer_is_given_up(
    site: Site, lines: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    be_quick(monkeypatch, STALL_S=0.05, LINGER_S=0.05, HEAD_S=0.05)
    with site.caller(get(f"/big?{8 << 20}", *lines), receive_bytes=4_096) as one:
        assert one.recv(1)
        site.until(lambda: "/big?8388608" in site.service.served and not site.keeper.open)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", get("/now"), b"\r\n"])
def test_who_sends_no_request_is_closed(
    site: Site, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_quick(monkeypatch, HEAD_S=0.1)
    assert len(site.talk(sent, half=False)) == (sent == get("/now"))


def test_a_byte_now_and_then_does_not_make_a_head_any_longer(site: Site) -> None:
    with site.caller(b"GET / HTTP/1.1\r\n") as one:
        kept = the_one(site)
        site.until(lambda: kept._rest)
        until_s = kept.until_s
        for i in range(20):
            one.sendall(b"x")
            site.until(lambda n=i + 17: len(kept._rest) == n)
        assert kept.until_s == until_s


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 431)])
def test_a_head_has_a_largest_size(site: Site, more: int, status: int) -> None:
    empty = get("/now", "x: ")
    long = get("/now", "x: " + "y" * (MOST_BYTES - len(empty) + more))
    assert [one.status for one in site.talk(long)] == [status]
    (one,) = site.talk(b"GET /" + b"y" * (1 << 20), half=False)
    assert (one.status, one.headers["connection"]) == (431, "close")


@pytest.mark.parametrize("head", [post("/unread", b""), b"nonsense\r\n\r\n", b"x" * 70_000])
def test_an_early_answer_is_not_lost_to_one_who_still_sends(site: Site, head: bytes) -> None:
    head = head.replace(b"content-length: 0", b"content-length: 900000000")
    with site.caller(head) as one:
        with contextlib.suppress(ConnectionError):  # not before the answer can be read
            for _ in range(100):
                one.sendall(b"y" * 65_536)
        (found,) = answers(rest_of(one))
    assert found.status in {400, 413, 431}
    assert found.headers["connection"] == "close"


def test_an_answer_to_close_is_not_lost_to_one_who_sends_more(site: Site) -> None:
    for path in ("/now", "/echo"):
        with site.caller(get(path, "connection: close")) as one:
            site.until(lambda: not any(each._state < 3 for each in site.connections))
            one.sendall(get("/now"))
            one.sendall(get("/now"))
            assert [each.status for each in answers(rest_of(one))] == [200]


@pytest.mark.parametrize("path", ["/held", "/dawdles"])
def test_of_a_body_that_nobody_reads_now_little_is_taken(site: Site, path: str) -> None:
    with site.caller(get(path, "content-length: 99999999", method="POST")) as one:
        assert flood(one, b"x" * 65_536, 24 << 20) > 0
        waiting = site.connections[0]._exchange
        assert waiting is not None
        assert site.call(lambda: waiting.n_waiting) < 1 << 20
        site.call(site.service.release.set)
        assert answers(rest_of(one))[0].status == 200


def test_who_is_gone_leaves_nothing_behind(site: Site) -> None:
    begun = [
        b"", b"GET", get("/now"), get("/kept"), get("/held"), post("/echo", b"xyz")[:-1],
        chunked("/parts", b"x", last=b""), get(f"/big?{4 << 20}"), post("/unread", b"x" * 99)[:-9],
        get("/now") * 500, b"bad\r\n\r\n", get("/echo", "connection: close"),
    ]  # fmt: skip
    for end in (reset, socket.socket.close):
        for sent in begun:
            for turns in range(5):
                with site.caller(sent) as one:
                    for _ in range(turns):
                        site.call(lambda: None)
                    end(one)
    site.call(site.service.release.set)
    for wire in site.service.held:
        site.call(functools.partial(wire.answer, 200, [], b""))
    site.until(lambda: not site.keeper.open and not site.keeper.tasks)
    del wire
    site.service.held.clear()
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, connection.Connection)]
