"""Keep numbers that are too many for memory in a file that has no name, gone with the process."""

from __future__ import annotations

import tempfile
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from baluarte.errors import OutsideError

_BYTES = 8


class SpillFile:
    """Meets ``ports.Spill``; the file is made when the first numbers come."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._n = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, values: NDArray[np.uint64]) -> int:
        """Keep these; the number of those kept before.

        Raises:
            OutsideError: the disk for temporary files is full.
        """
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end of its with
        at, self._n = self._n, self._n + len(values)
        try:
            self._file.seek(at * _BYTES)
            self._file.write(values.astype("<u8").tobytes())
            self._file.flush()
        except OSError as error:
            raise OutsideError(
                f"can't keep the keys of {self._n:,} rows: {error.strerror}",
                where="the folder for temporary files",
                retryable=True,
                hint=f"Free {self._n * _BYTES:,} bytes there, or set TMPDIR.",
            ) from error
        return at

    def read(self, at: int, n: int) -> NDArray[np.uint64]:
        """(n,) those from ``at`` on."""
        if self._file is None or n == 0:
            return np.zeros(0, dtype=np.uint64)
        self._file.seek(at * _BYTES)
        return np.frombuffer(self._file.read(n * _BYTES), dtype="<u8").astype(np.uint64)
