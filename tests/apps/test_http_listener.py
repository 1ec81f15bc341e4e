"""baluarte.apps.http.listener, .process and .supervisor: who is let in, and how it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from http_ground import (
    Site,
    announced,
    answers,
    be_quick,
    get,
    next_of,
    post,
    reset,
    rest_of,
    until,
)
from test_scoring_tls import Authority

from baluarte.apps.http import listener
from baluarte.apps.http.listener import MOST_OPEN, most_open, n_waiting
from baluarte.apps.http.places import MOST_PLACES, Places
from baluarte.apps.http.process import Tls


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made:
        yield made
        assert made.faults == []


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.issue("server")
    return made


@pytest.fixture
def secure(authority: Authority) -> Iterator[Site]:
    tls = Tls(cert=authority.path("server.pem"), key=authority.path("server.key"))
    with Site(tls.context()) as made:
        yield made
        assert made.faults == []


@contextlib.contextmanager
def spoken(site: Site, authority: Authority) -> Iterator[ssl.SSLSocket]:
    """A caller who has shaken hands."""
    context = ssl.create_default_context(cafile=authority.path("ca.pem"))
    with site.caller() as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as one:
        yield one


def n_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) != errno.ECONNREFUSED


def logged(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in one.message for one in caplog.records)


# --- TLS ------------------------------------------------------------------------------------------


def test_the_same_is_answered_over_tls(secure: Site, authority: Authority) -> None:
    with spoken(secure, authority) as one:
        for body in (b"", b"x", b"x" * 65_536, b"x" * 3_000_000):
            one.sendall(post("/echo", body))
            assert next_of(one).body == b"POST /echo? " + body
        one.sendall(get("/now?1") + get("/echo?2") + get("/now?3", "connection: close"))
        assert [each.body[-3:] for each in answers(rest_of(one))] == [b"?1 ", b"?2 ", b"?3 "]


def test_an_early_answer_over_tls_is_not_lost_to_one_who_still_sends(
    secure: Site, authority: Authority
) -> None:
    with spoken(secure, authority) as one:
        one.sendall(get("/unread", "content-length: 900000000", method="POST"))
        with contextlib.suppress(OSError):
            for _ in range(20):
                one.sendall(b"y" * 65_536)
        found = next_of(one)
    assert (found.status, found.headers["connection"]) == (413, "close")


def test_handshakes_that_fail_or_stall_leave_nothing_behind(
    secure: Site, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_quick(monkeypatch, HANDSHAKE_S=0.1)
    found = before = 0
    for _ in range(3):  # the first time also for what the loop opens for itself
        for sent in (b"", b"\x16\x03\x01", get("/now"), os.urandom(300)):
            for end in (reset, socket.socket.close, rest_of):  # the last one waits for our end
                with secure.caller(sent) as one, contextlib.suppress(ConnectionError):
                    end(one)
        secure.until(lambda: not secure.keeper.open and not secure.listener._greeting)
        found, before = before, n_files()
    assert found == before
    with spoken(secure, authority) as one:
        one.sendall(get("/now"))
        assert next_of(one).status == 200


def test_one_who_ends_a_tls_connection_ends_all_of_it(secure: Site, authority: Authority) -> None:
    with spoken(secure, authority) as one:
        one.sendall(get("/held"))
        secure.until(lambda: secure.keeper.tasks)
        one.unwrap()
    secure.until(lambda: not secure.keeper.open)
    secure.call(secure.service.release.set)
    secure.until(lambda: not secure.keeper.tasks)


def test_a_caller_who_waits_for_nothing_does_not_hold_an_ending_worker_up_over_tls(
    secure: Site,
    authority: Authority,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    be_quick(monkeypatch, LINGER_S=0.1)
    with spoken(secure, authority) as one:
        one.sendall(get("/now"))
        assert next_of(one).status == 200
        secure.drain().result(15)  # less than after which all is given up
    assert not logged(caplog, "given up")


# --- how many are let in --------------------------------------------------------------------------


def test_there_are_files_for_connections_and_for_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, most in (
        (1 << 20, MOST_OPEN), (resource.RLIM_INFINITY, MOST_OPEN), (1_024, 768), (64, 32), (1, 1),
    ):  # fmt: skip
        monkeypatch.setattr(listener.resource, "getrlimit", lambda _, n=files: (n, n))
        assert most_open() == most


def test_idle_connections_make_room_where_all_places_are_taken(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_quick(monkeypatch)
    monkeypatch.setattr(site.listener, "_most", 8)
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(site.caller(get("/held")))
        idle = [stack.enter_context(site.caller()) for _ in range(7)]
        site.until(lambda: len(site.connections) == 8)
        for _ in range(3):
            late = stack.enter_context(site.caller(get("/now")))
            assert next_of(late).status == 200
            assert len(site.connections) <= 8
        assert idle[0].recv(1) == b""  # the oldest went
        site.call(site.service.release.set)
        assert next_of(busy).body == b"at last"


def test_where_all_are_busy_the_next_one_waits(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    be_quick(monkeypatch)
    monkeypatch.setattr(site.listener, "_most", 2)
    with (
        site.caller(get("/held")) as one,
        site.caller(get("/held")) as two,
        site.caller(get("/now")) as three,
    ):
        site.until(lambda: len(site.keeper.tasks) == 2 and not site.listener._takes)
        assert "/now?" not in site.service.served
        site.call(site.service.release.set)
        assert next_of(one).status == next_of(two).status == 200
        one.close()
        assert next_of(three).status == 200


def test_with_no_file_left_a_connection_waits_and_the_log_says_so_once(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    be_quick(monkeypatch)
    monkeypatch.setattr(listener, "_FULL_S", 0.02)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as one:
        one.settimeout(20)
        fill = [os.dup(one.fileno())]
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 9, hard)
        )
        try:
            with contextlib.suppress(OSError):
                while True:
                    fill.append(os.dup(one.fileno()))
            one.connect(("127.0.0.1", site.port))
            one.sendall(get("/now"))
            until(lambda: logged(caplog, "can't be taken"))
            for _ in range(20):
                site.call(lambda: None)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for each in fill:
                os.close(each)
        assert next_of(one).status == 200
    assert logged(caplog, "can't be taken") == 1


def test_a_fault_of_one_look_is_not_the_last_look(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    be_quick(monkeypatch, HEAD_S=0.05)
    with Site() as site:
        look = site.keeper.look
        monkeypatch.setattr(site.keeper, "look", lambda: look() or 1 // 0)
        assert site.talk(b"", half=False) == []
        until(lambda: len(site.faults) > 1)
        monkeypatch.undo()


# --- how it ends ----------------------------------------------------------------------------------


def test_a_worker_that_ends_answers_what_is_open_and_closes_what_is_idle(site: Site) -> None:
    with (
        site.caller() as idle,
        site.caller(get("/held") + get("/now")) as open_,
        site.caller(get("/now")[:-5]) as head,
        site.caller(post("/echo", b"abc")[:-1]) as body,
    ):
        site.until(lambda: len(site.connections) == 4 and len(site.keeper.tasks) == 1)
        site.until(lambda: sum(bool(each._rest) for each in site.connections) == 3)
        drained = site.drain()
        assert idle.recv(1) == b""
        head.sendall(get("/now")[-5:])
        body.sendall(b"c")
        for one in (head, body):
            (found,) = answers(rest_of(one))
            assert (found.status, found.headers["connection"]) == (200, "close")
        assert not drained.done()
        site.call(site.service.release.set)
        (found,) = answers(rest_of(open_))  # what waits behind it is not begun
        assert (found.body, found.headers["connection"]) == (b"at last", "close")
        for one in (idle, head, body, open_):
            one.close()
        drained.result(20)


def test_a_worker_that_leaves_ends_each_connection_with_an_answer(site: Site) -> None:
    with site.caller(get("/now")) as one:
        assert "connection" not in next_of(one).headers
        site.call(site.listener.stop)
        with site.caller(get("/now")) as late:  # another worker would take it
            one.sendall(get("/now"))
            assert [each.headers["connection"] for each in answers(rest_of(one))] == ["close"]
            assert site.service.served == ["/now?"] * 2
            late.close()


def test_a_new_connection_has_a_moment_for_its_first_request_where_the_worker_ends(
    site: Site,
) -> None:
    with site.caller() as new, site.caller() as silent, site.caller(get("/now")) as idle:
        assert next_of(idle).status == 200
        site.until(lambda: len(site.connections) == 3)
        drained = site.drain()
        assert idle.recv(1) == b""  # by then it has ended what is idle
        new.sendall(get("/now"))
        assert [each.headers["connection"] for each in answers(rest_of(new))] == ["close"]
        assert rest_of(silent) == b""
        drained.result(15)


def test_half_a_head_does_not_hold_an_ending_worker_up(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    be_quick(monkeypatch, LAST_HEAD_S=0.1)
    with site.caller(b"GET / HT") as one:
        site.until(lambda: any(each._rest for each in site.connections))
        site.drain().result(15)
        assert rest_of(one) == b""
    assert not logged(caplog, "given up")


@pytest.mark.parametrize("path", ["/held", "/kept", "/big?9000000"])
def test_what_is_never_answered_or_taken_is_given_up_in_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    be_quick(monkeypatch, DRAIN_S=0.1)
    with Site() as site, site.caller(get(path), receive_bytes=4_096):
        site.until(lambda: [each for each in site.connections if each._state or each._stalled])
        site.drain().result(15)
        assert not site.keeper.open
        assert not site.keeper.tasks
        assert site.faults == []
    assert logged(caplog, "given up")


def test_a_handshake_does_not_hold_an_ending_worker_up(
    secure: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_quick(monkeypatch, DRAIN_S=0.1)
    with secure.caller(b"\x16") as one:
        secure.until(lambda: secure.listener._greeting)
        secure.drain().result(15)
        with contextlib.suppress(ConnectionError):
            assert one.recv(1) == b""


# --- processes ------------------------------------------------------------------------------------


class Served:
    """A parent and its workers."""

    def __init__(self, folder: Path, workers: int = 1) -> None:
        self.folder, self.workers = folder, workers

    def __enter__(self) -> Self:
        code = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            f"import http_ground\n"
            f"sys.exit(not http_ground.supervise({str(self.folder)!r}, {self.workers}))"
        )
        self.log = (self.folder / "log").open("wb")
        self.parent = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        assert self.parent.stdout is not None
        self.port = int(self.parent.stdout.readline())
        until(lambda: len(announced(self.folder)) == self.workers)
        return self

    def __exit__(self, *_: object) -> None:
        self.parent.terminate()
        self.parent.wait(60)
        assert self.parent.stdout is not None
        self.parent.stdout.close()
        self.log.close()

    def said(self, words: str) -> bool:
        return words in (self.folder / "log").read_text("utf-8", "replace")

    def ask(self) -> int:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as one:
            one.sendall(get("/now", "connection: close"))
            return answers(rest_of(one))[0].status

    def closed(self) -> set[int]:
        return {int(one.name.split("-")[1]) for one in self.folder.glob("closed-*")}


def test_workers_that_cannot_be_renewed_go_on(tmp_path: Path) -> None:
    with Served(tmp_path, workers=2) as served:
        before = announced(tmp_path)
        (tmp_path / "broken").touch()
        served.parent.send_signal(signal.SIGUSR1)
        until(lambda: served.said("a new worker doesn't answer"))
        assert served.ask() == 200
        assert (announced(tmp_path), served.closed()) == (before, set())
        (tmp_path / "broken").unlink()
        served.parent.send_signal(signal.SIGUSR1)
        until(lambda: served.closed() == before)
        assert len(announced(tmp_path) - before) == 2
        assert served.ask() == 200
    assert served.parent.returncode == 0
    assert served.closed() == announced(tmp_path)


def held(served: Served, n: int, stack: contextlib.ExitStack) -> list[tuple[int, socket.socket]]:
    """So many connections that stay open, opened at once, each with the worker that has it."""
    ones = [
        stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=20))
        for _ in range(n)
    ]
    for one in ones:
        one.sendall(get("/pid"))
    return [(int(next_of(one).body), one) for one in ones]


def test_connections_are_shared_out_evenly(tmp_path: Path) -> None:
    def is_even() -> bool:  # on a machine that is full of other work it may not be, once or twice
        time.sleep(0.05)  # those of the try before are gone
        with contextlib.ExitStack() as stack:
            of = [pid for pid, _ in held(served, 40, stack)]
            return abs(of.count(first) - of.count(second)) <= 4

    with Served(tmp_path, workers=2) as served:
        until(lambda: len(announced(tmp_path)) == 2)
        first, second = announced(tmp_path)
        tries = [is_even() for _ in range(9)]
        assert sum(tries) >= 6, tries


@pytest.mark.parametrize("patience_s", [0.05, 1e9])
def test_a_connection_is_left_to_workers_that_have_fewer_for_a_moment(
    monkeypatch: pytest.MonkeyPatch, patience_s: float
) -> None:
    be_quick(monkeypatch, _WAY_S=patience_s)
    places = Places()
    mine, other = places.take(), places.take()
    assert mine is not None
    assert other is not None
    with Site(place=mine) as site, contextlib.ExitStack() as stack:
        site.talk(get("/now"))  # nobody else is there
        first = stack.enter_context(site.caller(get("/now")))
        assert next_of(first).status == 200
        other.tell(0)
        second = stack.enter_context(site.caller(get("/now")))
        if patience_s > 1:
            site.until(lambda: site.listener._waits_since_s is not None)
            second.settimeout(0.05)
            with pytest.raises(TimeoutError):
                second.recv(1)
            second.settimeout(20)
            other.tell(1)  # it has taken one
        assert next_of(second).status == 200
        assert site.faults == []
    places.close()


def test_a_dead_workers_connections_are_no_reason_to_wait(tmp_path: Path) -> None:
    with Served(tmp_path, workers=2) as served, contextlib.ExitStack() as stack:
        until(lambda: len(announced(tmp_path)) == 2)
        before = announced(tmp_path)
        dead = held(served, 20, stack)[0][0]
        os.kill(dead, signal.SIGKILL)
        until(lambda: len(announced(tmp_path)) == 3)
        (new,) = announced(tmp_path) - before
        at_once = {pid for pid, _ in held(served, 10, stack)}
        assert dead not in at_once
        assert at_once <= {new, *before}
        until(lambda: new in {pid for pid, _ in held(served, 4, stack)})


def test_numbers_of_connections_are_seen_by_the_others() -> None:
    places = Places()
    one, other = places.take(), places.take()
    assert one is not None
    assert other is not None
    assert one.share(5, 1) == 1  # nobody is at the other place yet
    other.tell(3)
    assert [one.share(n, 1) for n in (2, 3, 4)] == [1, 1, 0]
    assert [one.share(n, 9) for n in (0, 3, 12, 13)] == [6, 5, 0, 0]
    assert one.share(32, 1) < 0
    other.tell(30)
    assert one.share(32, 1) == 2  # of so many one in sixteen is no difference
    other.leave()
    assert one.share(4, 7) == 7
    other.tell(0)
    places.give_back(other)
    assert one.share(4, 1) == 1
    assert [places.take() is None for _ in range(MOST_PLACES)] == [False] * 63 + [True]
    places.close()


def test_a_socket_says_how_many_connections_wait_in_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as stack:
        assert n_waiting(listening) == 1
        for _ in range(5):
            stack.enter_context(socket.create_connection(listening.getsockname()))
        until(lambda: n_waiting(listening) == 5)
        listening.accept()[0].close()
        assert n_waiting(listening) == 4
    assert n_waiting(listening) == 1  # it is closed


def test_workers_end_in_order_where_their_parent_is_killed(tmp_path: Path) -> None:
    with Served(tmp_path, workers=2) as served:
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as one:
            one.sendall(get("/now")[:-1])
            served.parent.kill()
            one.sendall(get("/now")[-1:])
            assert next_of(one).status == 200
        until(lambda: served.closed() == announced(tmp_path))
        until(lambda: not listens(served.port))


def test_a_server_that_is_told_to_stop_answers_what_has_begun(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as one:
            one.sendall(get("/now"))
            assert next_of(one).status == 200
            one.sendall(get("/now")[:-1])
            with socket.create_connection(("127.0.0.1", served.port), timeout=20) as other:
                other.sendall(get("/now"))
                assert next_of(other).status == 200  # so that the first one's bytes are there
            served.parent.terminate()
            one.sendall(get("/now")[-1:])
            assert next_of(one).headers["connection"] == "close"
        assert served.parent.wait(30) == 0
    assert served.closed() == announced(tmp_path)
