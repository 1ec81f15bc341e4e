"""baluarte users, keys issue: made on the command line, with no default anywhere."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from baluarte.apps.cli.main import main


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "workspace.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *words: str,
    typed: str = "",
) -> tuple[int, Any]:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    status = main([*words, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_an_admin_a_program_and_its_key(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    password = "correct horse battery\n"
    add = ("users", "add", "ana", "--role", "admin@*", "--password-stdin")
    assert run(capsys, monkeypatch, *add, typed=password)[0] == 0
    add = ("users", "add", "switch", "--service", "--role", "service@cards", "--owner", "bea")
    assert run(capsys, monkeypatch, *add)[0] == 0
    _, issued = run(
        capsys, monkeypatch, "keys", "issue", "switch", "--rate", "50", "--note", "core"
    )
    assert issued["key"].startswith(f"blt_{issued['id']}_")
    _, said = run(capsys, monkeypatch, "users", "list")
    assert [(a["name"], a["kind"], a["roles"]) for a in said["accounts"]] == [
        ("ana", "person", ["admin@*"]),
        ("switch", "service", ["service@cards"]),
    ]
    assert run(capsys, monkeypatch, "keys", "withdraw", issued["id"])[0] == 0
    _, said = run(capsys, monkeypatch, "keys", "issued")
    assert [(k["id"], k["state"]) for k in said["keys"]] == [(issued["id"], "withdrawn")]
    kept = b"".join(p.read_bytes() for p in place.rglob("*") if p.is_file())
    assert issued["key"].encode() not in kept
    assert b"correct horse" not in kept
    pepper = place / ".baluarte/keys/pepper"
    assert pepper.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(pepper.read_text())) == 32


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (("users", "add", "ana", "--role", "chief@*", "--password-stdin"), "", "ROLE@TENANT"),
        (("users", "add", "Ana!", "--password-stdin"), "correct horse battery\n", "lower-case"),
        (("users", "add", "ana", "--password-stdin"), "short\n", "12 to 1024"),
        (("users", "add", "ana"), "", "--password-stdin"),
        (("users", "add", "ana", "--role", "admin@*", "--role", "approver@*",
          "--password-stdin"), "correct horse battery\n", "can't hold approver"),
        (("keys", "issue", "nobody"), "", "no account"),
        (("keys", "withdraw", "nokey"), "", "no key"),
        (("users", "disable", "nobody"), "", "no account"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_with_its_cure(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...], typed: str, said: str,
) -> None:  # fmt: skip
    status, answer = run(capsys, monkeypatch, *words, typed=typed)
    assert status == 3
    assert said in json.dumps(answer)
    assert run(capsys, monkeypatch, "users", "list")[1]["accounts"] == []
