"""The data plane as it runs: a real server, real workers, a real ledger."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import pytest
from scoring_ground import Server, Workplace, on_the_wire, until

from baluarte import wiring
from baluarte.adapters.system import SystemClock
from baluarte.apps.batch import score_file
from baluarte.apps.scoring.server import serve
from baluarte.apps.scoring.settings import Limits
from baluarte.apps.sdk import load
from baluarte.core.decision import DecisionRecord, Record
from baluarte.core.event import event_digest
from baluarte.errors import ContractError, OutsideError
from baluarte.stages.fetch import open_version
from baluarte.stages.score import Scorer
from baluarte.testing.bundles import sample_events

N_TRAPS = 5_000


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    place = Workplace(tmp_path_factory.mktemp("workplace"))
    place.promote(place.seal())
    return place


@pytest.fixture(scope="module")
def server(workplace: Workplace) -> Iterator[Server]:
    with Server(workplace) as running:
        yield running


def trap_events(n: int) -> list[dict[str, Any]]:
    """Events as callers send them, rich in what goes wrong elsewhere."""
    draw = random.Random(7)
    numbers = [
        0.0, -0.0, 5e-324, -2.2e-308, 1000.5, math.nextafter(1000.5, 0.0),
        math.nextafter(1000.5, 2e3),
        3.4028234663852886e38, -3.4028234663852886e38, 1e-35, 2**53, 2**53 + 2, 2**63, 0.1, 1e22, 7,
    ]  # fmt: skip
    services: list[Any] = [
        "http",
        "ssh",
        "ssh ",
        "HTTP",
        "telnet",
        "",
        "ñ\u2028",
        5,
        5.0,
        True,
        0.1,
    ]
    events = []
    for i in range(n):
        event: dict[str, Any] = {"id": f"t{i}"}
        if draw.random() < 0.8:
            event["flow"] = {"bytes_out": draw.choice([*numbers, None, draw.uniform(0, 3000)])}
        if draw.random() < 0.8:
            event["failures"] = draw.choice([0, 2, 3, 50, 51, -7, 2.0, None, draw.randrange(60)])
        if draw.random() < 0.8:
            event["service"] = draw.choice([*services, None])
        events.append(event)
    return events


# --- the same bits, whichever door ---------------------------------------------------------------


def test_every_door_gives_the_same_scores(
    workplace: Workplace, server: Server, tmp_path: Path
) -> None:
    events = trap_events(N_TRAPS)
    stores = workplace.stores()
    version = stores["registry"].champion("flows")
    bundle = open_version(
        version,
        bundles=stores["bundles"],
        verifier=stores["verifier"],
        at_us=SystemClock().now_us(),
    )
    numpy = Scorer(bundle, kernel="numpy")
    folder = workplace.root / "bundles" / version.digest.replace(":", "-")
    detector = load(folder, trusted=workplace.root / "trusted")
    want = detector.score(events)
    assert len(set(want.tolist())) > 50

    for batch in (1, 7, 1000, N_TRAPS):
        got: list[int] = []
        # An event that is sent again gets its first decision: each batch has ids of its own.
        sent = [{**event, "id": f"{batch}-{event['id']}"} for event in events]
        for start in range(0, N_TRAPS, batch):
            status, answer = server.decide(
                sent[start] if batch == 1 else sent[start : start + batch], "?reasons=none"
            )
            assert status == 200, answer
            got += [a["score"] for a in ([answer] if batch == 1 else answer)]
        assert np.array_equal(got, want), f"HTTP, batch {batch}"

    for threads in (1, 2):
        for batch in (1, 7, 1000, N_TRAPS):
            parts = [
                detector.score(events[at : at + batch], threads=threads)
                for at in range(0, N_TRAPS, batch)
            ]
            assert np.array_equal(np.concatenate(parts), want), f"SDK, batch {batch}"

    source = tmp_path / "events.ndjson"
    source.write_bytes(msgspec.json.Encoder().encode_lines(events))
    for scorer in (Scorer(bundle), numpy):
        for threads in (1, 2):
            for batch in (7, 1000, N_TRAPS):
                out = tmp_path / "out.ndjson"
                score_file(
                    scorer,
                    str(source),
                    str(out),
                    source=wiring.source_for(str(source)),
                    sink=wiring.sink_for(str(out)),
                    clock=SystemClock(),
                    batch_rows=batch,
                    threads=threads,
                )
                rows = [json.loads(line) for line in out.read_text().splitlines()]
                assert np.array_equal([row["score"] for row in rows], want), "a file"


def test_what_is_answered_is_what_is_recorded(workplace: Workplace, server: Server) -> None:
    events = [on_the_wire(event) for event in sample_events(40)]
    status, answers = server.decide(events, "?reasons=all")
    assert status == 200
    for event, answer in zip(events, answers, strict=True):
        status, found = server.ask("GET", f"/v1/decisions/{answer['id']}")
        assert status == 200
        record = msgspec.json.decode(json.dumps(found), type=Record)
        assert isinstance(record, DecisionRecord)
        assert record.event_id == answer["event_id"] == event["id"]
        assert (record.score, record.points) == (answer["score"], answer["points"])
        assert (record.outcome, record.version) == (answer["outcome"], answer["version"])
        assert record.event_digest == event_digest(record.event)
        assert answer["base"] + sum(r["score"] for r in answer["reasons"]) == answer["score"]
        assert all(r["text"].startswith(r["field"]) for r in answer["reasons"])


def test_reasons_come_for_alerts_or_as_asked(server: Server) -> None:
    alert = {"flow": {"bytes_out": 5000}, "failures": 9, "service": "ssh"}
    plain = {"flow": {"bytes_out": 1}}
    for query, want in (("", [1, 0]), ("?reasons=all", [1, 1]), ("?reasons=none", [0, 0])):
        _, answers = server.decide([alert, plain], query)
        assert [a["outcome"] for a in answers] == ["alert", "pass"]
        assert ["reasons" in a for a in answers] == [bool(w) for w in want]


def test_ndjson_is_answered_line_by_line(server: Server) -> None:
    body = b'{"id":"a"}\n{"id":"b"}\n'
    status, content = server.ask(
        "POST",
        "/v1/detectors/flows/decisions",
        body,
        {"Content-Type": "application/x-ndjson"},
    )
    assert status == 200
    assert [json.loads(line)["event_id"] for line in content.splitlines()] == ["a", "b"]


def test_an_event_without_an_id_gets_one_of_its_digest_and_place(server: Server) -> None:
    event = {"failures": 3}
    _, answers = server.decide([event, event])
    digest = event_digest({"failures": 3}).removeprefix("sha256:")[:32]
    assert [a["event_id"] for a in answers] == [f"{digest}-0", f"{digest}-1"]


# --- what there is -------------------------------------------------------------------------------


def test_the_server_says_what_it_is(server: Server) -> None:
    assert server.serving["readiness"]["status"] == "ready"
    assert server.ask("GET", "/healthz", headers={"Authorization": ""})[0] == 200
    status, ready = server.ask("GET", "/readyz", headers={"Authorization": ""})
    assert (status, ready["detectors"], ready["ledger"]) == (200, {"flows": 1}, "writable")
    assert ready["kernel"] in ("c", "numpy")
    _, (detector,) = server.ask("GET", "/v1/detectors")
    assert server.ask("GET", "/v1/detectors/flows") == (200, detector)
    assert detector["outcomes"] == ["pass", "alert"]
    assert detector["thresholds"] == [None, 500]
    assert [field["name"] for field in detector["fields"]][2] == "bytes_out"
    status, document = server.ask("GET", "/openapi.json", headers={"Authorization": ""})
    assert (status, document["openapi"]) == (200, "3.1.0")


def test_prometheus_own_tool_finds_nothing_wrong_with_the_metrics(server: Server) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    server.decide({"id": "m"})
    server.decide(b"{")
    _, page = server.ask("GET", "/metrics")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=page, capture_output=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_metrics_count_decisions_and_refusals(server: Server) -> None:
    server.decide({"id": "m"})
    server.decide(b"{")
    _, page = server.ask("GET", "/metrics")
    lines = dict(
        line.rsplit(" ", 1) for line in page.decode().splitlines() if not line.startswith("#")
    )
    passed = 'baluarte_decisions_total{detector="flows",outcome="pass",version="1"}'
    assert float(lines[passed]) >= 1
    assert float(lines['baluarte_refusals_total{code="malformed_json"}']) >= 1
    assert float(lines["baluarte_ledger_writable"]) == 1
    assert float(lines['baluarte_champion_version{detector="flows"}']) == 1
    assert float(lines['baluarte_request_seconds_count{detector="flows",version="1"}']) >= 1
    assert float(lines['baluarte_points_count{detector="flows",version="1"}']) >= 1
    assert float(lines["baluarte_workers"]) == 1


def test_without_the_compiled_kernel_a_metric_says_so_and_readiness_may(
    workplace: Workplace,
) -> None:
    """Its bits are the same; who needs its speed asks for it."""
    for required, status in ((False, 200), (True, 503)):
        with Server(workplace, kernel="numpy", require_kernel=required) as slow:
            assert slow.ask("GET", "/readyz")[0] == status
            assert slow.ask("GET", "/readyz")[1]["kernel"] == "numpy"
            page = slow.ask("GET", "/metrics")[1].decode()
            assert "\nbaluarte_kernel_compiled 0.0\n" in page


# --- labels --------------------------------------------------------------------------------------

LABELS = "/v1/detectors/flows/labels"


def test_labels_are_recorded_then_kept_and_tell_what_they_changed(
    workplace: Workplace, server: Server
) -> None:
    before = recorded(workplace)
    body = json.dumps(
        [
            {"event_id": "l1", "label": 1, "at": "2026-01-01T00:00:00Z", "source": "bank"},
            {"event_id": "l2", "label": "normal"},
        ]
    ).encode()
    told = server.ask("POST", LABELS, body, JSON)
    assert told == (200, {"new": 2, "same": 0, "corrections": 0, "conflicts": 0})
    assert server.ask("POST", LABELS, body, JSON)[1]["same"] == 2
    lines = b'{"event_id":"l1","label":false}\n{"event_id":"l2","label":true}\n'
    _, told = server.ask("POST", LABELS, lines, {"Content-Type": "application/x-ndjson"})
    assert told == {"new": 0, "same": 0, "corrections": 1, "conflicts": 1}
    assert recorded(workplace) == before + 3
    registry = wiring.open_registry(f"sqlite:{workplace.root / 'registry.sqlite'}")
    kept = registry.labels("flows")
    assert (kept["l1"].source, kept["l1"].label, kept["l2"].label) == ("api", 0, 1)
    assert kept["l2"].taken_at >= kept["l2"].at > 0
    registry.close()


def test_a_label_with_a_fault_keeps_none_of_its_delivery(
    workplace: Workplace, server: Server
) -> None:
    before = recorded(workplace)
    body = b'[{"event_id":"m1","label":1},{"label":1},{"event_id":"m2","label":"maybe","x":1}]'
    status, problem = server.ask("POST", LABELS, body, JSON)
    assert (status, problem["code"]) == (422, "invalid_event")
    assert [fault["path"] for fault in problem["faults"]] == [
        "$[1].event_id", "$[2].x", "$[2].label",
    ]  # fmt: skip
    assert recorded(workplace) == before


# --- what is refused -----------------------------------------------------------------------------


def test_faults_of_events_are_told_with_their_paths_and_nothing_is_recorded(
    workplace: Workplace, server: Server
) -> None:
    before = recorded(workplace)
    status, problem = server.decide(
        [
            {"flow": {"bytes_out": "many"}, "failures": 1.5},
            {"service": ["a"], "flow": {"bytes_in": 3}},
            {"failures": 10**400},
            {"id": "sound"},
        ]
    )
    assert (status, problem["code"]) == (422, "invalid_event")
    assert [fault["path"] for fault in problem["faults"]] == [
        "$[0].flow.bytes_out", "$[0].failures", "$[1].service", "$[1].flow.bytes_in",
        "$[2].failures",
    ]  # fmt: skip
    assert recorded(workplace) == before


def recorded(workplace: Workplace) -> int:
    reader = wiring.open_ledger_reader(workplace.root / "ledger")
    return sum(reader.size(tag) for tag in reader.shards())


POST = "/v1/detectors/flows/decisions"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("POST", POST, b"{}", {"Content-Type": "x/pickle"}, 415, "unsupported_media_type"),
        ("POST", POST, b"{}", {**JSON, "Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
        ("POST", POST, b"{}", {"Authorization": "Bearer wrong"}, 401, "unauthorized"),
        ("GET", "/v1/detectors", None, {"Authorization": ""}, 401, "unauthorized"),
        ("GET", "/v1/decisions/x", None, {"Authorization": ""}, 401, "unauthorized"),
        ("POST", POST, b"{}", {"Host": "evil.example"}, 421, "misdirected"),
        ("POST", POST + "?reasons=some", b"{}", JSON, 400, "bad_query"),
        ("POST", POST + "?model=x", b"{}", JSON, 400, "bad_query"),
        ("POST", POST + "?" + "&" * 99, b"{}", JSON, 400, "bad_query"),
        ("POST", "/v1/detectors/none/decisions", b"{}", JSON, 404, "not_found"),
        ("POST", "/v1/detectors/%2e%2e/decisions", b"{}", JSON, 404, "not_found"),
        ("GET", "/v1/decisions/../../etc/passwd", None, {}, 404, "not_found"),
        ("GET", "/v1/decisions/00000000000000000000000000", None, {}, 404, "not_found"),
        ("GET", "/v1/decisions/not-an-id", None, {}, 404, "not_found"),
        ("GET", POST, None, {}, 405, "method_not_allowed"),
        ("GET", LABELS, None, {}, 405, "method_not_allowed"),
        ("POST", LABELS, b"{}", {"Authorization": ""}, 401, "unauthorized"),
        ("POST", LABELS + "?x=1", b"{}", JSON, 400, "bad_query"),
        ("POST", LABELS, b"[]", JSON, 400, "wrong_shape"),
        ("POST", "/v1/detectors/none/labels", b"{}", JSON, 404, "not_found"),
        ("DELETE", "/v1/detectors/flows", None, {}, 405, "method_not_allowed"),
        ("PATCH", "/v1/detectors", b"{}", JSON, 405, "method_not_allowed"),
        ("POST", POST, b"[" + b"{}," * 6000 + b"{}]", JSON, 413, "too_many_rows"),
        ("POST", POST, b'{"id":1,"id":2}', JSON, 400, "duplicate_key"),
        ("POST", POST, b'{"failures":NaN}', JSON, 400, "malformed_json"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_and_the_server_lives(
    server: Server,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    got, problem = server.ask(method, path, body, headers)
    assert (got, problem["code"]) == (status, code)
    said = json.dumps(problem)
    assert not any(word in said for word in ("Traceback", ".py", "/tmp", "baluarte.", "0x"))
    assert server.decide({"id": "after"})[0] == 200


def raw(server: Server, sent: bytes, *, then: bytes = b"") -> bytes:
    """What comes back until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as one:
        one.sendall(sent)
        if then:
            try:
                while True:
                    one.sendall(then)
            except OSError:
                pass  # the server closed, as it should
        one.settimeout(1)
        got = b""
        try:
            while part := one.recv(65536):
                got += part
        except OSError:
            pass
        return got


