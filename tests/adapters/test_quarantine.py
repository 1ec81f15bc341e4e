"""baluarte.adapters.quarantine: bad rows are kept with their reasons, the others go on."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baluarte.adapters.quarantine import QuarantineFile
from baluarte.adapters.sources.arrow import ArrowSource
from baluarte.adapters.sources.csv import CsvSource
from baluarte.adapters.sources.ndjson import NdjsonSource
from baluarte.adapters.sources.parquet import ParquetSource
from baluarte.core.event import concat, records
from baluarte.core.reading import Tolerance
from baluarte.core.schema import Field, Schema
from baluarte.errors import DataError

SCHEMA = Schema(
    fields=(
        Field(name="amount", type="number", required=True),
        Field(name="country", type="category"),
    )
)
PATIENT = Tolerance(max_rows=100, max_share=1.0)


def read(source: Any, path: Path, tolerance: Tolerance = PATIENT, batch_rows: int = 2) -> Any:
    kept = path.with_name("bad.ndjson")
    with QuarantineFile(kept, tolerance) as quarantine:
        batches = list(source.read(str(path), SCHEMA, batch_rows=batch_rows, quarantine=quarantine))
        quarantine.settle(sum(batch.n for batch in batches))
    bad = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    return records(concat(batches)), bad


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 100])
def test_every_kind_of_bad_csv_row_is_kept_with_its_line_reason_and_text(
    batch_rows: int, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        b"amount,country\n1,ES\nmany,ES\n2,FR,x\n,PT\n3,\xf1\n"
        b'4,"a\nb"\n5,"x"y\n"x\ny",ES\n6,E\0S\n7,DE\n'
    )
    good, bad = read(CsvSource(), path, batch_rows=batch_rows)
    assert good == [
        {"amount": 1, "country": "ES"},
        {"amount": 4, "country": "a\nb"},
        {"amount": 7, "country": "DE"},
    ]
    assert [(row["line"], row["text"]) for row in bad] == [
        (3, "many,ES"),
        (4, "2,FR,x"),
        (5, ",PT"),
        (6, "3,\\xf1"),
        (9, '5,"x"y'),
        (10, '"x\ny",ES'),
        (12, "6,E\0S"),
    ]
    reasons = [row["faults"][0]["message"] for row in bad]
    for reason, word in zip(
        reasons,
        ("'many'", "expected 2 cells", "required", "UTF-8", "broken row", "a number", "a NUL"),
        strict=True,
    ):
        assert word in reason
    assert bad[0]["faults"][0]["where"] == f"{path}:3: amount"


def test_bad_json_lines_are_kept_beside_objects_that_do_not_conform(tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    path.write_bytes(
        b'{"amount":1}\n{"amount":\n\n{"amount":"x"}\n{"country":"ES"}\n{"amount":2}\n'
    )
    good, bad = read(NdjsonSource(), path)
    assert good == [{"amount": 1}, {"amount": 2}]
    assert [(row["line"], row["text"]) for row in bad] == [
        (2, '{"amount":'),
        (4, '{"amount":"x"}'),
        (5, '{"country":"ES"}'),
    ]


@pytest.mark.parametrize("form", ["parquet", "arrow", "arrows"])
def test_rows_of_arrows_formats_are_kept_as_json(form: str, tmp_path: Path) -> None:
    table = pa.table({"amount": [1.0, float("inf"), None, 4.0], "country": ["a", "b", None, "d"]})
    path = tmp_path / f"t.{form}"
    if form == "parquet":
        pq.write_table(table, path)
    else:
        opened = pa.ipc.new_file if form == "arrow" else pa.ipc.new_stream
        with opened(str(path), table.schema) as writer:
            writer.write_table(table)
    good, bad = read(ParquetSource() if form == "parquet" else ArrowSource(), path)
    assert good == [{"amount": 1, "country": "a"}, {"amount": 4, "country": "d"}]
    assert [row["line"] for row in bad] == [2, 3]
    assert json.loads(bad[1]["text"]) == {"amount": None, "country": None}


def test_one_bad_row_too_many_stops_and_says_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("amount,country\n" + "x,ES\n" * 30 + "1,ES\n" * 1000)
    with pytest.raises(DataError) as caught:
        read(CsvSource(), path, Tolerance(max_rows=25, max_share=1.0))
    assert "more than 25 rows" in str(caught.value)
    assert "bad.ndjson" in str(caught.value)
    assert f"{path}:2: amount" in str(caught.value)
    assert len((tmp_path / "bad.ndjson").read_text().splitlines()) == 26


def test_a_share_that_is_too_large_stops_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("amount,country\n" + "x,ES\n" * 3 + "1,ES\n" * 97)
    good, _ = read(CsvSource(), path, Tolerance(max_rows=50, max_share=0.03))
    assert len(good) == 97
    with pytest.raises(DataError, match="3 of 100 rows can't be read"):
        read(CsvSource(), path, Tolerance(max_rows=50, max_share=0.029))


def test_what_is_wrong_with_the_whole_file_is_never_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("amunt,country\n1,ES\n")
    with pytest.raises(DataError, match="Did you mean amunt"):
        read(CsvSource(), path)
    path.write_text('amount,country\n1,ES\n2,"FR\n3,PT\n')
    with pytest.raises(DataError, match="closing quote"):
        read(CsvSource(), path)


def test_the_file_is_its_owners_alone_and_goes_when_nothing_is_bad(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("amount,country\n1,ES\nx,ES\n2,ES\n")
    read(CsvSource(), path)
    kept = tmp_path / "bad.ndjson"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    path.write_text("amount,country\n1,ES\n")
    read(CsvSource(), path)
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]
