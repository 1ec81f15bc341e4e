"""A detector's whole life at the command line: from a file of events to a second version, and back.

Told twice: in lines for a person, and as JSON documents for a program.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baluarte.apps.cli.main import main
from baluarte.core.native import native
from baluarte.testing.simulate_flows import flows

N_TRAIN, N_LATER = 6_000, 1_500
WIDTH = 100


class Said(NamedTuple):
    """What a command did: its exit status and all that it wrote."""

    status: int
    out: str
    document: dict[str, Any]


Type = Callable[..., Said]


def write_events(path: Path, n: int, *, later: bool) -> list[str]:
    """Simulated flows in a file, each with an id; those that come later without their label.

    Returns:
        the labels.
    """
    columns = {name: values.tolist() for name, values in flows(n, later=later, seed=11).items()}
    labels: list[str] = columns["label"]
    if later:
        del columns["label"]
    ids = [f"{path.stem}-{i}" for i in range(n)]
    pq.write_table(pa.table({"flow_id": ids, **columns}), path)
    return labels


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what a newcomer brings: events with labels, later ones, and labels of these."""
    write_events(tmp_path / "train.parquet", N_TRAIN, later=False)
    labels = write_events(tmp_path / "later.parquet", N_LATER, later=True)
    lines = [f"later-{i},{label}\n" for i, label in enumerate(labels)]
    (tmp_path / "labels.csv").write_text("event_id,label\n" + "".join(lines), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["text", "json"])
def type_(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Type:
    """Types a command in one voice, and checks what holds for everything that a command says."""

    def command(*words: str, status: int = 0) -> Said:
        capsys.readouterr()
        voice = ["--json"] if request.param == "json" else []
        got = main([*words, *voice])
        said = capsys.readouterr()
        assert got == status, f"baluarte {' '.join(words)}: {said.out}{said.err}"
        assert said.err == ""
        if request.param == "json":
            document = json.loads(said.out)
            assert said.out.count("\n") == 1
            assert document["next"]
            assert all(isinstance(one, str) for one in document["next"])
            return Said(got, said.out, document)
        lines = said.out.splitlines()
        assert lines[-1].startswith("  Next: ")
        assert sum(line.startswith("  Next: ") for line in lines) == 1
        assert [line for line in lines if len(line) > WIDTH] == []
        assert "\x1b" not in said.out
        return Said(got, said.out, {})

    return command


def learn_quickly(folder: Path) -> None:
    """The detector that init wrote, with a small budget of search."""
    contract = folder / "flows" / "detector.toml"
    text = contract.read_text("utf-8")
    assert text.count("\n") <= 40
    small = '\n[learner]\nfamilies = ["lightgbm"]\ntrials = 2\nfolds = 2\n'
    contract.write_text(text + small, "utf-8")


def check_proof_alone(proof: Path) -> dict[str, Any]:
    """What an auditor does who has the files of a proof, Python, and nothing of ours.

    Returns:
        the record.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py", "checkpoint", "record.json", "proof", "keys.txt"],
        cwd=proof,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    decoded: dict[str, Any] = json.loads((proof / "record.json").read_bytes())
    return decoded


def test_a_detector_lives_from_a_file_of_events_to_its_second_version_and_back(
    folder: Path, type_: Type
) -> None:
    type_("init", "flows", "--events", "train.parquet")
    learn_quickly(folder)
    type_("plan")
    assert "<script" not in (folder / "flows" / "plan.html").read_text("utf-8")
    type_("status")
    type_("build")
    type_("promote")

    scored = type_("score", "later.parquet", "--out", "decided.parquet")
    decided = pq.read_table(folder / "decided.parquet").to_pydict()
    assert len(decided["score"]) == N_LATER
    if scored.document:
        assert scored.document["rows"] == N_LATER
        assert sum(scored.document["outcomes"].values()) == N_LATER

    type_("explain", "LAST", "--page", "last.html")
    replayed = type_("replay", "--sample", "200")
    if replayed.document:
        assert replayed.document["replayed"] == replayed.document["identical"] == 200

    type_("ledger", "checkpoint")
    verified = type_("ledger", "verify")
    if verified.document:
        assert verified.document["holds"] is True
        assert verified.document["records"] > N_LATER
    type_("ledger", "proof", "LAST", "--out", "proof")
    record = check_proof_alone(folder / "proof")
    at = decided["event_id"].index(record["event_id"])
    assert record["score"] == decided["score"][at]
    assert record["outcome"] == decided["outcome"][at]

    labelled = type_("label", "labels.csv")
    if labelled.document:
        assert labelled.document["new"] == N_LATER
    watched = type_("watch", "--once", status=1)  # campaigns and newcomers that training never saw
    if watched.document:
        assert watched.document["alarms"]
        assert watched.document["labelled"] == N_LATER

    type_("retrain")
    type_("promote")
    rolled = type_("rollback")
    if rolled.document:
        assert rolled.document["version"] == 1
    stands = type_("status")
    if stands.document:
        (detector,) = stands.document["detectors"]
        assert detector["champion"] == 1
        assert [v["version"] for v in detector["versions"]] == [1, 2]
    if native("program._kernel") is not None:
        bits = type_("verify", "flows@2", "--bits", "--rows", "2000")
        if bits.document:
            assert bits.document["bits"]["n_different"] == 0
    type_("report", "evidence", "flows@2", "--page", "evidence.html")
    type_("keys", "list")
    type_("doctor")
    type_("ledger", "checkpoint")
    type_("ledger", "verify")
    type_("ledger", "tail", "-n", "3")


def test_proof_events_of_their_own_prove_and_a_look_at_them_is_counted(
    folder: Path, type_: Type
) -> None:
    write_events(folder / "proof.parquet", 2_000, later=False)
    type_("init", "flows", "--events", "train.parquet", "--label", "label")
    learn_quickly(folder)
    workspace = folder / "workspace.toml"
    named = workspace.read_text("utf-8") + 'holdout = "proof.parquet"\n'
    workspace.write_text(named, "utf-8")
    said = type_("train", "flows")
    cost = type_("prove", "flows", "--cost")
    assert "number 1" in cost.out or cost.document["look"] == 1
    if said.document:
        assert said.document["rows"]["proof"] == 2_000
    type_("prove", "flows")
    cost = type_("prove", "flows", "--cost")
    assert "number 2" in cost.out or cost.document["look"] == 2