def head(server: Server, *lines: str) -> bytes:
    given = [f"POST {POST} HTTP/1.1", f"Authorization: Bearer {server.token}", *lines]
    return ("\r\n".join([*given, "Content-Type: application/json"]) + "\r\n\r\n").encode()


def test_two_hosts_or_none_are_refused_and_closed(server: Server) -> None:
    for lines in ((), ("Host: localhost", "Host: localhost")):
        got = raw(server, head(server, *lines, "Content-Length: 2") + b"{}")
        assert got.startswith(b"HTTP/1.1 400")
        assert b"connection: close" in got.lower()


def test_a_refusal_closes_unless_the_body_was_read(server: Server) -> None:
    for path, body, closed in ((POST, b"{", False), (POST + "?x=1", b"{}", True)):
        lines = head(server, "Host: localhost", f"Content-Length: {len(body)}")
        got = raw(server, lines.replace(POST.encode(), path.encode(), 1) + body)
        assert got.startswith(b"HTTP/1.1 400")
        assert (b"connection: close" in got.lower()) == closed


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(server: Server) -> None:
    got = raw(server, head(server, "Host: localhost", "Content-Length: 999999999999"))
    assert got.startswith(b"HTTP/1.1 413")


def test_slow_bodies_are_given_up_and_others_are_answered_meanwhile(workplace: Workplace) -> None:
    with Server(workplace, limits=Limits(body_s=2.0)) as one:
        starts = [
            head(one, "Host: localhost", "Content-Length: 40") + b"{",
            head(one, "Host: localhost", "Transfer-Encoding: chunked") + b"1\r\n{\r\n",
        ]
        slow = [socket.create_connection(("127.0.0.1", one.port), timeout=30) for _ in range(40)]
        try:
            for number, each in enumerate(slow):
                each.sendall(starts[number % 2])
            assert one.decide({"id": "meanwhile"})[0] == 200
            assert {each.recv(12) for each in slow} == {b"HTTP/1.1 408"}
        finally:
            for each in slow:
                each.close()


