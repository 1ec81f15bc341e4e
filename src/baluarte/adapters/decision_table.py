"""Decisions as a Parquet file of typed columns, for analysis. Needs the extra ``files``.

========================  =========================================================================
``id`` … ``threshold``    what every decision has; times are UTC, to the microsecond
``base``                  in score units; missing where the record has no reasons
``sealed``                whether the record has personal values, which are in no column
``label`` …               what is known of the event by now: true is an attack
``event.FIELD``           the value that was decided on, of the field's type
``reason.FIELD``          what it added to the score, in score units
========================  =========================================================================

Personal values are never written, erased or not: what a file holds can't be taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baluarte.adapters.whole_file import whole_file
from baluarte.core.decision import DecisionRecord
from baluarte.core.registry import LabelRow
from baluarte.core.schema import FieldType
from baluarte.errors import OutsideError

ROWS = 65_536  #: of one row group
_OWN = (
    ("id", "string"), ("event_id", "string"), ("event_at", "time"), ("decided_at", "time"),
    ("detector", "string"), ("version", "int64"), ("bundle", "string"), ("role", "string"),
    ("outcome", "string"), ("band", "int64"), ("score", "int64"), ("points", "int64"),
    ("threshold", "int64"), ("base", "int64"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One decision, sealed as the ledger holds it, and the label of its event."""

    record: DecisionRecord
    label: LabelRow | None


def write_decisions(
    path: str,
    rows: Iterable[Sequence[Row]],
    *,
    fields: Mapping[str, FieldType],
    reasons_of: Callable[[str], Sequence[str]],
) -> int:
    """Write all rows and return their number; the whole file or nothing.

    Args:
        fields: columns of the event's values, by the type that they have in every version; text
            where versions differ.
        reasons_of: of a bundle's digest: the fields that its reasons speak of, in their order.

    Raises:
        OutsideError: pyarrow isn't installed, or the file can't be written.
    """
    try:
        from baluarte.adapters.arrow_growing import GrowingTable  # noqa: PLC0415 - who writes pays
    except ImportError as error:
        raise OutsideError(
            "writing Parquet needs pyarrow, which isn't installed",
            where=path,
            hint="pip install 'baluarte[files]'",
        ) from error
    n, waiting = 0, list[Row]()
    with whole_file(path) as aside, GrowingTable(aside, path, "parquet") as table:

        def write(some: Sequence[Row]) -> None:
            table.write(_columns(some, fields, reasons_of))

        for batch in rows:
            waiting += batch
            while len(waiting) >= ROWS:
                write(waiting[:ROWS])
                n, waiting = n + ROWS, waiting[ROWS:]
        if waiting or not n:
            write(waiting)
        return n + len(waiting)


def _columns(
    rows: Sequence[Row],
    fields: Mapping[str, FieldType],
    reasons_of: Callable[[str], Sequence[str]],
) -> dict[str, Any]:
    import pyarrow as pa  # noqa: PLC0415 - only who writes it pays

    types = {"string": pa.string(), "int64": pa.int64(), "time": pa.timestamp("us", tz="UTC")}
    columns = {
        name: pa.array([getattr(row.record, name) for row in rows], types[kind])
        for name, kind in _OWN
    }
    columns["sealed"] = pa.array([row.record.is_sealed for row in rows], pa.bool_())
    labels = [row.label for row in rows]
    said_of = [(None,) * 3 if x is None else (x.label == 1, x.at, x.source) for x in labels]
    kinds = (("label", pa.bool_()), ("label_at", types["time"]), ("label_source", types["string"]))
    for i, (name, kind) in enumerate(kinds):
        columns[name] = pa.array([one[i] for one in said_of], kind)
    for name, field in fields.items():
        columns[f"event.{name}"] = _event_column(
            pa, field, [row.record.event.get(name) for row in rows]
        )
    said = [
        {}
        if row.record.reasons is None
        else dict(zip(reasons_of(row.record.bundle), row.record.reasons, strict=False))
        for row in rows
    ]
    for name in fields:
        columns[f"reason.{name}"] = pa.array([one.get(name) for one in said], types["int64"])
    return columns


def _event_column(pa: Any, kind: FieldType, values: list[Any]) -> Any:
    """The values of one field as an array of its type; a value that doesn't fit widens it."""
    match kind:
        case "boolean":
            return pa.array([None if v is None else bool(v) for v in values], pa.bool_())
        case "time":
            micros = [None if v is None else int(v) for v in values]
            return pa.array(micros, pa.timestamp("us", tz="UTC"))
        case "number":
            return pa.array([None if v is None else float(v) for v in values], pa.float64())
        case "integer":
            if all(v is None or (type(v) is int and abs(v) < 2**63) for v in values):
                return pa.array(values, pa.int64())
            return pa.array([None if v is None else float(v) for v in values], pa.float64())
        case _:
            return pa.array([None if v is None else str(v) for v in values], pa.string())
