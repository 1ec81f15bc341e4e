"""baluarte.apps.http.connection: one answer a request, in order, whatever the other side does."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import httptools
import pytest
from http_ground import (
    Site,
    answers,
    be_quick,
    chunked,
    get,
    next_of,
    post,
    reset,
    rest_of,
    until,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LOGGED = "baluarte.http"


@pytest.fixture
def site(caplog: pytest.LogCaptureFixture) -> Iterator[Site]:
    with Site() as made:
        yield made
        assert made.faults == []
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


@pytest.fixture
def faulty() -> Iterator[Site]:
    """One whose service is at fault: the log says so, the loop hears nothing of it."""
    with Site() as made:
        yield made
        assert made.faults == []


# --- requests and answers -------------------------------------------------------------------------


def test_requests_are_answered_by_whatever_way_they_take(site: Site) -> None:
    for path in ("/now", "/later", "/echo"):
        (one,) = site.talk(post(f"{path}?q", b"body"))
        assert (one.status, one.body) == (200, f"POST {path}?q body".encode())


def test_a_connection_stays_open_and_says_nothing_of_that(site: Site) -> None:
    with site.caller() as one:
        for i in range(5):
            one.sendall(get(f"/now?{i}"))
            found = next_of(one)
            assert found.body == f"GET /now?{i} ".encode()
            assert "connection" not in found.headers


@pytest.mark.parametrize("path", ["/now", "/echo"])
def test_it_closes_where_the_caller_asks_for_that(site: Site, path: str) -> None:
    for sent in (get(path, "connection: close"), post(path, b"x", "connection: close")):
        (one,) = site.talk(sent, half=False)
        assert one.headers["connection"] == "close"


def test_a_caller_of_http_1_0_sees_the_end(site: Site) -> None:
    for more in ("", "Connection: keep-alive\r\n"):
        (one,) = site.talk(f"GET /now HTTP/1.0\r\n{more}\r\n".encode(), half=False)
        assert one.headers["connection"] == "close"


def test_to_head_the_head_alone_is_told(site: Site) -> None:
    first, second = site.talk(get("/echo", method="HEAD"), get("/now", method="HEAD"), heads=True)
    assert first.headers["content-length"] == "12"
    assert second.headers["content-length"] == "11"


@pytest.mark.parametrize("status", [204, 304])
def test_after_an_answer_without_a_body_the_next_one_begins(site: Site, status: int) -> None:
    first, second = site.talk(get(f"/bodiless?{status}") + get("/now"))
    assert (first.status, second.status) == (status, 200)


def test_empty_lines_before_a_request_are_passed_over(site: Site) -> None:
    parts = [b"\r\n", b"\r", b"\n\r\n" + get("/now?a") + b"\r\n\r\n", get("/now?b"), b"\r\n" * 9]
    assert [one.body[-3:] for one in site.talk(*parts)] == [b"?a ", b"?b "]
    assert [one.status for one in site.talk(b"\r\n" * 50_000 + get("/now"))] == [200]


def test_the_service_is_told_who_asks_even_when_they_are_gone(site: Site) -> None:
    with site.caller(get("/who")) as one:
        address = "{}:{}".format(*one.getsockname())
        assert next_of(one).body.decode() == address
        one.sendall(get("/who"))
        reset(one)
    until(lambda: len(site.service.seen) == 2)
    assert set(site.service.seen) == {address}


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 300_000])
def test_a_body_comes_whole_by_its_length_or_in_chunks(site: Site, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    (one,) = site.talk(post("/echo", body))
    assert one.body == b"POST /echo? " + body
    (one,) = site.talk(post("/parts", body))
    assert one.body == str(size).encode()
    chunks = [body[i : i + 30_000] for i in range(0, size, 30_000)]
    (one,) = site.talk(chunked("/echo", *chunks))
    assert one.body == b"POST /echo? " + body


def test_after_a_body_the_next_request_is_read_but_not_after_chunks(site: Site) -> None:
    large = b"x" * 70_000
    assert len(site.talk(post("/echo", large) + post("/echo", large) + get("/now"))) == 3
    (one,) = site.talk(chunked("/echo", b"abc") + get("/now?smuggled"), half=False)
    assert one.headers["connection"] == "close"
    assert not any("smuggled" in target for target in site.service.served)


@pytest.mark.parametrize(
    "last",
    [b"x\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"0\r\nx y\r\n\r\n",
     b"0x3\r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n", b"0\r\ncontent-length: 9\r\n\r\n"],
)  # fmt: skip
def test_chunks_that_are_none_are_the_callers_fault(site: Site, last: bytes) -> None:
    (one,) = site.talk(chunked("/echo", b"abc", last=last + get("/now")), half=False)
    assert (one.status, one.headers["connection"]) == (400, "close")


@pytest.mark.parametrize(
    ("sent", "status", "expected"),
    [
        (b"BREW /pot HTTP/1.1\r\nhost: a\r\n\r\n", 400, "registered method"),
        (b"GET / HTTP/3\r\n\r\n", 400, "a path and the version"),
        (b"GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n", 400, "Content-L"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 400, "Transfer-Encoding"),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", 405, "no proxy"),
        (b"GET / HTTP/1.1\r\nexpect: tea\r\n\r\n", 417, "100-continue"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431, "100 headers"),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 70_000 + b"\r\n\r\n", 431, "65536 bytes"),
    ],
)
def test_who_is_refused_before_any_service_is_told_what_was_expected(
    site: Site, sent: bytes, status: int, expected: str
) -> None:
    (one,) = site.talk(sent, half=False)
    assert (one.status, one.headers["content-type"]) == (status, "application/problem+json")
    problem = json.loads(one.body)
    assert problem["status"] == status
    assert expected in problem["detail"]
    assert b"HTTP/" not in one.body
    assert site.service.served == []


def test_chunks_may_have_extensions_and_trailers(site: Site) -> None:
    last = b'3;a=b;c="d"\r\nabc\r\n0\r\nA: b\r\n\r\n'
    (one,) = site.talk(chunked("/echo", b"xyz", last=last))
    assert one.body.endswith(b" xyzabc")


@pytest.mark.parametrize("sent", [post("/echo", b"x" * 9)[:-1], chunked("/echo", b"x", last=b"")])
@pytest.mark.parametrize("way", ["half", "reset"])
def test_a_body_that_ends_before_its_end_is_told_to_its_service(
    site: Site, sent: bytes, way: str
) -> None:
    if way == "half":
        assert [one.status for one in site.talk(sent)] == [400]
        return
    with site.caller(sent) as one:
        site.until(lambda: any(each._state != 0 for each in site.connections))
        reset(one)
    site.until(lambda: not site.keeper.open and not site.keeper.tasks)


def test_a_small_body_that_dawdles_gets_a_task(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    be_quick(monkeypatch, SOON_S=0.05)
    with site.caller(post("/echo", b"abcdef")[:-4]) as one:
        site.until(lambda: site.keeper.tasks)
        one.sendall(b"cd")
        one.sendall(b"ef" + get("/now"))
        assert next_of(one).body == b"POST /echo? abcdef"
        assert next_of(one).body == b"GET /now? "


def test_who_waits_for_a_word_gets_it_where_the_body_is_wanted(site: Site) -> None:
    with site.caller(post("/echo", b"abc", "expect: 100-continue")[:-3]) as one:
        assert next_of(one).status == 100
        one.sendall(b"abc" + get("/now"))
        assert next_of(one).body == b"POST /echo? abc"
        assert next_of(one).status == 200
    with site.caller(post("/unread", b"abc", "expect: 100-continue")[:-3]) as one:
        assert [each.status for each in answers(rest_of(one))] == [413]
    first = post("/echo", b"abc", "expect: 100-continue")
    assert [each.status for each in site.talk(first)] == [200]  # it didn't wait
    old = first.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    with site.caller(old[:-3]) as one:  # and this one doesn't know the word
        site.until(lambda: site.keeper.open)
        one.sendall(b"abc")
        assert [each.status for each in answers(rest_of(one))] == [200]


def test_tiny_chunks_are_read_as_fast_as_large_ones(site: Site) -> None:
    """Each costs one step, however many came at once."""
    n = 200_000
    (one,) = site.talk(chunked("/parts", last=b"1\r\nx\r\n" * n + b"0\r\n\r\n"))
    assert one.body == str(n).encode()


# --- in their order -------------------------------------------------------------------------------

REQUESTS = (
    get("/now?1"), get("/later?2"), get("/echo?3"), post("/now?4", b"abc"), post("/echo?5", b""),
    post("/later?6", b"\r\n\r\nGET /now HTTP/1.1\r\n\r\n"), get("/silly/path?7", "x: " + "y" * 999),
    post("/parts?8", b"x" * 300), b"\r\n" + get("/now?9"), get("/bodiless?204"),
    post("/echo?10", b"z" * 66_000), post("/echo?11", b"q", "expect: 100-continue"),
    get("http://a/now?12"), post("/unread?13", b"w" * 66_000, "connection: close"),
    chunked("/echo?14", b"abc", b"d" * 50), get("/now?15", "connection: close"),
)  # fmt: skip
_LAST = range(len(REQUESTS) - 3, len(REQUESTS))  # end their connection


@pytest.fixture(scope="module")
def shared() -> Iterator[Site]:
    """One for all examples of a property."""
    with Site() as made:
        yield made
        assert made.faults == []


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes in segments."""
    ends = sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)})
    return [data[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]


@given(
    st.lists(st.integers(0, len(REQUESTS) - 1), min_size=1, max_size=8),
    st.lists(st.integers(0, 1 << 18), max_size=12),
)
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_a_stream_is_cut_into_segments_its_answers_are_the_same(
    shared: Site, numbers: list[int], cuts: list[int]
) -> None:
    stream = b"".join(REQUESTS[i] for i in numbers)
    told = [
        [(one.status, one.body) for one in shared.talk(*parts) if one.status != 100]
        for parts in ([stream], split(stream, cuts))
    ]
    last = next((n for n, i in enumerate(numbers) if i in _LAST), len(numbers) - 1)
    assert len(told[0]) == last + 1
    assert told[0] == told[1]


def test_a_request_a_byte_at_a_time_is_the_same_request(site: Site) -> None:
    stream = b"".join(REQUESTS[:6])
    parts = [stream[i : i + 1] for i in range(len(stream))]
    assert len(site.talk(*parts)) == 6


def test_requests_that_came_before_the_callers_end_are_all_answered(site: Site) -> None:
    found = site.talk(b"".join(get(f"/{path}?{i}") for i in range(50) for path in ("now", "echo")))
    assert len(found) == 100
    assert [each.body.split()[1] for each in found[:4]] == [
        b"/now?0",
        b"/echo?0",
        b"/now?1",
        b"/echo?1",
    ]
    assert len(site.talk(get("/echo") + get("/now")[:-1])) == 1  # of half a request no answer


def test_thousands_of_requests_in_one_segment_hold_nobody_else_up(site: Site) -> None:
    with site.caller() as one, site.caller() as other:
        one.settimeout(0)
        sent = one.send(get("/now") * 20_000)
        other.sendall(get("/now"))
        assert next_of(other).status == 200
        one.settimeout(20)
        for _ in range(min(100, sent // len(get("/now")))):
            assert next_of(one).status == 200


# --- random changes -------------------------------------------------------------------------------

_BITS = (
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\0", b"\t", b":", b"0", b"5", b"\r\n 1", b";x",
    b"\r\nContent-Length: 3", b"\r\ntransfer-encoding: chunked", b"GET /now HTTP/1.1\r\n\r\n",
    b"\r\nConnection: close", b"\r\nUpgrade: x\r\nConnection: upgrade", b"\xff", b"HTTP/1.0",
)  # fmt: skip


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A few small requests, and a few changes anywhere in them."""
    small = [each for each in REQUESTS if len(each) < 2_000]
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(small), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 4))] = draw(st.sampled_from(_BITS))
    return bytes(data)


class _Counts:
    """How many messages llhttp alone sees begin in a stream."""

    def __init__(self, data: bytes) -> None:
        self.n = 0
        try:
            httptools.HttpRequestParser(self).feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            self.n += 1  # of what it would make of the rest nothing is known but that it is bad

    def on_message_begin(self) -> None:
        self.n += 1


@given(changed(), st.lists(st.integers(0, 1 << 12), max_size=4))
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_change_of_a_request_makes_more_answers_or_a_fault_of_ours(
    shared: Site, data: bytes, cuts: list[int]
) -> None:
    found = [one for one in shared.talk(*split(data, cuts)) if one.status != 100]
    assert len(found) <= _Counts(data).n
    assert all(one.status < 500 for one in found)
    assert shared.faults == []


@given(changed())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_a_refusal_nothing_more_is_answered(shared: Site, data: bytes) -> None:
    found = [one for one in shared.talk(data) if one.status != 100]
    for one in found[:-1]:
        assert "connection" not in one.headers


# --- services at fault ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/raises", "/silent", "/bad-header", "/now-raises", "/now-bad-header"]
)
def test_whatever_a_service_does_each_request_gets_one_answer(
    faulty: Site, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    (one,) = faulty.talk(get(path) + get("/now"), half=False)
    assert (one.status, one.body, one.headers["connection"]) == (500, b"", "close")
    assert "set-cookie" not in one.headers
    assert any(one.name == LOGGED and one.levelno >= logging.ERROR for one in caplog.records)


def test_a_second_answer_is_not_taken_for_that_of_the_next_request(site: Site) -> None:
    with site.caller(get("/twice")) as one:
        assert next_of(one).body == b"first"
        one.sendall(get("/held"))
        site.until(lambda: "/held?" in site.service.served)
        site.until(lambda: len(site.keeper.tasks) == 1)  # the first has said all that it says
        site.call(site.service.release.set)
        assert next_of(one).body == b"at last"


def test_who_wants_the_body_after_the_answer_is_told_that_it_is_late(site: Site) -> None:
    (one,) = site.talk(post("/after", b"abc", "expect: 100-continue")[:-3], half=False)
    assert one.body == b"answered"
    site.until(lambda: site.service.seen)
    assert not site.keeper.tasks
