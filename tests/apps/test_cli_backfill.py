"""baluarte backfill: all that was counted is said, in words as in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from baluarte.apps.cli.main import main

CONTRACT = """
name = "cards"
purpose = "test"
owner = "test"
[events]
label = "fraud"
positive = ["1"]
id = "id"
time = "at"
keys = ["card", "shop"]
[types]
integer = ["fraud"]
text = ["id"]
time = ["at"]
category = ["card", "shop"]
number = ["amount"]
[objective]
max_fpr = 0.05
[history]
late_s = 60
max_entities = 16
[windows.n_hour]
op = "count"
by = "card"
window_s = 3600
[windows.n_shop]
op = "count"
by = "shop"
window_s = 3600
"""


def test_each_counter_that_moved_is_a_line_and_the_bound_holds_for_each_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "detector.toml").write_text(CONTRACT, "utf-8")
    (tmp_path / "workspace.toml").write_text(
        '[detectors.cards]\npath = "detector.toml"\nevents = "past.ndjson"\n', "utf-8"
    )
    events: list[dict[str, Any]] = [
        {"id": f"e{i}", "at": 1_700_000_000 + i, "card": f"c{i}", "shop": f"s{i % 16}"}
        for i in range(20)
    ]
    events.append({**events[-1], "at": events[-1]["at"] + 1})
    lines = [json.dumps({**event, "amount": 1.0, "fraud": 0}) for event in events]
    (tmp_path / "past.ndjson").write_text("\n".join(lines) + "\n", "utf-8")

    assert main(["backfill", "past.ndjson", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    # 20 cards are four too many for 16; the 16 shops are their own 16.
    assert (counts["entities"], counts["entities_forgotten"], counts["repeats"]) == (32, 4, 1)
    assert counts["folded"] == counts["too_late"] == 0

    assert main(["backfill", "past.ndjson"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the 4 longest idle entities were forgotten" in said
    assert "1 event repeated an id" in said
    assert "too late" not in said
    assert "bucket" not in said
    assert main(["backfill", "past.ndjson", "--lang", "es"]) == 0
    assert "Se olvidaron 4 entidades" in " ".join(capsys.readouterr().out.split())
