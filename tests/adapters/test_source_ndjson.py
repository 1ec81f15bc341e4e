"""baluarte.adapters.sources.ndjson: nested and flat objects read alike."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest

from baluarte.adapters.sources.ndjson import NdjsonSource
from baluarte.core.event import concat, records
from baluarte.core.schema import Field, Schema
from baluarte.errors import DataError

FLAT = Schema(
    fields=(
        Field(name="bytes", type="integer", required=True),
        Field(name="proto", type="category"),
        Field(name="label", type="category", role="label"),
    )
)
NESTED = Schema(
    fields=(
        Field(name="bytes", type="integer", path="flow.bytes", required=True),
        Field(name="proto", type="category", path="flow.proto"),
        Field(name="label", type="category", role="label"),
    )
)
ROWS = [
    {"bytes": 1, "proto": "tcp"},
    {"bytes": 12345678901234567890, "proto": True},
    {"bytes": 3.0, "proto": None},
    {"bytes": 4, "proto": 80},
]


def written(folder: Path, rows: list[object], name: str = "t.ndjson") -> str:
    data = b"\n\n".join(msgspec.json.encode(row) for row in rows)  # no end of line at the end
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)


@pytest.mark.parametrize("name", ["t.ndjson", "t.jsonl.gz"])
def test_nested_and_flat_objects_give_the_same_events(name: str, tmp_path: Path) -> None:
    source = NdjsonSource()
    flat = concat(list(source.read(written(tmp_path, ROWS, name), FLAT, batch_rows=3)))
    nested_rows = [{"flow": row, "more": [1]} for row in ROWS]
    address = written(tmp_path, nested_rows, name)
    nested = concat(list(source.read(address, NESTED, batch_rows=3)))
    assert records(flat) == records(nested)
    assert records(flat)[1] == {"bytes": float(12345678901234567890), "proto": "true"}
    assert set(flat.columns) == {"bytes", "proto"}


@pytest.mark.parametrize(("schema", "path"), [(FLAT, "bytes"), (NESTED, "flow.bytes")])
def test_nested_and_flat_objects_have_the_same_faults(
    schema: Schema, path: str, tmp_path: Path
) -> None:
    bad = [{"bytes": 1}, {"bytes": "x"}, {"bytes": None}, {"proto": "tcp"}, {"bytes": 1.5}]
    rows = bad if schema is FLAT else [{"flow": row} for row in bad]
    address = written(tmp_path, rows)
    with pytest.raises(DataError) as caught:
        list(NdjsonSource().read(address, schema, batch_rows=2))
    assert [(fault.where, fault.message) for fault in caught.value.faults] == [
        (f"{address}:3: {path}", "expected a whole number, found the text 'x'"),
        (f"{address}:5: {path}", "expected a value, found none: the field is required"),
        (f"{address}:7: {path}", "expected a value, found none: the field is required"),
        (f"{address}:9: {path}", "expected a whole number, found 1.5"),
    ]


def test_a_profile_names_nested_values_by_their_path_and_leaves_lists_out(tmp_path: Path) -> None:
    address = written(tmp_path, [{"flow": {"bytes": 1, "tags": ["x"]}}, {"at": "2026-01-01"}])
    found = {column.name: column for column in NdjsonSource().profile(address, max_rows=9)}
    assert set(found) == {"flow.bytes", "at"}
    assert (found["flow.bytes"].n, found["flow.bytes"].n_missing) == (2, 1)
    assert found["at"].physical == "time"
    assert len(NdjsonSource().profile(address, max_rows=1)) == 1
