"""baluarte.apps.acknowledged: a change of champion is over when every live worker decides by it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from scoring_ground import Server, Workplace, until

from baluarte.apps.acknowledged import wait_for_workers
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.cli.workers import tell_workers
from baluarte.core.registry import WorkerState
from baluarte.testing.clock import FixedClock
from baluarte.testing.stores import MemoryRegistry


def state(worker: str, version: int | None, *, at: int) -> WorkerState:
    deciding = {} if version is None else {"flows": version}
    return WorkerState(worker=worker, host="h", pid=len(worker), seen_at=at, deciding=deciding)


def test_workers_that_decide_by_another_version_are_listed_and_silent_ones_are_not_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry, clock = MemoryRegistry(), FixedClock()
    now = clock.now_us()
    screen = Screen(as_json=False)
    assert (
        tell_workers(screen, Texts("en"), wait_for_workers(registry, clock, "flows", 2), "flows", 2)
        == 0
    )
    for said in (
        state("a", 2, at=now),
        state("bb", 1, at=now),
        state("ccc", None, at=now),
        state("dddd", 1, at=now - 11_000_000),
    ):
        registry.beat(said)
    found = wait_for_workers(registry, clock, "flows", 2, limit_s=0)
    assert [one.worker for one in found.by] == ["a"]
    assert [one.worker for one in found.not_yet] == ["bb", "ccc"]
    assert tell_workers(screen, Texts("en"), found, "flows", 2) == 1
    said_so = capsys.readouterr().out
    assert "1 of 3 decide by flows@2" in said_so
    assert "h:2 decides by flows@1" in said_so
    assert "h:3 decides by none" in said_so


def test_a_change_returns_when_all_workers_took_it_up_and_lists_one_that_hangs(
    tmp_path: Path,
) -> None:
    place = Workplace(tmp_path)
    one, two, three = (place.seal() for _ in range(3))
    place.promote(one)
    stores = place.stores()
    registry, clock = stores["registry"], stores["clock"]
    with Server(place, workers=2) as server:
        place.promote(two)
        found = wait_for_workers(registry, clock, "flows", 2, limit_s=30)
        assert (len(found.by), found.not_yet) == (2, ())
        assert {server.fresh_decide({"id": f"a{i}"})[1]["version"] for i in range(8)} == {2}
        hung, other = server.workers()
        os.kill(hung, signal.SIGSTOP)
        try:
            place.promote(three)
            until(lambda: len(wait_for_workers(registry, clock, "flows", 3, limit_s=0).by) == 1)
            found = wait_for_workers(registry, clock, "flows", 3, limit_s=0)
            assert [said.pid for said in found.not_yet] == [hung]
            assert [said.pid for said in found.by] == [other]
        finally:
            os.kill(hung, signal.SIGCONT)
        assert wait_for_workers(registry, clock, "flows", 3, limit_s=30).not_yet == ()
        os.kill(hung, signal.SIGKILL)  # whoever comes in its place says that it is gone
        until(lambda: hung not in {said.pid for said in registry.workers()}, 60)
    assert registry.workers() == []
