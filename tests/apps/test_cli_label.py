"""baluarte label: files, databases and objects; time, source, delay, correction and conflict."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from workspace_ground import Ground, Shell

from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.label import delay_line


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path / "w")


@pytest.fixture
def shell(ground: Ground, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(ground.root, capsys)


ROWS = [("a", 1), ("b", 0), ("c", 1)]


def delivered(root: Path, form: str) -> str:
    """The same labels as a file, a table or a query."""
    if form == "csv":
        (root / "l.csv").write_text("event_id,label\n" + "".join(f"{e},{n}\n" for e, n in ROWS))
    elif form == "ndjson":
        lines = [json.dumps({"event_id": e, "label": bool(n)}) for e, n in ROWS]
        (root / "l.ndjson").write_text("\n".join(lines))
    elif form == "parquet":
        table = {"event_id": [e for e, _ in ROWS], "label": [n for _, n in ROWS], "more": [1, 2, 3]}
        pq.write_table(pa.table(table), root / "l.parquet")
    else:
        with sqlite3.connect(root / "l.db") as opened:
            opened.execute("CREATE TABLE verdicts (event_id TEXT, label INTEGER)")
            opened.executemany("INSERT INTO verdicts VALUES (?, ?)", ROWS)
        opened.close()
        return f"sqlite:{root / 'l.db'}?table=verdicts"
    return str(root / f"l.{form}")


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet", "sqlite"])
def test_labels_come_from_files_and_databases(form: str, ground: Ground, shell: Shell) -> None:
    address = delivered(ground.root, form)
    status, said = shell.json("label", address)
    assert (status, said["new"], said["same"], said["never_decided"]) == (0, 3, 0, 3)
    assert shell.json("label", address)[1]["same"] == 3
    with ground.session() as session:
        assert {e: r.label for e, r in session.registry.labels("flows").items()} == dict(ROWS)


def test_what_contradicts_is_kept_and_listed_with_its_time_and_source(
    ground: Ground, shell: Shell
) -> None:
    first, then = ground.root / "first.csv", ground.root / "then.csv"
    first.write_text("event_id,label,at,source\na,1,2026-01-01T00:00:00Z,bank\nb,0,,bank\n")
    then.write_text("event_id,label,at,source\na,0,2026-01-05T00:00:00Z,desk\nb,1,,bank\n")
    shell.json("label", str(first))
    _, said = shell.json("label", str(then))
    assert (said["new"], said["corrections"], said["conflicts"]) == (0, 1, 1)
    _, told = shell.json("label", "--conflicts")
    assert [(r["event_id"], r["label"], r["source"]) for r in told["conflicts"]] == [
        ("a", 1, "bank"), ("a", 0, "desk"),
    ]  # fmt: skip
    assert "2026-01-05 00:00" in shell.text("label", "--conflicts")[1]
    with ground.session() as session:
        assert all(row.taken_at > row.at > 0 for row in session.registry.label_conflicts("flows"))


def test_the_time_that_labels_took_is_said_once_where_half_took_as_long_as_nine_in_ten() -> None:
    english, spanish = Texts("en"), Texts("es")
    assert delay_line(english, 3, 31) == (
        "half of them came within 3 days of the event, nine in ten within 31"
    )
    assert delay_line(english, 31.02, 31.04) == (
        "nine in ten of them came within 31 days of the event"
    )
    assert "31" in delay_line(spanish, 31, 31)


def test_plan_judges_those_who_gave_the_labels_by_the_others(ground: Ground, shell: Shell) -> None:
    rng = np.random.default_rng(4)
    version = ground.seal()
    ground.promote(version)
    attack = rng.random(1_200) < 0.3
    events = [
        {
            "id": f"e{i}", "time": 1_750_000_000_000_000 + i * 1_000_000,
            "bytes_out": float(rng.normal(1_000 + 9_000 * hit, 500)), "failures": int(4 * hit),
            "service": str(rng.choice(["ssh", "web"])),
        }
        for i, hit in enumerate(attack)
    ]  # fmt: skip
    ground.decide(version, events, reasons="none")
    who = rng.integers(0, 4, 1_200)
    told = np.where(who == 3, attack & (rng.random(1_200) < 0.3), attack)
    rows = [f"e{i},{int(t)},desk {w}" for i, (t, w) in enumerate(zip(told, who, strict=True))]
    (ground.root / "l.csv").write_text("event_id,label,source\n" + "\n".join(rows), "utf-8")
    assert shell.json("label", str(ground.root / "l.csv"))[1]["new"] == 1_200
    past = [
        json.dumps({**e, "time": e["time"] / 1e6, "attack": bool(h)})
        for e, h in zip(events, attack, strict=True)
    ]
    (ground.root / "past.ndjson").write_text("\n".join(past), "utf-8")
    status, said = shell.json("plan", "flows", "--events", str(ground.root / "past.ndjson"))
    assert status < 2, said
    found = [f for f in said["plan"]["findings"] if f["check"] == "sources_disagree.labels"]
    assert [(f["values"]["source"], f["fix"]) for f in found] == [
        ("desk 3", "distrust:@source=desk 3")
    ]


def test_the_workspaces_own_labels_are_taken_without_an_argument(
    ground: Ground, shell: Shell
) -> None:
    delivered(ground.root, "csv")
    path = ground.root / "workspace.toml"
    path.write_text(path.read_text() + 'labels = "l.csv"\nreading = { separator = "," }\n')
    assert shell.json("label")[1]["new"] == 3


def test_a_row_that_is_no_label_is_left_out_or_stops_all(ground: Ground, shell: Shell) -> None:
    path = ground.root / "l.csv"
    good = "".join(f"e{i},1\n" for i in range(200))
    path.write_text("event_id,label\n" + good + ",1\n")
    _, said = shell.json("label", str(path))
    assert (said["new"], said["quarantined"]) == (200, 1)
    path.write_text("event_id,label\nx1,1\n,1\n")
    status, _ = shell.json("label", str(path))
    assert status == 3
    with ground.session() as session:
        assert "x1" not in session.registry.labels("flows")
