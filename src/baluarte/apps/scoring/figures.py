"""A worker's figures: plain numbers that it alone changes, in a file that all workers read.

A number that is counted for every request must cost nothing there: it is added in the worker's own
memory, and a thread writes all of them to one small file of the folder that workers share, whole or
not at all. Whoever is asked for the page writes its own and reads them all, so that a figure is
at most :data:`EVERY_S` old; what a worker that is killed counted in that time is lost here, and
stands in the ledger.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

EVERY_S = 0.25

Labels = tuple[str, ...]
Numbers = dict[Labels, float]  #: by the values of the labels, in the order of their names
_NAME = "figures-{pid}-{born}.json"


class Spread(msgspec.Struct):
    """A histogram: observations by the first bound that holds them, the last without one."""

    counts: list[int]
    total: float = 0.0


class Figures(msgspec.Struct):
    """All numbers of one worker, by name and labels."""

    pid: int
    born: int  #: when the process began, in ticks: process ids come again
    numbers: dict[str, list[tuple[Labels, float]]]
    spreads: dict[str, list[tuple[Labels, Spread]]]

    @property
    def lives(self) -> bool:
        """Whether the worker is still there."""
        return born_of(self.pid) == self.born


class Store:
    """Keeps a worker's numbers and shares them.

    Args:
        folder: a private one that the workers share.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._pid = os.getpid()
        self._born = born_of(self._pid) or 0
        self.numbers: dict[str, Numbers] = {}
        self.spreads: dict[str, dict[Labels, Spread]] = {}
        self._writing = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self) -> None:
        """Share the numbers in a thread until :meth:`stop`."""

        def run() -> None:
            while not self._stopping.wait(EVERY_S):
                self.share()

        self._thread = threading.Thread(target=run, name="figures", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what was counted last is shared."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self.share()

    def share(self) -> None:
        """Write the file anew."""
        with self._writing:
            # Each copy is one step for the other threads: they only add names and change numbers.
            said = Figures(
                pid=self._pid,
                born=self._born,
                numbers={name: list(at.copy().items()) for name, at in self.numbers.copy().items()},
                spreads={name: list(at.copy().items()) for name, at in self.spreads.copy().items()},
            )
            path = self._folder / _NAME.format(pid=self._pid, born=self._born)
            aside = path.with_suffix(".part")
            try:
                aside.write_bytes(msgspec.json.encode(said))
                aside.rename(path)
            except OSError:  # the folder went with the server, or its disk is full
                return

    def all(self) -> list[Figures]:
        """The figures of every worker that there was, this one's as they are now."""
        self.share()
        return [
            msgspec.json.decode(path.read_bytes(), type=Figures)
            for path in sorted(self._folder.glob(_NAME.format(pid="*", born="*")))
        ]


def merged(
    found: list[Figures], name: str, how: Callable[[list[float]], float], *, living: bool
) -> Numbers:
    """One number by its labels over all workers.

    Args:
        living: leave out what workers that are gone said last.
    """
    values: dict[Labels, list[float]] = {}
    for figures in found:
        if not living or figures.lives:
            for labels, value in figures.numbers.get(name, ()):
                values.setdefault(labels, []).append(value)
    return {labels: how(several) for labels, several in sorted(values.items())}


def merged_spreads(found: list[Figures], name: str) -> dict[Labels, Spread]:
    """One histogram by its labels, added up over all workers."""
    out: dict[Labels, Spread] = {}
    for figures in found:
        for labels, spread in figures.spreads.get(name, ()):
            into = out.setdefault(labels, Spread([0] * len(spread.counts)))
            into.counts = [a + b for a, b in zip(into.counts, spread.counts, strict=True)]
            into.total += spread.total
    return dict(sorted(out.items()))


def born_of(pid: int) -> int | None:
    """When a process began, in clock ticks since the machine did; None where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return int(stat.rpartition(b")")[2].split()[19])  # field 22; the name before it may hold spaces
