"""A listener of the HTTP layer in a thread, a service that does odd things, and raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import uvloop

from baluarte.apps.http import connection, listener, supervisor
from baluarte.apps.http.exchange import HTTPProtocol, Scope, Wire
from baluarte.apps.http.head import Head
from baluarte.apps.http.listener import Listener
from baluarte.apps.http.places import Place
from baluarte.apps.http.process import listen
from baluarte.apps.http.supervisor import Supervisor

if TYPE_CHECKING:  # workers load this too
    import pytest

TEXT = [("content-type", "text/plain")]


class Odd:
    """Answers with what it was asked, by the way and with the manners that the path names."""

    def __init__(self) -> None:
        self.served: list[str] = []  # targets, as they came
        self.held: list[Wire] = []
        self.seen: list[str] = []  # what befell it
        self.most_part_bytes = 0
        self.release = asyncio.Event()

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """As a service does."""

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """As a service does."""

    def handle_now(self, head: Head, body: bytes, wire: Wire) -> bool:
        if head.path == "/now":
            self.served.append(f"{head.path}?{head.query_string}")
            wire.answer(200, TEXT, told(head, body))
        elif head.path == "/later":
            self.served.append(f"{head.path}?{head.query_string}")
            asyncio.get_running_loop().call_soon(wire.answer, 200, TEXT, told(head, body))
        elif head.path == "/kept":
            self.held.append(wire)
        elif head.path == "/now-raises":
            raise ZeroDivisionError
        elif head.path == "/now-bad-header":
            wire.answer(200, [("x", "a\r\nset-cookie: b")], b"")
        else:
            return False
        return True

    async def handle(self, scope: Scope, protocol: HTTPProtocol) -> None:
        self.served.append(f"{scope.path}?{scope.query_string}")
        odd: Callable[[Scope, HTTPProtocol], Any] = getattr(
            self, "_" + scope.path.strip("/").replace("-", "_"), self._echo
        )
        try:
            await odd(scope, protocol)
        except RuntimeError:
            protocol.response_bytes(400, TEXT, b"incomplete")

    async def _echo(self, scope: Scope, protocol: HTTPProtocol) -> None:
        protocol.response_bytes(200, TEXT, told(scope, await protocol()))

    async def _parts(self, scope: Scope, protocol: HTTPProtocol) -> None:
        size = 0
        async for part in protocol:
            size += len(part)
            self.most_part_bytes = max(self.most_part_bytes, len(part))
        protocol.response_bytes(200, TEXT, str(size).encode())

    async def _dawdles(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Reads one part, and then nothing for a while."""
        parts: AsyncIterator[bytes] = aiter(protocol)
        await anext(parts)
        await self.release.wait()
        protocol.response_bytes(200, [*TEXT, ("connection", "close")], b"")

    async def _unread(self, scope: Scope, protocol: HTTPProtocol) -> None:
        protocol.response_bytes(413, TEXT, b"too large")

    async def _big(self, scope: Scope, protocol: HTTPProtocol) -> None:
        await protocol()
        protocol.response_bytes(200, TEXT, b"x" * int(scope.query_string))

    async def _held(self, scope: Scope, protocol: HTTPProtocol) -> None:
        await self.release.wait()
        protocol.response_bytes(200, TEXT, b"at last")

    async def _raises(self, scope: Scope, protocol: HTTPProtocol) -> None:
        raise ZeroDivisionError

    async def _silent(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Gives no answer."""

    async def _twice(self, scope: Scope, protocol: HTTPProtocol) -> None:
        protocol.response_bytes(200, TEXT, b"first")
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        protocol.response_bytes(200, TEXT, b"second")

    async def _after(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answers, and then wants the body."""
        protocol.response_bytes(200, TEXT, b"answered")
        try:
            await protocol()
        except RuntimeError as error:
            self.seen.append(str(error))

    async def _bad_header(self, scope: Scope, protocol: HTTPProtocol) -> None:
        protocol.response_bytes(200, [("x", "a\r\nset-cookie: b")], b"")

    async def _bodiless(self, scope: Scope, protocol: HTTPProtocol) -> None:
        status = {"204": 204, "304": 304}.get(scope.query_string, 400)
        protocol.response_bytes(status, [], b"none may be here")

    async def _pid(self, scope: Scope, protocol: HTTPProtocol) -> None:
        protocol.response_bytes(200, TEXT, str(os.getpid()).encode())

    async def _who(self, scope: Scope, protocol: HTTPProtocol) -> None:
        await asyncio.sleep(0.01)
        self.seen.append(scope.client)
        protocol.response_bytes(200, TEXT, scope.client.encode())


def told(head: Head | Scope, body: bytes) -> bytes:
    """What the echo of a request is."""
    return f"{head.method} {head.path}?{head.query_string} ".encode() + body


class Answer(NamedTuple):
    """One answer as it stands on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


def answers(data: bytes, *, heads: bool = False) -> list[Answer]:
    """The answers that the bytes are, to the last one; an assertion fails where they are none.

    Args:
        heads: whether they are to HEAD.
    """
    found = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        assert end, f"no end of a head in {head[:200]!r}"
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        pairs = [line.split(": ", 1) for line in lines]
        headers = dict(pairs)  # type: ignore[arg-type]
        assert len(headers) == len(pairs), "a header was given twice"
        n = 0 if heads else int(headers.get("content-length", 0))
        assert len(data) >= n, "an answer is cut off"
        found.append(Answer(int(status), headers, data[:n]))
        data = data[n:]
    return found


class Site:
    """A listener in a thread of its own."""

    def __init__(self, context: ssl.SSLContext | None = None, place: Place | None = None) -> None:
        self.service = Odd()
        self.faults: list[dict[str, Any]] = []
        self.loop = uvloop.new_event_loop()
        self.loop.set_exception_handler(lambda _, fault: self.faults.append(fault))
        self.socket = listen("127.0.0.1", 0)
        self.port = self.socket.getsockname()[1]
        self.listener = Listener(
            self.service, self.socket, loop=self.loop, context=context, place=place
        )
        self.keeper = self.listener._keeper
        self.loop.call_soon(self.listener.start)
        self._thread = threading.Thread(target=self.loop.run_forever, name="site")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self.service.release.set)
        self.drain().result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        self.socket.close()

    def drain(self) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(self.listener.drain(), self.loop)

    def call(self, act: Callable[[], Any]) -> Any:
        """What a function gives in the loop's thread."""

        async def run() -> Any:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20)

    def until(self, is_so: Callable[[], Any]) -> None:
        """Wait until something holds, as the loop's thread sees it."""
        until(lambda: self.call(is_so))

    @property
    def connections(self) -> list[connection.Connection]:
        return list(self.keeper.open)

    # --- callers --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def caller(self, *sent: bytes, receive_bytes: int = 0) -> Iterator[socket.socket]:
        one = socket.socket()
        if receive_bytes:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        one.settimeout(20)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.connect(("127.0.0.1", self.port))
        with one:
            for part in sent:
                one.sendall(part)
            yield one

    def talk(self, *parts: bytes, half: bool = True, heads: bool = False) -> list[Answer]:
        """The answers to these bytes, sent in these segments, up to the connection's end."""
        with self.caller(*parts) as one:
            if half:
                one.shutdown(socket.SHUT_WR)
            return answers(rest_of(one), heads=heads)


