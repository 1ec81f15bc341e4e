"""NDJSON: one JSON object a line (RFC 8259), nested as the schema's paths say, plain or gzip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from baluarte.adapters.event_files import content_digest
from baluarte.adapters.json_lines import profile_lines, read_lines
from baluarte.core.event import Events
from baluarte.core.raw_column import RawColumn
from baluarte.core.reading import PLAIN, Reading
from baluarte.core.schema import Schema
from baluarte.ports import Quarantine


class NdjsonSource:
    """Events as JSON lines. Keys that the schema doesn't have are left out.

    ``.json`` promises no form: there the first line must show that it is this one.
    """

    name: ClassVar[str] = "ndjson"
    suffixes: ClassVar[tuple[str, ...]] = (
        *(".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz"),
        *(".json", ".json.gz"),
    )
    schemes: ClassVar[tuple[str, ...]] = ()

    def digest(self, address: str) -> str:
        """``sha256:…`` of the file."""
        return content_digest(address)

    def profile(self, address: str, *, max_rows: int, reading: Reading = PLAIN) -> list[RawColumn]:
        """The columns as they stand, over the first ``max_rows`` rows; lists are left out."""
        return profile_lines(address, max_rows=max_rows, reading=reading)

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
            DataError: all faults of the file by line and field, the first ones in words.
        """
        return read_lines(
            address, schema, batch_rows=batch_rows, reading=reading, quarantine=quarantine
        )
