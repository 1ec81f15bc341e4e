"""Arrow IPC, as a file or as a stream; nested structs by path. Needs the extra ``files``."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import ClassVar

from baluarte.adapters.event_files import content_digest
from baluarte.core.event import Events
from baluarte.core.raw_column import RawColumn
from baluarte.core.reading import PLAIN, Reading
from baluarte.core.schema import Schema
from baluarte.errors import OutsideError
from baluarte.ports import Quarantine


class ArrowSource:
    """Events in Arrow. Columns that the schema doesn't have are not read."""

    name: ClassVar[str] = "arrow"
    suffixes: ClassVar[tuple[str, ...]] = (".arrow", ".arrows", ".feather")
    schemes: ClassVar[tuple[str, ...]] = ()

    def digest(self, address: str) -> str:
        """``sha256:…`` of the file."""
        return content_digest(address)

    def profile(self, address: str, *, max_rows: int, reading: Reading = PLAIN) -> list[RawColumn]:
        """The columns as they stand, over the first ``max_rows`` rows; lists are left out."""
        arrow = _arrow(address)
        with arrow.opened_ipc(address) as table:
            profile: list[RawColumn] = arrow.profile_table(table, max_rows, reading)
            return profile

    def read(
        self,
        address: str,
        schema: Schema,
        *,
        batch_rows: int,
        reading: Reading = PLAIN,
        quarantine: Quarantine | None = None,
    ) -> Iterator[Events]:
        """Canonical events in batches, in file order; see :class:`baluarte.ports.Source`.

        Raises:
            DataError: all faults of the file by row and field, the first ones in words.
        """
        arrow = _arrow(address)
        with arrow.opened_ipc(address) as table:
            yield from arrow.read_table(
                table, schema, batch_rows=batch_rows, reading=reading, quarantine=quarantine
            )


def _arrow(address: str) -> ModuleType:
    """The module that reads Arrow, imported when a file is read.

    Raises:
        OutsideError: Arrow isn't installed.
    """
    try:
        from baluarte.adapters import arrow_tables  # noqa: PLC0415 - only who reads Arrow pays
    except ImportError as error:
        raise OutsideError(
            "reading Arrow needs pyarrow, which isn't installed",
            where=address,
            hint="pip install 'baluarte[files]'",
        ) from error
    return arrow_tables
