"""baluarte ledger index and export --parquet: the ledger's decisions, found and in columns."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from versions_ground import Life
from workspace_ground import Ground, Shell

from baluarte.core.ids import format_ids
from baluarte.core.registry import LabelRow
from baluarte.stages.score import Scorer
from baluarte.testing.bundles import personal_schema, sample_events, sample_parts

RUN = "from baluarte.apps.cli.main import main; raise SystemExit(main())"


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    return Life(tmp_path_factory.mktemp("life") / "w", n=700)


@pytest.fixture
def shell(life: Life, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(life.ground.root, capsys)


def test_the_index_is_brought_up_to_date_and_made_anew(life: Life, shell: Shell) -> None:
    assert shell.json("ledger", "index")[1]["indexed"] == 700
    assert shell.json("ledger", "index")[1]["read"] == 0
    again = shell.json("ledger", "index", "--rebuild")[1]
    with life.ground.session() as session:
        records = sum(session.reader.size(tag) for tag in session.reader.shards())
    assert (again["indexed"], again["read"]) == (700, records)
    assert records > 700  # seals and keys are acts
    (life.ground.root / ".baluarte" / "index.sqlite").unlink()
    assert shell.json("ledger", "index")[1]["indexed"] == 700


def test_an_event_leads_to_its_decisions(shell: Shell) -> None:
    assert shell.json("explain", "e17")[1]["event_id"] == "e17"
    assert shell.json("replay", "e17", "e18")[1]["identical"] == 2


def test_every_decision_is_a_row_of_typed_columns(life: Life, shell: Shell, tmp_path: Path) -> None:
    with life.ground.session() as session:
        decided = {record.id: record for record in session.decisions()}
        row = LabelRow(event_id="e5", label=1, at=1_000_000, source="desk")
        session.registry.add_labels("flows", [row])
    out = tmp_path / "d.parquet"
    status, said = shell.json("ledger", "export", "--parquet", str(out))
    assert (status, said["files"]) == (0, [{"path": str(out), "rows": 700}])
    table = pq.read_table(out)
    types = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert types["event.bytes_out"] == "double"
    assert types["event.failures"] == types["score"] == types["reason.n_hour"] == "int64"
    assert types["event.started"] == types["decided_at"] == "timestamp[us, tz=UTC]"
    assert types["event.source"] == types["event.service"] == "string"
    assert types["label"] == types["sealed"] == "bool"
    assert len(table) == 700
    for one in table.to_pylist():
        record = decided[one["id"]]
        assert (one["score"], one["outcome"]) == (record.score, record.outcome)
        assert one["event.bytes_out"] == record.event.get("bytes_out")
        assert one["event.user"] == record.event.get("user")
        assert one["base"] == record.base
        reasons = [v for k, v in one.items() if k.startswith("reason.") and v is not None]
        assert one["base"] is None or one["base"] + sum(reasons) == one["score"]
    (labelled,) = (one for one in table.to_pylist() if one["label"] is not None)
    assert (labelled["event_id"], labelled["label"], labelled["label_source"]) == (
        "e5",
        True,
        "desk",
    )
    assert labelled["label_at"] == dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)


def test_a_folder_has_one_file_a_detector_and_a_stretch_of_time(
    shell: Shell, tmp_path: Path
) -> None:
    out = tmp_path / "all"
    _, said = shell.json("ledger", "export", "--parquet", str(out), "--since", "1h")
    (one,) = said["files"]
    assert one == {"path": str(out / "detector=flows" / "decisions.parquet"), "rows": 700}
    _, said = shell.json("ledger", "export", "--parquet", str(out), "--until", "2020-01-01")
    assert said["files"][0]["rows"] == 0
    assert len(pq.read_table(out / "detector=flows" / "decisions.parquet")) == 0


def test_a_failed_export_leaves_what_was_there(
    life: Life, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(life.ground.root, root)
    out = tmp_path / "d.parquet"
    out.write_bytes(b"before")
    for segment in (root / ".baluarte" / "ledger").glob("*/*.seg"):
        data = bytearray(segment.read_bytes())
        data[len(data) // 400] ^= 1
        segment.write_bytes(bytes(data))
        segment.with_suffix(".idx").unlink()
    status, _ = Shell(root, capsys).text("ledger", "export", "--parquet", str(out))
    assert status == 4
    assert out.read_bytes() == b"before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy", "d.parquet"]


def test_personal_values_are_in_no_file_that_is_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ground = Ground(tmp_path / "w")
    version = ground.seal(sample_parts(schema=personal_schema()))
    events = [e | {"user": "u1", "full_name": "Canary Ñandú"} for e in sample_events(50)]
    with ground.session() as session:
        scorer, now = Scorer(session.bundle(version.digest)), session.clock.now_us()
        subjects = scorer.subjects(events, lambda: "lone") or []
        who = scorer.identify_all(
            events, ordinals=range(len(events)), arrival_us=now, subjects=subjects,
            keys=session.people.keys(subjects),
        )  # fmt: skip
        decided = scorer.decide_records(events, reasons="all")
        ids = format_ids(now // 1000, session.shard.tag, session.shard.size, len(events))
        session.shard.append(scorer.records(decided, ids, who, decided_at=now))
        session.shard.commit()
    shell = Shell(ground.root, capsys)
    assert shell.json("replay")[1]["identical"] == 50
    out = tmp_path / "d.parquet"
    shell.json("ledger", "export", "--parquet", str(out))
    table = pq.read_table(out)
    assert "Canary" not in str(table.to_pylist())
    assert not {"event.user", "event.full_name", "event.bytes_out"} & set(table.column_names)
    assert set(table["sealed"].to_pylist()) == {True}
    assert set(table["reason.service"].to_pylist()) == {None}


def test_an_index_whose_maker_was_killed_is_completed_from_the_ledger(tmp_path: Path) -> None:
    ground = Ground(tmp_path / "w")
    version = ground.seal()
    for _ in range(4):
        ground.decide(version, sample_events(5_000), reasons="none")
    address = ground.root / ".baluarte" / "index.sqlite"
    command = [sys.executable, "-c", RUN, "ledger", "index", "--workspace"]
    grown = 0
    for _ in range(3):
        maker = subprocess.Popen(
            [*command, str(ground.root / "workspace.toml")], stdout=subprocess.DEVNULL
        )
        while maker.poll() is None and _indexed(address) <= grown:
            time.sleep(0.002)
        maker.kill()
        maker.wait()
        grown = _indexed(address)
    with ground.session() as session:
        index = session.indexed()
        found = index.of_events([f"e{i}" for i in range(5_000)])
        ids = sorted(one.id for decisions in found.values() for one in decisions)
        assert ids == sorted(record.id for record in session.decisions())
        assert index.count() == 20_000


def _indexed(address: Path) -> int:
    """How many decisions are in the file now, as another process sees it."""
    if not address.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{address}?mode=ro", uri=True)) as opened:
        try:
            return int(opened.execute("SELECT count(*) FROM decisions").fetchone()[0])
        except sqlite3.Error:  # it is being made
            return 0
