"""baluarte.apps.http.head: a head means the same to everybody, or it is refused."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from baluarte.apps.http import head as heads
from baluarte.apps.http.answers import answer_bytes, bare
from baluarte.apps.http.head import BadHeadError, Head, Heads, read_head


def read(*lines: str | bytes) -> Head:
    given = [line if isinstance(line, bytes) else line.encode("latin-1") for line in lines]
    return read_head(b"\r\n".join([*given, b"", b""]))


def refused(data: bytes) -> int:
    with pytest.raises(BadHeadError) as refusal:
        read_head(data)
    return refusal.value.status


# --- what a head says -----------------------------------------------------------------------------


def test_a_head_says_what_it_says() -> None:
    head = read("POST /a/b?c=d HTTP/1.1", "Host: x", "Content-Length: 5", "A: 1", "a:\t2 \t")
    assert (head.method, head.path, head.query_string) == ("POST", "/a/b", "c=d")
    assert (head.length, head.keeps, head.expects, head.authority) == (5, True, False, None)
    assert head.headers.get("a") == "1"
    assert head.headers.get_all("a") == ["1", "2"]
    assert head.headers.get("b") is None


@pytest.mark.parametrize(
    ("target", "path", "query", "authority"),
    [
        ("/", "/", "", None),
        ("/a%20b%2fc", "/a b/c", "", None),
        ("//evil/x", "//evil/x", "", None),
        ("/a?b?c#d", "/a", "b?c", None),
        ("http://x/p?q", "/p", "q", "x"),
        ("http://x:81/p", "/p", "", "x:81"),
        ("http://u:p@x/p", "/p", "", "x"),
        ("http://[::1]:81/p", "/p", "", "[::1]:81"),
        ("http://x", "/", "", "x"),
        ("*", "*", "", None),
    ],
)
def test_a_target_has_a_path_a_query_and_maybe_an_authority(
    target: str, path: str, query: str, authority: str | None
) -> None:
    head = read(f"OPTIONS {target} HTTP/1.1", "host: a")
    assert (head.path, head.query_string, head.authority) == (path, query, authority)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("length", [None, 0, 3])
@pytest.mark.parametrize(
    ("version", "said", "keeps"),
    [
        ("1.1", None, True),
        ("1.1", "keep-alive", True),
        ("1.1", "close", False),
        ("1.1", "Close", False),
        ("1.1", "keep-alive, close", False),
        ("1.1", "close, te", False),
        ("1.0", None, False),
        ("1.0", "keep-alive", False),
    ],
)
def test_a_connection_that_shall_close_closes(
    method: str, length: int | None, version: str, said: str | None, keeps: bool
) -> None:
    lines = [f"{method} / HTTP/{version}", "host: a"]
    lines += [] if said is None else [f"connection: {said}"]
    lines += [] if length is None else [f"content-length: {length}"]
    assert read(*lines).keeps == keeps


def test_an_upgrade_is_answered_as_it_is_and_ends_the_connection() -> None:
    head = read("POST / HTTP/1.1", "host: a", "connection: upgrade", "upgrade: h2c",
                "content-length: 5")  # fmt: skip
    assert (head.keeps, head.length) == (False, 5)


def test_a_word_before_the_body_is_for_callers_that_know_it() -> None:
    assert read("POST / HTTP/1.1", "expect: 100-Continue", "content-length: 1").expects
    assert not read("POST / HTTP/1.0", "expect: 100-continue", "content-length: 1").expects
    assert refused(b"POST / HTTP/1.1\r\nexpect: magic\r\n\r\n") == 417


# --- where a message ends -------------------------------------------------------------------------

AMBIGUOUS = {
    "two lengths": "content-length: 5\r\ncontent-length: 5",
    "two in one": "content-length: 5, 5",
    "other lengths": "content-length: 5\r\ncontent-length: 6",
    "a sign": "content-length: +5",
    "minus": "content-length: -5",
    "hex": "content-length: 0x5",
    "none": "content-length:",
    "a space within": "content-length: 5 5",
    "a vertical tab": "content-length: \x0b5",
    "other digits": "content-length: \xb2",
    "beyond 64 bits": "content-length: 18446744073709551617",
    "length and chunks": "content-length: 5\r\ntransfer-encoding: chunked",
    "chunks and length": "transfer-encoding: chunked\r\ncontent-length: 5",
    "chunks twice": "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    "chunks in chunks": "transfer-encoding: chunked, chunked",
    "not last": "transfer-encoding: chunked, gzip",
    "another coding": "transfer-encoding: gzip, chunked",
    "identity": "transfer-encoding: identity",
    "no coding": "transfer-encoding:",
    "misspelt": "transfer-encoding: xchunked",
    "with a parameter": "transfer-encoding: chunked;q=1",
    "quoted": 'transfer-encoding: "chunked"',
    "a tab before": "transfer-encoding: \x0bchunked",
    "a space before the colon": "transfer-encoding : chunked",
    "folded": "x: y\r\n transfer-encoding: chunked",
    "a folded value": "content-length:\r\n 5",
    "a folded coding": "transfer-encoding:\r\n\tchunked",
    "bare LF": "x: y\ntransfer-encoding: chunked",
    "bare CR": "x: y\rtransfer-encoding: chunked",
    "NUL": "x: y\0z",
    "a control character": "x: y\x01z",
    "no name": ": y",
    "no colon": "xy",
    "a space in a name": "x y: z",
    "a name beyond ASCII": "x\xff: z",
}


@pytest.mark.parametrize("lines", AMBIGUOUS.values(), ids=list(AMBIGUOUS))
def test_what_others_might_read_otherwise_is_refused(lines: str) -> None:
    assert refused(f"POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n".encode("latin-1")) == 400


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nhost: a\n\nGET /2 HTTP/1.1\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\n\nGET /2 HTTP/1.1\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\n\r\nGET /2 HTTP/1.1\r\nhost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\n\r\nabcd\r\n\r\n",
        b"GET / HTTP/1.1\r\n host: a\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1 \r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET a HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.2\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / http/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"MADE-UP / HTTP/1.1\r\n\r\n",
        b"SOURCE / ICE/1.0\r\n\r\n",
        b"DESCRIBE / RTSP/1.0\r\n\r\n",
        b"GET http://h:99999/ HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\n\r\n\r\n",
    ],
)
def test_what_is_no_head_of_http_1_is_refused(data: bytes) -> None:
    assert refused(data) == 400


def test_the_other_refusals_have_their_own_status() -> None:
    assert refused(b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n") == 405
    lines = [f"x{i}: y" for i in range(heads.MOST_HEADERS)]
    assert read("GET / HTTP/1.1", *lines).headers.get("x99") == "y"
    assert refused("\r\n".join(["GET / HTTP/1.1", *lines, "z: y", "", ""]).encode()) == 431


def test_of_a_length_no_one_can_mean_only_the_size_counts() -> None:
    assert (read("POST / HTTP/1.1", "content-length: 9999999999999999999").length or 0) > 1 << 60


# --- as a strict reader of the specification would have it ----------------------------------------

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_LINE = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_FIRST = re.compile(rb"[\r\n]*([A-Z-]+) +([^\x00-\x20\x7f]+) +HTTP/1\.([01])")


def strict(data: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Method and headers, by RFC 9112 alone; an assertion fails where it is no head."""
    assert data.endswith(b"\r\n\r\n")
    assert data.find(b"\r\n\r\n") == len(data) - 4
    first, *lines = data[:-4].lstrip(b"\r\n").split(b"\r\n")
    start = _FIRST.fullmatch(first)
    assert start is not None, first
    pairs = []
    for line in lines:
        said = _LINE.fullmatch(line)
        assert said is not None, line
        pairs.append((said[1].lower().decode("latin-1"), said[2].decode("latin-1")))
    return start[1].decode(), pairs


