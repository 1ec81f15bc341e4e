"""Rows on their way in: good ones go on, bad ones go to the quarantine or end the run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from baluarte.core.event import Events
from baluarte.core.event_faults import MAX_FAULTS, Faults, Place
from baluarte.core.raw_column import MAX_ODD_SHARE
from baluarte.core.reading import BadRow
from baluarte.errors import DataError, Fault
from baluarte.ports import Quarantine

MAX_TEXT = 4_096  #: characters of a bad row that the quarantine keeps


class FewBad:
    """Passes over bad rows, as long as they are few: for a first look at a file."""

    def __init__(self) -> None:
        self._n = 0
        self._first: tuple[Fault, ...] = ()

    def put(self, row: BadRow) -> None:
        """One more of them."""
        self._n += 1
        self._first += row.faults[: MAX_FAULTS - len(self._first)]

    def settle(self, n_rows: int) -> None:
        """All rows were seen, this many with the bad ones.

        Raises:
            DataError: the bad ones are more than a stated share.
        """
        if self._n > MAX_ODD_SHARE * n_rows:
            raise DataError.of(list(self._first))


class RowIntake:
    """The faults of one reading, settled batch by batch.

    Args:
        place: names a row and a path in it.
        quarantine: takes bad rows; without it the first fault ends the reading.
    """

    def __init__(self, place: Place, quarantine: Quarantine | None) -> None:
        self.faults = Faults(place, by_row=quarantine is not None)
        self.n = 0  #: rows that were settled, or rejected before
        self._quarantine = quarantine
        self._broken: list[BadRow] = []

    def reject(self, row: int, line: int, error: DataError, text: str) -> None:
        """A row that is broken as a whole, so that it is in no batch.

        Args:
            row: number of the row that would have been this one, for the report's order.
            line: that it begins at.
        """
        self.n += 1
        if self._quarantine is None:
            self.faults.absorb(row, error)
        else:
            self._broken.append(BadRow(line=line, faults=error.faults, text=text[:MAX_TEXT]))

    def settle(
        self,
        events: Events,
        *,
        first_row: int,
        line: Callable[[int], int],
        text: Callable[[int], str],
    ) -> Events | None:
        """The batch without its bad rows; None where nothing of it may go on.

        Args:
            line: of a row, by its number within the batch.
            text: likewise, as it stood there.

        Raises:
            DataError: the quarantine is full.
        """
        self.n += events.n
        found = self.faults.take_rows()
        bad = self._broken + [
            BadRow(
                line=line(row - first_row),
                faults=tuple(faults),
                text=text(row - first_row)[:MAX_TEXT],
            )
            for row, faults in found.items()
        ]
        self._broken = []
        if bad and self._quarantine is not None:
            for each in sorted(bad, key=lambda row: row.line):
                self._quarantine.put(each)
            good = np.ones(events.n, dtype=np.bool_)
            good[[row - first_row for row in found]] = False
            events = events.take(good)
        return events if events.n and not self.faults.total else None

    def end(self) -> None:
        """All rows were seen.

        Raises:
            DataError: every fault that stands in the way; or the quarantine is full.
        """
        self.settle(Events(n=0, columns={}), first_row=0, line=lambda _: 0, text=lambda _: "")
        self.faults.raise_any()
