"""baluarte.apps.http.pool and .supervisor: a spare for whoever dies, as many as are needed."""

from __future__ import annotations

import os
import signal
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scoring_ground import _RUN, Server, Workplace, until

from baluarte.apps.http.pool import (
    GROW_ABOVE,
    GROW_AFTER_S,
    SETTLE_S,
    SHRINK_AFTER_S,
    SHRINK_BELOW,
    Bounds,
    CpuMeter,
    Pool,
)

# --- the rule ------------------------------------------------------------------------------------


def follow(pool: Pool, n: int, busy: float, seconds: float, *, start: float) -> list[int]:
    """How many there are after each half second at the same load of each worker."""
    found = []
    for step in range(round(seconds * 2)):
        n = pool.wish(n, busy, now_s=start + step / 2)
        found.append(n)
    return found


def test_a_load_that_stays_brings_one_more_at_a_time_up_to_the_most() -> None:
    pool = Pool(Bounds(1, 3))
    counts = follow(pool, 1, 0.9, 3 * (GROW_AFTER_S + SETTLE_S), start=100.0)
    assert sorted(set(counts)) == [1, 2, 3]
    assert counts == sorted(counts)
    assert counts.index(2) / 2 >= GROW_AFTER_S
    assert (counts.index(3) - counts.index(2)) / 2 >= GROW_AFTER_S + SETTLE_S


def test_a_short_burst_changes_nothing() -> None:
    pool = Pool(Bounds(1, 4))
    for i in range(200):
        assert pool.wish(2, 0.99 if i % 6 < 5 else 0.6, now_s=100 + i / 2) == 2


def test_fewer_come_only_after_a_minute_of_little_load() -> None:
    pool = Pool(Bounds(1, 4))
    counts = follow(pool, 3, 0.1, SHRINK_AFTER_S + 2, start=100.0)
    assert set(counts) == {2, 3}
    assert counts.index(2) / 2 >= SHRINK_AFTER_S


@given(load=st.floats(0.0, 8.0), most=st.integers(1, 8), start=st.integers(1, 8))
def test_under_a_steady_load_the_number_settles_and_stays(
    load: float, most: int, start: int
) -> None:
    pool, n, now_s = Pool(Bounds(1, most)), start, 100.0
    counts = []
    for _ in range(4_000):
        n = pool.wish(n, min(1.0, load / n), now_s=now_s)
        counts.append(n)
        now_s += 0.5
    assert all(1 <= count <= most for count in counts)
    assert len(set(counts[-1_000:])) == 1
    changes = [b - a for a, b in pairwise(counts) if a != b]
    assert not any(a * b < 0 for a, b in pairwise(changes))
    last = counts[-1]
    assert last == most or load / last <= GROW_ABOVE
    assert last == 1 or load / (last - 1) >= SHRINK_BELOW


def test_the_meter_sees_processor_time() -> None:
    meter = CpuMeter()
    assert meter.busy([os.getpid()], now_s=1.0) is None
    sum(i * i for i in range(2_000_000))
    busy = meter.busy([os.getpid(), 2**30], now_s=2.0)
    assert busy is not None
    assert busy > 0.0
    assert meter.busy([2**30], now_s=3.0) is None


# --- the processes -------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    place = Workplace(tmp_path)
    place.promote(place.seal())
    return place


def listening(place: Workplace) -> set[int]:
    return {said.pid for said in place.stores()["registry"].workers()}


def test_a_spare_takes_the_place_of_a_worker_that_dies_and_another_spare_comes(
    place: Workplace,
) -> None:
    with Server(place, workers=1, spare=True) as server:
        for i in range(3):
            (worker,) = listening(place)
            until(lambda: len(server.workers()) == 2, 60)
            (spare,) = set(server.workers()) - {worker}
            assert server.fresh_decide({"id": f"a{i}"})[0] == 200
            if i == 1:  # a spare that dies is no worker's death
                os.kill(spare, signal.SIGKILL)
                until(lambda spare=spare: spare not in server.workers(), 60)
                assert server.fresh_decide({"id": "b"})[0] == 200
                continue
            os.kill(worker, signal.SIGKILL)
            assert server.until_answered({"id": f"c{i}", "failures": i})[0] == 200
            until(lambda worker=worker: worker not in listening(place), 60)
            assert listening(place) == {spare}
        status, said = server.stop()
    assert (status, "Traceback" in said) == (0, False)
    assert server.workers_left() == []


_WISHED = """
from pathlib import Path
from baluarte.apps.http import pool
pool.Pool.wish = lambda self, n, busy, now_s: int(Path({path!r}).read_text())
"""


def test_workers_come_and_go_and_no_request_is_lost(place: Workplace, tmp_path: Path) -> None:
    wish = tmp_path / "wish"
    wish.write_text("1")
    seen: list[int] = []
    stopping = threading.Event()
    code = _WISHED.format(path=str(wish)) + _RUN
    with Server(place, code=code, workers=1, max_workers=3, spare=True) as server:

        def call() -> None:
            while not stopping.is_set():
                seen.append(server.fresh_decide({"id": f"x{len(seen)}"})[0])

        caller = threading.Thread(target=call)
        caller.start()
        try:
            for n in (3, 1, 2):
                wish.write_text(str(n))
                until(lambda n=n: len(listening(place)) == n, 90)
        finally:
            stopping.set()
            caller.join()
    assert seen
    assert set(seen) == {200}
