"""Decisions on their way out of the ledger, for analysis: which columns, which file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from baluarte.adapters.decision_table import Row, write_decisions
from baluarte.apps.decided import Wanted, batches
from baluarte.apps.session import Session
from baluarte.core.schema import FieldType
from baluarte.errors import BaluarteError, DataError, TrustError
from baluarte.ports import Progress

FILE = "decisions.parquet"


def export_decisions(
    session: Session, out: str, wanted: Wanted, *, progress: Progress | None = None
) -> dict[str, int]:
    """Write the decisions of each detector; the files and their numbers of rows.

    A name that ends with ``.parquet`` is a file and takes one detector; any other is a folder with
    one file a detector, as tools of analysis read partitions: ``detector=NAME/decisions.parquet``.

    Raises:
        DataError: there are several detectors and one file, or none.
        OutsideError: a file can't be written; those before it stand.
    """
    names = [wanted.detector] if wanted.detector else session.registry.detectors()
    if not names:
        raise DataError("no detector was sealed yet, so nothing was decided")
    if out.endswith(".parquet"):
        if len(names) > 1:
            raise DataError(
                f"expected one detector in a file; there are {', '.join(names)}",
                where=out,
                hint="Name one by --detector, or a folder.",
            )
        return {out: _export(session, out, names[0], wanted, progress)}
    done = {}
    for name in names:
        folder = Path(out) / f"detector={name}"
        folder.mkdir(parents=True, exist_ok=True)
        path = str(folder / FILE)
        done[path] = _export(session, path, name, wanted, progress)
    return done


def _export(
    session: Session, path: str, detector: str, wanted: Wanted, progress: Progress | None
) -> int:
    @cache
    def reasons_of(digest: str) -> Sequence[str]:
        try:
            bundle = session.bundle(digest)
        except BaluarteError:  # revoked since or lost: its reasons can't be told apart
            return ()
        return [field.name for field in bundle.contract.events.features]

    def rows() -> Iterator[list[Row]]:
        mine = Wanted(detector=detector, since=wanted.since, until=wanted.until)
        for batch in batches(session, mine, progress=progress):
            if batch.damaged:
                raise TrustError(
                    "a record can't be read as a decision, or stands in a wrong place",
                    where=", ".join(one.id for one in batch.damaged[:5]),
                    hint="baluarte replay names what is wrong.",
                )
            labels = session.registry.labels_of(detector, [r.event_id for r in batch.records])
            yield [Row(record=r, label=labels.get(r.event_id)) for r in batch.records]

    return write_decisions(path, rows(), fields=_fields(session, detector), reasons_of=reasons_of)


def _fields(session: Session, detector: str) -> dict[str, FieldType]:
    """The fields of all versions, the newest's order first; text where their types differ."""
    fields: dict[str, FieldType] = {}
    for version in reversed(session.registry.versions(detector)):
        try:
            schema = session.bundle(version.digest).contract.events
        except BaluarteError:  # what can't be opened can't name columns
            continue
        for field in schema.fields:
            if field.role == "ignored" or field.is_personal:
                continue
            kind = fields.setdefault(field.name, field.type)
            if kind != field.type:
                fields[field.name] = "text"
    return fields
