"""baluarte.adapters.cells: decimal commas, words for missing, local times; all stated."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baluarte.adapters.sources.csv import CsvSource
from baluarte.adapters.sources.ndjson import NdjsonSource
from baluarte.adapters.sources.parquet import ParquetSource
from baluarte.core.event import concat, records
from baluarte.core.reading import Reading
from baluarte.core.schema import Field, Schema
from baluarte.errors import ContractError, DataError

NUMBER = Schema(fields=(Field(name="x", type="number"),))
TIME = Schema(fields=(Field(name="at", type="time", role="time"), Field(name="x", type="number")))
COMMA = Reading(decimal=",", separator=";")
MADRID = Reading(zone="Europe/Madrid")


def numbers(folder: Path, cells: list[str], reading: Reading) -> list[Any]:
    path = folder / "t.csv"
    path.write_text("x;y\n" + "".join(f"{cell};\n" for cell in cells))
    found = CsvSource().read(str(path), NUMBER, batch_rows=100, reading=reading)
    return [record.get("x") for record in records(concat(list(found)))]


def test_decimal_commas_and_thousands_are_read_where_they_are_stated(tmp_path: Path) -> None:
    assert numbers(tmp_path, ["1,5", "-0,25", "1e3", "7", "", ",5", "2,"], COMMA) == [
        1.5, -0.25, 1000, 7, None, 0.5, 2,
    ]  # fmt: skip
    grouped = Reading(decimal=",", thousands=".", separator=";")
    assert numbers(tmp_path, ["1.234.567,5", "1.234", "12"], grouped) == [1234567.5, 1234, 12]
    spaced = Reading(thousands="'", separator=";")
    assert numbers(tmp_path, ["1'234.5", "12"], spaced) == [1234.5, 12]


@pytest.mark.parametrize(
    ("cell", "reading"),
    [
        ("1.5", COMMA),
        ("1.234,5", COMMA),
        ("1,5,5", COMMA),
        ("1.23,5", Reading(decimal=",", thousands=".", separator=";")),
        ("1,234.5", Reading(decimal=",", thousands=".", separator=";")),
        ("1234.567,5", Reading(decimal=",", thousands=".", separator=";")),
        ("1,234.5", Reading(separator=";")),
    ],
)
def test_a_number_in_another_dialect_is_refused_not_guessed(
    cell: str, reading: Reading, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"t\.csv:3: x: expected a number") as caught:
        numbers(tmp_path, ["7", cell], reading)
    assert cell in str(caught.value)


def test_one_sign_for_two_things_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="two different signs"):
        numbers(tmp_path, ["1"], Reading(decimal=",", thousands=","))


def test_words_for_missing_are_missing_in_every_form(tmp_path: Path) -> None:
    reading = Reading(missing=("NA", "-"), separator=";")
    assert numbers(tmp_path, ["1", "NA", "-", "2"], reading) == [1, None, None, 2]
    lines = tmp_path / "t.ndjson"
    lines.write_text('{"x":"NA"}\n{"x":3}\n')
    found = NdjsonSource().read(str(lines), NUMBER, batch_rows=9, reading=reading)
    assert records(concat(list(found))) == [{}, {"x": 3}]


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1_000_000)  # type: ignore[arg-type,misc]


def times(folder: Path, form: str, texts: list[str], reading: Reading) -> list[Any]:
    path = folder / f"t.{form}"
    source: Any
    if form == "csv":
        path.write_text("at,x\n" + "".join(f"{text},1\n" for text in texts))
        source = CsvSource()
    elif form == "ndjson":
        path.write_text("".join(f'{{"at":"{text}","x":1}}\n' for text in texts))
        source = NdjsonSource()
    else:
        moments = [datetime.fromisoformat(text) for text in texts]
        pq.write_table(pa.table({"at": moments, "x": [1.0] * len(texts)}), path)
        source = ParquetSource()
    found = source.read(str(path), TIME, batch_rows=100, reading=reading)
    return [record.get("at") for record in records(concat(list(found)))]


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_local_times_follow_their_places_clock_through_summer_time(
    form: str, tmp_path: Path
) -> None:
    found = times(tmp_path, form, ["2026-01-15 12:00:00", "2026-07-15 12:00:00"], MADRID)
    assert found == [at(2026, 1, 15, 11), at(2026, 7, 15, 10)]


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
@pytest.mark.parametrize(
    ("text", "often"), [("2026-10-25 02:30:00", "twice"), ("2026-03-29 02:30:00", "never")]
)
def test_an_hour_that_comes_twice_or_never_is_refused(
    form: str, text: str, often: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=rf"at: .* Europe/Madrid showed {often}.*offset"):
        times(tmp_path, form, ["2026-01-15 12:00:00", text], MADRID)


def test_a_time_that_says_its_offset_keeps_it(tmp_path: Path) -> None:
    texts = ["2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00Z", "2026-10-25"]
    found = times(tmp_path, "csv", texts, MADRID)
    assert found == [at(2026, 10, 25, 1, 30), at(2026, 10, 25, 2, 30), at(2026, 10, 25)]


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_dates_are_read_in_the_order_that_is_stated(form: str, tmp_path: Path) -> None:
    texts = ["31/12/2026", "1-2-2026 9:05", "01.02.2026 23:59:59.5", "2026-01-02"]
    found = times(tmp_path, form, texts, Reading(dates="dmy"))
    last = at(2026, 2, 1, 23, 59, 59, 500_000)
    assert found == [at(2026, 12, 31), at(2026, 2, 1, 9, 5), last, at(2026, 1, 2)]
    texts = ["12/31/2026", "1/2/2026 12:05 AM", "1/2/2026 12:05:07 pm"]
    found = times(tmp_path, form, texts, Reading(dates="mdy", zone="Europe/Madrid"))
    assert found == [at(2026, 12, 31), at(2026, 1, 1, 23, 5), at(2026, 1, 2, 11, 5, 7)]


@pytest.mark.parametrize(
    "text",
    ["12/31/2026", "31/12/26", "29/02/2025", "1/1/2026 25:00", "1/1/2026 13:00 PM", "1/1-2026"],
)
def test_a_date_in_another_order_is_refused_not_guessed(text: str, tmp_path: Path) -> None:
    found = f"2026-07-31T12:00:00Z, found the text '{text}'"
    with pytest.raises(DataError, match=re.escape(f"expected a time such as {found}")):
        times(tmp_path, "csv", ["31/12/2026", text], Reading(dates="dmy"))


def test_a_zone_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="expected a zone"):
        times(tmp_path, "csv", ["2026-01-01"], Reading(zone="Middle/Earth"))
