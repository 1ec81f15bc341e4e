"""baluarte.adapters.parts: the files of a folder are one set of events, or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from baluarte.adapters.parts import largest_part
from baluarte.adapters.quarantine import QuarantineFile
from baluarte.core.reading import Tolerance
from baluarte.core.schema import Field, Schema
from baluarte.errors import ContractError, DataError
from baluarte.wiring import source_for

SCHEMA = Schema(
    fields=(Field(name="amount", type="number"), Field(name="country", type="category"))
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "2026/b.csv": "amount,country\n4,ES\n5,FR\n",
        "2025.csv": "country,amount\nES,1\nPT,2\nES,3\n",
        ".hidden.csv": "nothing of ours\n",
        "2026/_SUCCESS": "",
    }.items():
        path = tmp_path / "parts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "parts"


def amounts(folder: Path) -> list[float]:
    batches = source_for(str(folder)).read(str(folder), SCHEMA, batch_rows=2)
    return [x for batch in batches for x in batch.columns["amount"].tolist()]


def test_parts_are_read_one_after_the_other_by_path(folder: Path) -> None:
    assert amounts(folder) == [1, 2, 3, 4, 5]
    assert largest_part(str(folder)) == str(folder / "2025.csv")
    assert largest_part("tx.csv") == "tx.csv"
    columns = source_for(str(folder)).profile(str(folder), max_rows=10)
    assert [(column.name, column.n) for column in columns] == [("country", 3), ("amount", 3)]


def test_the_version_is_of_every_part_and_of_its_name(folder: Path) -> None:
    source = source_for(str(folder))
    first = source.digest(str(folder))
    assert first.startswith("sha256:")
    assert first == source_for(f"{folder}/").digest(f"{folder}/")
    (folder / ".hidden.csv").unlink()
    assert source.digest(str(folder)) == first
    (folder / "2025.csv").rename(folder / "2024.csv")
    moved = source.digest(str(folder))
    assert moved != first
    (folder / "2026/b.csv").write_text("amount,country\n4,ES\n5,PT\n")
    assert source.digest(str(folder)) not in {first, moved}


def test_a_bad_row_names_its_part(folder: Path, tmp_path: Path) -> None:
    (folder / "2026/c.csv").write_text("amount,country\nlots,ES\n6,ES\n")
    with pytest.raises(DataError, match=r"2026/c\.csv"):
        amounts(folder)
    kept = tmp_path / "bad.ndjson"
    with QuarantineFile(kept, Tolerance(max_rows=5, max_share=1.0)) as quarantine:
        source = source_for(str(folder))
        batches = source.read(str(folder), SCHEMA, batch_rows=9, quarantine=quarantine)
        assert sum(batch.n for batch in batches) == 6
        quarantine.settle(6)
    assert "2026/c.csv" in kept.read_text()


def test_folders_that_are_no_set_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "2026/c.csv").write_text("amount\n6\n")
    with pytest.raises(DataError, match=r"c\.csv.*country: expected a column, found none"):
        amounts(folder)
    (folder / "2026/c.csv").unlink()
    (folder / "more.ndjson").write_text('{"amount": 1}\n')
    with pytest.raises(ContractError, match=r"expected files of one kind, found .*more\.ndjson"):
        source_for(str(folder))
    (tmp_path / "empty/.git").mkdir(parents=True)
    with pytest.raises(DataError, match="expected a folder with files of events, found none"):
        source_for(str(tmp_path / "empty"))
