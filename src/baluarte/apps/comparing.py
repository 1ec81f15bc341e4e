"""Two versions to compare, opened by name or folder, and the events that both are asked about."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from baluarte.adapters.stores.folder import read_folder
from baluarte.apps.making import read_events
from baluarte.apps.session import Session, named_version
from baluarte.core.bundle import SealedBundle, open_bundle
from baluarte.core.decision import DecisionRecord
from baluarte.core.event import records
from baluarte.core.labels import attacks
from baluarte.core.schema import Schema
from baluarte.errors import DataError
from baluarte.stages.compare import Shared
from baluarte.stages.promote import find_version

MOST_EVENTS = 100_000  #: of a file, evenly spaced
MAX_SEGMENT_FIELDS = 3  #: that are told apart where none was named


def bundle_named(session: Session, text: str) -> SealedBundle:
    """A sealed version by ``DETECTOR@NUMBER``, or a bundle's folder.

    Raises:
        DataError: there is no such version.
        TrustError: the bundle does not hold.
    """
    folder = Path(text)
    if folder.is_dir():
        return open_bundle(read_folder(folder), session.verifier, at_us=session.clock.now_us())
    name, number = named_version(text)
    if number is None:
        raise DataError(f"expected DETECTOR@NUMBER or a folder; found {text!r}")
    version = find_version(session.registry, name, number)
    return session.bundle(version.digest)


def events_of_file(address: str, old: SealedBundle, new: SealedBundle, by: list[str]) -> Shared:
    """Labelled events of a file, as each of the versions reads them.

    Raises:
        DataError: they don't conform, or a field to tell apart by is none of theirs.
    """
    read = [read_events(address, bundle.contract) for bundle in (old, new)]
    n = read[1].n
    if n > MOST_EVENTS:
        rows = np.linspace(0, n - 1, MOST_EVENTS).astype(np.int64)
        read = [events.take(rows) for events in read]
    return Shared(
        old=records(read[0]),
        new=records(read[1]),
        labels=attacks(new.contract, read[1]),
        segments=segment_fields(new.contract.events, by),
    )


def events_of_ledger(session: Session, bundle: SealedBundle, by: list[str], most: int) -> Shared:
    """The newest decided events of the detector, with the labels that have come.

    A record has the fields of the version that decided; what only another one reads is missing.
    """
    found: dict[str, DecisionRecord] = {}
    for record in session.decisions(bundle.manifest.name, newest_first=True) if most else ():
        if record.role == "champion" and not record.is_sealed:  # its person was erased
            found.setdefault(record.event_id, record)
        if len(found) == most:
            break
    labels = session.registry.labels(bundle.manifest.name)
    events = [record.event for record in found.values()]
    return Shared(
        old=events,
        new=events,
        labels=np.array(
            [labels[event].label if event in labels else -1 for event in found], np.int8
        ),
        segments=segment_fields(bundle.contract.events, by),
    )


def segment_fields(schema: Schema, by: list[str]) -> list[str]:
    """The fields to tell events apart by: those named, else the first categories and booleans.

    Raises:
        DataError: a named one is no field.
    """
    unknown = [name for name in by if name not in schema]
    if unknown:
        raise DataError(f"there is no field {unknown[0]!r}", where="--by")
    if by:
        return by
    kinds = ("category", "boolean")
    usable = [f.name for f in schema.fields if f.type in kinds and (f.is_feature or _told(f.role))]
    return usable[:MAX_SEGMENT_FIELDS]


def _told(role: str) -> bool:
    return role == "sensitive"
