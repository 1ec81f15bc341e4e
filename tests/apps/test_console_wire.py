"""A console as others reach it: a process, a port, real passwords, TLS, clients that mean harm."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from console_ground import PASSWORD, PEPPER, ConsolePlace, ConsoleServer
from test_scoring_server import resident_mb
from test_scoring_tls import Authority, until

from baluarte import wiring
from baluarte.adapters.passwords import Argon2Passwords
from baluarte.adapters.system import SystemClock, SystemEntropy
from baluarte.apps.cli.main import main
from baluarte.core.accounts import parse_grant
from baluarte.stages.access import Access
from baluarte.testing.bundles import sample_parts


def furnished(folder: Path) -> ConsolePlace:
    """A workplace with a version of ana's, and bea, who may approve it."""
    place = ConsolePlace(folder)
    place.seal(sample_parts())
    shard = wiring.open_ledger_shard(folder / "acts")
    with wiring.open_accounts(f"sqlite:{folder / 'accounts.sqlite'}") as accounts:
        change = Access(
            accounts=accounts, passwords=Argon2Passwords(), ledger=shard, clock=SystemClock(),
            entropy=SystemEntropy(), pepper=PEPPER, actor="root",
        )  # fmt: skip
        change.add("root", kind="person", grants=[parse_grant("admin@*")], subject="idp#root")
        change.add(
            "bea@bank", kind="person", grants=[parse_grant("approver@nets")], password=PASSWORD
        )
    shard.close()
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> ConsolePlace:
    return furnished(tmp_path_factory.mktemp("console"))


@pytest.fixture(scope="module")
def server(place: ConsolePlace) -> Iterator[ConsoleServer]:
    with ConsoleServer(place, body_s=2.0) as running:
        yield running