VALID = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1?x=%2f HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nConnection: close\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    b"PUT http://a:1/b HTTP/1.0\r\nA: \t b\t \r\nConnection: keep-alive\r\nUpgrade: x\r\n\r\n",
)
BITS = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\0", b",", b"\xff", b"0", b"chunked", b";",
     b"\r\nContent-Length: 3", b"\r\nTransfer-Encoding: chunked", b"\r\n x", b"\x0b", b"close",
     b"\r\nConnection: ", b"HTTP/1.1", b"GET /"]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, texts: tuple[bytes, ...] = VALID) -> bytes:
    data = bytearray(draw(st.sampled_from(texts)))
    for _ in range(draw(st.integers(0, 3))):
        at, bit = draw(st.integers(0, len(data))), draw(BITS)
        n = draw(st.integers(0, 3))
        data[at : at + n] = bit
    return bytes(data)


@given(mutated())
@settings(max_examples=600)
def test_every_head_is_refused_or_read_as_the_specification_has_it(data: bytes) -> None:
    data = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    try:
        head = read_head(data)
    except BadHeadError:
        return
    method, pairs = strict(data)
    assert head.method == method
    assert head.headers._pairs == pairs
    lengths = [value for name, value in pairs if name == "content-length"]
    codings = [value.lower() for name, value in pairs if name == "transfer-encoding"]
    assert (len(lengths), codings) in ((0, []), (1, []), (0, ["chunked"]))
    assert head.length == (None if codings else int(lengths[0]) if lengths else 0)


