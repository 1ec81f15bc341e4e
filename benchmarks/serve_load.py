"""Load on a server: wrk as fast as it answers, and events at a stated rate whatever it does.

wrk (Debian's package `wrk`, Apache-2.0) keeps a number of connections busy. The open loop sends
each event at its time, Poisson, and counts from then: a server that stalls is charged for what
waits.
"""

from __future__ import annotations

import http.client
import random
import re
import secrets
import shutil
import ssl
import statistics
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

_SCRIPT = """
local before, after = {}, {}
for line in io.lines("%s") do
  local at = line:find("@ID@", 1, true)
  before[#before + 1] = at and line:sub(1, at - 1) or line
  after[#after + 1] = at and line:sub(at + 4) or false
end
local headers = { ["Content-Type"] = "application/json", ["Host"] = "localhost" }
if "%s" ~= "" then headers["Authorization"] = "%s" end
local n, run = 0, "%s"
function request()
  n = n + 1
  local i = n %% #before + 1
  local body = before[i]
  if after[i] then body = body .. run .. n .. after[i] end
  return wrk.format("POST", "%s", headers, body)
end
"""
_MARK = b"@ID@"  #: in a body, where every request has an id of its own
_UNIT_MS = {"us": 0.001, "ms": 1.0, "s": 1_000.0, "m": 60_000.0}


class Load(NamedTuple):
    """What one round found."""

    per_s: float  #: answered well
    p99_ms: float  #: of all
    refused_per_s: float = 0.0


class Wrk:
    """Requests of one server, ready to be sent.

    Args:
        authorization: of each request; empty: none.
    """

    def __init__(
        self, folder: Path, name: str, url: str, path: str, bodies: Sequence[bytes],
        *, authorization: str = "",
    ) -> None:  # fmt: skip
        if shutil.which("wrk") is None:
            raise SystemExit("expected wrk, found none: apt-get install wrk")
        lines = folder / f"{name}.bodies"
        lines.write_bytes(b"\n".join(bodies) + b"\n")
        self._script = folder / f"{name}.lua"
        self._fill = (str(lines), authorization, authorization)
        self._path, self._name, self._url = path, name, url

    def run(self, *, connections: int, seconds: float, may_refuse: bool = False) -> Load:
        """One round; a server that refuses what it may not ends the benchmark."""
        run = f"{secrets.token_hex(4)}-"
        self._script.write_text(_SCRIPT % (*self._fill, run, self._path))
        said = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency",
             "--timeout", "30s", "-s", str(self._script), self._url],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
        if refused is not None and not may_refuse:
            raise SystemExit(f"{self._name} refuses: {said}")
        asked = re.search(r"(\d+) requests in ([\d.]+)s", said)
        slow = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", said)
        if asked is None or slow is None or "Socket errors" in said:
            raise SystemExit(f"{self._name} doesn't answer: {said}")
        n, n_refused, took = int(asked[1]), int(refused[1]) if refused else 0, float(asked[2])
        p99_ms = float(slow[1]) * _UNIT_MS[slow[2]]
        return Load((n - n_refused) / took, p99_ms, n_refused / took)


def open_loop(
    port: int, path: str, bodies: Sequence[bytes], *, per_s: float, seconds: float,
    headers: dict[str, str], tls: ssl.SSLContext | None = None, connections: int = 16,
) -> list[float]:  # fmt: skip
    """The time of each event in ms, sorted, from when it was due to its answer."""
    due: SimpleQueue[tuple[float, bytes] | None] = SimpleQueue()
    times: list[float] = []
    failures: list[str] = []

    def send() -> None:
        made = (
            http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            if tls is None
            else http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=tls)
        )
        made.connect()
        while (job := due.get()) is not None:
            made.request("POST", path, job[1], headers)
            answer = made.getresponse()
            answer.read()
            times.append(1_000 * (time.perf_counter() - job[0]))
            if answer.status != 200:
                failures.append(str(answer.status))
        made.close()

    threads = [threading.Thread(target=send) for _ in range(connections)]
    for thread in threads:
        thread.start()
    draw, run = random.Random(1), f"{secrets.token_hex(4)}-"
    at = start = time.perf_counter()
    for i in range(int(per_s * seconds)):
        at += draw.expovariate(per_s)
        time.sleep(max(0.0, at - time.perf_counter()))
        due.put((at, bodies[i % len(bodies)].replace(_MARK, f"{run}{i}".encode())))
        if at - start > seconds:
            break
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(f"refused: {failures[:3]}")
    return sorted(times)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of sorted values."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def fdatasync_ms(folder: Path, *, seconds: float = 1.0) -> tuple[float, float]:
    """Median and 99th percentile of what the disk takes to make 4 KiB durable."""
    import os

    times = []
    descriptor = os.open(folder / "probe", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, 64 << 20)
        until = time.perf_counter() + seconds
        at = 0
        while time.perf_counter() < until:
            os.pwrite(descriptor, b"x" * 4096, at)
            at = (at + 4096) % (64 << 20)
            began = time.perf_counter()
            os.fdatasync(descriptor)
            times.append(1_000 * (time.perf_counter() - began))
    finally:
        os.close(descriptor)
    return statistics.median(times), quantile(sorted(times), 0.99)
