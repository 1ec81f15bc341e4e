"""baluarte.adapters.sinks: the forms that values take, and files that appear whole."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from baluarte.adapters.sinks.csv import CsvSink
from baluarte.adapters.sinks.ndjson import NdjsonSink
from baluarte.adapters.sinks.parquet import ParquetSink
from baluarte.errors import DataError, OutsideError

COLUMNS = {
    "id": ["a", 'say "x"', None],
    "n": np.array([1, -2, 2**53 - 1]),
    "x": np.array([0.1, np.nan, 5e-324]),
    "yes": [True, False, None],
    "reasons": [None, [1, -2], []],
}


def test_csv_writes_plain_forms(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    assert CsvSink().write(str(path), iter([COLUMNS])) == 3
    assert path.read_text() == (
        "id,n,x,yes,reasons\n"
        "a,1,0.1,true,\n"
        '"say ""x""",-2,,false,"[1,-2]"\n'
        ",9007199254740991,5e-324,,[]\n"
    )


def test_ndjson_writes_one_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    assert NdjsonSink().write(str(path), iter([COLUMNS])) == 3
    assert path.read_text().splitlines()[1] == (
        '{"id":"say \\"x\\"","n":-2,"x":null,"yes":false,"reasons":[1,-2]}'
    )


def test_parquet_widens_columns_as_batches_need(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    batches = [
        {"id": ["a"], "base": [None], "reasons": [None], "p": [1]},
        {"id": ["b"], "base": [5], "reasons": [[]], "p": [0.5]},
        {"id": [None], "base": [None], "reasons": [[7]], "p": [None]},
    ]
    assert ParquetSink().write(str(path), iter(batches)) == 3
    assert pq.read_table(path).to_pydict() == {
        "id": ["a", "b", None],
        "base": [None, 5, None],
        "reasons": [None, [], [7]],
        "p": [1.0, 0.5, None],
    }
    assert [p.name for p in tmp_path.iterdir()] == ["out.parquet"]


def test_parquet_refuses_a_column_of_two_kinds(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    with pytest.raises(DataError, match="one type in each column") as caught:
        ParquetSink().write(str(path), iter([{"a": [1]}, {"a": ["x"]}]))
    assert str(path) in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_decisions_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    CsvSink().write(str(path), iter([COLUMNS]))
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_the_operators_business(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(OutsideError, match="Permission denied"):
        CsvSink().write(str(closed / "out.csv"), iter([COLUMNS]))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_the_operators_business_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The new file is opened on a device without room; all else is as on a disk.
    from baluarte.adapters import whole_file

    monkeypatch.setattr(whole_file, "open_new", lambda _: os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(OutsideError, match="No space left"):
        NdjsonSink().write(str(tmp_path / "out.ndjson"), iter([COLUMNS] * 10_000))
    assert not list(tmp_path.iterdir())
