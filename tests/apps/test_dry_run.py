"""baluarte plan's forecast: told of few rows too, and where it can't be told a line says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baluarte.apps.cli.main import main

CONTRACT = """
name = "flows"
purpose = "test"
owner = "test"
[events]
label = "bad"
positive = ["1"]
time = "at"
[types]
integer = ["bad"]
number = ["net.bytes", "rate"]
time = ["at"]
[objective]
max_fpr = 0.05
confidence = 0.9
events_per_day = 40
[learner]
families = ["logistic"]
trials = 1
folds = 2
"""


def planned(
    folder: Path, capsys: pytest.CaptureFixture[str], *, n: int, share: float
) -> tuple[dict[str, Any], str]:
    """The plan of n events of which a share is bad, as JSON and as a person reads it."""
    rng = np.random.default_rng(3)
    lines = []
    for i in range(n):
        bad = bool(rng.random() < share)
        size = round(float(rng.lognormal(2 + bad, 1)), 3)
        rate = round(float(rng.normal(bad, 1)), 3)
        at = 1_700_000_000 + 60 * i
        lines.append(json.dumps({"bad": int(bad), "net": {"bytes": size}, "rate": rate, "at": at}))
    (folder / "past.ndjson").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "detector.toml").write_text(CONTRACT, "utf-8")
    (folder / "workspace.toml").write_text(
        '[detectors.flows]\npath = "detector.toml"\nevents = "past.ndjson"\n', "utf-8"
    )
    main(["plan", "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["plan"]
    main(["plan"])
    return found, " ".join(capsys.readouterr().out.split())


def test_few_rows_are_enough_to_tell_what_a_detector_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plan, said = planned(tmp_path, capsys, n=1_000, share=0.2)
    told = plan["forecast"]
    assert told["rows"] == 1_000
    assert told["train_minutes"] > 0
    # The whole path holds the score, and is what an event takes.
    assert told["path_ms"][0] > told["latency_ms"][0] > 0
    assert " s to train" in said
    assert "ms to decode, encode and score an event" in said
    assert "kB of records a day" in said
    assert "·10" not in said


@pytest.mark.parametrize(
    ("n", "share", "why"),
    [
        (300, 0.2, "a dry run takes 400 labelled rows, and there are 300"),
        (2_000, 0.002, "a dry run takes 10 rows of attacks and of others, and of one there are"),
    ],
)
def test_where_nothing_can_be_told_a_line_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    n: int,
    share: float,
    why: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    plan, said = planned(tmp_path, capsys, n=n, share=share)
    assert plan["forecast"] is None
    assert why in said
    assert why in " ".join((tmp_path / "plan.html").read_text("utf-8").split())
