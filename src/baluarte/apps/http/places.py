"""How many connections each worker has, so that new ones go to workers that have fewer.

All workers are woken by a connection that waits in the socket they share, and whoever is idle at
that moment would take it, and the next: one worker of two may end up with nearly all, and their
callers wait for each other. Here every worker sees the others' numbers, in memory that the parent
made. A number may be old or a worker dead: it is only ever a reason to wait a moment.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable
from multiprocessing.reduction import DupFd
from typing import Any

MOST_PLACES = 64  #: workers beyond that take what comes
_ALIKE = 16
_NOBODY = -1
_BYTES = 4 * MOST_PLACES


class Places:
    """The parent's side: who has which place."""

    def __init__(self) -> None:
        self._file = _memory()
        self._counts = _mapped(self._file)
        self._free = set(range(MOST_PLACES))
        for number in self._free:
            self._counts[number] = _NOBODY

    def take(self) -> Place | None:
        """A place for a worker that is to be started; None where none is left."""
        if not self._free:
            return None
        number = min(self._free)
        self._free.discard(number)
        return Place(self._file, number)

    def give_back(self, place: Place | None) -> None:
        """Its worker is no more."""
        if place is not None:
            self._counts[place.number] = _NOBODY
            self._free.add(place.number)

    def close(self) -> None:
        """Let go of the memory; workers keep theirs."""
        self._counts.release()
        os.close(self._file)


class Place:
    """A worker's side; the parent hands it over when it starts the worker."""

    def __init__(self, file: int, number: int) -> None:
        self._file = file
        self.number = number
        self._counts: memoryview | None = None

    def __reduce__(self) -> tuple[Callable[..., Place], tuple[Any, int]]:
        return _received, (DupFd(self._file), self.number)

    def tell(self, n_open: int) -> None:
        """So many connections are open."""
        self._all()[self.number] = n_open

    def leave(self) -> None:
        """It takes no more."""
        self.tell(_NOBODY)

    def share(self, n_open: int, n_waiting: int) -> int:
        """How many of the connections that wait are this worker's, so that all come to have alike.

        Below one: others have fewer. One in sixteen is no difference.
        """
        counts = self._all().tolist()
        counts[self.number] = _NOBODY
        others = [count for count in counts if count != _NOBODY]
        alike = -(-(n_open + sum(others) + n_waiting) // (1 + len(others)))
        return alike - n_open + n_open // _ALIKE

    def _all(self) -> memoryview:
        if self._counts is None:
            self._counts = _mapped(self._file)
        return self._counts


def _received(file: Any, number: int) -> Place:
    return Place(file.detach(), number)


def _memory() -> int:
    """A file in memory, or one without a name."""
    with contextlib.suppress(AttributeError, OSError):
        file = os.memfd_create("baluarte-places")
        os.truncate(file, _BYTES)
        return file
    import tempfile  # noqa: PLC0415 - where memory has no files, which is rare

    with tempfile.TemporaryFile() as named:
        named.truncate(_BYTES)
        return os.dup(named.fileno())


def _mapped(file: int) -> memoryview:
    return memoryview(mmap.mmap(file, _BYTES)).cast("i")
