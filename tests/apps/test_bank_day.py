"""A bank's day at full speed: every event gets one decision, and memory stays where it is.

5,000,000 payments a day are what an issuer of that size authorises: few at night, most at noon and
in the evening, 58 a second on average. Here they come as fast as the server takes them, some alone
and most in lines, recorded under ``durability = "commit"``.
"""

from __future__ import annotations

import http.client
import json
import math
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scoring_ground import Server, Workplace

from baluarte import wiring
from baluarte.core.decision import DecisionRecord

DAY_S = 86_400
START_S = 1_795_910_400.0
CLIENTS = 4
LINES = 200
ONE_IN = 25  #: of a client's requests with lines, how many with one event come between two


def second_of_day(share: float) -> float:
    """When the event comes that has this share of the day's before it: two waves over the day."""
    return DAY_S * (
        share - 0.11 * math.sin(2 * math.pi * share) - 0.03 * math.sin(6.28 * 2 * share)
    )


def payment(i: int, n: int) -> bytes:
    """One event of the day, the same each time."""
    amount = 3 + (i * 2_654_435_761 % 1_000_003) / 317
    return (
        f'{{"id":"p{i}","time":{START_S + second_of_day(i / n):.3f},"failures":{i * 7 % 11},'
        f'"service":"{("ssh", "http", "smtp", "dns")[i % 4]}","flow":{{"bytes_out":{amount:.2f}}}}}'
    ).encode()


class Day:
    """Clients that send their part of the day, and what the server's memory is meanwhile."""

    def __init__(self, server: Server, n: int) -> None:
        self._server, self._n = server, n
        self._sent = 0
        self._lock = threading.Lock()
        self.failures: list[str] = []
        self.memory: list[tuple[int, float]] = []  #: events so far, MB of all workers

    def run(self) -> None:
        threads = [threading.Thread(target=self._client, args=(k,)) for k in range(CLIENTS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.memory.append((self._sent, self._resident_mb()))
            time.sleep(max(0.05, min(2.0, self._n / 2_000_000)))
        for thread in threads:
            thread.join()
        self.memory.append((self._sent, self._resident_mb()))

    def slope(self) -> float:
        """MB a million events, over the second half, by least squares."""
        half = [(at, mb) for at, mb in self.memory if at >= self._n / 2]
        at = np.array([at for at, _ in half], dtype=np.float64) / 1e6
        mb = np.array([mb for _, mb in half])
        return float(np.polyfit(at, mb, 1)[0]) if len(set(at.tolist())) > 2 else 0.0

    def _client(self, number: int) -> None:
        begin, end = (self._n * k // CLIENTS for k in (number, number + 1))
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=120)
        i, turn = begin, 0
        while i < end:
            turn += 1
            size = 1 if turn % ONE_IN == 0 else min(LINES, end - i)
            body = b"\n".join(payment(j, self._n) for j in range(i, i + size))
            kind = "application/json" if size == 1 else "application/x-ndjson"
            head = {"Authorization": f"Bearer {self._server.token}", "Content-Type": kind}
            path = "/v1/detectors/flows/decisions?reasons=none"
            connection.request("POST", path, body, head)
            response = connection.getresponse()
            content = response.read()
            answers = [json.loads(line) for line in content.splitlines()]
            ids = [answer.get("event_id") for answer in answers]
            if response.status != 200 or ids != [f"p{j}" for j in range(i, i + size)]:
                self.failures.append(f"{response.status} {content[:200]!r}")
            i += size
            with self._lock:
                self._sent += size
        connection.close()

    def _resident_mb(self) -> float:
        total = 0
        for pid in self._server.workers():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    total += int(line.split()[1])
        return total / 1024


def replay_day(root: Path, n: int) -> Day:
    place = Workplace(root)
    place.promote(place.seal())
    with Server(place, workers=2, repeat_events=100_000) as server:
        day = Day(server, n)
        day.run()
    assert day.failures == []
    seen = np.zeros(n, dtype=np.int8)
    decode = msgspec.json.Decoder(DecisionRecord).decode
    reader = wiring.open_ledger_reader(root / "ledger")
    for tag in reader.shards():
        for data in reader.records(tag):
            seen[int(decode(data).event_id[1:])] += 1
    assert (int(seen.min()), int(seen.max())) == (1, 1)
    return day


def test_a_day_of_ten_thousand_payments_gets_one_decision_each(tmp_path: Path) -> None:
    replay_day(tmp_path, 10_000)


@pytest.mark.soak
@pytest.mark.parametrize("n", [200_000, 5_000_000])
def test_a_whole_day_gets_one_decision_each_and_takes_no_memory(tmp_path: Path, n: int) -> None:
    day = replay_day(tmp_path, n)
    half = [mb for at, mb in day.memory if at >= n / 2]
    print(f"{n} events: {day.slope():+.3f} MB a million events, {min(half):.0f}-{max(half):.0f} MB")
    assert max(half) - min(half) < 16
    assert day.slope() < 1.0 or n < 1_000_000
