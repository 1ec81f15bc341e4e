"""The log: one line a record, and never what a request held."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import msgspec
from scoring_ground import Server, Workplace

from baluarte.apps.logs import JsonLines, LogLine, PlainText
from baluarte.testing.bundles import sample_parts

CANARY = "ana.garcia-4000001234567899"


def record(
    name: str = "baluarte.scoring", message: str = "m %s", **more: object
) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.ERROR, "/home/x/worker.py", 7, message, ("a",), None)
    made.__dict__.update(more)
    return made


def raised() -> logging.LogRecord:
    try:
        float(CANARY)
    except ValueError as error:
        return record(exc_info=(type(error), error, error.__traceback__))


def test_a_json_line_says_what_where_and_of_which_version() -> None:
    line = msgspec.json.decode(
        JsonLines().format(record(detector="flows", version=3, card=CANARY)), type=LogLine
    )
    assert (line.level, line.logger, line.message) == ("error", "baluarte.scoring", "m a")
    assert (line.detector, line.version) == ("flows", 3)
    assert line.at.endswith("Z")


def test_an_exception_is_told_by_its_type_and_place_alone() -> None:
    for form in (JsonLines(), PlainText()):
        said = form.format(raised())
        assert CANARY not in said
        assert "ValueError" in said
        assert "test_logs.py" in said
        assert "\n" not in said


def test_what_a_library_says_of_its_work_and_unknown_extras_are_left_out() -> None:
    for form in (JsonLines(), PlainText()):
        said = form.format(record("pg8000", f"row {CANARY} %s", card=CANARY))
        assert CANARY not in said
        assert "pg8000" in said


def test_a_name_with_a_line_break_starts_no_line_of_its_own() -> None:
    for form in (JsonLines(), PlainText()):
        assert "\n" not in form.format(record(message="x\nERROR forged %s"))


def test_a_server_logs_json_lines_without_anything_of_its_requests(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.promote(place.seal(sample_parts()))
    with Server(place, log="json") as server:
        server.decide({"id": CANARY, "service": CANARY})
        server.decide({"id": CANARY, CANARY: 1})
        server.decide(f'{{"id":"{CANARY}",'.encode())
        server.ask("GET", f"/v1/decisions/{CANARY}")
        server.ask("GET", f"/v1/detectors/{CANARY}", headers={"Authorization": f"Bearer {CANARY}"})
        _, said = server.stop()
    lines = [json.loads(line) for line in said.splitlines()]
    assert CANARY not in said
    assert server.token not in said
    assert "a worker answers on port" in " ".join(line["message"] for line in lines)
