"""baluarte.apps.batch: a file is scored in chunks, recorded, and written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scoring_ground import Workplace, on_the_wire

from baluarte import wiring
from baluarte.adapters.system import SystemClock
from baluarte.apps.batch import Scored, score_file
from baluarte.core.decision import DecisionRecord
from baluarte.core.event import event_digest
from baluarte.errors import DataError, OutsideError
from baluarte.stages.fetch import open_version
from baluarte.stages.score import Scorer
from baluarte.testing.bundles import sample_events
from baluarte.testing.stores import MemoryLedger


class Steps:
    def __init__(self) -> None:
        self.done: list[int] = []

    def step(self, done: int, total: int, note: str = "") -> None:
        self.done.append(done)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    place = Workplace(tmp_path_factory.mktemp("batch"))
    version = place.seal()
    stores = place.stores()
    return Scorer(
        open_version(
            version,
            bundles=stores["bundles"],
            verifier=stores["verifier"],
            at_us=SystemClock().now_us(),
        )
    )


def events_file(folder: Path, n: int = 300, *, with_ids: bool = True) -> Path:
    path = folder / "events.ndjson"
    events = [on_the_wire(event) for event in sample_events(n)]
    if not with_ids:
        for event in events:
            del event["id"]
    path.write_bytes(msgspec.json.Encoder().encode_lines(events))
    return path


def run(
    scorer: Scorer, source: Path, out: Path, **more: Any
) -> tuple[Scored, list[dict[str, Any]]]:
    done = score_file(
        scorer,
        str(source),
        str(out),
        source=wiring.source_for(str(source)),
        sink=wiring.sink_for(str(out)),
        clock=SystemClock(),
        **more,
    )
    return done, [json.loads(line) for line in out.read_text().splitlines()]


def test_every_decision_is_recorded_and_written(scorer: Scorer, tmp_path: Path) -> None:
    ledger, steps = MemoryLedger(), Steps()
    shard = ledger.open_shard()
    done, rows = run(
        scorer,
        events_file(tmp_path),
        tmp_path / "out.ndjson",
        shard=shard,
        batch_rows=128,
        progress=steps,
    )
    assert done.rows == len(rows) == 300
    assert done.recorded
    assert sum(done.outcomes.values()) == 300
    assert done.outcomes["alert"] == sum(row["outcome"] == "alert" for row in rows)
    assert steps.done == [128, 256, 300]
    (kept,) = ledger.kept.values()
    records = [msgspec.json.decode(data, type=DecisionRecord) for data in kept]
    for row, record in zip(rows, records, strict=True):
        assert (row["id"], row["event_id"]) == (record.id, record.event_id)
        assert (row["score"], row["points"]) == (record.score, record.points)
        assert (row["outcome"], row["version"]) == (record.outcome, record.version)
        if record.reasons is None:
            assert row["reason_1"] is None
        else:
            strongest = max(range(3), key=lambda i: record.reasons[i])
            assert row["reason_1"] == scorer.fields[strongest]


def test_without_a_ledger_nothing_is_recorded_and_there_is_no_record_id(
    scorer: Scorer, tmp_path: Path
) -> None:
    done, rows = run(scorer, events_file(tmp_path), tmp_path / "out.ndjson")
    assert not done.recorded
    assert "id" not in rows[0]
    assert [row["event_id"] for row in rows] == [f"e{i}" for i in range(300)]


def test_events_without_ids_get_ones_of_their_digest_and_place_in_the_file(
    scorer: Scorer, tmp_path: Path
) -> None:
    source = events_file(tmp_path, 20, with_ids=False)
    _, rows = run(scorer, source, tmp_path / "out.ndjson", batch_rows=8)
    for i, row in enumerate(rows):
        assert row["event_id"].endswith(f"-{i}")
    assert rows[0]["event_id"] == event_digest({"service": "http"})[7:39] + "-0"


def test_the_size_of_the_chunks_changes_nothing(scorer: Scorer, tmp_path: Path) -> None:
    source = events_file(tmp_path)
    _, whole = run(scorer, source, tmp_path / "a.ndjson")
    _, parts = run(scorer, source, tmp_path / "b.ndjson", batch_rows=7, threads=2)
    assert whole == parts


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_sink_takes_the_columns(scorer: Scorer, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    done = score_file(
        scorer,
        str(events_file(tmp_path)),
        str(out),
        source=wiring.source_for("x.ndjson"),
        sink=wiring.sink_for(str(out)),
        clock=SystemClock(),
        batch_rows=4,
    )
    assert (done.rows, out.exists()) == (300, True)


def test_a_faulty_file_leaves_no_output(scorer: Scorer, tmp_path: Path) -> None:
    source = events_file(tmp_path)
    source.write_bytes(source.read_bytes() + b'{"failures":"many"}\n')
    with pytest.raises(DataError, match="failures"):
        run(scorer, source, tmp_path / "out.ndjson", batch_rows=100)
    assert not (tmp_path / "out.ndjson").exists()


def test_no_room_to_record_is_no_decision(scorer: Scorer, tmp_path: Path) -> None:
    ledger = MemoryLedger()
    shard = ledger.open_shard()
    ledger.full = True
    with pytest.raises(OutsideError, match="no room"):
        run(scorer, events_file(tmp_path), tmp_path / "out.ndjson", shard=shard)
    assert not (tmp_path / "out.ndjson").exists()
