"""A server that is asked too much, and one that is held by slow clients, beside itself at ease.

    python benchmarks/overload.py [--seconds 5] [--workers 2] [--rounds 3]

Three measurements, interleaved in rounds, medians printed:

- peak: one event a request, recorded, over as many connections as give the most;
- held: the same while 2,000 clients send half a head, or a whole head and a body a byte a second;
  its 99th percentile beside that without them;
- five times as much, and forty: so many times the connections, each asking again at once, refused
  or not, and never waiting longer than it must; goodput counts the decisions alone.

The load generator runs on the same cores.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "apps"), str(ROOT / "benchmarks")]

from scoring_ground import Server, Workplace  # noqa: E402 - after the path that leads to it
from serve_load import Load, Wrk  # noqa: E402 - likewise

PATH = "/v1/detectors/flows/decisions"
SLOW = 2_000
TIMES = (5, 40)
BODY = b'{"id":"@ID@","failures":3,"service":"ssh","flow":{"bytes_out":3000.5}}'


def request(token: str, event_id: str) -> bytes:
    """One event, with an id that nobody else has."""
    body = BODY.decode().replace("@ID@", event_id)
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


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
        folder = Path(name)
        place = Workplace(folder)
        place.promote(place.seal())
        print(f"{os.cpu_count()} cores, {args.workers} workers, median of {args.rounds} rounds")
        shares: dict[int, list[float]] = {times: [] for times in TIMES}
        p99s = []
        with Server(place, workers=args.workers, durability="interval") as server:
            wrk = Wrk(
                folder, "ours", f"http://127.0.0.1:{server.port}/", PATH, [BODY],
                authorization=f"Bearer {server.token}",
            )  # fmt: skip
            n, seconds = args.connections, args.seconds
            for _ in range(args.rounds):
                time.sleep(1)  # until the connections of the last round are gone
                peak = wrk.run(connections=n, seconds=seconds)
                with held(server):
                    slow = wrk.run(connections=n, seconds=seconds)
                p99s.append(slow.p99_ms / peak.p99_ms)
                print(f"  peak      {said(peak)}\n  held      {said(slow)}", flush=True)
                for times in TIMES:
                    over = wrk.run(connections=times * n, seconds=seconds, may_refuse=True)
                    shares[times].append(over.per_s / peak.per_s)
                    print(f"  {times:>2} times  {said(over)}", flush=True)
        for times, found in shares.items():
            print(f"goodput at {times} times the load: {statistics.median(found):.2f} of the peak")
        print(f"p99 with {SLOW} slow clients: {statistics.median(p99s):.2f} times that without")


def said(load: Load) -> str:
    """A round in words."""
    return (
        f"{load.per_s:>7,.0f} decisions/s, {load.refused_per_s:>5,.0f} refused/s, "
        f"p99 {load.p99_ms:6.1f} ms"
    )


if __name__ == "__main__":
    main()
