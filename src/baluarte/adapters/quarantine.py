"""The quarantine: a file of the rows that could not be read, each with its line and its faults.

One JSON object a row: ``line``, ``faults`` (each with ``where``, ``message`` and ``hint``) and
``text``, the row as it stood. Rows may hold what the events hold of people, so only the owner can
read it. The file is seen whole: when the reading is over, or when it stopped for too many.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import ClassVar, Self

import msgspec

from baluarte.adapters.disk import open_new, outside, sync_folder, write_aside
from baluarte.core.erasure import Erasure
from baluarte.core.event_faults import MAX_FAULTS
from baluarte.core.reading import BadRow, Tolerance
from baluarte.errors import DataError, Fault

_ENCODE = msgspec.json.Encoder().encode


class QuarantineFolder:
    """All quarantined rows of a workspace, as a place that can forget people.

    A row that could not be read has no fields: it is someone's if it has the name as a whole word.
    """

    name: ClassVar[str] = "quarantine"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def forget(self, erasure: Erasure) -> bool:
        """Write every file again without the rows of the erasure's subjects.

        Raises:
            OutsideError: the disk refused.
        """
        words = {subject.name for subject in erasure.subjects} | set(erasure.texts)
        names = [re.escape(word) for word in words if word]
        if not names or not self._folder.is_dir():
            return True
        theirs = re.compile(rf"(?<![^\W_])(?:{'|'.join(names)})(?![^\W_])")
        with outside("the quarantine can't be written", self._folder):
            for path in sorted(self._folder.rglob("*.ndjson")):
                _without(path, theirs)
        return True


def _without(path: Path, theirs: re.Pattern[str]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not theirs.search(_text_of(line))]
    if not kept:
        path.unlink()
        sync_folder(path.parent)
    elif len(kept) < len(lines):
        write_aside(path, b"".join(kept))


def _text_of(line: bytes) -> str:
    row = msgspec.json.decode(line, type=BadRow)
    return "\n".join([row.text, *(fault.message for fault in row.faults)])


class QuarantineFile:
    """Keeps bad rows in a file, up to a stated number and share of them.

    Args:
        path: of the file; its folder is made where it isn't there. Without a bad row no file is.
    """

    def __init__(self, path: Path, tolerance: Tolerance) -> None:
        self.path = path
        self.n = 0  #: rows in it
        self._tolerance = tolerance
        self._first: list[Fault] = []
        self._aside = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with outside("can't write the quarantine", self.path):
            if self._descriptor is None:
                self.path.unlink(missing_ok=True)  # an earlier reading's: this one has no bad row
                return
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
            self._aside.rename(self.path)
            sync_folder(self.path.parent)

    def put(self, row: BadRow) -> None:
        """Keep a row.

        Raises:
            DataError: there are more of them than may be.
            OutsideError: the disk refused.
        """
        self.n += 1
        self._first += row.faults[: MAX_FAULTS - len(self._first)]
        with outside("can't write the quarantine", self.path):
            if self._descriptor is None:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with contextlib.suppress(FileNotFoundError):
                    self._aside.unlink()
                self._descriptor = open_new(self._aside)
            os.write(self._descriptor, _ENCODE(row) + b"\n")
        if self.n > self._tolerance.max_rows:
            raise self._too_many(f"more than {self._tolerance.max_rows} rows can't be read")

    def settle(self, n_good: int) -> None:
        """All rows were read.

        Raises:
            DataError: the share of bad rows is too large.
        """
        n_rows = n_good + self.n
        if self._tolerance.too_many(self.n, n_rows):
            share = f"more than {self._tolerance.max_share:.4g} of them"
            raise self._too_many(f"{self.n} of {n_rows} rows can't be read, {share}")

    def _too_many(self, said: str) -> DataError:
        more = self.n - len(self._first)
        last = Fault(
            f"{said}; nothing is done with the others"
            + (f" (and {more} more faults)" if more > 0 else ""),
            hint=f"They are in {self.path}. Cure them, or raise limits.max_bad_rows and "
            "limits.max_bad_share in workspace.toml.",
        )
        return DataError.of([*self._first, last])
