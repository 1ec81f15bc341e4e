"""baluarte.adapters.csv_blocks: what Arrow reads quickly is what the general reader reads."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baluarte.adapters import csv_table, text_lines
from baluarte.adapters.cells import Cells
from baluarte.adapters.csv_table import profile_table, read_table
from baluarte.adapters.event_files import opened_text
from baluarte.adapters.profile import typed_cells
from baluarte.core.raw_column import RawColumn
from baluarte.core.reading import PLAIN, BadRow, Reading
from baluarte.core.schema import Field, Schema
from baluarte.errors import BaluarteError

SCHEMA = Schema(
    fields=(
        Field(name="n", type="number"),
        Field(name="i", type="integer"),
        Field(name="c", type="category"),
        Field(name="t", type="time"),
        Field(name="b", type="boolean"),
        Field(name="ip", type="ip"),
        Field(name="s", type="text", role="ignored"),
    )
)
HEADER = ("n", "i", "c", "t", "b", "ip", "s", "extra")


@pytest.fixture(autouse=True)
def _blocks_for_batches_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "_FEWEST_ROWS", 1)


class Kept:
    """A quarantine that keeps everything."""

    def __init__(self) -> None:
        self.rows: list[BadRow] = []

    def put(self, row: BadRow) -> None:
        self.rows.append(row)


def bits(column: Any) -> Any:
    """What a column holds, to the last bit."""
    return column.tobytes() if column.dtype.kind == "f" else column.tolist()


def read(
    path: Path, reading: Reading, *, blocks: bool, quarantined: bool, batch_rows: int = 7
) -> Any:
    """Everything that comes of reading a file: batches, bad rows, the error in words."""
    kept = Kept()
    batches: list[Any] = []
    said = None
    try:
        with opened_text(str(path), reading) as file:
            table = csv_table.csv_table(file, str(path), reading, keep=quarantined, blocks=blocks)
            plain = Cells(reading, where=str(path))
            found = read_table(table, SCHEMA, plain, batch_rows, kept if quarantined else None)
            batches.extend(
                (events.n, {name: bits(column) for name, column in events.columns.items()})
                for events in found
            )
    except BaluarteError as error:
        said = type(error), str(error)
    return batches, kept.rows, said


def profiled(path: Path, *, blocks: bool) -> list[RawColumn] | str:
    try:
        with opened_text(str(path), PLAIN) as file:
            table = csv_table.csv_table(file, str(path), PLAIN, blocks=blocks)
            plain = Cells(PLAIN, where=str(path))
            return profile_table(table, lambda _, found: typed_cells(plain.guessed(found)), 5)
    except BaluarteError as error:
        return str(error)


number = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=18).map(str),
    st.sampled_from([
        "", "0", "-0", "-0.0", "1.", ".5", "+5", "1e5", "1E-5", "1e999", "1e-999", "3.5e38", ".",
        "9007199254740993", "9007199254740992.5", "0.1e1", "5e-324", "2.2250738585072011e-308", "-",
        " 1", "1 ", "1 2", "\t3", " ", "inf", "nan", "NaN", "1_0", "0x1", "1,5", "NA", "１",
        "123456789012345678901234567890.123456789",
    ]),
)  # fmt: skip
whole = st.one_of(number, st.integers(-99, 99).map(str))
text = st.one_of(
    st.sampled_from(
        ["", "ES", "FR", " ES", '"', 'a"b', '""', "a\0b", "x" * 513, "ñ", "#", "\ufeff"]
    ),
    st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=6),
)
moment = st.one_of(
    st.datetimes().map(lambda t: t.isoformat(timespec="seconds") + "Z"),
    st.sampled_from(["", "2026-01-01", "1700000000", "1700000000.5", " 2026-01-01T00:00:00Z", "x"]),
)
truth = st.sampled_from(["true", "false", "", "1", "0", "TRUE", " true", "yes"])
address = st.sampled_from(["", "192.0.2.1", "::ffff:1.2.3.4", "2001:DB8::1", "1.2.3", "10.0.0.1"])
cells = st.tuples(number, whole, text, moment, truth, address, text, text)
plain_cells = st.tuples(
    st.floats(-1e9, 1e9).map(repr),
    st.integers(-(2**53), 2**53).map(str),
    st.sampled_from(["ES", "FR", "", "ñandú", "a b"]),
    st.datetimes().map(lambda t: t.isoformat(timespec="seconds") + "Z"),
    st.sampled_from(["true", "false", ""]),
    st.sampled_from(["192.0.2.1", "10.0.0.1"]),
    st.just("x"),
    st.just(""),
)
quoting = st.sampled_from(["none", "all", "needed"])


def line(row: tuple[str, ...], how: str, separator: str) -> str:
    def cell(value: str) -> str:
        odd = any(sign in value for sign in (separator, '"'))
        if how == "all" or (how == "needed" and odd):
            return '"' + value.replace('"', '""') + '"'
        return value

    return separator.join(map(cell, row))


rows = st.lists(
    st.tuples(
        st.one_of(plain_cells, plain_cells, cells),
        quoting,
        st.sampled_from([None] * 8 + ["", "a,b"]),
    ),
    max_size=40,
)  # fmt: skip


@given(
    rows=rows,
    separator=st.sampled_from([",", ";", "\t"]),
    end=st.sampled_from(["\n", "\r\n"]),
    ends_open=st.booleans(),
    quarantined=st.booleans(),
    reading=st.sampled_from([
        PLAIN, Reading(missing=("NA", "ES")), Reading(decimal=","), Reading(quote=""),
        Reading(zone="Europe/Madrid"),
    ]),
    part=st.sampled_from([64, 300, 5_000]),
    batch_rows=st.sampled_from([1, 7, 1_000]),
)  # fmt: skip
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_both_readers_read_alike_to_the_last_bit(
    rows, separator, end, ends_open, quarantined, reading, part, batch_rows, tmp_path_factory,
    monkeypatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(text_lines, "_PART", part)
    lines = [separator.join(HEADER)]
    for row, how, instead in rows:
        lines.append(line(row, how, separator) if instead is None else instead)
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes((end.join(lines) + ("" if ends_open else end)).encode())
    options = {"quarantined": quarantined, "batch_rows": batch_rows}
    assert read(path, reading, blocks=True, **options) == read(
        path, reading, blocks=False, **options
    )
    assert profiled(path, blocks=True) == profiled(path, blocks=False)


@given(data=st.binary(max_size=120), quarantined=st.booleans())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_both_readers_read_alike_whatever_the_bytes(
    data, quarantined, tmp_path_factory, monkeypatch
) -> None:
    monkeypatch.setattr(text_lines, "_PART", 40)
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(b"n,i,c,t,b,ip,s,extra\n1,2,x,2026-01-01,true,::1,y,z\n" + data)
    found = [read(path, PLAIN, blocks=blocks, quarantined=quarantined) for blocks in (True, False)]
    assert found[0] == found[1]


ODD = (
    "nan", "inf", "-inf", "Infinity", "NULL", "+5", "1e999", "3.5e38", "1.5", ".", "1 2", " 1 ",
    "  ", "1_0", "0x10", "１", '"1"', '"1"5', '1"5"', '"1""5"', '" 1"', ' "1"', '"1', '1"', '""',
    '""""',
    '"1\n5"', "1\r5", "a\0b", "\ufeff1", "x" * 513, "9007199254740993", "true ",
    "::1%eth0", "1700000000", "2026-02-29T00:00:00Z", "2026-01-01T00:00:00+01:00", "#", "1,5", "",
)  # fmt: skip