def rest_of(one: socket.socket) -> bytes:
    """All that still comes."""
    got = bytearray()
    while data := one.recv(1 << 16):
        got += data
    return bytes(got)


def next_of(one: socket.socket) -> Answer:
    """The next answer, on a connection that may stay open."""
    got = bytearray()
    while b"\r\n\r\n" not in got:
        data = one.recv(1)
        assert data, f"the connection ended after {bytes(got)!r}"
        got += data
    (found,) = answers(bytes(got), heads=True)
    left = int(found.headers.get("content-length", 0))
    body = bytearray()
    while len(body) < left:
        data = one.recv(left - len(body))
        assert data, "an answer is cut off"
        body += data
    return found._replace(body=bytes(body))


def reset(one: socket.socket) -> None:
    """End a connection without a goodbye."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def until(is_so: Callable[[], Any]) -> None:
    """Wait until something holds."""
    for _ in range(2_000):
        if is_so():
            return
        time.sleep(0.005)
    raise AssertionError("it did not come about")


def be_quick(patch: pytest.MonkeyPatch, **seconds: float) -> None:
    """Let waits be short: those of the connection by name, and the looks at who waits too long."""
    patch.setattr(listener, "_LOOK_S", 0.02)
    for name, value in seconds.items():
        patch.setattr(listener if hasattr(listener, name) else connection, name, value)


def get(target: str = "/", *lines: str, method: str = "GET") -> bytes:
    """A request without a body."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", "host: a", *lines, "", ""]).encode()


def post(target: str, body: bytes, *lines: str) -> bytes:
    """A request with a body of announced length."""
    return get(target, f"content-length: {len(body)}", *lines, method="POST") + body


def chunked(target: str, *chunks: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    """A request whose body comes in chunks."""
    head = get(target, "transfer-encoding: chunked", method="POST")
    return head + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks) + last


# --- processes ------------------------------------------------------------------------------------


class Announced(Odd):
    """One that says in a folder that it listens."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = Path(folder)

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        (self._folder / f"worker-{os.getpid()}").touch()

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        (self._folder / f"closed-{os.getpid()}").touch()


def load(folder: str) -> Announced:
    """As workers load; not while a file says that they can't."""
    if Path(folder, "broken").exists():
        raise SystemExit(3)
    return Announced(folder)


def announced(folder: str | Path) -> set[int]:
    return {int(one.name.split("-")[1]) for one in Path(folder).glob("worker-*")}


def supervise(folder: str, workers: int) -> bool:
    """Run workers on a port that is told, until SIGTERM; SIGUSR1 renews them."""
    listening = listen("127.0.0.1", 0)
    parent = Supervisor(
        functools.partial(load, folder), listening, None, workers=workers,
        started=functools.partial(announced, folder),
    )  # fmt: skip
    supervisor.LEAVE_S = 0.1
    signal.signal(signal.SIGUSR1, lambda *_: parent.renew())
    print(listening.getsockname()[1], flush=True)
    return parent.serve()
