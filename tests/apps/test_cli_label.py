"""baluarte label: files, databases and objects; time, source, delay, correction and conflict."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from workspace_ground import Ground, Shell


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
