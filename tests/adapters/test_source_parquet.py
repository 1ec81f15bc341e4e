"""baluarte.adapters.sources.parquet: every column type that holds plain values."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baluarte.adapters.sources.parquet import ParquetSource
from baluarte.core.encode import fit_encoder
from baluarte.core.event import concat, records
from baluarte.core.schema import Field, Schema


def read(folder: Path, array: pa.Array, field_type: str, **options: object) -> list[object]:
    """What one column reads as, in record form."""
    path = folder / "t.parquet"
    pq.write_table(pa.table({"f": array}), path)
    schema = Schema(fields=(Field(name="f", type=field_type, **options),))  # type: ignore[arg-type]
    events = concat(list(ParquetSource().read(str(path), schema, batch_rows=2)))
    return [record.get("f") for record in records(events)]


@pytest.mark.parametrize(
    ("array", "field_type", "wanted"),
    [
        (pa.array([1, None, 3], pa.int8()), "number", [1, None, 3]),
        (pa.array([2**60 + 1, None], pa.int64()), "integer", [float(2**60), None]),
        (pa.array([2**64 - 1], pa.uint64()), "number", [2.0**64]),
        (pa.array([0.5, None, math.nan], pa.float32()), "number", [0.5, None, None]),
        (pa.array([np.float16(0.1)], pa.float16()), "number", [float(np.float16(0.1))]),
        (pa.array([Decimal("0.10"), None], pa.decimal128(9, 2)), "number", [0.1, None]),
        (pa.array([Decimal("5.00")], pa.decimal128(9, 2)), "category", ["5"]),
        (pa.array([True, None, False]), "boolean", [1, None, 0]),
        (pa.array([1, 0, None], pa.int32()), "boolean", [1, 0, None]),
        (pa.array([True, False, None]), "category", ["true", "false", None]),
        (pa.array([7, None, 2**60 + 1], pa.int64()), "category", ["7", None, str(2**60 + 1)]),
        (pa.array([7.0, 0.5, None]), "category", ["7", "0.5", None]),
        (pa.array(["a", None, ""]), "category", ["a", None, None]),
        (pa.array(["a", "b", "a"], pa.large_string()), "text", ["a", "b", "a"]),
        (pa.array(["a", None], pa.string_view()), "text", ["a", None]),
        (pa.array(["a", None, "a"]).dictionary_encode(), "category", ["a", None, "a"]),
        (pa.array([3, None, 3]).dictionary_encode(), "number", [3, None, 3]),
        (pa.array([None, None]), "number", [None, None]),
        (pa.array(["10.0.0.1", None]), "ip", ["10.0.0.1", None]),
        (pa.array([1_999, None], pa.timestamp("ns")), "time", [1, None]),
        (pa.array([-1], pa.timestamp("ns")), "time", [-1]),
        (pa.array([2], pa.timestamp("ms")), "time", [2_000]),
        (pa.array([datetime(2026, 1, 1, tzinfo=UTC)], pa.timestamp("us", "Europe/Madrid")), "time",
         [1_767_225_600_000_000]),
        (pa.array([date(1970, 1, 2), None]), "time", [86_400_000_000, None]),
        (pa.array(["1970-01-01T00:00:01Z"]), "time", [1_000_000]),
        (pa.array([1.5]), "time", [1_500_000]),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)  # fmt: skip
def test_a_column_reads_as_its_canonical_values(
    array: pa.Array, field_type: str, wanted: list[object], tmp_path: Path
) -> None:
    assert read(tmp_path, array, field_type) == wanted


def test_structs_are_found_by_path_and_a_plain_name_wins(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    flows = [{"bytes": 1, "peer": {"ip": "10.0.0.1"}}, None, {"bytes": None, "peer": None}]
    pq.write_table(pa.table({"flow": flows, "flow.bytes": [7, 8, 9]}), path)
    schema = Schema(
        fields=(
            Field(name="bytes", type="integer", path="flow.bytes"),
            Field(name="ip", type="ip", path="flow.peer.ip"),
        )
    )
    events = concat(list(ParquetSource().read(str(path), schema, batch_rows=10)))
    assert records(events) == [{"bytes": 7, "ip": "10.0.0.1"}, {"bytes": 8}, {"bytes": 9}]
    assert [c.name for c in ParquetSource().profile(str(path), max_rows=9)] == [
        "flow.bytes",
        "flow.peer.ip",
    ]


def test_a_profile_counts_what_arrow_holds(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table(
            {
                "at": pa.array([0, 1_000_000, None], pa.timestamp("us", "UTC")),
                "x": [1.5, math.nan, 1.5],
                "d": pa.array(["a", "b", "a"]).dictionary_encode(),
                "m": [Decimal("1.50"), None, Decimal("2.50")],
                "l": [[1], [2], [3]],
            }
        ),
        path,
    )
    found = {column.name: column for column in ParquetSource().profile(str(path), max_rows=9)}
    assert set(found) == {"at", "x", "d", "m"}
    assert found["at"].physical == "time"
    assert found["at"].examples == ("1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z")
    assert (found["at"].low, found["at"].high) == (0.0, 1e6)
    assert (found["x"].n_missing, found["x"].n_distinct) == (1, 1)
    assert found["d"].examples == ("a", "b")
    assert found["m"].physical == "float"


@pytest.mark.data
def test_network_traffic_reads_and_encodes_to_what_is_in_the_file(data: Path) -> None:
    path = data / "nsl-kdd" / "KDDTrain+.parquet"
    texts = {"protocol_type", "service", "flag", "label"}
    table = pq.read_table(path)
    schema = Schema(
        fields=tuple(
            Field(
                name=name,
                type="category" if name in texts else "number",
                role={"label": "label", "difficulty": "ignored"}.get(name, "feature"),  # type: ignore[arg-type]
            )
            for name in table.column_names
        )
    )
    events = concat(list(ParquetSource().read(str(path), schema, batch_rows=65_536)))
    encoder = fit_encoder(schema, events)
    X = encoder.encode(events)
    assert X.shape == (125_973, 41)
    assert not np.isnan(X).any()
    for j, column in enumerate(encoder.columns):
        if column.categorical:
            share = np.bincount(X[:, j].astype(int), minlength=column.n_codes)
            assert (np.diff(share) <= 0).all()
            assert share[-1] == 0
        else:
            assert (X[:, j] == table[column.name].to_numpy()).all()


@pytest.mark.data
def test_card_payments_read_with_their_times(data: Path) -> None:
    path = data / "card-fraud-simulated" / "features_2018-07-25_2018-08-14.parquet"
    schema = Schema(
        fields=(
            Field(name="TX_DATETIME", type="time", role="time"),
            Field(name="CUSTOMER_ID", type="category", role="entity"),
            Field(name="TX_AMOUNT", type="number"),
        )
    )
    events = concat(list(ParquetSource().read(str(path), schema, batch_rows=50_000)))
    times = events.columns["TX_DATETIME"]
    assert events.n == 201_295
    assert times.min() >= datetime(2018, 7, 25, tzinfo=UTC).timestamp() * 1e6
    assert times.max() < datetime(2018, 8, 15, tzinfo=UTC).timestamp() * 1e6


_PEAK = """
import sys
from baluarte.adapters.sources.parquet import ParquetSource
from baluarte.core.schema import Field, Schema
fields = tuple(Field(name=name, type="number") for name in "abcd")
n = sum(e.n for e in ParquetSource().read(sys.argv[1], Schema(fields=fields), batch_rows=65_536))
print(n, open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
"""


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    """Five and thirty-five groups of 65,536 rows: 60 MiB more in the file, few in memory."""
    rng = np.random.default_rng(0)
    group = pa.RecordBatch.from_pydict({name: rng.normal(size=65_536) for name in "abcd"})
    peaks = []
    for n in (5, 35):
        path = tmp_path / f"{n}.parquet"
        with pq.ParquetWriter(path, group.schema) as file:
            for _ in range(n):
                file.write_batch(group)
        said = subprocess.run(
            [sys.executable, "-c", _PEAK, str(path)], check=True, capture_output=True, text=True
        ).stdout.split()
        assert int(said[0]) == n * 65_536
        peaks.append(int(said[1]) / 1024)
    assert peaks[1] - peaks[0] < 25
