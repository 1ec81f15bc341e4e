"""baluarte.adapters.objects: the same sources and sinks, on an object store."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from baluarte import wiring
from baluarte.core.event import concat, records
from baluarte.core.schema import Field, Schema
from baluarte.errors import ContractError, DataError

SCHEMA = Schema(fields=(Field(name="a", type="number"), Field(name="b", type="category")))
BATCHES = [{"a": [1.0, 2.0], "b": ["x", "y"]}, {"a": [3.5], "b": [None]}]


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet", "arrow", "csv.gz"])
def test_what_is_written_to_a_store_is_read_from_it(form: str, tmp_path: Path) -> None:
    address = f"memory://{tmp_path.name}/t.{form}"
    if form == "csv.gz":
        with fsspec.open(address, "wt", compression="gzip") as file:
            file.write("a,b\n1,x\n2,y\n3.5,\n")
    else:
        wiring.sink_for(address).write(address, iter(BATCHES))
    source = wiring.source_for(address)
    found = records(concat(list(source.read(address, SCHEMA, batch_rows=2))))
    assert found == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3.5}]
    assert source.digest(address).startswith("sha256:")
    assert {c.name for c in source.profile(address, max_rows=9)} == {"a", "b"}


def test_a_failure_puts_nothing(tmp_path: Path) -> None:
    address = f"memory://{tmp_path.name}/t.csv"

    def broken():
        yield BATCHES[0]
        raise DataError("no more")

    with pytest.raises(DataError, match="no more"):
        wiring.sink_for(address).write(address, broken())
    assert not fsspec.filesystem("memory").exists(f"/{tmp_path.name}/t.csv")


def test_what_is_not_there_and_what_is_no_store_is_refused() -> None:
    with pytest.raises(DataError, match="expected a file, found none"):
        list(wiring.source_for("memory://no/t.csv").read("memory://no/t.csv", SCHEMA, batch_rows=1))
    chained = "memory://x.zip::memory://y/t.csv"
    with pytest.raises(ContractError, match="found a chain"):
        list(wiring.source_for(chained).read(chained, SCHEMA, batch_rows=1))


@pytest.mark.parametrize(
    ("address", "scheme", "hint"),
    [
        ("file:///data/t.csv", "file", "Write the path alone: /data/t.csv"),
        ("s3x://b/t.csv", "s3x", None),
    ],
)
def test_an_address_of_no_store_says_so(address: str, scheme: str, hint: str | None) -> None:
    with pytest.raises(DataError, match=f"one of s3://.*; found {scheme}://") as refused:
        list(wiring.source_for(address).read(address, SCHEMA, batch_rows=2))
    assert refused.value.faults[0].hint == hint
