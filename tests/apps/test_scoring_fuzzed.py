"""Whatever is sent to the data plane, it answers without a fault of its own and lives on.

Two generators: schemathesis, which makes calls of the server's own OpenAPI document and holds every
answer against it, and bytes: requests that were valid and are changed, cut, doubled and mixed.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from scoring_ground import Server, Workplace

from baluarte.apps.scoring.openapi import openapi

MOST_MB = 64
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = Workplace(tmp_path_factory.mktemp("fuzzed"))
    place.promote(place.seal())
    with Server(place) as running:
        yield running


def resident_mb(server: Server) -> float:
    (pid,) = server.workers()
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no such process")


def lives(server: Server) -> None:
    status, answer = server.fresh_decide({"failures": 3})
    assert (status, answer["version"]) == (200, 1)


# --- calls of the document -----------------------------------------------------------------------


def call_documented(server: Server, examples: int) -> None:
    schema = schemathesis.openapi.from_dict(openapi())
    url = f"http://127.0.0.1:{server.port}"
    head = {"Authorization": f"Bearer {server.token}"}
    operations = [found.ok() for found in schema.get_all_operations()]
    share = max(1, examples // len(operations))
    for operation in operations:

        @settings(
            max_examples=share,
            deadline=None,
            phases=[Phase.generate],
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), name=st.sampled_from(["flows", "flows", "x"]))
        def call(case: schemathesis.Case, name: str) -> None:
            if "name" in (case.path_parameters or {}):
                case.path_parameters["name"] = name
            answer = case.call(base_url=url, headers=head, timeout=30)
            case.validate_response(answer, checks=CHECKS)

        call()


def test_calls_of_the_document_are_answered_as_it_says(server: Server) -> None:
    lives(server)
    before = resident_mb(server)
    call_documented(server, 1_500)
    lives(server)
    assert resident_mb(server) - before < MOST_MB


@pytest.mark.soak
def test_forty_thousand_calls_of_the_document_are_answered_as_it_says(server: Server) -> None:
    before = resident_mb(server)
    call_documented(server, 40_000)
    lives(server)
    assert resident_mb(server) - before < MOST_MB


# --- bytes ---------------------------------------------------------------------------------------


def seeds(server: Server) -> list[bytes]:
    """Requests that are valid, of each protocol."""
    event = b'{"id":"e1","flow":{"bytes_out":3000.5},"failures":3,"service":"ssh","time":1.7e9}'
    asked = [
        ("POST", "/v1/detectors/flows/decisions", "application/json", event),
        ("POST", "/v1/detectors/flows/decisions?reasons=all", "application/json",
         b"[" + event + b',{"failures":null}]'),
        ("POST", "/v1/detectors/flows/decisions", "application/x-ndjson", event + b"\n{}\n"),
        ("POST", "/v1/detectors/flows/labels", "application/json", b'{"event_id":"e1","label":1}'),
        ("POST", "/v1/models/flows:predict", "application/json",
         b'{"instances":[{"failures":3},{"flow.bytes_out":1}]}'),
        ("POST", "/v2/models/flows/infer", "application/json",
         b'{"inputs":[{"name":"failures","shape":[2],"datatype":"INT64","data":[3,50]}]}'),
        ("POST", "/invocations", "text/csv", b"e1,1700000000,3000.5,3,ssh\n"),
        ("POST", "/score", "application/json", b'{"data":[{"failures":3}]}'),
        ("GET", "/v1/detectors/flows", "", b""),
        ("GET", "/v1/decisions/01M82B22422SRZR00000000000", "", b""),
        ("GET", "/readyz", "", b""),
    ]  # fmt: skip
    return [
        (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}"
            f"\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        + body
        for method, path, kind, body in asked
    ]


WORDS = [
    b"\r\n", b"\n", b"\x00", b"\xff\xfe", b"\t", b" ", b":", b"{", b"}", b"[", b"]", b'"', b"\\",
    b"1e999", b"-0", b"NaN", b"1" * 400, b"[" * 200, b'{"a":' * 60, b'"\\ud800"', b"null", b"true",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n",
    b"Host: evil.example\r\n", b"Expect: 100-continue\r\n", b"Connection: upgrade\r\n",
    b"Upgrade: h2c\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"ffffffffffffffff\r\n", b"%2e%2e/",
    b"Content-Encoding: gzip\r\n", b"HTTP/1.0", b"HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"Authorization: Bearer \xe2\x82\xac\r\n", b'"id":"e1",', b"X: " + b"y" * 3_000 + b"\r\n",
]  # fmt: skip


def changed(draw: random.Random, kept: list[bytes]) -> bytes:
    """A request after one to six changes: most are near enough to valid to get somewhere."""
    data = bytearray(draw.choice(kept))
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(data) + 1)
        kind = draw.randrange(6)
        if kind == 0:
            data[at:at] = draw.choice(WORDS)
        elif kind == 1:
            del data[at : at + draw.randint(1, 30)]
        elif kind == 2 and at < len(data):
            data[at] = draw.randrange(256)
        elif kind == 3:
            other = draw.choice(kept)
            start = draw.randrange(len(other))
            data[at:at] = other[start : start + draw.randint(1, 60)]
        elif kind == 4:
            data += draw.choice(kept)
        else:
            end = draw.randrange(at, len(data) + 1)
            data[at:end] = draw.choice(WORDS)
    return bytes(data)


def answers_to(server: Server, sent: bytes) -> list[int]:
    """The statuses that come back on one connection until it ends."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as one:
        got = bytearray()
        try:
            one.sendall(sent)
            one.shutdown(socket.SHUT_WR)
            while part := one.recv(65_536):
                got += part
        except OSError:
            pass  # closed in the middle of what was sent, as it may
    return statuses(bytes(got))


def statuses(got: bytes) -> list[int]:
    """Of each answer; what stands between two answers is a body of the length that was said."""
    found = []
    while got:
        head, _, rest = got.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0].startswith(b"HTTP/1."), got[:200]
        status = int(lines[0].split()[1])
        lengths = [
            int(line.split(b":")[1])
            for line in lines[1:]
            if line.lower().startswith(b"content-length:")
        ]
        if status != 100:
            found.append(status)
        got = rest[lengths[0] if lengths else 0 :]
    return found


def send_bytes(server: Server, n: int, *, seed: int) -> None:
    draw, kept = random.Random(seed), seeds(server)
    for whole in kept:
        assert all(status < 500 for status in answers_to(server, whole))
    for _ in range(n):
        sent = changed(draw, kept)
        said = answers_to(server, sent)
        assert all(status < 500 for status in said), (sent, said)
        # One answer a request: what is left over is at most told to be none.
        assert sum(status != 400 for status in said) <= sent.count(b"HTTP/"), (sent, said)
        assert len(said) <= sent.count(b"HTTP/") + 1, (sent, said)


def test_changed_requests_are_refused_or_answered_and_the_server_lives(server: Server) -> None:
    send_bytes(server, 200, seed=1)
    before = resident_mb(server)
    send_bytes(server, 3_500, seed=2)
    lives(server)
    assert resident_mb(server) - before < MOST_MB


@pytest.mark.soak
def test_sixty_thousand_changed_requests_leave_the_server_as_it_was(server: Server) -> None:
    send_bytes(server, 1_000, seed=3)
    before = resident_mb(server)
    send_bytes(server, 60_000, seed=4)
    lives(server)
    assert resident_mb(server) - before < MOST_MB
