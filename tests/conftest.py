"""Fixtures of the whole suite, and the guard that keeps core and stages free of the world."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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
def postgres() -> Iterator[str]:
    """The address of a real PostgreSQL server of this session's own; skips where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(found[-1]) if found else None)
    if initdb is None:
        pytest.skip("PostgreSQL is not here: apt-get install postgresql")
    as_owner: dict[str, str] = {"user": "nobody"} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="baluarte-pg-"))
    if as_owner:
        shutil.chown(folder, "nobody")
    home = {**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    subprocess.run(
        [initdb, "-D", folder / "data", "-U", "baluarte", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True, capture_output=True, env=home, cwd=folder, **as_owner,  # type: ignore[call-overload]
    )  # fmt: skip
    server = subprocess.Popen(
        [Path(initdb).with_name("postgres"), "-D", folder / "data", "-k", folder, "-F",
         "-c", "listen_addresses="],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=home, cwd=folder, **as_owner,  # type: ignore[call-overload]
    )  # fmt: skip
    try:
        said = folder / "data" / "postmaster.pid"  # its last line is the server's own state
        for _ in range(600):
            if said.exists() and said.read_text().rstrip().endswith("ready"):
                break
            time.sleep(0.1)
        yield f"postgresql://baluarte@/postgres?host={folder}"
    finally:
        server.send_signal(2)  # fast shutdown
        server.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
