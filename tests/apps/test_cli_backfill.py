"""baluarte backfill: all that was counted is said, in words as in JSON."""

from __future__ import annotations

import json
import random
import subprocess
import sys
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


def workspace(folder: Path, lines: list[str], more: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "detector.toml").write_text(CONTRACT, "utf-8")
    (folder / "workspace.toml").write_text(
        f'[detectors.cards]\npath = "detector.toml"\nevents = "past.csv"\n{more}', "utf-8"
    )
    text = "id,at,card,shop,amount,fraud\n" + "".join(lines)
    (folder / "past.csv").write_text(text, "utf-8")


def kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The state that a backfill of this workspace leaves."""
    monkeypatch.chdir(folder)
    assert main(["backfill", "past.csv"]) == 0
    (state,) = folder.rglob("*.state")
    return state.read_bytes()


def test_the_order_of_the_file_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = "[limits]\nbatch_rows = 100\n"
    lines = [f"e{i},{1_700_000_000 + i},c{i % 9},s{i % 5},{i}.5,{i % 2}\n" for i in range(9_000)]
    workspace(tmp_path / "sorted", lines)
    random.Random(5).shuffle(lines)
    workspace(tmp_path / "mixed", lines, limits)
    assert kept(tmp_path / "mixed", monkeypatch) == kept(tmp_path / "sorted", monkeypatch)


def test_a_file_that_can_not_be_read_to_its_end_leaves_the_state_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace(tmp_path, [f"e{i},{1_700_000_000 + i},c1,s1,1,0\n" for i in range(10)])
    before = kept(tmp_path, monkeypatch)
    workspace(tmp_path, ["f1,1700000000,c2,s2,1,0\n", "f2,noon,c2,s2,1,0\n"])
    assert main(["backfill", "past.csv"]) == 3
    (state,) = tmp_path.rglob("*.state")
    assert state.read_bytes() == before


_PEAK = """
import sys
from pathlib import Path
from baluarte.apps.cli.main import main
assert main(["backfill", "past.ndjson", "--json"]) == 0
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for n in (10_000, 60_000):
        folder = tmp_path / str(n)
        workspace(folder, [], "[limits]\nbatch_rows = 2000\n")
        # Half a day apart, so that what the windows hold is the same at any time.
        lines = [
            f'{{"id":"e{i}","at":{i * 43_200},"card":"c{i % 9}","shop":"s1","amount":{i}.5}}\n'
            for i in range(n)
        ]
        (folder / "past.ndjson").write_text("".join(lines))
        done = subprocess.run(
            [sys.executable, "-c", _PEAK], cwd=folder, capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    assert peaks[1] < peaks[0] + 24