@pytest.mark.parametrize("column", range(len(HEADER)))
def test_one_odd_cell_among_plain_ones_is_read_alike(column: int, tmp_path: Path) -> None:
    good = ["1.5", "2", "ES", "2026-01-01T00:00:00Z", "true", "10.0.0.1", "x", "y"]
    path = tmp_path / "t.csv"
    for odd in ODD:
        cells = [*good[:column], odd, *good[column + 1 :]]
        lines = [HEADER, cells, good, good]  # the odd one is the first of its block
        path.write_text("".join(",".join(each) + "\n" for each in lines), newline="")
        found = [read(path, PLAIN, blocks=blocks, quarantined=True) for blocks in (True, False)]
        assert found[0] == found[1], (odd, found)


@pytest.mark.parametrize(
    "bad", ['1,2,"two\nlines",,,,,', '1,2,"a""b",,,,,', "1,2", "1,2,\xff,,,,,", ""]
)
def test_rows_around_an_odd_one_are_still_read_in_blocks(
    bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from baluarte.adapters.csv_blocks import BlockReader

    monkeypatch.setattr(text_lines, "_PART", 2_000)
    good = ["1.5,2,ES,2026-01-01T00:00:00Z,true,10.0.0.1,x,y"] * 1_000
    path = tmp_path / "t.csv"
    path.write_text("\n".join([",".join(HEADER), *good[:500], bad, *good[500:], ""]), "latin-1")
    read_in_blocks = []
    plain_read = BlockReader.read

    def counted(self: BlockReader, block: bytes) -> Any:
        found = plain_read(self, block)
        read_in_blocks.append(len(found[0]) if found else 0)
        return found

    monkeypatch.setattr(BlockReader, "read", counted)
    batches, kept, said = read(path, PLAIN, blocks=True, quarantined=True, batch_rows=300)
    assert said is None
    assert sum(n for n, _ in batches) + len(kept) in (1_000, 1_001)
    assert [row.line for row in kept] in ([], [502])
    assert 900 < sum(read_in_blocks) < 1_000


def test_doubles_are_rounded_as_they_are_one_by_one(tmp_path: Path) -> None:
    schema = Schema(fields=(Field(name="n", type="number"),))
    texts = [
        "0.1", "1e23", "9007199254740993", "2.4703282292062327e-324", "7.2057594037927933e16",
        "1.7976931348623157e-308", "0.500000000000000166533453693773481063544750213623046875",
    ]  # fmt: skip
    path = tmp_path / "t.csv"
    path.write_text("n\n" + "\n".join(texts) + "\n")
    with opened_text(str(path), PLAIN) as file:
        table = csv_table.csv_table(file, str(path), PLAIN)
        (events,) = read_table(table, schema, Cells(PLAIN, where="t"), 99, None)
    want = b"".join(struct.pack("=d", float(text)) for text in texts)
    assert events.columns["n"].tobytes() == want
