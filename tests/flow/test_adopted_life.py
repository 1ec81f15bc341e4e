"""A model that another tool made lives on: adopted, proved, sealed, promoted, used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightgbm as lgb
import pandas as pd
import pytest

from baluarte.apps.cli.main import main
from baluarte.testing.simulate_flows import flows

N_MODEL, N_OWN = 2_000, 4_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A detector without a model, and a model of the same fields that nobody here trained."""
    columns = {k: v.tolist() for k, v in flows(N_MODEL + N_OWN, later=False, seed=3).items()}
    table = pd.DataFrame(columns)
    table.iloc[N_MODEL:].to_parquet(tmp_path / "own.parquet")
    X = table.iloc[:N_MODEL].drop(columns=["label", "ts"])
    for name in ("protocol", "service"):
        X[name] = X[name].astype("category")
    attack = (table["label"].iloc[:N_MODEL] != "normal").astype(int)
    options = {"objective": "binary", "num_leaves": 15, "verbose": -1, "num_threads": 1}
    lgb.train(options, lgb.Dataset(X, attack), 40).save_model(str(tmp_path / "model.txt"))
    monkeypatch.chdir(tmp_path)
    assert main(["init", "flows", "--events", "own.parquet", "--label", "label"]) == 0
    return tmp_path


def said_by(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    got = main([*words, "--json"])
    said = capsys.readouterr().out
    assert got == status, said
    document: dict[str, Any] = json.loads(said)
    return document


def test_an_adopted_model_is_proved_sealed_promoted_and_decides(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adopted = said_by(capsys, "adopt", "model.txt")
    certificate = adopted["certificate"]
    assert certificate["n"] == N_OWN
    assert certificate["reference"] == "library"
    assert certificate["kept"] is True
    assert certificate["changed"] == []
    assert certificate["largest_ratio"] <= 1.0

    assert said_by(capsys, "prove")["verdict"] == "pass"
    said_by(capsys, "seal")
    said_by(capsys, "promote")
    said_by(capsys, "score", "own.parquet", "--out", "decided.parquet")
    assert len(pd.read_parquet("decided.parquet")) == N_OWN
    assert said_by(capsys, "replay", "--sample", "50")["identical"] == 50
    evidence = said_by(capsys, "report", "evidence", "--page", "evidence.html")["evidence"]
    assert evidence["certificate"] == certificate
    assert certificate["model"] in (folder / "evidence.html").read_text("utf-8")


def test_the_proof_events_that_the_workspace_names_prove_an_adopted_model_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = {k: v.tolist() for k, v in flows(1_500, later=False, seed=4).items()}
    pd.DataFrame(later).to_parquet(folder / "proof.parquet")
    workspace = folder / "workspace.toml"
    named = workspace.read_text("utf-8") + 'holdout = "proof.parquet"\n'
    workspace.write_text(named, "utf-8")
    adopted = said_by(capsys, "adopt", "model.txt")
    assert adopted["rows"]["proof"] == 1_500
    assert sum(adopted["rows"].values()) == N_OWN + 1_500
    assert said_by(capsys, "prove")["verdict"] == "pass"


def test_every_field_that_the_model_lacks_here_is_named_at_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contract = folder / "flows" / "detector.toml"
    text = contract.read_text("utf-8").replace("[events]", '[events]\nignored = ["bytes_in"]')
    contract.write_text(text, "utf-8")
    model = folder / "model.txt"
    model.write_text(model.read_text("utf-8").replace(" packets ", " n_packets "), "utf-8")
    lacking, unknown = said_by(capsys, "adopt", "model.txt", status=3)["faults"]
    assert "bytes_in, which is no feature here (ignored)" in lacking["message"]
    assert "'n_packets'" in unknown["message"]
    assert "packets" in unknown["hint"]


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("model.pkl", b"\x80\x04\x95", "pickle"),
        ("model.cbm", b"CBM1....", "CatBoost"),
        ("model.bin", b"something", "no reader knows"),
        ("model.txt", b"tree\nversion=v4\n\nTree=0\n", "ends before"),
    ],
)
def test_what_cannot_be_adopted_is_refused_with_a_cure(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, word: str
) -> None:
    (folder / name).write_bytes(content)
    (fault,) = said_by(capsys, "adopt", name, status=3)["faults"]
    assert word in fault["message"]
    assert fault["hint"]
