"""Events on their way in, with all that the workspace says of reading them.

Every command that reads events does it here: in the stated dialect, bad rows into the quarantine up
to the stated limits, and with the version of the data for the record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from baluarte import wiring
from baluarte.adapters import dvc
from baluarte.adapters.quarantine import QuarantineFile
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.place import Detector, Place
from baluarte.apps.pseudonyms import pseudonyms_of
from baluarte.core.contract import Contract
from baluarte.core.event import Events, concat
from baluarte.core.evidence import DataSource
from baluarte.core.reading import Reading, Tolerance
from baluarte.core.schema import Schema
from baluarte.core.workspace import DetectorEntry
from baluarte.errors import DataError
from baluarte.stages.derive import derive_for_training


class Intake:
    """One address of events.

    Args:
        detector: whose ``reading`` and ``password`` of the workspace hold.
    """

    def __init__(self, place: Place, detector: str, address: str) -> None:
        entry = place.workspace.detectors.get(detector)
        limits = place.workspace.limits
        self.said = address
        self._place = place
        self.detector, self.address = detector, dvc.resolved(address)
        self.reading = entry.reading if entry is not None else Reading()
        self.source = wiring.source_for(self.address, password=lambda: _password(place, entry))
        self.n_rows = 0  #: good rows of the last reading
        self.n_bad = 0  #: rows of it that went to the quarantine
        self._batch_rows = limits.batch_rows
        self._tolerance = Tolerance(max_rows=limits.max_bad_rows, max_share=limits.max_bad_share)
        self.quarantine = place.quarantine / f"{detector}-{_plain(self.address)}.ndjson"

    @property
    def version(self) -> DataSource:
        """Which data it was: the digest of the content, and how many rows were read."""
        return DataSource(
            address=shown(self.said),
            digest=self.source.digest(self.address),
            rows=self.n_rows,
            quarantined=self.n_bad,
        )

    def read(
        self, address: str, schema: Schema, *, batch_rows: int | None = None
    ) -> Iterator[Events]:
        """Good rows in batches; bad ones go to the quarantine.

        Raises:
            DataError: more rows are bad than the workspace allows.
        """
        n = 0
        pseudonyms = pseudonyms_of(self._place, schema)
        with QuarantineFile(self.quarantine, self._tolerance) as quarantine:
            for batch in self.source.read(
                address,
                schema,
                batch_rows=batch_rows or self._batch_rows,
                reading=self.reading,
                quarantine=quarantine,
            ):
                n += batch.n
                yield batch if pseudonyms is None else pseudonyms.events(batch)
            quarantine.settle(n)
        self.n_rows, self.n_bad = n, quarantine.n

    def check(self, schema: Schema) -> None:
        """Read all of it once, so that nothing is begun on data that can't be read to the end.

        Raises:
            DataError: more rows are bad than the workspace allows.
        """
        for _ in self.read(self.address, schema):
            pass

    def events(self, contract: Contract) -> Events:
        """All good rows with their window features, in memory: what training needs.

        Raises:
            DataError: more rows are bad than the workspace allows, or there are none.
        """
        batches = list(self.read(self.address, contract.events))
        if not batches:
            raise DataError("expected events, found none", where=self.address)
        return derive_for_training(contract, concat(batches))

    def tell(self, screen: Screen, texts: Texts) -> None:
        """Say what was left out, if anything."""
        if self.n_bad:
            said = texts.get(
                "quarantine.rows",
                n=self.n_bad,
                rows=self.n_rows + self.n_bad,
                file=str(self.quarantine),
            )
            screen.item(texts.get("quarantine.label"), said, "unsure")
        screen.data(quarantined=self.n_bad)


def intake_of(place: Place, detector: Detector, address: str | None = None) -> Intake:
    """The detector's own events, or those at another address."""
    return Intake(place, detector.name, address or detector.events_address())


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a detector is trained from and proved on."""

    events: Events  #: proof events of their own come last
    n_apart: int  #: how many these are
    intakes: tuple[Intake, ...]  #: that the events came by

    @property
    def sources(self) -> tuple[DataSource, ...]:
        """The data's versions, for the lineage."""
        return tuple(intake.version for intake in self.intakes)

    def tell(self, screen: Screen, texts: Texts) -> None:
        """Say what was left out, if anything."""
        for intake in self.intakes:
            intake.tell(screen, texts)


def material_of(
    place: Place, detector: Detector, contract: Contract, address: str | None = None
) -> Material:
    """The detector's events, and its proof events where the workspace names some.

    Args:
        address: of other events than the workspace's; the proof events stay.

    Raises:
        DataError: more rows are bad than the workspace allows, or there are none.
    """
    intake = intake_of(place, detector, address)
    if detector.holdout is None:
        return Material(events=intake.events(contract), n_apart=0, intakes=(intake,))
    apart = Intake(place, detector.name, detector.holdout)
    read = [
        concat(list(one.read(one.address, contract.events)) or [Events(n=0, columns={})])
        for one in (intake, apart)
    ]
    for one, events in zip((intake, apart), read, strict=True):
        if not events.n:
            raise DataError("expected events, found none", where=one.address)
    # Window features of the proof events look back at the others, as they would in production.
    whole = derive_for_training(contract, concat(read))
    return Material(events=whole, n_apart=read[1].n, intakes=(intake, apart))


def shown(address: str) -> str:
    """An address as records keep it: a file's name without its folders, a URL without its user."""
    scheme, mark, rest = address.partition("://")
    if mark:
        return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
    return Path(address).name


def _plain(address: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", shown(address)).strip("-.")[:80] or "events"


def _password(place: Place, entry: DetectorEntry | None) -> str | None:
    secret = entry.password if entry is not None else None
    return None if secret is None else place.secret(secret, where="password")
