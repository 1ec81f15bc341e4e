"""Cells of text as people of other places write them, brought to the forms that the schema knows.

Decimal commas and thousands, words for "missing", and local times: each is stated, none guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from baluarte.core.event_faults import Faults
from baluarte.core.event_value import ValueRefusedError, describe
from baluarte.core.reading import Reading
from baluarte.core.schema import Field
from baluarte.errors import ContractError

_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?", re.ASCII)

Rewrite = Callable[[str], str]


class Cells:
    """How the cells of one reading become plain ones.

    Raises:
        ContractError: no such zone, or separators that can't be told apart.
    """

    def __init__(self, reading: Reading, *, where: str) -> None:
        if reading.thousands == reading.decimal:
            raise ContractError(
                f"expected two different signs, found {reading.decimal!r} for decimals and for "
                "thousands",
                where=f"{where}: reading.thousands",
            )
        self.missing = frozenset(reading.missing)  #: texts that mean a missing value
        self._number = _number(reading)
        self.zone = Zone(reading.zone, where=where) if reading.zone else None

    def of(self, field: Field) -> Rewrite | None:
        """What a field's cells are sent through; None where they are plain already."""
        if field.type in ("number", "integer"):
            return self._number
        return self.of_time if field.type == "time" else None

    @property
    def of_time(self) -> Rewrite | None:
        """What times are sent through."""
        return self.zone.text if self.zone else None

    def rewrite(
        self, field: Field, cells: Sequence[str], faults: Faults, first_row: int
    ) -> Sequence[str]:
        """The plain cells of a column; one that is refused is a fault, and empty."""
        missing, change = self.missing, self.of(field)
        if missing:
            cells = ["" if cell in missing else cell for cell in cells]
        if change is None:
            return cells
        try:
            table = {cell: change(cell) for cell in set(cells)}
        except ValueRefusedError:
            return self._one_by_one(field, change, cells, faults, first_row)
        return [table[cell] for cell in cells]

    def typed(
        self, field: Field, values: Sequence[Any], faults: Faults, first_row: int
    ) -> Sequence[Any]:
        """The values of a column that has types: of texts and local times the plain form."""
        zone = self.zone if field.type == "time" else None
        if not self.missing and zone is None:
            return values
        out: list[Any] = []
        for row, value in enumerate(values, first_row):
            found = value
            try:
                if isinstance(value, str):
                    found = None if value in self.missing else zone.text(value) if zone else value
                elif zone is not None and isinstance(value, datetime):
                    found = zone.aware(value)
            except ValueRefusedError as refused:
                faults.add(row, ".".join(field.keys), str(refused), refused.hint)
                found = None
            out.append(found)
        return out

    def touches(self, field: Field) -> bool:
        """Whether :meth:`typed` may change a column of this field."""
        return bool(self.missing) or (self.zone is not None and field.type == "time")

    def guessed(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Counted cells of a column without a type yet: whole columns of numbers are rewritten."""
        counts = {"" if cell in self.missing else cell: n for cell, n in counts.items()}
        change = self._number
        try:
            return counts if change is None else {change(cell): n for cell, n in counts.items()}
        except ValueRefusedError:
            return counts

    @staticmethod
    def _one_by_one(
        field: Field, change: Rewrite, cells: Sequence[str], faults: Faults, first_row: int
    ) -> Sequence[str]:
        out = []
        for row, cell in enumerate(cells, first_row):
            try:
                out.append(change(cell))
            except ValueRefusedError as refused:
                faults.add(row, ".".join(field.keys), str(refused), refused.hint)
                out.append("")
        return out


class Zone:
    """A place's clock, for times that don't say their offset.

    Raises:
        ContractError: there is no such place in the system's table.
    """

    def __init__(self, name: str, *, where: str) -> None:
        try:
            self._zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ContractError(
                f"expected a zone of the IANA table, such as Europe/Madrid; found {name!r}",
                where=f"{where}: reading.zone",
                hint="If it is one, install the system's tzdata.",
            ) from None
        self.name = name

    def text(self, cell: str) -> str:
        """A time with its offset; what is no local time stays as it is.

        Raises:
            ValueRefusedError: the clock showed this time twice, or never.
        """
        stripped = cell.strip()
        if not _LOCAL.fullmatch(stripped):
            return cell
        try:
            moment = datetime.fromisoformat(stripped.upper().replace(" ", "T"))
        except ValueError:
            return cell
        offset = self.aware(moment).strftime("%z")
        seconds = offset[5:]
        return f"{stripped}{offset[:3]}:{offset[3:5]}" if not seconds else cell

    def aware(self, moment: datetime) -> datetime:
        """A moment with its offset.

        Raises:
            ValueRefusedError: the clock showed this time twice, or never.
        """
        if moment.tzinfo is not None:
            return moment
        first, second = (moment.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        if first.utcoffset() == second.utcoffset():
            return first
        there = first.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None)
        often = "twice" if there == moment else "never"
        raise ValueRefusedError(
            f"expected one instant, found {describe(moment.isoformat(sep=' '))}, which the clock "
            f"of {self.name} showed {often}",
            "Write times with their offset, such as +02:00.",
        )


def _number(reading: Reading) -> Rewrite | None:
    decimal, thousands = reading.decimal, reading.thousands
    if decimal == "." and not thousands:
        return None
    groups = re.escape(thousands)
    whole = rf"\d+|\d{{1,3}}({groups}\d{{3}})+" if thousands else r"\d+"
    shape = re.compile(rf"\s*[+-]?({whole})?({re.escape(decimal)}\d*)?([eE][+-]?\d+)?\s*", re.ASCII)
    wrong = {thousands, decimal, ","} - {"."} | ({"."} if decimal == "," else set())

    def change(cell: str) -> str:
        if shape.fullmatch(cell):
            plain = cell.replace(thousands, "") if thousands else cell
            return plain.replace(decimal, ".")
        if any(sign and sign in cell for sign in wrong):
            raise ValueRefusedError(
                f"expected a number with {decimal!r} before its fraction, found {describe(cell)}",
                "Check reading.decimal and reading.thousands of the detector in workspace.toml.",
            )
        return cell

    return change
