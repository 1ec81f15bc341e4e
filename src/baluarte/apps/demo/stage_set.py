"""The demo's own workspace and server: a folder that can be looked at, and used, afterwards."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from baluarte import wiring
from baluarte.apps.demo.events import DemoEvents
from baluarte.apps.place import DETECTOR_FILE, WORKSPACE_FILE, Place, open_place
from baluarte.core.native import native
from baluarte.errors import OutsideError

MARK = ".baluarte-demo"  #: a folder that has it was made by the demo and may be made anew
#: events that wait in a worker above which reasons are deferred where NumPy scores: they take it
#: 30 times as long as a score; a request of the demo has 25 events
_SLOW_REASONS_ABOVE = 24


def claim(folder: Path) -> None:
    """Take a folder for the demo: a new or empty one, or one that it made before.

    Raises:
        OutsideError: the folder has something in it that the demo did not make.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise OutsideError(
            "the folder is not empty and the demo did not make it",
            where=str(folder),
            hint="Take another one: baluarte demo --out FOLDER.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text("made by baluarte demo\n", "utf-8")


def has_kernel() -> bool:
    """Whether the compiled kernel scores here."""
    return wiring.kernel_choice() != "numpy" and native("program._kernel") is not None


def prepare(folder: Path, events: DemoEvents, *, workers: int) -> Place:
    """A fresh workspace with the demo's detector in a claimed folder."""
    shutil.rmtree(folder / ".baluarte", ignore_errors=True)
    contract = files("baluarte.apps.demo").joinpath(f"{events.key}.toml").read_text("utf-8")
    name = contract.split('"', 2)[1]
    (folder / name).mkdir(exist_ok=True)
    (folder / name / DETECTOR_FILE).write_text(contract, "utf-8")
    slow = "" if has_kernel() else f"reasons_above = {_SLOW_REASONS_ABOVE}\n"
    (folder / WORKSPACE_FILE).write_text(
        f"[detectors.{name}]\n"
        f'path = "{name}"\n'
        f"events = {json.dumps(str(events.train.resolve()))}\n\n"
        f'[serve]\naddress = "127.0.0.1:8317"\nworkers = {workers}\n{slow}\n'
        "[watch]\narl = 1_000_000\n",
        "utf-8",
    )
    return open_place(folder / WORKSPACE_FILE, overrides=[])


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that answers."""

    url: str
    token: str
    workers: int
    seconds: float


@contextmanager
def server(place: Place, *, port: int) -> Iterator[Running]:
    """The server of the workspace, as ``baluarte serve`` starts it; stopped on the way out.

    Raises:
        OutsideError: it did not come up.
    """
    words = [sys.executable, "-m", "baluarte.apps.cli.main", "serve", "--json"]
    with (
        tempfile.TemporaryFile() as errors,  # a pipe that nobody reads would fill and stop it
        subprocess.Popen(  # noqa: S603 - our own program, by its own interpreter
            [*words, "--workspace", str(place.root / WORKSPACE_FILE), "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            said = process.stdout.readline() if process.stdout else ""
            try:
                ready = json.loads(said)
                running = Running(
                    url=ready["url"],
                    token=ready["token"],
                    workers=ready["workers"],
                    seconds=ready["seconds"],
                )
            except (ValueError, KeyError):
                _stop(process)
                errors.seek(0)
                told = errors.read()[-500:].decode(errors="replace")
                raise OutsideError(f"the server did not come up: {said}{told}") from None
            yield running
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
