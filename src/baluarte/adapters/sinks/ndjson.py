"""NDJSON: one JSON object a line; a missing value is null."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec

from baluarte.adapters.batches import same_columns
from baluarte.adapters.whole_file import whole_file


class NdjsonSink:
    """Decisions as JSON lines."""

    name: ClassVar[str] = "ndjson"
    suffixes: ClassVar[tuple[str, ...]] = (".ndjson", ".jsonl", ".json", ".log")
    schemes: ClassVar[tuple[str, ...]] = ()

    def write(self, address: str, batches: Iterator[Mapping[str, Sequence[object]]]) -> int:
        """Write all batches of columns and return the number of rows; all of it or nothing."""
        encoder = msgspec.json.Encoder()
        n = 0
        with whole_file(address) as aside, aside.opened() as file:
            for columns in same_columns(batches, address):
                names = list(columns)
                rows = [
                    dict(zip(names, row, strict=True))
                    for row in zip(*columns.values(), strict=True)
                ]
                file.write(encoder.encode_lines(rows))
                n += len(rows)
        return n
