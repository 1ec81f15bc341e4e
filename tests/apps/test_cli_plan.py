"""baluarte plan and train: what blocks stops training, until it is cured or accepted by name."""

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

[types]
integer = ["bad", "seen_by_analyst"]
number = ["bytes", "rate"]

[objective]
max_fpr = 0.05
confidence = 0.9

[learner]
families = ["lightgbm"]
trials = 1
folds = 2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A detector whose events hold the label in disguise."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    lines = []
    for _ in range(3_000):
        bad = bool(rng.random() < 0.2)
        lines.append(
            json.dumps(
                {
                    "bad": int(bad),
                    "seen_by_analyst": int(bad),
                    "bytes": round(float(rng.lognormal(2 + bad, 1)), 3),
                    "rate": round(float(rng.normal(bad, 1)), 3),
                }
            )
        )
    (tmp_path / "past.ndjson").write_text("\n".join(lines) + "\n", "utf-8")
    (tmp_path / "detector.toml").write_text(CONTRACT, "utf-8")
    (tmp_path / "workspace.toml").write_text(
        '[detectors.flows]\npath = "detector.toml"\nevents = "past.ndjson"\n', "utf-8"
    )
    return tmp_path


def test_a_block_stops_training_until_it_is_accepted_by_name_with_a_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*words: str, status: int) -> dict[str, Any]:
        assert main([*words, "--json"]) == status, words
        out = capsys.readouterr().out
        found: dict[str, Any] = json.loads(out) if out else {}
        return found

    stopped = told("train", status=1)
    (name,) = stopped["blocking"]
    assert name.endswith("seen_by_analyst")
    assert not list((folder / ".baluarte" / "drafts").glob("*.pending.json"))
    told("build", status=1)

    told("plan", "--accept", name, status=2)  # no reason
    assert "plan.accept" not in (folder / "detector.toml").read_text("utf-8")
    told("plan", "--accept", name, "--because", "analysts look before we decide", status=0)
    assert "analysts look before we decide" in (folder / "detector.toml").read_text("utf-8")
    assert told("train", status=0)["trials"] == 1


def test_the_cure_that_plan_names_takes_the_block_away_and_leaves_the_rest_of_the_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    (fix,) = {f["fix"] for f in said["plan"]["findings"] if f["level"] == "block"}
    assert main(["plan", "--fix", fix]) == 0
    text = (folder / "detector.toml").read_text("utf-8")
    (line,) = set(text.splitlines()) - set(CONTRACT.splitlines())
    assert line == 'ignored = ["seen_by_analyst"]'
    page = (folder / "plan.html").read_text("utf-8")
    assert "default-src &#x27;none&#x27;" in page  # it stands by itself


def test_only_a_finding_of_the_plan_is_accepted_and_nothing_is_written_otherwise(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "detector.toml"
    assert main(["plan", "--json"]) == 1
    (name,) = json.loads(capsys.readouterr().out)["plan"]["blocking"]
    mistyped = name.replace("seen", "sen")
    why = ["--because", "x"]
    assert main(["plan", "--fix", "rate", "--accept", name, "--accept", mistyped, *why]) == 2
    said = capsys.readouterr().err
    assert f"found {mistyped!r}" in said
    assert f"Did you mean {name}?" in said
    assert file.read_text("utf-8") == CONTRACT

    file.write_text(f'{CONTRACT}[plan.accept]\nconstant_gone = "it was so"\n', "utf-8")
    assert main(["plan", "--accept", "constant_gone", *why]) == 1  # still blocked, no fault
    assert 'constant_gone = "x"' in file.read_text("utf-8")
    assert main(["plan", "--accept", name, *why, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out.splitlines()[-1])["plan"]
    assert (plan["accepted"], plan["blocking"]) == ({name: "x"}, [])
    assert 'constant_gone = "x"' in file.read_text("utf-8")


def test_a_build_speaks_one_language_and_counts_its_trials_in_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def lines(*words: str) -> str:
        main([*words])
        return " ".join(capsys.readouterr().out.split())

    lines("plan", "--fix", "seen_by_analyst")
    english = lines("train")
    assert "Train 1 trial, " in english
    assert "Next: baluarte prove" in english
    file = folder / "workspace.toml"
    file.write_text('language = "es"\n' + file.read_text("utf-8"), "utf-8")
    spanish = lines("build")
    assert "Entrenar 1 ensayo, " in spanish
    assert "el mejor: " in spanish
    assert "Probar " in spanish
    assert "mirada 1 a las filas de prueba" in spanish
    assert "Siguiente: baluarte" in spanish
    for word in ("trial", "best:", "tuning", "look", "bound", "limit ", "rows", "Next", "signed"):
        assert word not in spanish, word
    assert "Siguiente: " in lines("train", "--lang", "es")
