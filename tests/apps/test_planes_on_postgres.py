"""Accounts in PostgreSQL by URL: the command line, a console and a data plane share them."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from console_ground import PASSWORD, PEPPER, ConsolePlace, ConsoleServer
from scoring_ground import Server, Workplace, on_the_wire
from test_console_wire import say

from baluarte.apps.cli.main import main
from baluarte.testing.bundles import sample_events, sample_parts
from postgres_ground import PASSWORD as DATABASE_PASSWORD
from postgres_ground import PostgresServer


def test_what_one_of_them_changes_the_others_hold_to(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    address = postgres_server.over_tcp(f"t{uuid4().hex[:12]}")
    (tmp_path / "workspace.toml").write_text(
        f'[stores]\naccounts = "{address}"\npassword = {{ env = "DB" }}\n'
        '[keys]\npepper = { file = "pepper" }\n'
    )
    (tmp_path / "pepper").write_text(PEPPER.hex())
    monkeypatch.setenv("DB", DATABASE_PASSWORD)
    monkeypatch.chdir(tmp_path)

    def type_(*words: str, typed: str = "") -> Any:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        assert main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    type_("users", "add", "ana", "--role", "admin@*", "--password-stdin", typed=PASSWORD + "\n")
    type_("users", "add", "switch", "--service", "--role", "service@nets")
    key = type_("keys", "issue", "switch")

    (tmp_path / "data").mkdir()
    place = Workplace(tmp_path / "data")
    place.promote(place.seal(sample_parts()))
    (tmp_path / "console").mkdir()
    beside = ConsolePlace(tmp_path / "console")
    shared = {"accounts": address, "pepper": PEPPER, "tenants": {"flows": "nets"}}
    with (
        Server(place, **shared, registry_password=DATABASE_PASSWORD) as data,
        ConsoleServer(beside, **shared, stores_password=DATABASE_PASSWORD) as console,
    ):
        event = json.dumps(on_the_wire(sample_events(1)[0])).encode()
        headers = {"Authorization": f"Bearer {key['key']}"}
        path = "/v1/detectors/flows/decisions"
        assert data.ask("POST", path, event, headers)[0] == 200
        status, me, said = say(
            console, "POST", "/v1/sign-in", {"name": "ana", "password": PASSWORD}
        )
        assert status == 200
        session = {
            "cookie": (said["set-cookie"] or "").partition(";")[0], "x_baluarte_token": me["token"],
        }  # fmt: skip
        listed = say(console, "GET", "/v1/keys", **session)[1]
        assert [(one["id"], one["state"]) for one in listed] == [(key["id"], "holds")]
        withdraw = f"/v1/keys/{key['id']}/withdraw"
        assert say(console, "POST", withdraw, {"reason": "lost"}, **session)[0] == 200
        started = time.monotonic()
        while data.ask("POST", path, event, headers)[0] != 401:
            assert time.monotonic() - started < 20  # a fifth of a second on a machine with time
            time.sleep(0.02)
        type_("users", "grant", "ana", "--role", "admin@nets")
        assert say(console, "GET", "/v1/me", **session)[0] == 401
