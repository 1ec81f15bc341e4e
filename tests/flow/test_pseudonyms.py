"""Personal data get pseudonyms by the command that plan offers; then no place knows of them."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_windows_life import server

from baluarte import load
from baluarte.apps.cli.main import main
from baluarte.errors import ContractError, TrustError

CONTRACT = """
name = "cards"
purpose = "Find cards that were stolen"
owner = "test"

[events]
label = "fraud"
positive = ["1"]
id = "id"
time = "at"
entity = "holder"

[types]
integer = ["fraud"]
time = ["at"]
number = ["amount"]
category = ["id", "holder", "shop"]

[objective]
max_fpr = 0.05
min_recall = 0.3
confidence = 0.9

[learner]
families = ["lightgbm"]
trials = 1
folds = 2

[windows.n_hour]
op = "count"
by = "holder"
window_s = 3600
"""


def holder(i: int) -> str:
    return f"ana.{i:04d}@example.org"


def make_events(n: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    found = []
    at = 1_700_000_000.0
    for i in range(n):
        at += float(rng.exponential(300))
        stolen = bool(rng.random() < 0.1)
        found.append({
            "id": f"tx-{seed}-{i}", "at": round(at, 3), "holder": holder(int(rng.integers(400))),
            "shop": f"s{rng.integers(5)}", "fraud": int(stolen),
            "amount": round(float(rng.lognormal(5.0 if stolen else 3.0, 0.5)), 2),
        })  # fmt: skip
    return found


def write(path: Path, events: list[dict[str, Any]], *, labelled: bool) -> str:
    lines = [json.dumps({k: v for k, v in e.items() if labelled or k != "fraud"}) for e in events]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path.name


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main([*words, "--json"]) == 0, words
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_plan_offers_the_cure_and_then_no_place_knows_whom_the_events_are_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "detector.toml").write_text(CONTRACT, "utf-8")
    (tmp_path / "workspace.toml").write_text(
        '[detectors.cards]\npath = "detector.toml"\nevents = "past.ndjson"\n', "utf-8"
    )
    write(tmp_path / "past.ndjson", make_events(4_000, 1), labelled=True)
    findings = said(capsys, "plan")["plan"]["findings"]
    (personal,) = [f for f in findings if f["check"].startswith("personal_data")]
    assert personal["fix"] == "pseudonym:holder"
    cured = said(capsys, "plan", "--fix", personal["fix"], "--fix", "pseudonym:id")
    assert "personal_data" not in json.dumps(cured["plan"]["findings"])
    assert "pseudonym = true" in (tmp_path / "detector.toml").read_text("utf-8")

    said(capsys, "build")
    said(capsys, "promote")
    later = make_events(60, 2)
    asked, filed = later[:30], later[30:]
    with server(tmp_path, signal.SIGTERM) as running:
        bare = [{k: v for k, v in e.items() if k != "fraud"} for e in asked]
        answers = json.loads(running.ask("/v1/detectors/cards/decisions", bare))
        labels = [{"event_id": e["id"], "label": e["fraud"]} for e in asked]
        taken = running.ask("/v1/detectors/cards/labels", labels)
    assert json.loads(taken)["new"] == len(asked)
    said(capsys, "score", write(tmp_path / "later.ndjson", filed, labelled=False))
    rows = [f"{e['id']},{e['fraud']}" for e in filed]
    (tmp_path / "labels.csv").write_text("\n".join(["event_id,label", *rows]) + "\n", "utf-8")
    assert said(capsys, "label", "labels.csv")["new"] == len(filed)
    assert all(answer["event_id"].startswith("ps-") for answer in answers)
    said(capsys, "replay")

    # what was read again from files, and asked of the SDK, comes out as it was recorded
    key = (tmp_path / ".baluarte" / "keys" / "pseudonyms.key").read_text("utf-8").strip()
    (bundle,) = (tmp_path / ".baluarte" / "bundles").iterdir()
    detector = load(bundle, pseudonym_key=key)
    again = [detector.decide({k: v for k, v in e.items() if k != "fraud"}) for e in asked]
    assert [r.score for r in again] == [a["score"] for a in answers]
    assert [r.event_id for r in again] == [a["event_id"] for a in answers]

    with pytest.raises(ContractError, match="at least 32"):
        load(bundle)
    with pytest.raises(TrustError, match="expected the pseudonym key"):
        load(bundle, pseudonym_key="x" * 40)

    secrets = {holder(i).encode() for i in range(400)} | {e["id"].encode() for e in later}
    for path in (tmp_path / ".baluarte").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret in content], path
