"""Fixtures of the whole suite, and the guard that keeps core and stages free of the world."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from postgres_ground import PostgresServer, initdb

# No test asserts on wall-clock time, and Hypothesis's own deadline would.
settings.register_profile("baluarte", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("baluarte")

ROOT = Path(__file__).parents[1]
_PURE = ("tests/core/", "tests/stages/")
_watching = [False]
_FORBIDDEN = ("open", "socket.", "subprocess.", "os.system", "shutil.")


def _hook(event: str, args: tuple[object, ...]) -> None:
    if not _watching[0] or not event.startswith(_FORBIDDEN):
        return
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith(("baluarte.core", "baluarte.stages")):
            raise AssertionError(f"{name} does I/O: {event} {args!r}")
        if name.startswith(("baluarte.", "importlib", "_pytest.assertion")):
            return
        frame = frame.f_back  # type: ignore[assignment]


sys.addaudithook(_hook)


@pytest.fixture(autouse=True)
def _no_io_in_core_and_stages(request: pytest.FixtureRequest) -> Iterator[None]:
    _watching[0] = any(part in str(request.path) for part in _PURE)
    yield
    _watching[0] = False


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data sets; skips where there is none."""
    for place in (os.environ.get("BALUARTE_DATA", ""), str(ROOT.parent / "shared" / "data")):
        if place and (Path(place) / "README.md").exists():
            return Path(place)
    pytest.skip("the real data sets are not here: set BALUARTE_DATA to their folder")


@pytest.fixture(scope="session")
def kernel() -> None:
    """Skips where the compiled kernel was not built: NumPy then scores, and nothing compares."""
    pytest.importorskip("baluarte.core.program._kernel", reason="the kernel is not built here")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL server of this session's own; skips where there is none."""
    program = initdb()
    if program is None:
        pytest.skip("PostgreSQL is not here: apt-get install postgresql")
    server = PostgresServer(program)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres(postgres_server: PostgresServer) -> str:
    """The address of that server."""
    return postgres_server.over_socket
