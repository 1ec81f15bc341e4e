"""baluarte.adapters.sources.ndjson: nested and flat objects read alike."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest

from baluarte.adapters.sources.log import LogSource
from baluarte.adapters.sources.ndjson import NdjsonSource
from baluarte.core.event import concat, records
from baluarte.core.schema import Field, Schema
from baluarte.errors import DataError
from baluarte.wiring import source_for

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


@pytest.mark.parametrize("name", ["eve.json", "eve.log", "eve.json.gz"])
def test_a_name_that_promises_no_form_is_read_where_each_line_is_an_object(
    name: str, tmp_path: Path
) -> None:
    address = written(tmp_path, ROWS, name)
    source = source_for(address)
    assert isinstance(source, LogSource if name.endswith(".log") else NdjsonSource)
    events = concat(list(source.read(address, FLAT, batch_rows=3)))
    assert events.n == len(ROWS)


@pytest.mark.parametrize(
    ("text", "found", "hint"),
    [
        ('[{"bytes": 1}]\n', "an array", "jq -c '.[]'"),
        ('\n[\n {"bytes": 1}\n]\n', "an array", "jq -c '.[]'"),
        ('{\n "bytes": 1\n}\n', "an object over several lines", "jq -c ."),
        ("#separator \\x09\n", "other text", ".tsv"),
    ],
)
def test_another_form_under_such_a_name_is_one_fault_that_says_which(
    text: str, found: str, hint: str, tmp_path: Path
) -> None:
    path = tmp_path / "eve.json"
    path.write_text(text, "utf-8")
    with pytest.raises(
        DataError, match=f"expected one JSON object a line, found {found}"
    ) as caught:
        NdjsonSource().profile(str(path), max_rows=9)
    (fault,) = caught.value.faults
    assert hint in str(fault.hint)