@given(st.binary(max_size=200))
@example(b"")
def test_bytes_that_are_anything_raise_nothing_else(data: bytes) -> None:
    with contextlib.suppress(BadHeadError):
        read_head(data + b"\r\n\r\n")


# --- heads that are remembered --------------------------------------------------------------------


def test_a_head_is_read_once_and_one_that_differs_in_a_byte_is_another() -> None:
    known = Heads()
    data = VALID[0]
    assert known.read(data) is known.read(bytes(bytearray(data)))
    other = known.read(data.replace(b"Host: a", b"Host: b"))
    assert other is not known.read(data)
    assert other.headers.get("host") == "b"


def test_a_bad_head_is_refused_each_time() -> None:
    known = Heads()
    for _ in range(2):
        with pytest.raises(BadHeadError):
            known.read(b"GET\r\n\r\n")


def test_what_is_remembered_is_bounded_in_number_and_size() -> None:
    known = Heads()
    for i in range(2 * heads._MOST_KNOWN):
        known.read(b"GET /%d HTTP/1.1\r\n\r\n" % i)
        assert len(known._known) <= heads._MOST_KNOWN
    before = len(known._known)
    known.read(b"GET / HTTP/1.1\r\nx: %s\r\n\r\n" % (b"y" * heads._MOST_KNOWN_BYTES))
    known.read(b"GET / HTTP/1.1\r\n%s\r\n" % b"".join(b"x%d: y\r\n" % i for i in range(90)))
    assert len(known._known) == before


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", [("x", "a\r\nb: c"), ("x", "a\nb"), ("x\r\ny", "a"), ("x", "\0"), ("x", "\u20ac")]
)
@pytest.mark.parametrize("n", [1, 2])
def test_no_header_of_an_answer_begins_another(header: tuple[str, str], n: int) -> None:
    for _ in range(2):  # the second might be remembered
        with pytest.raises(ValueError, match=r"line's end|latin-1"):
            answer_bytes(200, [header] * n, b"", ends=False, bodiless=False)


AT = {784111777: b"Sun, 06 Nov 1994 08:49:37 GMT", 0: b"Thu, 01 Jan 1970 00:00:00 GMT"}


@pytest.mark.parametrize(
    "headers", [[], [("a", "b")], [("content-type", "a/b")], [("content-type", "a/b"), ("c", "d")]]
)
@pytest.mark.parametrize("ends", [False, True])
def test_an_answer_has_its_headers_a_length_and_the_date_and_says_whether_it_is_the_last(
    headers: list[tuple[str, str]], ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at, date in [*AT.items()] * 2:
        monkeypatch.setattr("baluarte.apps.http.answers.time.time", lambda at=at: at + 0.9)
        for body in (b"", b"xyz"):
            said = answer_bytes(200, headers, body, ends=ends, bodiless=False)
            head, _, rest = said.partition(b"\r\n\r\n")
            first, *lines = head.split(b"\r\n")
            assert (first, rest) == (b"HTTP/1.1 200 OK", body)
            assert sorted(lines) == sorted(
                [f"{name}: {value}".encode() for name, value in headers]
                + [b"content-length: %d" % len(body), b"date: " + date]
                + [b"connection: close"] * ends
            )
    assert b"\r\nconnection: close\r\n" in bare(400)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_may_have_no_body_has_none(status: int) -> None:
    said = answer_bytes(status, [], b"body", ends=False, bodiless=False)
    assert b"content-length" not in said
    assert said.endswith(b"\r\n\r\n")


def test_an_answer_to_head_tells_the_length_alone() -> None:
    said = answer_bytes(200, [], b"body", ends=False, bodiless=True)
    assert b"content-length: 4\r\n" in said
    assert said.endswith(b"\r\n\r\n")
