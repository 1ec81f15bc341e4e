"""What is wrong with events: the first faults in words, all of them in number."""

from __future__ import annotations

from collections.abc import Callable

from baluarte.errors import DataError, Fault

MAX_FAULTS = 20  #: faults that a report spells out; the rest are counted

Place = Callable[[int, str], str]  #: (row, field path) to where a person finds it


class Faults:
    """Collects faults in any order; reports the first ones by row.

    Args:
        place: names a row and a path in it.
        by_row: what is wrong with single rows is kept apart, for :meth:`take_rows`, and is no part
            of the report.
    """

    def __init__(self, place: Place, *, by_row: bool = False) -> None:
        self.place = place
        self.total = 0
        self.by_row = by_row
        self._kept: list[tuple[int, Fault]] = []
        self._rows: dict[int, list[Fault]] = {}

    def add(self, row: int, path: str, message: str, hint: str | None = None) -> None:
        """Record one fault; ``row`` orders the report, and is -1 for what is wrong with all."""
        if self.by_row and row >= 0:
            known = self._rows.setdefault(row, [])
            if len(known) < MAX_FAULTS:
                known.append(Fault(message, self.place(row, path), hint))
        elif self._wanted(row):
            self._kept.append((row, Fault(message, self.place(row, path), hint)))

    def take_rows(self) -> dict[int, list[Fault]]:
        """The faults of single rows since the last call, by row."""
        rows, self._rows = self._rows, {}
        return rows

    def absorb(self, row: int, error: DataError) -> None:
        """Record what another reader found to be wrong from this row on."""
        for fault in error.faults:
            if self._wanted(row):
                self._kept.append((row, fault))

    def _wanted(self, row: int) -> bool:
        """Count a fault; whether it may be among the first."""
        self.total += 1
        if len(self._kept) >= 8 * MAX_FAULTS:
            self._kept.sort(key=lambda kept: kept[0])
            del self._kept[MAX_FAULTS:]
        return len(self._kept) < MAX_FAULTS or row < max(self._kept, key=lambda kept: kept[0])[0]

    def error(self) -> DataError:
        """All that was collected as one error; there is at least one fault."""
        self._kept.sort(key=lambda kept: kept[0])
        faults = [fault for _, fault in self._kept[:MAX_FAULTS]]
        if self.total > len(faults):
            faults.append(Fault(f"and {self.total - len(faults)} more faults"))
        return DataError.of(faults)

    def raise_any(self) -> None:
        """Raise what was collected, if anything.

        Raises:
            DataError: every fault, the first ``MAX_FAULTS`` in words.
        """
        if self.total:
            raise self.error()
