"""baluarte.apps.derived: window features by way of the disk, the same bits as training's."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from baluarte.apps.derived import Derived
from baluarte.apps.intake import Intake, intake_of, material_of
from baluarte.apps.making import survey_events
from baluarte.apps.place import Detector, Place, open_place
from baluarte.core.contract import Contract
from baluarte.core.event import Events, concat
from baluarte.core.survey import survey
from baluarte.core.window_plan import WindowPlan, compile_windows
from baluarte.errors import DataError

CONTRACT = """
name = "cards"
purpose = "test"
owner = "test"
[events]
label = "fraud"
positive = ["1"]
id = "id"
time = "at"
keys = ["card", "shop"]
[types]
integer = ["fraud"]
text = ["id"]
time = ["at"]
category = ["card", "shop"]
number = ["amount"]
[objective]
max_fpr = 0.05
label_delay_days = 1
[windows.n_day]
op = "count"
by = "card"
window_s = 86400
[windows.usual]
op = "mean"
by = "card"
field = "amount"
decimals = 2
window_s = 864000
[windows.risk]
op = "mean"
by = "shop"
field = "fraud"
window_s = 604800
lag_s = 86400
[windows.large]
op = "flag"
where = "amount > 500"
"""
HEAD = "id,at,card,shop,amount,fraud\n"


def lines_of(n: int, first: int = 0) -> list[str]:
    """Events with ties in time, amounts and labels that are missing, and repeated ids."""
    draw = random.Random(n)
    return [
        f"e{i - draw.choice((0, 0, 0, 1))},{1_700_000_000 + (i - i % 3) * 900},c{i % 9},s{i % 5},"
        f"{draw.choice(('', draw.randrange(10**5) / 100))},{draw.choice(('', 0, 0, 1))}\n"
        for i in range(first, first + n)
    ]


def opened(folder: Path, lines: list[str], proof: list[str]) -> tuple[Place, Detector, Contract]:
    (folder / "detector.toml").write_text(CONTRACT, "utf-8")
    (folder / "workspace.toml").write_text(
        '[limits]\nbatch_rows = 500\n[detectors.cards]\npath = "detector.toml"\n'
        'events = "past.csv"\nholdout = "proof.csv"\n',
        "utf-8",
    )
    (folder / "past.csv").write_text(HEAD + "".join(lines), "utf-8")
    (folder / "proof.csv").write_text(HEAD + "".join(proof), "utf-8")
    place = open_place(folder / "workspace.toml", overrides=[])
    detector = place.detector(None)
    return place, detector, detector.contract()


def plan_of(contract: Contract) -> WindowPlan:
    plan = compile_windows(contract)
    assert plan is not None
    return plan


def same(found: Events, wanted: Events) -> None:
    assert found.columns.keys() == wanted.columns.keys()
    for name, column in wanted.columns.items():
        if column.dtype == object:
            assert found.columns[name].tolist() == column.tolist(), name
        else:
            assert found.columns[name].tobytes() == column.tobytes(), name


@pytest.mark.parametrize("most", [0, 10**9])
def test_features_are_those_of_training_whether_rows_are_kept_or_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = lines_of(3_000)
    random.Random(5).shuffle(lines)  # the order of the file is not that of time
    place, detector, contract = opened(tmp_path, lines, lines_of(400, 3_000))
    wanted = material_of(place, detector, contract)
    assert detector.holdout is not None
    intakes = [intake_of(place, detector), Intake(place, detector.name, detector.holdout)]
    with Derived(plan_of(contract), contract, intakes, most=most) as derived:
        found = [concat(list(derived.batches(i))) for i in (0, 1)]
    n = wanted.events.n - wanted.n_apart
    same(found[0], wanted.events.slice(0, n))
    same(found[1], wanted.events.slice(n, wanted.events.n))
    assert not np.isnan(found[1].columns["risk"]).all()


def test_plan_sees_what_training_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place, detector, contract = opened(tmp_path, lines_of(2_000), lines_of(400, 2_000))
    wanted = material_of(place, detector, contract)
    seen = survey_events(place, detector, intake_of(place, detector))
    n = wanted.events.n - wanted.n_apart
    held = survey(contract, [wanted.events.slice(n, wanted.events.n)])
    expected = survey(contract, [wanted.events.slice(0, n)], holdout=held)
    assert seen.whole.digest == expected.whole.digest
    assert seen.holdout is not None
    assert seen.holdout.whole.digest == held.whole.digest
    same(seen, expected)


def test_events_that_change_while_they_are_read_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place, detector, contract = opened(tmp_path, lines_of(900), [])
    plan = plan_of(contract)
    with Derived(plan, contract, [intake_of(place, detector)], most=0) as derived:
        with (tmp_path / "past.csv").open("a", encoding="utf-8") as file:
            file.write(lines_of(1)[0])
        with pytest.raises(DataError, match=r"expected 900 events.*found 901"):
            list(derived.batches(0))
    with pytest.raises(DataError, match="expected events, found"):
        Derived(plan, contract, [Intake(place, detector.name, "proof.csv")])


_PEAK = """
import sys
from pathlib import Path
from baluarte.adapters.spill_file import SpillFile
from baluarte.apps.derived import Derived
from baluarte.apps.intake import intake_of
from baluarte.apps.place import open_place
from baluarte.core.survey import survey
from baluarte.core.window_plan import compile_windows
place = open_place(Path("workspace.toml"), overrides=[])
detector = place.detector(None)
contract = detector.contract()
windows = compile_windows(contract)
with Derived(windows, contract, [intake_of(place, detector)], most=1_000) as derived:
    with SpillFile() as spill:
        seen = survey(contract, derived.batches(0), max_rows=1_000, max_kept=2_000, spill=spill)
assert seen.whole.n == int(sys.argv[1])
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for n in (70_000, 140_000):  # both beyond the 65,536 events between two looks for what is old
        folder = tmp_path / str(n)
        folder.mkdir()
        # Half a day apart, so that what the windows hold is the same at any time.
        lines = [
            f"e{i},{1_000_000 + i * 43_200},c{i % 9},s1,{i % 977}.5,{i % 2}\n" for i in range(n)
        ]
        opened(folder, lines, [])
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, str(n)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    assert peaks[1] < peaks[0] + 24
