"""Faulty files of events: each a clear error with its place, nothing half-written."""

from __future__ import annotations

import codecs
import gzip
import os
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baluarte.adapters.event_files import MAX_LINE_BYTES
from baluarte.adapters.sinks.csv import CsvSink
from baluarte.adapters.sources.csv import CsvSource
from baluarte.adapters.sources.ndjson import NdjsonSource
from baluarte.adapters.sources.parquet import ParquetSource
from baluarte.core.event import concat, records
from baluarte.core.schema import Field, Schema
from baluarte.errors import BaluarteError, DataError, OutsideError

SCHEMA = Schema(
    fields=(
        Field(name="amount", type="number"),
        Field(name="tries", type="integer"),
        Field(name="country", type="category"),
        Field(name="at", type="time", role="time"),
    )
)
HEAD = b"amount,tries,country,at\n"
GOOD = b"1.5,2,ES,2026-01-01T00:00:00Z\n"
LINE = b'{"amount":1.5,"tries":2,"country":"ES"}\n'

SOURCES: dict[str, Any] = {
    "csv": CsvSource(),
    "ndjson": NdjsonSource(),
    "parquet": ParquetSource(),
}


def parquet(**changes: Any) -> Callable[[Path], None]:
    """A writer of a table that is good but for these columns (None: left out)."""
    columns: dict[str, Any] = {"amount": [1.5, 2.5], "tries": [1, 2], "country": ["ES", "FR"]}
    columns |= changes

    def write(path: Path) -> None:
        pq.write_table(pa.table({k: v for k, v in columns.items() if v is not None}), path)

    return write


