"""Erasures of a workspace: whom a name means, and every place that may remember somebody."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from baluarte import wiring
from baluarte.adapters.quarantine import QuarantineFolder
from baluarte.adapters.system import SystemEntropy
from baluarte.apps.pseudonyms import made_with
from baluarte.apps.session import Session
from baluarte.apps.windowed import window_place
from baluarte.core.contract import Contract, decode_canonical
from baluarte.core.envelope import Subject, lone_event, names_by_field, person
from baluarte.core.erasure import Erasure
from baluarte.core.event_value import ValueRefusedError, converter
from baluarte.core.schema import Field, Schema
from baluarte.core.window_plan import WindowPlan, compile_windows
from baluarte.errors import DataError, OutsideError
from baluarte.ports import Remembers, SubjectKeys, WindowState
from baluarte.stages.erase import Erased, Tools, finish_erasures

PATIENCE_S = 10.0  #: that another process has to forget
_LOOK_S = 0.05


def contracts_of(session: Session) -> list[Contract]:
    """The contracts of all sealed versions, oldest first."""
    found = []
    for detector in session.registry.detectors():
        for version in session.registry.versions(detector):
            files = session.bundles.get(version.digest)
            found.append(decode_canonical(files["contract.json"]))
    return found


def subject_fields(contracts: Sequence[Contract]) -> dict[str, list[Field]]:
    """The fields that name people, by name; each in every form that a version declared."""
    found: dict[str, list[Field]] = {}
    for contract in contracts:
        field = contract.events.subject_field
        if field is not None and field not in found.setdefault(field.name, []):
            found[field.name].append(field)
    return found


def subjects_of(session: Session, names: Sequence[str], *, field: str | None) -> list[Subject]:
    """Whom the names mean.

    Args:
        field: that names people so; needed where detectors call them by several.

    Raises:
        DataError: no version has personal fields, or several name people differently.
    """
    fields = subject_fields(contracts_of(session))
    if field is not None and field not in fields:
        known = ", ".join(sorted(fields)) or "none"
        raise DataError(
            f"no sealed version names people by {field!r}; known: {known}", where="--of"
        )
    if not fields:
        raise DataError(
            "no sealed version has a subject, so nothing is kept about anyone by name",
            hint="Write events.personal and events.subject in detector.toml.",
        )
    if field is None and len(fields) > 1:
        known = ", ".join(sorted(fields))
        raise DataError(f"people are named by {known}: which one is meant?", hint="--of FIELD")
    chosen = field or next(iter(fields))
    key = session.place.known_pseudonym_key()
    subjects = [
        person(chosen, form) for name in names for form in _forms(name, fields[chosen], key)
    ]
    return list(dict.fromkeys(subjects))


def _forms(name: str, fields: Sequence[Field], pseudonym_key: str) -> list[str]:
    """A name as the versions record it: as it is, or the pseudonym that stands for it."""
    forms = []
    for field in fields:
        try:
            value = converter(field)(name)
        except ValueRefusedError as refused:
            raise DataError(f"{name!r} is no {field.name}: {refused}", hint=refused.hint) from None
        if value is None:
            continue
        forms.append(str(value))
        pseudonyms = made_with(pseudonym_key, Schema(fields=(field,)))
        if pseudonyms is not None:
            forms.append(pseudonyms.of(field.name, str(value)))
    return forms


def event_subjects(session: Session, detector: str, event_ids: Sequence[str]) -> list[Subject]:
    """Events that name no subject, each with a key of its own.

    Raises:
        DataError: there is no such detector.
    """
    if detector not in session.registry.detectors():
        raise DataError(f"there is no detector {detector!r} with a sealed version")
    return [lone_event(detector, event_id) for event_id in event_ids]


def erasing_tools(session: Session) -> Tools:
    """What erasures of the workspace work with."""
    return Tools(
        keys=session.people,
        reader=session.reader,
        ledger=lambda: session.shard,
        places=places_of(session),
        clock=session.clock,
        entropy=SystemEntropy(),
    )


def finish_what_was_begun(session: Session) -> list[Erased]:
    """Finish the erasures that another process began; nothing where nothing was ever sealed."""
    if not session.place.has_people or not session.people.unfinished():
        return []
    return finish_erasures(erasing_tools(session))


def places_of(session: Session) -> list[Remembers]:
    """Every place outside of records that may hold personal values."""
    places: list[Remembers] = [QuarantineFolder(session.place.quarantine)]
    known: set[str] = set()
    for contract in contracts_of(session):
        plan = compile_windows(contract)
        if plan is None or not any(field.is_personal for field in contract.events.fields):
            continue
        place = WindowPlace(session=session, detector=contract.name, plan=plan)
        if place.name not in known:
            known.add(place.name)
            places.append(place)
    return places


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPlace:
    """The state of one version's window features: in a file, in Redis, or held by a server."""

    session: Session
    detector: str
    plan: WindowPlan

    @property
    def name(self) -> str:
        """Stable: detector and plan."""
        return window_place(self.detector, self.plan)

    def forget(self, erasure: Erasure) -> bool:
        """Forget in the state itself, or wait for the server that holds it."""
        place = self.session.place
        url = place.workspace.state.url
        if url.startswith("memory:") and not (place.state_folder / self.detector).is_dir():
            return True
        try:
            state = wiring.open_state(
                url,
                self.plan,
                detector=self.detector,
                folder=place.state_folder,
                password=place.state_password,
            )
        except OutsideError:
            if not url.startswith("memory:"):
                raise
            return wait_for(self.session.people, erasure.id, self.name)
        try:
            forget_in(state, erasure)
        finally:
            state.close()
        return True


def forget_in(state: WindowState, erasure: Erasure) -> None:
    """Forget an erasure's subjects in a state that is opened, durably."""
    for field, names in names_by_field(erasure.subjects).items():
        state.forget(field, names)
    state.keep(state.snapshot(state.mark))


def wait_for(keys: SubjectKeys, erasure: str, place: str) -> bool:
    """Whether the process that holds a place says in time that it has forgotten."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        begun = [one for one in keys.unfinished() if one.id == erasure]
        if not begun or place not in begun[0].places:
            return True
        time.sleep(_LOOK_S)
    return False
