"""Every sink's conformance suite: what ``ports.Sink`` promises, as checks that raise.

A check takes the sink, a source that reads what the sink writes, and an address in a folder of its
own to write to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from baluarte.core.event import Values, records
from baluarte.core.schema import Field, Schema
from baluarte.errors import DataError, OutsideError
from baluarte.ports import Sink, Source
from baluarte.testing.expect import expect, refusal
from baluarte.testing.sources import read_all

SinkCheck = Callable[[Sink, Source, str], None]
Batch = Mapping[str, Sequence[object]]

SCHEMA = Schema(
    fields=(
        Field(name="event_id", type="category", role="id"),
        Field(name="score", type="integer"),
        Field(name="probability", type="number"),
        Field(name="outcome", type="category"),
        Field(name="base", type="integer"),
    )
)
BATCHES: tuple[Batch, ...] = (
    {
        "event_id": ["a", "b,c"],
        "score": [-(2**53) + 1, 0],
        "probability": [0.1, 5e-324],
        "outcome": ["pass", "pass"],
        "base": [None, None],
    },
    {
        "event_id": ["d\ne", "ñ"],
        "score": [np.int64(12), np.int64(2**53 - 1)],
        "probability": [np.float64(1.0), np.nan],
        "outcome": ["alert", "pass"],
        "base": [7, None],
    },
)
WANTED: list[Values] = [
    {"event_id": "a", "score": -(2**53) + 1, "probability": 0.1, "outcome": "pass"},
    {"event_id": "b,c", "score": 0, "probability": 5e-324, "outcome": "pass"},
    {"event_id": "d\ne", "score": 12, "probability": 1, "outcome": "alert", "base": 7},
    {"event_id": "ñ", "score": 2**53 - 1, "outcome": "pass"},
]


def _read(source: Source, address: str) -> list[Values]:
    return records(read_all(source, address, SCHEMA))


def _alone(address: str, promise: str) -> None:
    names = [path.name for path in Path(address).parent.iterdir()]
    expect(names == [Path(address).name], f"{promise}: {names}")


def what_is_written_reads_back(sink: Sink, source: Source, address: str) -> None:
    """All rows, in order, with the types that a later batch shows a column to have."""
    expect(sink.write(address, iter(BATCHES)) == 4, "the number of rows is returned")
    expect(_read(source, address) == WANTED, "what is written reads back")
    _alone(address, "nothing but the file is left")


def reasons_are_kept(sink: Sink, _source: Source, address: str) -> None:
    """Lists and empty batches pass."""
    batches: list[Batch] = [
        {"event_id": [], "reasons": []},
        {"event_id": ["a", "b"], "reasons": [None, (1, -2)]},
    ]
    expect(sink.write(address, iter(batches)) == 2, "lists and empty batches are written")
    expect(Path(address).stat().st_size > 0, "the file holds them")


def a_failure_leaves_nothing(sink: Sink, _source: Source, address: str) -> None:
    """Where the events end in an error, no file appears, whole or part."""

    def broken() -> Iterator[Batch]:
        yield BATCHES[0]
        raise DataError("row 3 is wrong")

    refusal(lambda: sink.write(address, broken()), "the error comes through")
    expect(not list(Path(address).parent.iterdir()), "nothing is left behind")


def a_failure_keeps_what_was_there(sink: Sink, source: Source, address: str) -> None:
    """An earlier file is replaced as a whole or not at all."""
    sink.write(address, iter(BATCHES))

    def broken() -> Iterator[Batch]:
        yield BATCHES[1]
        raise OutsideError("the disk is gone")

    refusal(lambda: sink.write(address, broken()), "the error comes through")
    expect(_read(source, address) == WANTED, "the earlier file still stands")
    sink.write(address, iter(BATCHES[1:]))
    expect(_read(source, address) == WANTED[2:], "a good write replaces it")
    _alone(address, "nothing but the file is left")


def batches_that_do_not_fit_are_refused(sink: Sink, _source: Source, address: str) -> None:
    """Other columns, unequal lengths or no rows at all leave nothing."""
    no_rows: list[Batch] = []
    for batches in (
        [BATCHES[0], {"event_id": ["x"]}],
        [{"event_id": ["x", "y"], "score": [1]}],
        no_rows,
    ):
        error = refusal(lambda b=batches: sink.write(address, iter(b)), "misfits are refused")  # type: ignore[misc]
        expect(isinstance(error, DataError), "misfits are a DataError")
        expect(not list(Path(address).parent.iterdir()), "nothing is left behind")


def a_place_that_is_no_place_is_refused(sink: Sink, _source: Source, address: str) -> None:
    """A folder that isn't there, and a folder where the file should be."""
    nowhere = str(Path(address).parent / "none" / Path(address).name)
    refusal(lambda: sink.write(nowhere, iter(BATCHES)), "an absent folder is refused")
    Path(address).mkdir()
    refusal(lambda: sink.write(address, iter(BATCHES)), "a folder is not replaced")


SINK_CHECKS: tuple[SinkCheck, ...] = (
    what_is_written_reads_back,
    reasons_are_kept,
    a_failure_leaves_nothing,
    a_failure_keeps_what_was_there,
    batches_that_do_not_fit_are_refused,
    a_place_that_is_no_place_is_refused,
)
