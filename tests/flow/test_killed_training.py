"""Training that is killed and run again ends in the program of training that was left alone."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baluarte.apps.cli.main import main
from baluarte.apps.making import pending_candidate
from baluarte.apps.place import find_workspace
from baluarte.apps.session import Session
from baluarte.core.candidate import Candidate, candidate_files
from baluarte.testing.simulate_flows import flows

TRIALS = 4
SETTINGS = f"""
[learner]
families = ["lightgbm", "logistic"]
trials = {TRIALS}
folds = 2
"""


def detector_in(folder: Path, events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace with one detector over the events."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert main(["init", "flows", "--events", str(events)]) == 0
    contract = folder / "flows" / "detector.toml"
    contract.write_text(contract.read_text("utf-8") + SETTINGS, "utf-8")


def train(folder: Path) -> subprocess.Popen[bytes]:
    """Training in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "baluarte.apps.cli.main", "train", "flows"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kept_trials(folder: Path) -> int:
    """Completed trials in the journal of the search."""
    journals = list(folder.glob(".baluarte/**/*.journal"))
    return sum(journal.read_bytes().count(b'\\"number\\":') for journal in journals)


def kill_after(folder: Path, trials: int) -> None:
    """Train, and SIGKILL as soon as this many trials are kept."""
    with train(folder) as process:
        deadline = time.monotonic() + 120
        while kept_trials(folder) < trials:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline, "no trial was kept"
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def candidate_of(folder: Path) -> Candidate:
    """The pending candidate."""
    named = argparse.Namespace(workspace=str(folder / "workspace.toml"), set=[])
    with Session(find_workspace(named), actor="ana") as session:
        return pending_candidate(session, "flows")[1]


@pytest.mark.parametrize(
    "kills", [(2,), pytest.param((1, 2, 3), marks=pytest.mark.soak)], ids=["once", "three times"]
)
def test_training_that_was_killed_and_run_again_gives_the_same_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: tuple[int, ...]
) -> None:
    events = tmp_path / "events.parquet"
    columns = {name: v.tolist() for name, v in flows(2_500, later=False, seed=3).items()}
    pq.write_table(pa.table(columns), events)
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    detector_in(alone, events, monkeypatch)
    detector_in(killed, events, monkeypatch)

    for trials in kills:
        kill_after(killed, trials)
        assert not list(killed.glob(".baluarte/**/*.pending.json"))
    for folder in (alone, killed):
        monkeypatch.chdir(folder)
        assert main(["train", "flows"]) == 0

    one, two = candidate_of(alone), candidate_of(killed)
    files, others = candidate_files(one), candidate_files(two)
    for name in ("program.bin", "bands.json", "encoder.json"):
        assert files[name] == others[name], name
    assert [(t.number, t.model, t.params, t.value) for t in one.training.trials] == [
        (t.number, t.model, t.params, t.value) for t in two.training.trials
    ]
    assert len(two.training.trials) == TRIALS
    assert one.training.members == two.training.members
    assert one.holdout == two.holdout
