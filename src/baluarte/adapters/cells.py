"""Cells of text as people of other places write them, brought to the forms that the schema knows.

Decimal commas and thousands, words for "missing", and local times: each is stated, none guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from baluarte.core.event_faults import Faults
from baluarte.core.event_value import ValueRefusedError, describe
from baluarte.core.reading import Reading
from baluarte.core.schema import Field
from baluarte.errors import ContractError

_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?", re.ASCII)

_CLOCK = (
    r"([ Tt,] ?(?P<hour>\d{1,2}):(?P<minute>\d\d)(:(?P<second>\d\d(\.\d+)?))?"
    r"( ?(?P<half>[AaPp][Mm]))?(?P<zone>[Zz]|[+-]\d\d:?\d\d)?)?"
)
_YEAR_LAST = re.compile(
    rf"(?P<a>\d{{1,2}})([/.-])(?P<b>\d{{1,2}})\2(?P<c>\d{{4}}){_CLOCK}", re.ASCII
)
_YEAR_FIRST = re.compile(
    rf"(?P<a>\d{{4}})([/.])(?P<b>\d{{1,2}})\2(?P<c>\d{{1,2}}){_CLOCK}", re.ASCII
)

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
        self._dates = dates_of(reading.dates) if reading.dates else None
        self.zone = Zone(reading.zone, where=where) if reading.zone else None

    def of(self, field: Field) -> Rewrite | None:
        """What a field's cells are sent through; None where they are plain already."""
        if field.type in ("number", "integer"):
            return self._number
        return self.of_time if field.type == "time" else None

    @property
    def of_time(self) -> Rewrite | None:
        """What times are sent through."""
        dates, zone = self._dates, self.zone
        if dates is None or zone is None:
            return zone.text if zone else dates
        return lambda cell: zone.text(dates(cell))

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
        local = self.of_time if field.type == "time" else None
        if not self.missing and local is None:
            return values
        out: list[Any] = []
        for row, value in enumerate(values, first_row):
            found = value
            try:
                if isinstance(value, str):
                    found = None if value in self.missing else local(value) if local else value
                elif zone is not None and isinstance(value, datetime):
                    found = zone.aware(value)
            except ValueRefusedError as refused:
                faults.add(row, ".".join(field.keys), str(refused), refused.hint)
                found = None
            out.append(found)
        return out

    def touches(self, field: Field) -> bool:
        """Whether :meth:`typed` may change a column of this field."""
        return bool(self.missing) or (self.of_time is not None and field.type == "time")

    def guessed(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Counted cells of a column without a type yet, numbers and dates in their plain form.

        Numbers are rewritten where all cells let themselves be.
        """
        out: Counter[str] = Counter()
        for cell, n in counts.items():
            plain = "" if cell in self.missing else self._dates(cell) if self._dates else cell
            out[plain] += n
        change = self._number
        if change is None:
            return out
        try:
            return {change(cell): n for cell, n in out.items()}
        except ValueRefusedError:
            return out

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


def dates_of(order: str) -> Rewrite:
    """Dates of this order of day, month and year as RFC 3339 has them; other cells as they are.

    A time of day may follow, by the clock of 24 hours or with AM or PM.

    >>> dates_of("dmy")("31/12/2026 9:05"), dates_of("mdy")("12-31-2026 9:05:01 PM")
    ('2026-12-31T09:05:00', '2026-12-31T21:05:01')
    >>> dates_of("dmy")("12/31/2026")
    '12/31/2026'
    """

    def change(cell: str) -> str:
        found = (_YEAR_FIRST if order == "ymd" else _YEAR_LAST).fullmatch(cell.strip())
        if found is None:
            return cell
        parts = dict(zip(order, (int(found[at]) for at in ("a", "b", "c")), strict=True))
        try:
            day = date(parts["y"], parts["m"], parts["d"]).isoformat()
        except ValueError:
            return cell
        if found["hour"] is None:
            return day
        hour, half = int(found["hour"]), (found["half"] or "").upper()
        if not (1 <= hour <= 12 if half else hour < 24):
            return cell
        if half:
            hour = hour % 12 + 12 * (half == "PM")
        second = found["second"] or "00"
        return f"{day}T{hour:02}:{found['minute']}:{second}{found['zone'] or ''}"

    return change


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
