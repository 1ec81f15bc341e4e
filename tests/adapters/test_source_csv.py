"""baluarte.adapters.sources.csv: separators, lines and what a column looks like."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from baluarte.adapters.sources.csv import CsvSource
from baluarte.core.event import concat, records
from baluarte.core.schema import Field, Schema
from baluarte.errors import DataError

SCHEMA = Schema(fields=(Field(name="a", type="number"), Field(name="b", type="category")))


def written(folder: Path, text: str, name: str = "t.csv") -> str:
    path = folder / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_the_separator_is_found_in_the_header(separator: str, name: str, tmp_path: Path) -> None:
    text = f'a{separator}"b"\n1{separator}"x{separator}y"\n'
    events = concat(list(CsvSource().read(written(tmp_path, text, name), SCHEMA, batch_rows=9)))
    assert records(events) == [{"a": 1, "b": f"x{separator}y"}]


def test_a_separator_inside_quotes_of_the_header_does_not_count(tmp_path: Path) -> None:
    address = written(tmp_path, '"x;;;",a,b\n0,1,z\n')
    assert concat(list(CsvSource().read(address, SCHEMA, batch_rows=9))).n == 1


def test_one_column_needs_no_separator(tmp_path: Path) -> None:
    schema = Schema(fields=(Field(name="a", type="number"),))
    events = concat(list(CsvSource().read(written(tmp_path, "a\n1\n2\n"), schema, batch_rows=9)))
    assert events.columns["a"].tolist() == [1.0, 2.0]


def test_faults_name_the_line_that_a_row_begins_at(tmp_path: Path) -> None:
    address = written(tmp_path, 'a,b\n1,"two\nlines"\nx,"more\nlines"\ny,z\n')
    with pytest.raises(DataError) as caught:
        list(CsvSource().read(address, SCHEMA, batch_rows=1))
    assert [fault.where for fault in caught.value.faults] == [f"{address}:4: a", f"{address}:6: a"]


def test_a_profile_tells_numbers_codes_truths_and_times_apart(tmp_path: Path) -> None:
    address = written(
        tmp_path,
        "n,f,code,yes,at,day,text,none,mixed\n"
        "1,1.5,007,TRUE,2026-01-01T00:00:00Z,2026-01-01, x,,1\n"
        "-2,1e3,042,false,2026-01-02 00:00:00,2026-01-02,x,,y\n"
        "1,,042,true,,2026-01-02,x,,y\n",
    )
    found = {column.name: column for column in CsvSource().profile(address, max_rows=100)}
    assert {name: column.physical for name, column in found.items()} == {
        "n": "integer", "f": "float", "code": "text", "yes": "boolean", "at": "time", "day": "time",
        "text": "text", "none": "text", "mixed": "text",
    }  # fmt: skip
    assert (found["n"].low, found["n"].high, found["n"].n_distinct) == (-2.0, 1.0, 2)
    assert found["n"].examples == ("1", "-2")
    assert found["text"].examples == ("x", " x")
    assert (found["f"].n_missing, found["none"].n_missing) == (1, 3)
    assert found["yes"].examples == ("true", "false")