def broken_parquet(change: Callable[[bytearray], bytearray]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        table = pa.table(
            {
                "amount": [i / 7 for i in range(5_000)],
                "tries": list(range(5_000)),
                "country": [f"c{i % 50}" for i in range(5_000)],
            }
        )
        pq.write_table(table, path, compression="zstd")
        path.write_bytes(change(bytearray(path.read_bytes())))

    return write


def overwritten(data: bytearray, start: int, junk: bytes) -> bytearray:
    data[start : start + len(junk)] = junk
    return data


def duplicate_columns(path: Path) -> None:
    arrays = [pa.array([1.5]), pa.array([1]), pa.array(["ES"]), pa.array([2.5])]
    pq.write_table(
        pa.Table.from_arrays(arrays, names=["amount", "tries", "country", "amount"]), path
    )


DAMAGED = ("expected", "damaged or other data")
#: (format, what is wrong, the file's bytes or a writer, words of the message)
FAULTY: list[tuple[str, str, Any, tuple[str, ...]]] = [
    ("csv", "empty", b"", ("an empty file",)),
    ("csv", "header only", HEAD, (":1: ", "no row after it")),
    ("csv", "blank first line", b"\n" + HEAD + GOOD, (":1: ", "header row")),
    (
        "csv",
        "latin-1",
        HEAD + GOOD + b"1,2,Espa\xf1a,\n",
        (":3: ", "expected UTF-8, found byte 0xf1", 'encoding = "windows-1252"'),
    ),
    (
        "csv",
        "utf-16 without a mark",
        (HEAD + GOOD).decode().encode("utf-16-le"),
        ("amount: expected a column",),
    ),
    (
        "csv",
        "utf-16 cut within a character",
        codecs.BOM_UTF16_LE + (HEAD + GOOD).decode().encode("utf-16-le")[:-1],
        (":2", "expected utf-16-le"),
    ),
    (
        "csv",
        "mixed types",
        HEAD + GOOD + b"many,2,ES,\n",
        (":3: amount: ", "found the text 'many'"),
    ),
    ("csv", "a NUL byte", HEAD + b"1,2,E\0S,\n", (":2: country: ", "a NUL at character 1")),
    ("csv", "too few cells", HEAD + GOOD + b"1,2\n", (":3: ", "expected 4 cells, found 2")),
    ("csv", "too many cells", HEAD + b"1,2,ES,,9\n", (":2: ", "expected 4 cells, found 5")),
    (
        "csv",
        "a name twice",
        b"amount,tries,amount,country\n1,2,3,ES\n",
        (":1: ", "each column name once", "'amount'"),
    ),
    ("csv", "no names", b",,,\n1,2,3,4\n", (":1: ", "no names")),
    (
        "csv",
        "an absent feature",
        b"amont,tries,country\n1,2,ES\n",
        ("amount: expected a column", "Did you mean amont?"),
    ),
    ("csv", "no header row", b"1.5,2,ES,\n2.5,3,FR,\n", ("amount: expected a column",)),
    (
        "csv",
        "decimal commas",
        b"amount;tries;country\n1,5;2;ES\n",
        (":2: amount: ", "Write decimals with a point"),
    ),
    ("csv", "NaN written out", HEAD + b"NaN,2,ES,\n", (":2: amount: ", "Leave the cell empty")),
    ("csv", "infinity", HEAD + b"inf,2,ES,\n", (":2: amount: ", "expected a number")),
    ("csv", "overflow", HEAD + b"1e999,2,ES,\n", (":2: amount: ", "too large")),
    ("csv", "beyond float32", HEAD + b"1e39,2,ES,\n", (":2: amount: ", "within ±3.403e+38")),
    ("csv", "a fraction", HEAD + b"1,2.5,ES,\n", (":2: tries: ", "expected a whole number")),
    ("csv", "a wrong time", HEAD + b"1,2,ES,31/12/2026\n", (":2: at: ", "RFC 3339")),
    ("csv", "an open quote", HEAD + GOOD + b'1,2,"ES\n1,2,FR\n', (":3: ", "closing quote")),
    ("csv", "text after a quote", HEAD + b'1,2,"ES"x,\n', (":2: ", "broken row")),
    (
        "csv",
        "a very long line",
        HEAD + b"1,2," + b"x" * (MAX_LINE_BYTES + 9),
        (":2: ", "lines of at most"),
    ),
    (
        "csv",
        "a very long cell",
        HEAD + b"1,2," + b"x" * 600 + b",\n",
        (":2: country: ", "at most 512 characters"),
    ),
    (
        "csv",
        "a quoted cell without end",
        HEAD + b'1,2,"' + b"x\n" * 100_000,
        (":2: ", "field limit"),
    ),
    ("csv.gz", "no gzip", HEAD + GOOD, DAMAGED),
    ("csv.gz", "cut gzip", gzip.compress(HEAD + GOOD * 50_000)[:-500], DAMAGED),
    ("ndjson", "empty", b"", ("an empty file",)),
    ("ndjson", "blank lines", b"\n\n  \n", ("blank lines",)),
    ("ndjson", "broken JSON", LINE + b'{"amount":1\n', (":2: ", "expected a JSON object")),
    ("ndjson", "an array", LINE + b"[1,2]\n", (":2: ", "expected a JSON object")),
    ("ndjson", "a whole JSON document", b'[\n{"amount":1},\n{"amount":2}\n]\n', (":1: ", ":4: ")),
    (
        "ndjson",
        "too deep",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"\n",
        (":1: ", "nested too deeply"),
    ),
    ("ndjson", "NaN", LINE + LINE + b'{"amount":NaN}\n', (":3: ", "found NaN", "Write null")),
    ("ndjson", "overflow", b'{"amount":1e999}\n', (":1: ", "numbers within float64")),
    ("ndjson", "duplicate keys", b'{"amount":1,"amount":2}\n', (":1: ", "'amount' more than once")),
    ("ndjson", "a number as text", b'{"amount":"1.5"}\n', (":1: amount: ", "found the text '1.5'")),
    ("ndjson", "latin-1", b'{"country":"Espa\xf1a"}\n', (":1: ", "expected UTF-8", "0xf1")),
    ("ndjson", "a lone surrogate", b'{"country":"\\ud800x"}\n', (":1: ", "expected a JSON object")),
    (
        "ndjson",
        "an object for a value",
        b'{"amount":{"x":1}}\n',
        (":1: amount: ", "found an object"),
    ),
    ("ndjson.gz", "cut gzip", gzip.compress(LINE * 50_000)[:-500], DAMAGED),
    ("parquet", "empty", b"", ("an empty file",)),
    ("parquet", "CSV by another name", HEAD + GOOD, DAMAGED),
    ("parquet", "cut in half", broken_parquet(lambda d: d[: len(d) // 2]), DAMAGED),
    (
        "parquet",
        "a damaged footer",
        broken_parquet(lambda d: overwritten(d, len(d) - 300, b"\xff" * 200)),
        DAMAGED,
    ),
    (
        "parquet",
        "damaged pages",
        broken_parquet(lambda d: overwritten(d, 200, random.Random(7).randbytes(20_000))),
        DAMAGED,
    ),
    (
        "parquet",
        "no rows",
        parquet(
            amount=pa.array([], pa.float64()),
            tries=pa.array([], pa.int64()),
            country=pa.array([], pa.string()),
        ),
        ("no row",),
    ),
    ("parquet", "a column twice", duplicate_columns, ("each column name once", "'amount'")),
    (
        "parquet",
        "an absent feature",
        parquet(tries=None, trials=[1, 2]),
        ("tries: expected a column",),
    ),
    (
        "parquet",
        "text for numbers",
        parquet(amount=["1", "x"]),
        ("row 1: amount: ", "expected a number", "row 2: amount: "),
    ),
    (
        "parquet",
        "truths for numbers",
        parquet(amount=[True, None]),
        ("row 1: amount: ", "found true"),
    ),
    ("parquet", "infinity", parquet(amount=[1.0, float("inf")]), ("row 2: amount: ", "found inf")),
    (
        "parquet",
        "fractions",
        parquet(tries=[1.0, 2.5]),
        ("row 2: tries: ", "expected a whole number"),
    ),
    (
        "parquet",
        "lists",
        parquet(amount=[[1.0], [2.0]]),
        ("amount: ", "expected plain values, found list"),
    ),
    ("parquet", "bytes for text", parquet(country=[b"ES", b"\xff"]), ("country: ", "found binary")),
    (
        "parquet",
        "text that is not UTF-8",
        parquet(country=pa.array([b"ES", b"\xff\xfe"]).view(pa.string())),
        DAMAGED,
    ),
    (
        "parquet",
        "decimals too large",
        parquet(amount=[Decimal(10) ** 39, None]),
        ("row 1: amount: ", "within ±3.403e+38"),
    ),
]


@pytest.mark.parametrize(
    ("form", "content", "says"),
    [(form, content, says) for form, _, content, says in FAULTY],
    ids=[f"{form}: {what}" for form, what, _, _ in FAULTY],
)
def test_a_faulty_file_is_refused_with_its_place_and_nothing_is_written(
    form: str, content: Any, says: tuple[str, ...], tmp_path: Path
) -> None:
    path, out = tmp_path / f"events.{form}", tmp_path / "out.csv"
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    source = SOURCES[form.partition(".")[0]]

    def decided() -> Iterator[dict[str, list[object]]]:
        # Small batches: the file is broken after some events were already passed on.
        for events in source.read(str(path), SCHEMA, batch_rows=1):
            yield {"amount": events.columns["amount"].tolist()}

    with pytest.raises(DataError) as caught:
        CsvSink().write(str(out), decided())
    for word in says:
        assert word in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 8_000
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("form", "content", "says"),
    [(form, content, says) for form, _, content, says in FAULTY],
    ids=[f"{form}: {what}" for form, what, _, _ in FAULTY],
)
def test_a_profile_of_a_faulty_file_is_made_or_refused_in_words(
    form: str, content: Any, says: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / f"events.{form}"
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    try:
        profile = SOURCES[form.partition(".")[0]].profile(str(path), max_rows=1_000)
    except BaluarteError as error:
        named = str(path) in str(error)
    else:
        named = all(column.n_missing <= column.n for column in profile)
    assert named


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_what_is_no_file_is_refused(form: str, tmp_path: Path) -> None:
    source = SOURCES[form]
    for name in ("absent", "folder", "pipe", "a\0b"):
        path = tmp_path / f"{name}.{form}"
        if name == "folder":
            path.mkdir()
        if name == "pipe":
            os.mkfifo(path)
        with pytest.raises(DataError, match="expected a file"):
            list(source.read(str(path), SCHEMA, batch_rows=10))
        with pytest.raises(DataError, match="expected a file"):
            source.digest(str(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_the_operators_business(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(HEAD + GOOD)
    path.chmod(0)
    with pytest.raises(OutsideError, match="Permission denied"):
        list(CsvSource().read(str(path), SCHEMA, batch_rows=10))


def test_a_near_name_is_offered_for_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "transactions.csv").write_bytes(HEAD + GOOD)
    with pytest.raises(DataError, match=r"Did you mean transactions\.csv\?"):
        CsvSource().profile(str(tmp_path / "transaction.csv"), max_rows=5)


def test_all_faults_of_a_file_are_counted_and_the_first_are_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    rows = [b"x,2.5,ES,\n" if i % 2 else b"1,2\n" if i % 5 == 0 else GOOD for i in range(1_000)]
    path.write_bytes(HEAD + b"".join(rows))
    with pytest.raises(DataError) as caught:
        list(CsvSource().read(str(path), SCHEMA, batch_rows=64))
    lines = [int(str(fault.where).split(":")[1]) for fault in caught.value.faults[:-1]]
    assert lines == sorted(lines)
    assert lines[:4] == [2, 3, 3, 5]
    assert caught.value.faults[-1].message == f"and {1_000 + 100 - 20} more faults"


def test_harmless_oddities_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(
        b"\xef\xbb\xbfamount\ttries\tcountry\t\r\n"
        b' 1.5 \t2\t"E\nS"\tx\r\n\r\n\t\t\t\r\n2\t3\tFR, x\ty'
    )
    events = concat(list(CsvSource().read(str(path), SCHEMA, batch_rows=2)))
    assert records(events) == [
        {"amount": 1.5, "tries": 2, "country": "E\nS"},
        {},
        {"amount": 2, "tries": 3, "country": "FR, x"},
    ]
