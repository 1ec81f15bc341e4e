"""The files of a folder as one set of events: parts of one kind, in the order of their paths."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import msgspec

from baluarte.core.event import Events
from baluarte.core.raw_column import RawColumn
from baluarte.core.reading import PLAIN, Reading
from baluarte.core.schema import Schema
from baluarte.errors import DataError
from baluarte.ports import Quarantine, Source


def parts_of(folder: str) -> list[str]:
    """The files of a folder and of the folders in it, by path.

    Hidden ones, and those that begin with an underscore as writers of parts leave them
    (``_SUCCESS``), are none.

    Raises:
        DataError: there is none.
    """
    root = Path(folder)
    found = {
        path.relative_to(root).as_posix(): str(path) for path in root.rglob("*") if path.is_file()
    }
    parts = [
        found[name] for name in sorted(found) if not any(p[0] in "._" for p in name.split("/"))
    ]
    if not parts:
        raise DataError("expected a folder with files of events, found none", where=folder)
    return parts


def largest_part(address: str) -> str:
    """The part of a folder that shows most of it; another address as it is."""
    if not Path(address).is_dir():
        return address
    return max(parts_of(address), key=lambda part: Path(part).stat().st_size)


class Parts:
    """Meets :class:`baluarte.ports.Source` for a folder whose files another source reads."""

    name: ClassVar[str] = "parts"
    suffixes: ClassVar[tuple[str, ...]] = ()
    schemes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, source: Source) -> None:
        self._source = source

    def digest(self, address: str) -> str:
        """``sha256:…`` of the parts' paths in the folder and of the content of each."""
        root = Path(address)
        told = [
            [Path(part).relative_to(root).as_posix(), self._source.digest(part)]
            for part in parts_of(address)
        ]
        return "sha256:" + hashlib.sha256(msgspec.json.encode(told)).hexdigest()

    def profile(self, address: str, *, max_rows: int, reading: Reading = PLAIN) -> list[RawColumn]:
        """The columns of the largest part as they stand, over its first ``max_rows`` rows."""
        return self._source.profile(largest_part(address), max_rows=max_rows, reading=reading)

    def read(
        self,
        address: str,
        schema: Schema,
        *,
        batch_rows: int,
        reading: Reading = PLAIN,
        quarantine: Quarantine | None = None,
    ) -> Iterator[Events]:
        """Canonical events in batches, part after part.

        Raises:
            DataError: values do not conform, or a part lacks a column.
        """
        for part in parts_of(address):
            yield from self._source.read(
                part, schema, batch_rows=batch_rows, reading=reading, quarantine=quarantine
            )
