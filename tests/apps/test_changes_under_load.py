"""Champions change, certificates rotate and workers die under load; no answer is wrong or lost.

A request that is in a killed worker's hands gets no answer; sent again it gets the one right one.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import random
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
from scoring_ground import Workplace, until
from test_scoring_tls import Authority, Secure

from baluarte import wiring
from baluarte.adapters.system import SystemClock
from baluarte.apps.acknowledged import wait_for_workers
from baluarte.core.decision import DecisionRecord
from baluarte.core.event import Values
from baluarte.core.program import format as program_format
from baluarte.stages.fetch import open_version
from baluarte.stages.promote import rollback
from baluarte.stages.score import Scorer
from baluarte.stages.verify import verify_ledger
from baluarte.testing.bundles import sample_parts, sample_program

CLIENTS = 4
ON_ONE_CONNECTION = 25  #: requests; then a client opens another


class Clients:
    """Callers that send each event until it is answered."""

    def __init__(self, server: Secure) -> None:
        self._server = server
        self.answers: dict[str, dict[str, Any]] = {}
        self.events: dict[str, dict[str, Any]] = {}
        self.refused: Counter[int] = Counter()
        self.broken: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(n,)) for n in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, n: int) -> None:
        """Wait for so many further answers."""
        least = len(self.answers) + n
        until(lambda: len(self.answers) >= least, 120)

    def one(self) -> dict[str, Any]:
        """The answer to an event of its own, on a connection of its own."""
        event = {"id": f"one-{len(self.events)}", "failures": 3, "flow": {"bytes_out": 1.0}}
        self.events[str(event["id"])] = event
        connection = self._fresh(None)
        status, answer = self._ask(connection, event)
        connection.close()
        assert status == 200
        self.answers[str(event["id"])] = answer
        return answer

    def _call(self, number: int) -> None:
        connection: http.client.HTTPSConnection | None = None
        i = 0
        while not self._stop.is_set():
            event = {"id": f"{number}-{i}", "failures": i % 60, "flow": {"bytes_out": 37.5 * i}}
            self.events[str(event["id"])] = event
            while self._server.process.poll() is None:
                if connection is None or i % ON_ONE_CONNECTION == 0:
                    connection = self._fresh(connection)
                status, answer = self._ask(connection, event)
                if status == 200:
                    break
                connection = self._fresh(connection)
                time.sleep(0.01)
            else:
                break  # the server is gone: the event stays without an answer
            self.answers[str(event["id"])] = answer
            i += 1
            time.sleep(0.004)
        if connection is not None:
            connection.close()

    def _fresh(self, old: http.client.HTTPSConnection | None) -> http.client.HTTPSConnection:
        if old is not None:
            old.close()
        context: ssl.SSLContext = self._server.context()
        return http.client.HTTPSConnection(
            "127.0.0.1", self._server.port, context=context, timeout=30
        )

    def _ask(
        self, connection: http.client.HTTPSConnection, event: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        head = {
            "Authorization": f"Bearer {self._server.token}",
            "Content-Type": "application/json",
        }
        try:
            connection.request("POST", "/v1/detectors/flows/decisions", json.dumps(event), head)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (http.client.HTTPException, OSError) as error:
            self.broken.append(repr(error))
            return 0, {}
        if response.status != 200:
            self.refused[response.status] += 1
        return response.status, answer


class Ground:
    """Two versions that give each event another score, and a server with a spare."""

    def __init__(self, root: Path) -> None:
        self.place = Workplace(root)
        program = sample_program()
        other = dataclasses.replace(program, base=program.base + 77)
        self.versions = [
            self.place.seal(),
            self.place.seal(
                dataclasses.replace(sample_parts(), program=program_format.dumps(other))
            ),
        ]
        for version in self.versions:
            self.place.promote(version)
        self.authority = Authority(root)
        self.deciding = 2

    def server(self) -> Secure:
        return Secure(self.place, self.authority, workers=2, spare=True)

    def change(self) -> None:
        """Let the other version decide; return when every live worker does."""
        self.deciding = 3 - self.deciding
        stores = self.place.stores()
        shard = wiring.open_ledger_shard(self.place.root / "acts")
        try:
            rollback(
                "flows", self.deciding, actor="ana", reason="back and forth", ledger=shard, **stores
            )
        finally:
            shard.close()
        found = wait_for_workers(
            stores["registry"], stores["clock"], "flows", self.deciding, limit_s=60
        )
        assert found.not_yet == ()

    def check(self, clients: Clients) -> None:
        """Every answer is right by the version it names, and the ledger holds it, once."""
        stores = self.place.stores()
        scores: dict[int, dict[str, int]] = {}
        for version in self.versions:
            bundle = open_version(
                version, bundles=stores["bundles"], verifier=stores["verifier"],
                at_us=SystemClock().now_us(),
            )  # fmt: skip
            scorer = Scorer(bundle)
            names = list(clients.events)
            rows: list[Values] = [
                {
                    "id": name,
                    "failures": clients.events[name]["failures"],
                    "bytes_out": clients.events[name]["flow"]["bytes_out"],
                }
                for name in names
            ]
            found = scorer.decide_records(rows).scores.tolist()
            scores[version.version] = dict(zip(names, found, strict=True))
        assert clients.answers.keys() == clients.events.keys()
        for name, answer in clients.answers.items():
            assert answer["event_id"] == name
            assert answer["score"] == scores[answer["version"]][name]
        reader = wiring.open_ledger_reader(self.place.root / "ledger")
        recorded: dict[str, DecisionRecord] = {}
        for tag in reader.shards():
            for data in reader.records(tag):
                record = msgspec.json.decode(data, type=DecisionRecord)
                assert record.event_id not in recorded, "decided twice"
                recorded[record.event_id] = record
        assert {name: answer["id"] for name, answer in clients.answers.items()} == {
            name: record.id for name, record in recorded.items()
        }
        report = verify_ledger(reader, wiring.open_verifier(self.place.root / "trusted"))
        assert (report.all_faults, report.incidents) == ((), ())


def certificate_of(server: Secure) -> str:
    """The name in the certificate that a new connection is shown."""
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain,
        server.context().wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        subject: Any = (tls.getpeercert() or {}).get("subject", ())
        return str(dict(pair[0] for pair in subject)["commonName"])


def rounds(root: Path, *, changes: int, rotations: int, kills: int) -> None:
    draw = random.Random(5)
    ground = Ground(root)
    with ground.server() as server, Clients(server) as clients:
        clients.more(50)
        for _ in range(changes):
            ground.change()
            assert clients.one()["version"] == ground.deciding
            clients.more(5)
        assert (clients.broken, clients.refused) == ([], {})  # nothing is lost by a change
        for number in range(rotations):
            ground.authority.issue("server")
            until(lambda n=number: certificate_of(server) == f"server {n + 2}", 120)
            clients.more(10)
        assert clients.refused == {}
        assert clients.broken == []
        for _ in range(kills):
            time.sleep(draw.uniform(0.0, 0.3))
            os.kill(draw.choice(server.workers()), signal.SIGKILL)
            clients.more(10)
    assert set(clients.refused) <= {503}
    assert len(clients.broken) + clients.refused.total() <= kills * CLIENTS
    ground.check(clients)


def test_changes_rotations_and_kills_under_load_leave_no_answer_wrong_or_lost(
    tmp_path: Path,
) -> None:
    rounds(tmp_path, changes=5, rotations=1, kills=3)


@pytest.mark.soak
def test_a_hundred_changes_twenty_rotations_and_a_hundred_kills(tmp_path: Path) -> None:
    rounds(tmp_path, changes=100, rotations=20, kills=100)