def test_endless_chunks_are_refused_within_bounded_memory(server: Server) -> None:
    (pid,) = server.workers()
    before = resident_mb(pid)
    start = head(server, "Host: localhost", "Transfer-Encoding: chunked")
    raw(server, start, then=b"1\r\n{\r\n" * 4096)
    assert resident_mb(pid) - before < 64
    assert server.decide({"id": "after"})[0] == 200


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_a_smuggled_second_request_is_never_answered(server: Server) -> None:
    inner = f"GET /readyz HTTP/1.1\r\nHost: localhost\r\nX: {'y' * 10}\r\n\r\n".encode()
    lines = ("Host: localhost", f"Content-Length: {len(inner) + 5}", "Transfer-Encoding: chunked")
    got = raw(server, head(server, *lines) + b"0\r\n\r\n" + inner)
    assert got.count(b"HTTP/1.1") == 1


# --- a life --------------------------------------------------------------------------------------


class Load:
    """Threads that ask again and again, and keep what they were answered."""

    def __init__(self, server: Server, threads: int = 3) -> None:
        self.server = server
        self.versions: list[int] = []
        self.failures: list[Any] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                status, answer = self.server.decide({"failures": 3})
            except OSError as error:
                self.failures.append(error)
                continue
            if status == 200:
                self.versions.append(answer["version"])
            else:
                self.failures.append((status, answer))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_champion_is_swapped_under_load_and_no_request_is_lost(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.promote(place.seal())
    with Server(place, workers=2) as server, Load(server) as load_:
        until(lambda: len(load_.versions) > 100)
        place.promote(place.seal())
        until(lambda: load_.versions[-50:] == [2] * 50)
    assert not load_.failures
    assert set(load_.versions) == {1, 2}
    reader = wiring.open_ledger_reader(tmp_path / "ledger")
    decode = msgspec.json.Decoder(DecisionRecord).decode
    kept = [decode(data).version for tag in reader.shards() for data in reader.records(tag)]
    assert kept.count(1) == load_.versions.count(1)
    assert len(kept) == len(load_.versions)


def test_a_killed_worker_comes_back_and_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.promote(place.seal())
    with Server(place) as server:
        with Load(server) as load_:
            until(lambda: len(load_.versions) > 50)
            (killed,) = server.workers()
            os.kill(killed, signal.SIGKILL)
            done = len(load_.versions)
            until(lambda: len(load_.versions) > done + 50)
        assert server.workers() != [killed]
        assert server.stop()[0] == 0
    assert recorded(place) >= len(load_.versions)
    assert all(isinstance(failure, Exception) for failure in load_.failures)


def test_on_sigterm_what_is_open_is_answered_and_kept(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.promote(place.seal())
    with Server(place, durability="interval", interval_ms=2000) as server:
        answers: list[Any] = []
        many = [on_the_wire(event) for event in sample_events(6_000)]
        asking = threading.Thread(target=lambda: answers.append(server.decide(many)))
        server.decide({"id": "first"})
        asking.start()
        time.sleep(0.1)  # the request is on its way; if it were not yet, it would be refused
        status, said = server.stop()
        asking.join()
    assert (status, said) == (0, "")
    assert answers[0][0] == 200
    assert recorded(place) == 6_001


def test_with_no_room_to_record_nothing_is_decided_until_there_is_room(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.promote(place.seal())
    (tmp_path / "ledger").write_text("a file is where the ledger's folder would be")
    with Server(place) as server:
        assert server.serving["readiness"]["ledger"] == "refuses records"
        status, problem = server.decide({"id": "x"})
        assert (status, problem["code"]) == (503, "no_room_to_record")
        assert "score" not in json.dumps(problem)
        assert server.ask("GET", "/readyz")[0] == 503
        assert server.ask("GET", "/healthz")[0] == 200
        (tmp_path / "ledger").unlink()
        until(lambda: server.decide({"id": "x"})[0] == 200)
    assert recorded(place) == 1


def test_a_detector_without_champion_is_503_and_not_ready(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    version = place.seal()
    with Server(place) as server:
        status, problem = server.decide({})
        assert (status, problem["code"]) == (503, "no_champion")
        assert server.ask("GET", "/readyz")[1]["without_champion"] == ["flows"]
        place.promote(version)
        until(lambda: server.decide({})[0] == 200)


# --- how it starts -------------------------------------------------------------------------------


def test_another_address_than_loopback_is_refused(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    with pytest.raises(ContractError, match="certificate"):
        serve(place.settings(host="0.0.0.0"), ready=lambda _: None)


def test_a_port_that_is_taken_is_said(tmp_path: Path, server: Server) -> None:
    place = Workplace(tmp_path)
    with pytest.raises(OutsideError, match="in use"):
        serve(place.settings(port=server.port), ready=lambda _: None)


def test_a_ledger_that_lost_records_stops_the_server_with_the_reason(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.promote(place.seal())
    with Server(place) as server:
        server.decide({"id": "x"})
    for segment in (tmp_path / "ledger").glob("*/*.seg*"):
        segment.unlink()
    with pytest.raises(AssertionError, match="TrustError"):
        Server(place)


_LOADED = """
import asyncio, sys, tempfile, msgspec
from baluarte.apps.scoring.settings import ServeSettings
from baluarte.apps.scoring.worker import load
settings = msgspec.json.decode(sys.argv[1], type=ServeSettings)
with tempfile.TemporaryDirectory() as folder:
    worker = load(msgspec.structs.replace(settings, metrics_dir=folder))
    loop = asyncio.new_event_loop()
    worker.open(loop)
    door = worker._door
    loop.run_until_complete(door._plane.decide("flows", [{"id": "x"}], "all"))
    loop.run_until_complete(asyncio.sleep(0.3))
    worker.close(loop)
print(" ".join(sys.modules))
"""


def test_a_serving_process_loads_nothing_that_learns(workplace: Workplace) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, msgspec.json.encode(workplace.settings())],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "numpy" in loaded
    assert not loaded & {
        "lightgbm",
        "sklearn",
        "scipy",
        "pyarrow",
        "optuna",
        "pandas",
        "rich",
    }
    assert not {
        n for n in done.stdout.split() if n.startswith(("baluarte.methods", "baluarte.testing"))
    }
    assert "numpy.ma" not in done.stdout.split()  # some of numpy's functions would load it: 20 ms


_PARENT = """
import sys
import baluarte.apps.cli.serve
print(" ".join(sys.modules))
"""


def test_the_parent_of_workers_loads_nothing_that_only_workers_need() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PARENT],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    loaded = set(done.stdout.split())
    assert "baluarte.apps.scoring.server" in loaded
    assert not loaded & {"numpy", "asyncio", "ssl", "cryptography", "sqlite3", "uvloop"}
    assert "baluarte.apps.scoring.worker" not in loaded
