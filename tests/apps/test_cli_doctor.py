"""The doctor looks at what a server needs before it starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from test_scoring_tls import Authority
from workspace_ground import Ground, Shell


def found(shell: Shell) -> dict[str, dict[str, str]]:
    _, said = shell.json("doctor")
    return {one["label"]: one for one in said["findings"]}


def test_a_workspace_on_loopback_is_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ground(tmp_path, settings='[serve]\naddress = "127.0.0.1:0"\n')
    said = found(Shell(tmp_path, capsys))
    assert said["Address"]["state"] == "kept"
    assert said["Disk"]["text"].startswith("durable in")
    assert "Certificate" not in said


def test_a_taken_port_a_missing_guard_and_a_bad_certificate_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "server.pem").write_text("no certificate")
        (tmp_path / "server.key").write_text("no key")
        Ground(
            tmp_path,
            settings=f'[serve]\naddress = "0.0.0.0:{port}"\n'
            'tls = { certificate = "server.pem", key = "server.key" }\n',
        )
        said = found(Shell(tmp_path, capsys))
    assert said["Address"]["state"] == "unsure"
    assert said["Guard"]["state"] == "broken"
    assert "serve.hosts" in said["Guard"]["text"]
    assert said["Certificate"]["state"] == "broken"


def test_a_certificate_that_ends_soon_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Authority(tmp_path).issue("server")
    Ground(
        tmp_path,
        settings='[serve]\naddress = "127.0.0.1:0"\n'
        'tls = { certificate = "server.pem", key = "server.key" }\n',
    )
    said = found(Shell(tmp_path, capsys))
    assert said["Certificate"]["state"] == "unsure"
    assert "0 days" in said["Certificate"]["text"]
    assert said["Key of TLS"]["hint"].startswith("chmod 600")
