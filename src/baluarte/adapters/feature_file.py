"""Features of more events than memory holds: written in any order, read back by the event's number.

A file without a name in the system's folder for such files (``TMPDIR``), gone when it is closed,
however the process ends.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from baluarte.errors import OutsideError

_TYPE = np.dtype("<f8")


class FeatureFile:
    """Numbers of events, ``width`` of each.

    Raises:
        OutsideError: there is no room for it.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        with _wrapped():
            self._file: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed at the end of its with

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, events: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Keep the features of some events.

        Args:
            events: (n,) their numbers, each once.
            values: (n, width).

        Raises:
            OutsideError: the disk for temporary files is full.
        """
        order = np.argsort(events)
        numbers, data = events[order], values[order].astype(_TYPE)
        # What follows one another is written at once.
        starts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 2) != 1).tolist()
        with _wrapped():
            for start, stop in zip(starts, [*starts[1:], len(numbers)], strict=True):
                self._put(int(numbers[start]), data[start:stop].tobytes())

    def read(self, start: int, n: int) -> NDArray[np.float64]:
        """(n, width) features of the events from ``start`` on.

        Raises:
            OutsideError: they can't be read.
        """
        data, at = bytearray(n * self._at(1)), self._at(start)
        left = memoryview(data)
        with _wrapped():
            while left:
                done = os.preadv(self._file.fileno(), [left], at)
                if not done:
                    raise OSError(f"{len(left):,} bytes are not there")
                left, at = left[done:], at + done
        return np.frombuffer(data, dtype=_TYPE).astype(np.float64).reshape(n, self._width)

    def _at(self, event: int) -> int:
        return event * self._width * _TYPE.itemsize

    def _put(self, event: int, data: bytes) -> None:
        left, at = memoryview(data), self._at(event)
        while left:
            done = os.pwrite(self._file.fileno(), left, at)
            left, at = left[done:], at + done


@contextlib.contextmanager
def _wrapped() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutsideError(
            f"features can't be laid down on disk: {error.strerror or error}",
            where="the folder for temporary files",
            retryable=True,
            hint="Make room there, or name a folder that has it: TMPDIR.",
        ) from error
