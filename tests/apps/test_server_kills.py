"""A server that is killed under load: every answer it gave is in the ledger, once and the same."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scoring_ground import Server, Workplace

from baluarte import wiring
from baluarte.core.decision import DecisionRecord
from baluarte.core.ids import parse_id
from baluarte.stages.verify import verify_ledger

CLIENTS = 6


class Clients:
    """Callers that send each event until it is answered, whatever dies meanwhile."""

    def __init__(self, token: str) -> None:
        self.port = 0
        self.token = token
        self.answers: dict[str, dict[str, Any]] = {}
        self.retries = 0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(number,)) for number in range(CLIENTS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Each gets its last answer, then ends."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self, number: int) -> None:
        i = 0
        while not self._stop.is_set():
            event = {"id": f"{number}-{i}", "failures": i % 9}
            while (answer := self._ask(event)) is None:
                self.retries += 1
                time.sleep(0.02)
            self.answers[event["id"]] = answer  # type: ignore[index]
            i += 1

    def _ask(self, event: dict[str, Any]) -> dict[str, Any] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/v1/detectors/flows/decisions", json.dumps(event), head)
            response = connection.getresponse()
            content = response.read()
        except (http.client.HTTPException, OSError):
            return None
        finally:
            connection.close()
        return json.loads(content) if response.status == 200 else None


def kill_rounds(root: Path, rounds: int) -> None:
    rng = random.Random(rounds)
    place = Workplace(root)
    place.promote(place.seal())
    clients = Clients(place.token.text)
    server = Server(place, workers=2)
    clients.port = server.port
    clients.start()
    try:
        for number in range(rounds):
            before = len(clients.answers)
            time.sleep(rng.uniform(0.1, 0.6))
            if number % 3 == 1:  # all of it; then a new one, on the same stores
                workers = server.workers()
                server.process.kill()
                for worker in workers:
                    os.kill(worker, signal.SIGKILL)
                server.process.communicate()
                server = Server(place, workers=2)
                clients.port = server.port
            else:
                os.kill(rng.choice(server.workers()), signal.SIGKILL)
            while len(clients.answers) < before + CLIENTS:  # it answers again
                time.sleep(0.05)
    finally:
        clients.stop()
        server.stop()
        server.__exit__()
    check(place, clients)


def check(place: Workplace, clients: Clients) -> None:
    reader = wiring.open_ledger_reader(place.root / "ledger")
    for event_id, answer in clients.answers.items():
        found = parse_id(answer["id"])
        record = msgspec.json.decode(reader.record(found.tag, found.index), type=DecisionRecord)
        assert (record.id, record.event_id) == (answer["id"], event_id)
        assert (record.score, record.version) == (answer["score"], answer["version"])
    report = verify_ledger(reader, wiring.open_verifier(place.root / "trusted"))
    assert (report.all_faults, report.incidents) == ((), ())
    assert report.events == len(clients.answers)
    assert sum(shard.size for shard in report.shards) >= len(clients.answers)


def test_a_worker_killed_and_then_all_of_it_under_load_lose_no_answer(tmp_path: Path) -> None:
    kill_rounds(tmp_path, 2)


@pytest.mark.soak
def test_sixty_kills_under_load_lose_no_answer(tmp_path: Path) -> None:
    kill_rounds(tmp_path, 60)