def say(
    server: ConsoleServer, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, Any, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        sent = {"content-type": "application/json", "origin": server.origin, **sent}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    is_json = "json" in (answer.headers["content-type"] or "")
    return answer.status, json.loads(content) if is_json else content, answer.headers


def signed_in(server: ConsoleServer) -> dict[str, str]:
    status, me, headers = say(
        server, "POST", "/v1/sign-in", {"name": "bea@bank", "password": PASSWORD}
    )
    assert status == 200, me
    cookie = (headers["set-cookie"] or "").partition(";")[0]
    return {"cookie": cookie, "x_baluarte_token": me["token"]}


def test_a_person_signs_in_approves_and_signs_out(
    server: ConsoleServer, place: ConsolePlace
) -> None:
    session = signed_in(server)
    path = "/v1/detectors/flows/versions/1/approve"
    assert say(server, "POST", path, {"reason": "read it"}, **session)[0] == 200
    assert say(server, "POST", path, {"reason": "again"}, **session)[0] == 409
    assert say(server, "POST", "/v1/sign-out", {}, **session)[0] == 200
    assert say(server, "GET", "/v1/me", **session)[0] == 401
    reader = wiring.open_ledger_reader(place.root / "ledger")
    acts = [
        json.loads(data) for tag in reader.shards() for data in reader.records(tag)
    ]  # durable before it was answered
    said = [(act["act"], act["actor"]) for act in acts]
    assert ("approve", "bea@bank") in said


def test_a_wrong_password_is_as_slow_as_an_unknown_name_is_told_nothing(
    server: ConsoleServer,
) -> None:
    answers = [
        say(server, "POST", "/v1/sign-in", {"name": name, "password": "wrong wrong wrong"})[:2]
        for name in ("bea@bank", "nobody")
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 401


def test_a_name_in_a_path_is_a_name_however_it_is_spelt(server: ConsoleServer) -> None:
    session = signed_in(server)
    for path in (
        "/v1/detectors/../../etc/passwd/versions", "/v1/detectors/%2e%2e/versions",
        "/v1/detectors/flows%2f..%2f..%2fx/versions", "/v1/detectors/flows%00/versions",
        "/v1/detectors/flows;x/versions", "/v1/detectors/FLOWS/versions", "//v1/me",
        "/v1/detectors/flows/versions/1%0d%0aX:1", "/v1/detectors/flows/versions/-1",
        "/v1/detectors/flows/versions/1e3", "/v1/detectors/flows/versions/99999999999999999999",
    ):  # fmt: skip
        status, _, headers = say(server, "GET", path, **session)
        assert status in (400, 404), path
        assert headers["x"] is None


def raw(server: ConsoleServer, sent: bytes, *, then: bytes = b"", rounds: int = 0) -> bytes:
    """What comes back until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as one:
        got = b""
        try:
            one.sendall(sent)
            for _ in range(rounds):
                one.sendall(then)
        except OSError:
            pass  # the server closed, as it should
        one.settimeout(1)
        try:
            while part := one.recv(65536):
                got += part
        except OSError:
            pass
        return got


def head(server: ConsoleServer, *lines: str) -> bytes:
    given = ["POST /v1/sign-in HTTP/1.1", f"Origin: {server.origin}", *lines]
    return ("\r\n".join([*given, "Content-Type: application/json"]) + "\r\n\r\n").encode()


def test_a_million_tiny_chunks_are_refused_within_bounded_memory(server: ConsoleServer) -> None:
    (pid,) = server.workers()
    before = resident_mb(pid)
    start = head(server, f"Host: 127.0.0.1:{server.port}", "Transfer-Encoding: chunked")
    got = raw(server, start, then=b"1\r\n{\r\n" * 4096, rounds=250)
    assert got == b"" or got.startswith(b"HTTP/1.1 413")
    assert resident_mb(pid) - before < 32
    assert say(server, "GET", "/healthz")[0] == 200


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(
    server: ConsoleServer,
) -> None:
    host = f"Host: 127.0.0.1:{server.port}"
    assert raw(server, head(server, host, "Content-Length: 99999999999")).startswith(
        b"HTTP/1.1 413"
    )
    for lines in ((), (host, host)):
        got = raw(server, head(server, *lines, "Content-Length: 2") + b"{}")
        assert got.startswith(b"HTTP/1.1 400")
    long_head = raw(server, head(server, host, "X: " + "y" * (128 << 10)))
    assert long_head == b"" or long_head.startswith(b"HTTP/1.1 4")
    assert say(server, "GET", "/healthz")[0] == 200


def test_slow_bodies_are_given_up_and_hold_nobody_else_up(
    place: ConsolePlace, server: ConsoleServer
) -> None:
    host = f"Host: 127.0.0.1:{server.port}"
    start = head(server, host, "Content-Length: 40") + b"{"
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(100)]
    try:
        for one in slow:
            one.sendall(start)
        assert signed_in(server)["cookie"]  # while all of them hold on
        assert {one.recv(12) for one in slow} == {b"HTTP/1.1 408"}
    finally:
        for one in slow:
            one.close()


def test_a_body_that_ends_before_its_end_is_no_fault_of_ours(server: ConsoleServer) -> None:
    host = f"Host: 127.0.0.1:{server.port}"
    for lines, body in (
        ((host, "Content-Length: 40"), b'{"name"'),
        ((host, "Transfer-Encoding: chunked"), b"5\r\n{"),
        ((host, "Transfer-Encoding: chunked"), b"zz\r\n"),
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as one:
            one.sendall(head(server, *lines) + body)
            one.shutdown(socket.SHUT_WR)
            got = one.recv(4096)
        assert got == b"" or got.startswith(b"HTTP/1.1 4"), got
    assert say(server, "GET", "/healthz")[0] == 200


def test_a_killed_worker_comes_back_and_sessions_hold_on(server: ConsoleServer) -> None:
    session = signed_in(server)
    (before,) = server.workers()
    os.kill(before, signal.SIGKILL)

    def back() -> bool:
        try:
            return say(server, "GET", "/v1/me", **session)[0] == 200
        except (http.client.HTTPException, OSError):
            return False

    until(lambda: server.workers() not in ([before], []))
    until(back)


def secured(folder: Path) -> tuple[Authority, ConsoleServer]:
    """A console with a certificate, and who signed that."""
    authority = Authority(folder)
    authority.issue("console")
    made = ConsoleServer(
        furnished(folder),
        tls_cert=authority.path("console.pem"),
        tls_key=authority.path("console.key"),
    )
    return authority, made


def test_tls_1_3_is_spoken_and_nothing_below(tmp_path: Path) -> None:
    authority, server = secured(tmp_path)
    with server:
        context = ssl.create_default_context(cafile=authority.path("ca.pem"))

        def asked() -> tuple[int, http.client.HTTPMessage]:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", server.port, context=context, timeout=20
            )
            try:
                connection.request(
                    "POST", "/v1/sign-in",
                    json.dumps({"name": "bea@bank", "password": PASSWORD}),
                    {"origin": f"https://127.0.0.1:{server.port}",
                     "content-type": "application/json"},
                )  # fmt: skip
                answer = connection.getresponse()
                answer.read()
            finally:
                connection.close()
            return answer.status, answer.headers

        status, headers = asked()
        assert status == 200
        assert "Secure" in (headers["set-cookie"] or "")
        assert "max-age" in (headers["strict-transport-security"] or "")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            asked()
        status_of_end, said = server.stop()
        assert (status_of_end, said) == (0, "")


def test_a_new_certificate_is_taken_up_while_people_work(tmp_path: Path) -> None:
    authority, server = secured(tmp_path)
    with server:
        context = ssl.create_default_context(cafile=authority.path("ca.pem"))
        held: list[http.client.HTTPSConnection] = []
        statuses: set[int] = set()

        def name() -> str:
            """Ask once on the connection that is held; the certificate's name."""
            if not held:
                held.append(
                    http.client.HTTPSConnection(
                        "127.0.0.1", server.port, context=context, timeout=20
                    )
                )
                held[0].connect()
            subject = dict(pair[0] for pair in held[0].sock.getpeercert()["subject"])
            held[0].request("GET", "/readyz")
            answer = held[0].getresponse()
            answer.read()
            statuses.add(answer.status)
            if answer.headers["connection"] == "close":
                held.pop().close()
            return str(subject["commonName"])

        for n in (2, 3):
            authority.issue("console")
            until(lambda n=n: name() == f"console {n}")  # type: ignore[misc]
        assert statuses == {200}
        held[0].close()


def test_a_fresh_workspace_has_no_one_who_could_sign_in_and_no_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "workspace.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    assert main(["console"]) == 2
    said = capsys.readouterr().err
    assert "found no account" in said
    assert "baluarte users add" in said
    assert not list(tmp_path.rglob("accounts*"))
