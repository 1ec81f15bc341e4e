"""One event a request over HTTP: our server beside those that people use, one model in all.

    python benchmarks/serve.py [--seconds 5] [--rounds 5] [--workers 2] [--only NAME …]

300 LightGBM trees of 63 leaves over 41 numbers. Ours checks, decides, gives reasons for the alerts
(one event in a hundred) and records every decision in its ledger; the others predict. Nobody writes
an access log. Load comes from wrk on the same cores; rounds are interleaved and ratios are medians
of the rounds. A peer that can't be installed is named and left out.

Four tables: 32 connections with `interval` durability, 256 with `commit`, TLS 1.3 beside plain, and
a bank's load (58 and 580 events/s, each at its time).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import ssl
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import serve_ground as ground
from engines import AwayError
from scoring_ground import Server, Workplace
from serve_load import Load, Wrk, fdatasync_ms, open_loop, quantile
from serve_peers import PEERS, Running
from test_scoring_tls import Authority

OURS = "baluarte"
PATH = f"/v1/detectors/{ground.DETECTOR}/decisions"
N_EVENTS = 1_000


@contextlib.contextmanager
def peers(
    names: list[str], folder: Path, model: str, workers: int, rows: list[list[float]]
) -> Iterator[dict[str, Wrk]]:
    """Those that are here, each with its requests."""
    with contextlib.ExitStack() as stack:
        found = {}
        for name in names:
            try:
                running = Running(name, folder, model, workers=workers)
            except AwayError as away:
                print(f"  {away}", flush=True)
                continue
            stack.callback(running.close)
            url = f"http://127.0.0.1:{running.port}/"
            bodies = running.bodies(list(ground.FIELDS), rows)
            found[name] = Wrk(folder, name, url, running.path, bodies)
            print(f"  {name} answers after {running.seconds:.1f} s", flush=True)
        yield found


def interleaved(sides: dict[str, Wrk], args: argparse.Namespace, connections: int) -> None:
    """A table of all sides; ratios are of rounds that followed one another."""
    rounds: dict[str, list[Load]] = {name: [] for name in sides}
    for wrk in sides.values():
        wrk.run(connections=connections, seconds=1)
    for _ in range(args.rounds):
        for name, wrk in sides.items():
            rounds[name].append(wrk.run(connections=connections, seconds=args.seconds))
    print(f"  {'':<22}{'requests/s':>11}{'p99 ms':>9}{'ours ×':>9}{'p99 1/':>9}")
    ours = rounds[next(iter(sides))]
    for name, found in rounds.items():
        pairs = list(zip(ours, found, strict=True))
        faster = statistics.median(a.per_s / b.per_s for a, b in pairs)
        sooner = statistics.median(b.p99_ms / a.p99_ms for a, b in pairs)
        rate = statistics.median(one.per_s for one in found)
        slow = statistics.median(one.p99_ms for one in found)
        print(f"  {name:<22}{rate:>11,.0f}{slow:>9.2f}{faster:>9.2f}{sooner:>9.2f}", flush=True)


def bank(server: Server, bodies: list[bytes], seconds: float) -> None:
    """A bank's load in an open loop."""
    headers = {
        "Authorization": f"Bearer {server.token}", "Content-Type": "application/json",
        "Host": "localhost",
    }  # fmt: skip
    for per_s in (58, 580):
        open_loop(server.port, PATH, bodies, per_s=per_s, seconds=1, headers=headers)
        times = open_loop(server.port, PATH, bodies, per_s=per_s, seconds=seconds, headers=headers)
        said = ", ".join(
            f"{name} {quantile(times, share):.2f} ms"
            for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))
        )
        print(f"  {per_s:>4} events/s: {said} of {len(times)}", flush=True)


def ours(folder: Path, server: Server, bodies: list[bytes], name: str, scheme: str = "http") -> Wrk:
    """Our server with its requests."""
    return Wrk(
        folder, name, f"{scheme}://127.0.0.1:{server.port}/", PATH, bodies,
        authorization=f"Bearer {server.token}",
    )  # fmt: skip


def compare(
    place: Workplace, folder: Path, args: argparse.Namespace, model: str, X: ground.Rows
) -> None:
    """All four tables."""
    bodies = ground.events(X, N_EVENTS)
    rows = X[:N_EVENTS].tolist()
    n = args.workers
    with peers(args.only, folder, model, n, rows) as others:
        for durability, connections in (("interval", 32), ("commit", 256)):
            median, slow = fdatasync_ms(folder)
            print(
                f"{connections} connections, durability {durability}; the disk's fdatasync p50 "
                f"{median:.2f} ms, p99 {slow:.2f} ms"
            )
            with Server(place, workers=n, durability=durability) as server:
                sides = {OURS: ours(folder, server, bodies, OURS)} | others
                interleaved(sides, args, connections)
    authority = Authority(folder)
    authority.issue("server")
    tls = {"tls_cert": authority.path("server.pem"), "tls_key": authority.path("server.key")}
    print("32 connections, durability interval: TLS 1.3 beside plain")
    with (
        Server(place, workers=n, durability="interval", **tls) as secure,
        Server(place, workers=n, durability="interval") as plain,
    ):
        if ssl.HAS_TLSv1_3:
            sides = {
                "TLS 1.3": ours(folder, secure, bodies, "secure", "https"),
                "plain": ours(folder, plain, bodies, "plain"),
            }
            interleaved(sides, args, 32)
    print("a bank's load, durability commit, each event at its time")
    with Server(place, workers=n, durability="commit") as server:
        bank(server, bodies, args.bank_seconds)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bank-seconds", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--only", nargs="*", default=[*PEERS, "nginx"])
    args = parser.parse_args()
    model, X = ground.booster(args.trees)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "place").mkdir()
        place = ground.workplace(folder / "place", ground.parts(model, X))
        print(
            f"{os.cpu_count()} cores, {args.workers} workers each, medians of {args.rounds} rounds"
        )
        compare(place, folder, args, model.model_to_string(), X)


if __name__ == "__main__":
    main()
