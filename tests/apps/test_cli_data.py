"""baluarte data: which data they are, and DVC's files of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from baluarte.adapters import dvc
from baluarte.apps.cli.main import main


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tx.csv"
    path.write_text("id,amount\n" + "".join(f"e{i},{i}\n" for i in range(200)))
    return path


def test_digest_and_size_are_told(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "tx.csv", "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["data"]
    assert said["digest"].startswith("sha256:")
    assert said["bytes"] == table.stat().st_size
    assert main(["data", "tx.csv"]) == 0
    assert "kB" in capsys.readouterr().out


def test_the_digest_is_of_the_content_alone(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (table.parent / "copy.csv").write_bytes(table.read_bytes())
    assert main(["data", "tx.csv", "copy.csv", "--json"]) == 0
    one, other = json.loads(capsys.readouterr().out)["data"]
    assert one["digest"] == other["digest"]


def test_a_file_of_dvcs_is_written_read_and_held_to(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "tx.csv", "--dvc", "--lock", "train"]) == 0
    assert dvc.resolved("tx.csv.dvc") == "tx.csv"
    assert "tx.csv" in Path("dvc.lock").read_text()
    assert main(["data", "tx.csv.dvc"]) == 0
    table.write_text("id,amount\n")
    capsys.readouterr()
    assert main(["data", "tx.csv.dvc"]) == 4
    assert "tx.csv" in capsys.readouterr().err


def test_a_table_elsewhere_has_no_file_of_dvcs(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "gone.csv", "--dvc"]) != 0
    assert "gone.csv" in capsys.readouterr().err
