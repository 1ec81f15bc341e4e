"""Every example is a test: its contract holds, and it builds on its own kind of events."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from baluarte.apps.cli.main import main
from baluarte.core.contract_toml import parse_contract

EXAMPLES = Path(__file__).parents[2] / "examples"
CONTRACTS = sorted(EXAMPLES.glob("*/detector.toml"))


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    return tmp_path / "examples"


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.parent.name)
def test_each_example_is_a_contract_with_a_readme(path: Path) -> None:
    contract = parse_contract(path.read_text("utf-8"), where=path.name)
    assert contract.name == path.parent.name
    assert (path.parent / "README.md").exists()


def test_a_bank_has_three_outcomes(
    examples: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    events = examples / "payments.parquet"
    monkeypatch.setattr(sys, "argv", ["make_events.py", str(events), "20000"])
    runpy.run_path(str(examples / "bank-bands" / "make_events.py"), run_name="__main__")
    text = (examples / "bank-bands" / "detector.toml").read_text("utf-8")
    quick = text.replace("trials = 4", "trials = 1").replace("min_recall = 0.60", "")
    (examples / "bank-bands" / "detector.toml").write_text(quick, "utf-8")
    workspace = ["--workspace", str(examples / "workspace.toml")]
    status = main(["build", "bank-bands", *workspace, "--events", str(events), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] in {"pass", "not_enough_data"}
    assert status == (0 if said["verdict"] == "pass" else 1)
    out = examples / "decisions.csv"
    words = ["score", str(events), "--out", str(out), "--version", "bank-bands@1", "--no-record"]
    assert main([*words, *workspace, "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert set(scored["outcomes"]) == {"approve", "review", "decline"}
    assert sum(scored["outcomes"].values()) == 20_000


@pytest.mark.data
def test_phishing_is_planned_with_its_duplicates(
    data: Path, examples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = data / "phishing-websites-uci" / "phishing_websites.parquet"
    words = ["plan", "phishing", "--workspace", str(examples / "workspace.toml")]
    assert main([*words, "--events", str(events), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    found = {finding["check"]: finding for finding in said["plan"]["findings"]}
    assert found["duplicates.all"]["values"]["n"] == 5_206
