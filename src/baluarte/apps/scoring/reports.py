"""What a worker tells the process that started it: that it answers, or why it ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from baluarte.errors import BaluarteError, Fault

LedgerState = Literal["writable", "nearly full", "refuses records", "away, gap is marked"]


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this worker decides, and by what."""

    status: Literal["ready", "not ready"]
    detectors: dict[str, int]  #: name to the version that decides
    without_champion: list[str]
    kernel: Literal["c", "numpy"] | None
    ledger: LedgerState
    registry: Literal["followed", "away"]


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker tells the process that started it, in a file of the folder they share."""

    pid: int
    worker: str = ""  #: as the registry knows it
    readiness: Readiness | None = None  #: when it began to listen
    error: str | None = None  #: the family of the error that ended it
    faults: tuple[Fault, ...] = ()


@contextlib.contextmanager
def telling(folder: str) -> Iterator[None]:
    """Leave the reason for the parent, and end the process."""
    try:
        yield
    except BaluarteError as error:
        family = type(error).__name__
        report(folder, WorkerReport(pid=os.getpid(), error=family, faults=error.faults))
        raise SystemExit(error.exit_code) from None


def report(folder: str, said: WorkerReport) -> None:
    """Leave a report for the parent, whole or not at all."""
    path = Path(folder) / f"worker-{said.pid}.json"
    aside = path.with_suffix(".part")
    aside.write_bytes(msgspec.json.encode(said))
    aside.rename(path)


def reports(folder: str) -> list[WorkerReport]:
    """All reports so far."""
    return [
        msgspec.json.decode(path.read_bytes(), type=WorkerReport)
        for path in sorted(Path(folder).glob("worker-*.json"))
    ]
