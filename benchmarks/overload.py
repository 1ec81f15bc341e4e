"""A server that is asked too much, and one that is held by slow clients, beside itself at ease.

    python benchmarks/overload.py [--seconds 5] [--workers 2] [--rounds 3]

Three measurements, interleaved in rounds, medians printed:

- peak: one event a request, recorded, over as many connections as give the most;
- five times as much: five times the connections of the peak, each asking again at once, refused or
  not, and never waiting longer than it must; goodput counts the decisions alone;
- held: 2,000 clients that send half a head, or a whole head and a body a byte a second, while the
  good traffic goes on as before; its 99th percentile beside that without them.

The load generator runs on the same cores.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import secrets
import select
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "apps")]

from scoring_ground import Server, Workplace  # noqa: E402 - after the path that leads to it

PATH = "/v1/detectors/flows/decisions"
SLOW = 2_000


class Found(NamedTuple):
    """Of one round."""

    good_per_s: float  #: decisions
    refused_per_s: float  #: 429 and 503
    p99_ms: float  #: of the decisions
    broken: int  #: connections that ended without an answer


def request(token: str, event_id: str) -> bytes:
    """One event, with an id that nobody else has."""
    body = f'{{"id":"{event_id}","failures":3,"service":"ssh","flow":{{"bytes_out":3000.5}}}}'
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def busy(server: Server, *, connections: int, seconds: float) -> Found:
    """Connections that ask again as soon as they are answered; those that end are opened anew."""
    poll, run, n = select.epoll(), secrets.token_hex(4), 0
    sockets: dict[int, socket.socket] = {}
    sent: dict[int, float] = {}
    times: list[float] = []
    refused = broken = 0

    def ask(one: socket.socket) -> None:
        nonlocal n
        n += 1
        sent[one.fileno()] = time.perf_counter()
        one.send(request(server.token, f"{run}-{n}"))

    def begin() -> None:
        one = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[one.fileno()] = one
        poll.register(one.fileno(), select.EPOLLIN)
        ask(one)

    start = time.perf_counter()
    for _ in range(connections):
        begin()
    while time.perf_counter() - start < seconds:
        for fd, _ in poll.poll(1.0):
            one = sockets[fd]
            try:
                answer = one.recv(65_536)
            except OSError:
                answer = b""
            good = answer.startswith(b"HTTP/1.1 200")
            if good:
                times.append(time.perf_counter() - sent[fd])
            elif answer.startswith((b"HTTP/1.1 503", b"HTTP/1.1 429")):
                refused += 1
            elif answer:
                raise SystemExit(f"unexpected answer: {answer[:300]!r}")
            else:
                broken += 1
            if answer and b"connection: close" not in answer[:400].lower():
                with contextlib.suppress(OSError):
                    ask(one)
                    continue
            poll.unregister(fd)
            one.close()
            del sockets[fd]
            begin()
    elapsed = time.perf_counter() - start
    for one in sockets.values():
        one.close()
    p99 = 1_000 * sorted(times)[int(len(times) * 0.99)] if times else float("inf")
    return Found(len(times) / elapsed, refused / elapsed, p99, broken)


@contextlib.contextmanager
def held(server: Server) -> Iterator[None]:
    """Slow clients: half of them stay in their heads, the others send a body by the byte."""
    stopping = threading.Event()

    def crawl() -> None:
        clients: list[socket.socket] = []
        whole = request(server.token, "slow").replace(b"Content-Length: ", b"Content-Length: 9")
        for i in range(SLOW):
            with contextlib.suppress(OSError):
                one = socket.create_connection(("127.0.0.1", server.port), timeout=30)
                one.send(whole[: 60 if i % 2 else whole.index(b"\r\n\r\n") + 5])
                clients.append(one)
        ready.set()
        while not stopping.wait(1.0):
            for one in clients:
                with contextlib.suppress(OSError):
                    one.send(b" ", socket.MSG_DONTWAIT)
        for one in clients:
            one.close()

    ready = threading.Event()
    thread = threading.Thread(target=crawl)
    thread.start()
    ready.wait(120)
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64, help="that give the peak")
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as name:
        place = Workplace(Path(name))
        place.promote(place.seal())
        print(f"{os.cpu_count()} cores, {args.workers} workers, median of {args.rounds} rounds")
        goodput, p99s = [], []
        with Server(place, workers=args.workers, durability="interval") as server:
            for _ in range(args.rounds):
                peak = busy(server, connections=args.connections, seconds=args.seconds)
                over = busy(server, connections=5 * args.connections, seconds=args.seconds)
                with held(server):
                    slow = busy(server, connections=args.connections, seconds=args.seconds)
                goodput.append(over.good_per_s / peak.good_per_s)
                p99s.append(slow.p99_ms / peak.p99_ms)
                print(f"peak  {peak}\n5x    {over}\nheld  {slow}", flush=True)
        print(f"goodput at five times the load: {statistics.median(goodput):.2f} of the peak")
        print(f"p99 with {SLOW} slow clients: {statistics.median(p99s):.2f} times that without")


if __name__ == "__main__":
    main()
