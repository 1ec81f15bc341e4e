"""baluarte.adapters.encodings: what a mark says is believed, the rest is stated."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path

import pytest

from baluarte.adapters.encodings import likely_encoding
from baluarte.adapters.sources.csv import CsvSource
from baluarte.adapters.sources.ndjson import NdjsonSource
from baluarte.core.event import concat, records
from baluarte.core.reading import PLAIN, Reading
from baluarte.core.schema import Field, Schema
from baluarte.errors import ContractError, DataError

SCHEMA = Schema(fields=(Field(name="name", type="category"), Field(name="n", type="integer")))
TEXT = "name,n\nÑandú 日本 €,1\nÆ,2\n"
WANTED = [{"name": "Ñandú 日本 €", "n": 1}, {"name": "Æ", "n": 2}]


def read(path: Path, reading: Reading = PLAIN) -> list[object]:
    source = NdjsonSource() if "json" in path.name else CsvSource()
    return list(
        records(concat(list(source.read(str(path), SCHEMA, batch_rows=9, reading=reading))))
    )


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
@pytest.mark.parametrize("said", [False, True])
def test_a_mark_is_believed_and_left_out(
    mark: bytes, encoding: str, said: bool, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(mark + TEXT.encode(encoding))
    assert read(path, Reading(encoding=encoding) if said else PLAIN) == WANTED


@pytest.mark.parametrize("encoding", ["windows-1252", "latin-1", "shift-jis", "utf-16-be", "cp037"])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.ndjson"])
def test_a_stated_encoding_is_read(encoding: str, name: str, tmp_path: Path) -> None:
    word = "日本" if encoding == "shift-jis" else "España"
    text = f'{{"name":"{word}","n":1}}\n' if "json" in name else f"name,n\n{word},1\n"
    data = text.encode(encoding)
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert read(path, Reading(encoding=encoding)) == [{"name": word, "n": 1}]


def test_bytes_that_are_not_of_the_stated_encoding_are_named_with_their_line(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"name,n\nx,1\n\x81,2\n")
    with pytest.raises(DataError, match=r"t\.csv:3: expected cp1252, found the bytes 81"):
        read(path, Reading(encoding="windows-1252"))


@pytest.mark.parametrize("encoding", ["klingon", "hex", "rot13", "idna"])
def test_what_is_no_encoding_of_text_is_refused(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(TEXT.encode())
    if encoding == "idna":  # codes text, if none of ours
        with pytest.raises((ContractError, DataError)):
            read(path, Reading(encoding=encoding))
    else:
        with pytest.raises(ContractError, match="expected an encoding"):
            read(path, Reading(encoding=encoding))


def test_a_guess_tells_latin_1_from_damaged_utf_8_and_utf_16() -> None:
    assert likely_encoding(TEXT.encode()) == ""
    assert likely_encoding(TEXT.encode()[:-1] + b"\xff") == ""
    assert likely_encoding("name;n\nPeña;1\nMuñoz;2\n".encode("latin-1")) == "windows-1252"
    assert likely_encoding("name;n\nplain;1\n".encode("utf-16-le")) == "utf-16-le"
    assert likely_encoding("name;n\nplain;1\n".encode("utf-16-be")) == "utf-16-be"
    assert likely_encoding(b"plain") == ""
