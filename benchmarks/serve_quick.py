"""One event a request over HTTP, recorded: our server beside the same HTTP that decides nothing.

The peer reads the body and answers a constant, with the same connections, the same number of
workers and the same load: what the ratio leaves out is HTTP and this machine, what it shows is the
cost of checking, encoding, scoring, deciding and recording. Rounds are interleaved; the median
of the ratios is printed. The load generator runs on the same cores.

    python benchmarks/serve_quick.py [--seconds 2] [--rounds 3] [--workers 1]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "apps")]

from scoring_ground import Server, Workplace, on_the_wire  # noqa: E402 - after the path that leads to it

from baluarte.testing.bundles import sample_events  # noqa: E402

PEER = """
import sys
from baluarte.apps.http.process import listen
from baluarte.apps.http.supervisor import Supervisor

BODY = b'{"id":"01M82B224R2SRZR00000000003","outcome":"pass","points":353,"score":-535}'

class Constant:
    def open(self, loop):
        pass

    async def handle(self, scope, protocol):
        await protocol()
        protocol.response_bytes(200, [("content-type", "application/json")], BODY)

    def handle_now(self, head, body, wire):
        wire.answer(200, [("content-type", "application/json")], BODY)
        return True

    def close(self, loop):
        pass

if __name__ == "__main__":
    listening = listen("127.0.0.1", int(sys.argv[1]))
    Supervisor(Constant, listening, None, workers=int(sys.argv[2]), started=set).serve()
"""


def load(
    port: int, requests: list[bytes], *, connections: int, seconds: float
) -> tuple[float, float]:
    """Requests per second, and the 99th percentile of their times in ms."""
    poll = select.epoll()
    sockets = {}
    for _ in range(connections):
        one = socket.create_connection(("127.0.0.1", port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[one.fileno()] = one
        poll.register(one.fileno(), select.EPOLLIN)
    sent = dict.fromkeys(sockets, 0.0)
    times: list[float] = []
    n = 0
    start = time.perf_counter()
    for fd, one in sockets.items():
        sent[fd] = time.perf_counter()
        one.send(requests[n % len(requests)])
        n += 1
    while time.perf_counter() - start < seconds:
        for fd, _ in poll.poll():
            answer = sockets[fd].recv(65536)
            now = time.perf_counter()
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"unexpected answer: {answer[:300]!r}")
            times.append(now - sent[fd])
            sent[fd] = now
            sockets[fd].send(requests[n % len(requests)])
            n += 1
    elapsed = time.perf_counter() - start
    for one in sockets.values():
        one.close()
    return len(times) / elapsed, 1000 * sorted(times)[int(len(times) * 0.99)]


def requests_for(token: str, path: str) -> list[bytes]:
    """The sample's events, one a request."""
    out = []
    for event in sample_events(512):
        said = on_the_wire(event)
        del said["id"]  # one that is sent again would get its first decision
        body = msgspec.json.encode(said)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        out.append(head.encode() + body)
    return out


@contextlib.contextmanager
def bare_http(folder: Path, workers: int) -> Iterator[int]:
    """The peer, on a free port."""
    script = folder / "peer.py"
    script.write_text(PEER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(script), str(port), str(workers)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    try:
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.02)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workplace = Workplace(folder)
        workplace.promote(workplace.seal())
        print(f"{os.cpu_count()} cores, {args.workers} workers; median of {args.rounds} rounds")
        heads = (
            ("conn", 5),
            ("ours/s", 8),
            ("p99 ms", 7),
            ("bare/s", 8),
            ("p99 ms", 7),
            ("ratio", 6),
        )
        print(f"{'':<10}", *[f"{text:>{width}}" for text, width in heads])
        with bare_http(folder, args.workers) as bare:
            for durability, connections in (("interval", 1), ("interval", 32), ("commit", 256)):
                with Server(workplace, workers=args.workers, durability=durability) as ours:
                    requests = requests_for(ours.token, "/v1/detectors/flows/decisions")
                    rounds = []
                    for _ in range(args.rounds):
                        mine = load(
                            ours.port, requests, connections=connections, seconds=args.seconds
                        )
                        peer = load(bare, requests, connections=connections, seconds=args.seconds)
                        rounds.append((mine[0] / peer[0], mine, peer))
                    ratio = statistics.median(each[0] for each in rounds)
                    _, mine, peer = min(rounds, key=lambda each: abs(each[0] - ratio))
                    print(
                        f"{durability:<10} {connections:>5} {mine[0]:>8.0f} {mine[1]:>7.2f} "
                        f"{peer[0]:>8.0f} {peer[1]:>7.2f} {ratio:>6.2f}"
                    )


if __name__ == "__main__":
    main()
