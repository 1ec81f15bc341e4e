"""Figures over workers: what was counted stays, what a worker is goes with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from baluarte.apps.scoring.figures import Figures, Spread, Store, born_of, merged, merged_spreads
from baluarte.apps.scoring.metrics import Metrics


def lines(page: bytes) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in (
            line.rsplit(" ", 1) for line in page.decode().splitlines() if not line.startswith("#")
        )
    }


def gone(folder: Path, numbers: dict[str, list[tuple[tuple[str, ...], float]]]) -> None:
    """Leave the file of a worker that is no more."""
    said = Figures(pid=os.getpid(), born=1, numbers=numbers, spreads={})
    (folder / f"figures-{os.getpid()}-1.json").write_bytes(msgspec.json.encode(said))


def test_counts_of_a_worker_that_died_stay_and_its_state_goes(tmp_path: Path) -> None:
    gone(
        tmp_path,
        {
            "baluarte_decisions": [(("flows", "2", "pass"), 40.0)],
            "baluarte_ledger_writable": [((), 0.0)],
            "baluarte_workers": [((), 1.0)],
        },
    )
    metrics = Metrics(str(tmp_path))
    metrics.decided("flows", 2, ["pass", "pass"], [5, 999])
    metrics.ledger(waiting=0, lag_s=None, writable=True)
    found = lines(metrics.page())
    assert found['baluarte_decisions_total{detector="flows",outcome="pass",version="2"}'] == 42
    assert found["baluarte_ledger_writable"] == 1
    assert found["baluarte_workers"] == 1
    assert found['baluarte_points_bucket{detector="flows",le="99.0",version="2"}'] == 1
    assert found['baluarte_points_bucket{detector="flows",le="999.0",version="2"}'] == 2
    assert found['baluarte_points_sum{detector="flows",version="2"}'] == 1004


def test_a_process_of_another_birth_is_another_worker() -> None:
    assert born_of(os.getpid()) == born_of(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert born_of(child.pid) is not None
        assert born_of(child.pid) != born_of(1)
    finally:
        child.kill()
        child.wait()
        assert child.stdin is not None
        child.stdin.close()
    assert born_of(child.pid) is None


@given(st.lists(st.lists(st.integers(0, 100), min_size=3, max_size=3), min_size=1, max_size=4))
def test_histograms_of_workers_add_up(counts: list[list[int]]) -> None:
    found = [
        Figures(pid=1, born=1, numbers={}, spreads={"h": [(("d", "1"), Spread(one, sum(one)))]})
        for one in counts
    ]
    merged_one = merged_spreads(found, "h")["d", "1"]
    assert merged_one.counts == [sum(column) for column in zip(*counts, strict=True)]
    assert merged_one.total == sum(map(sum, counts))


def test_a_folder_that_is_gone_keeps_no_worker_from_counting(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    store = Store(str(folder))
    store.numbers["n"] = {("a",): 1.0}
    store.share()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    store.share()
    assert merged(store.all(), "n", sum, living=True) == {}
