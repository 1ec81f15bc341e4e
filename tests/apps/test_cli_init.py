"""baluarte init: what people's files hold is typed as what it is, and what is unsure is said."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from baluarte.apps.cli.main import main
from baluarte.apps.intake import Intake
from baluarte.apps.place import Place, open_place
from baluarte.core.contract_toml import parse_contract
from baluarte.core.reading import Reading
from baluarte.core.schema import Schema


def rows(n: int, date: str) -> list[list[str]]:
    """Card payments, as a bank of Spain might export them."""
    dice = random.Random(3)
    return [
        [
            f"t{i}",
            date.format(d=1 + i % 28, m=1 + i % 12, h=i % 24),
            f"{dice.uniform(1, 900):.2f}",
            f"10.{i % 250}.{i % 9}.1" if i % 7 else f"2001:db8::{i % 50:x}",
            f"{dice.randrange(5_000)}",
            str(int(dice.random() < 0.05)),
        ]
        for i in range(n)
    ]


def begun(folder: Path, lines: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> Schema:
    """The schema of a detector that was begun from these rows."""
    header = ["tx_id", "booked", "amount", "origin", "points", "is_fraud"]
    text = "".join(",".join(line) + "\n" for line in [header, *lines])
    (folder / "tx.csv").write_text(text, "utf-8")
    monkeypatch.chdir(folder)
    assert main(["init", "mine", "--events", "tx.csv", "--json"]) == 0
    return parse_contract((folder / "mine/detector.toml").read_text(), where="d").events


def doubts(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return [(each["field"], each["question"]) for each in said["least_sure"]]


def test_an_address_is_one_and_said_to_be_perhaps_personal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = begun(tmp_path, rows(3_000, "2026-{m:02}-{d:02}"), monkeypatch)
    assert schema["origin"].type == "ip"
    assert ("origin", "personal") in doubts(capsys)


def test_a_few_bad_cells_do_not_make_a_number_a_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = rows(3_000, "2026-{m:02}-{d:02}")
    lines[1_500][2] = "12.50 EUR"
    lines[1_501][3] = "unknown host"
    lines[1_502][4] = "many"
    schema = begun(tmp_path, lines, monkeypatch)
    assert [schema[name].type for name in ("amount", "origin", "points")] == [
        "number", "ip", "integer",
    ]  # fmt: skip
    assert {field for field, question in doubts(capsys) if question == "odd"} == {
        "amount", "origin", "points",
    }  # fmt: skip
    assert main(["init", "again", "--events", "tx.csv"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "amount (1 of its values, such as" in said
    assert "its row goes to the quarantine" in said


def test_a_few_broken_rows_do_not_stop_it_and_more_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = rows(3_000, "2026-{m:02}-{d:02}")
    lines[1_500] = ["one", "cell", "too", "few"]
    assert begun(tmp_path, lines, monkeypatch)["amount"].type == "number"
    found = [
        {"tx_id": line[0], "amount": float(line[2]), "is_fraud": line[5]} for line in rows(600, "")
    ]
    for n_broken in (1, 2):
        text = "".join(json.dumps(each) + "\n" for each in found) + "{\n" * n_broken
        (tmp_path / "tx.ndjson").write_text(text, "utf-8")
        code = main(["init", f"lines{n_broken}", "--events", "tx.ndjson"])
        assert code == (0 if n_broken == 1 else 3)
    assert "tx.ndjson:601" in capsys.readouterr().err


def test_more_bad_cells_than_a_stated_share_make_a_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = rows(3_000, "2026-{m:02}-{d:02}")
    for i in range(7):  # 6 are two in a thousand
        lines[i][2] = f"bad {i}"
    assert begun(tmp_path, lines, monkeypatch)["amount"].type in ("category", "text")


def test_a_rare_code_among_a_few_numbers_is_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = rows(3_000, "2026-{m:02}-{d:02}")
    for line in lines:
        line[4] = line[4][-1]
    lines[7][4] = "X"
    assert begun(tmp_path, lines, monkeypatch)["points"].type == "category"


@pytest.mark.parametrize(
    ("date", "order"),
    [
        ("{d:02}/{m:02}/2026", "dmy"),
        ("{d}.{m}.2026 {h:02}:15", "dmy"),
        ("{m:02}/{d:02}/2026 {h:02}:15:01", "mdy"),
        ("2026/{m:02}/{d:02}", "ymd"),
    ],
)
def test_dates_in_the_order_of_their_place_are_times(
    date: str,
    order: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = rows(3_000, date)
    lines[99][1] = "soon"
    schema = begun(tmp_path, lines, monkeypatch)
    assert (schema["booked"].type, schema["booked"].role) == ("time", "time")
    assert json.loads(capsys.readouterr().out)["reading"]["dates"] == order
    place: Place = open_place(tmp_path / "workspace.toml", overrides=[])
    assert place.workspace.detectors["mine"].reading == Reading(dates=order)  # type: ignore[arg-type]
    intake = Intake(place, "mine", str(tmp_path / "tx.csv"))
    assert sum(batch.n for batch in intake.read(intake.address, schema)) == 2_999
    assert intake.n_bad == 1


def test_dates_whose_order_does_not_show_are_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = rows(3_000, "2026-{m:02}-{d:02}")
    for i, line in enumerate(lines):
        line[1] = f"{1 + i % 12:02}/{1 + i // 12 % 12:02}/2026"
    schema = begun(tmp_path, lines, monkeypatch)
    assert schema["booked"].type in ("category", "text")
    assert ("booked", "dates") in doubts(capsys)
