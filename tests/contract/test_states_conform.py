"""Every registered window state does what the port says."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from states_at_hand import redis_server

from baluarte.adapters.states.memory import MemoryState
from baluarte.adapters.states.redis import RedisState
from baluarte.errors import OutsideError, TrustError
from baluarte.testing.states import CHECKS, OpenState, sample_events, sample_plan


@contextmanager
def memory(place: Path) -> Iterator[OpenState]:
    yield lambda: MemoryState(sample_plan(), detector="payments", folder=place)


@contextmanager
def redis(place: Path) -> Iterator[OpenState]:
    with TemporaryDirectory(prefix="baluarte-") as short, redis_server(Path(short)) as url:
        yield lambda: RedisState(sample_plan(), detector="payments", url=url)


STATES: dict[str, Callable[[Path], object]] = {"memory": memory, "redis": redis}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", STATES)
def test_the_state_does_what_its_port_says(name: str, check: str, tmp_path: Path) -> None:
    with STATES[name](tmp_path) as open_state:  # type: ignore[attr-defined]
        CHECKS[check](open_state)


def test_every_registered_state_is_tried_here() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    assert set(project["project"]["entry-points"]["baluarte.states"]) == STATES.keys()


def test_state_in_memory_is_one_process_s_at_a_time_and_a_damaged_snapshot_is_refused(
    tmp_path: Path,
) -> None:
    from baluarte.core.windows import Seen

    with memory(tmp_path) as open_state:
        state = open_state()
        with pytest.raises(OutsideError, match="another process holds the state"):
            open_state()
        state.see([Seen(record=event) for event in sample_events(30, seed=5)])
        state.keep(state.snapshot({}))
        state.close()
        (path,) = tmp_path.rglob("*.state")
        whole = path.read_bytes()
        for damaged in (whole[:-1], whole[:100], whole[:-9] + b"x" + whole[-8:], b"x"):
            path.write_bytes(damaged)
            with pytest.raises(TrustError, match="damaged"):
                open_state()
        path.write_bytes(whole)
        open_state().close()


def test_a_redis_that_is_away_is_an_error_for_the_operator(tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match="Redis did not answer"):
        RedisState(sample_plan(), detector="payments", url=f"unix://{tmp_path}/none.sock")
