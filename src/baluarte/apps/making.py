"""Make a detector: the roads that the command line, the SDK and the demo share.

Each function opens what the configuration names, calls one stage and keeps what came of it.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte import __version__, wiring
from baluarte.adapters.disk import write_aside
from baluarte.adapters.spill_file import SpillFile
from baluarte.apps.derived import Derived
from baluarte.apps.intake import Intake, Material, intake_of, material_of
from baluarte.apps.place import Detector, Place
from baluarte.apps.pseudonyms import PSEUDONYM_KEY, pseudonyms_of
from baluarte.apps.session import Session
from baluarte.core.bundle import BundleParts
from baluarte.core.candidate import (
    Candidate,
    candidate_digest,
    candidate_files,
    candidate_from_files,
)
from baluarte.core.contract import Contract
from baluarte.core.encode import ColumnInfo
from baluarte.core.event import Events, concat
from baluarte.core.evidence import DataSource, Evidence, Finding
from baluarte.core.forecast import Forecast, NoForecast
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.registry import Version
from baluarte.core.survey import Survey, survey, survey_of
from baluarte.core.window_plan import WindowPlan, compile_windows
from baluarte.errors import DataError
from baluarte.ports import GatePlugin, Matrix, Progress
from baluarte.stages.derive import derive_for_training
from baluarte.stages.plan import PlanResult, plan
from baluarte.stages.prove import Champion, Proof, ProvingTools, prove
from baluarte.stages.retrain import labelled_events, retrain, retraining_events
from baluarte.stages.seal import seal
from baluarte.stages.train import ArmDrift, Provenance, TrainingTools, train, trained_families

_TIMED_EVENTS = 2_000
_LIBRARIES = (
    "lightgbm", "msgspec", "numpy", "optuna", "scikit-learn", "scipy", "xgboost", "xgboost-cpu",
)  # fmt: skip


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """The candidate that a detector's next version will be made of, and what was proved of it."""

    candidate: str  #: digest in the drafts
    evidence: Evidence | None = None
    retrained: bool = False  #: whether the ledger's labelled events were added to the file's


def read_events(address: str, contract: Contract, *, batch_rows: int = 65_536) -> Events:
    """All events of a file with their window features, in memory: what training needs."""
    source = wiring.source_for(address)
    batches = list(source.read(address, contract.events, batch_rows=batch_rows))
    if not batches:
        raise DataError("expected events, found none", where=address)
    return derive_for_training(contract, concat(batches))


def survey_events(
    place: Place, detector: Detector, intake: Intake, *, holdout: str | None = None
) -> Survey:
    """The survey of a detector's events, in one pass that keeps a sample of the rows.

    Args:
        holdout: address of events to compare with; those that the workspace names by default.
    """
    contract = detector.contract()
    address = holdout or detector.holdout
    apart = None if address is None else Intake(place, detector.name, address)
    windows = compile_windows(contract)
    if windows is not None:
        return _survey_derived(windows, contract, intake, apart)
    held = None
    if apart is not None:
        held = _survey(contract, apart.read(apart.address, contract.events))
    seen = _survey(contract, intake.read(intake.address, contract.events), held)
    if not seen.whole.n:
        raise DataError("expected events, found none", where=intake.address)
    return seen


def _survey_derived(
    windows: WindowPlan, contract: Contract, intake: Intake, apart: Intake | None
) -> Survey:
    """The same with window features; those of the proof events look back at the others."""
    with Derived(windows, contract, [intake] if apart is None else [intake, apart]) as derived:
        held = None if apart is None else _survey(contract, derived.batches(1))
        return _survey(contract, derived.batches(0), held)


def _survey(contract: Contract, batches: Iterable[Events], holdout: Survey | None = None) -> Survey:
    with SpillFile() as spill:
        return survey(contract, batches, holdout=holdout, spill=spill)


def plan_detector(
    session: Session,
    contract: Contract,
    events: Events,
    *,
    progress: Progress | None,
    forecast: Forecast | NoForecast | None = None,
    labelled: Events | None = None,
) -> PlanResult:
    """Run every check, and ask every gate what it needs at the next look.

    Args:
        events: all of them, or the survey of them.
        forecast: what the detector will take, where a dry run told it, or why it couldn't.
        labelled: decided events with the labels that were delivered for them.
    """
    seen = survey_of(contract, events)
    looks = 0  # where no split is possible, plan says why
    if seen.whole.split is not None:
        looks = session.registry.looks(seen.whole.split.evidence.holdout)
    return plan(
        contract,
        seen,
        checks=[
            wiring.plugin("checks", name, where="checks") for name in wiring.plugin_names("checks")
        ],
        gates=gates_of(contract),
        looks_spent=looks,
        forecast=forecast,
        of_labels=_of_labels(contract, labelled),
        progress=progress,
    )


def _of_labels(contract: Contract, labelled: Events | None) -> list[Finding]:
    """What those who gave the labels of decided events make of like ones."""
    if labelled is None or not labelled.n:
        return []
    check = wiring.plugin("checks", "sources_disagree", where="checks")
    found: list[Finding] = check.of_labels(contract, labelled)
    return found


def plan_material(
    session: Session, contract: Contract, material: Material, *, progress: Progress | None
) -> PlanResult:
    """As :func:`plan_detector`, of what training is about to take."""
    n = material.events.n - material.n_apart
    rows = np.arange(material.events.n)
    held = survey(contract, [material.events.take(rows[n:])]) if material.n_apart else None
    own = material.events.take(rows[:n]) if material.n_apart else material.events
    return plan_detector(
        session, contract, survey(contract, [own], holdout=held), progress=progress
    )


def training_tools(
    place: Place, contract: Contract, *, progress: Progress | None, journal: Path | None = None
) -> TrainingTools:
    """What training works with, as the contract and the workspace name it."""
    where = f"{contract.name}: learner.families"
    return TrainingTools(
        models=[wiring.plugin("models", name, where=where) for name in trained_families(contract)],
        search=wiring.open_search(
            contract.learner.search or "optuna",
            journal=journal,
            progress=progress,
            where=f"{contract.name}: learner.search",
        ),
        gates=gates_of(contract),
        arm=drift_arm(place.workspace.watch.arl),
        time_events=time_events,
        rng=np.random.default_rng(contract.learner.seed),
    )


def gates_of(contract: Contract) -> dict[str, GatePlugin]:
    """The gates that a contract names."""
    return {
        gate.name: wiring.plugin("gates", gate.name, where=f"{contract.name}: gates")
        for gate in contract.gates
    }


def drift_arm(arl: float) -> ArmDrift:
    """Arms the drift detector; a baseline on which it may not be armed gives None.

    A refusal is no failure of training: the detector is sealed without a monitor, and watch says
    so.
    """

    def arm(X: Matrix, scores: NDArray[np.int64], columns: Sequence[ColumnInfo]) -> bytes | None:
        detector = wiring.plugin("drift", "e_detector", where="drift")
        try:
            armed: bytes = detector.arm(
                X,
                scores,
                names=[column.name for column in columns],
                categorical=[column.categorical for column in columns],
                arl=arl,
            )
        except DataError:
            return None
        return armed

    return arm


def time_events(evaluator: Evaluator, X: Matrix) -> NDArray[np.float64]:
    """(m,) milliseconds of processor time of scoring one event, each row alone, on this machine.

    What else the machine is busy with is no property of the program: no look may fail by it.
    """
    rows = X[: min(len(X), _TIMED_EVENTS)]
    for row in rows[:50]:  # warm
        evaluator.score(row[None, :])
    times = np.empty(len(rows))
    for i in range(len(rows)):
        started = time.thread_time_ns()
        evaluator.score(rows[i : i + 1])
        times[i] = (time.thread_time_ns() - started) / 1e6
    return times


def from_sources(candidate: Candidate, sources: tuple[DataSource, ...]) -> Candidate:
    """The candidate with the versions of the data it was trained from in its lineage."""
    if not sources:
        return candidate
    training = candidate.training
    lineage = msgspec.structs.replace(training.lineage, sources=sources)
    return dataclasses.replace(
        candidate, training=msgspec.structs.replace(training, lineage=lineage)
    )


def provenance_of(session: Session, contract: Contract, *, parent: str | None = None) -> Provenance:
    """Who trains, when, with what."""
    environment = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _LIBRARIES:
        try:
            environment[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    pseudonyms = pseudonyms_of(session.place, contract.events)
    if pseudonyms is not None:
        environment[PSEUDONYM_KEY] = pseudonyms.key_id
    return Provenance(
        code=__version__,
        environment=environment,
        trained_by=session.actor,
        trained_at=session.clock.now_us(),
        parent=parent,
    )


def train_candidate(
    session: Session,
    detector: Detector,
    events: Events,
    *,
    progress: Progress | None,
    sources: tuple[DataSource, ...] = (),
    n_apart: int = 0,
) -> Candidate:
    """Train, and keep the candidate as the detector's pending one.

    Args:
        n_apart: how many of the last events are proof events of their own.
    """
    contract = detector.contract()
    folder = session.place.drafts
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    tools = training_tools(
        session.place, contract, progress=progress, journal=folder / f"{contract.name}.journal"
    )
    candidate = train(
        contract, events, tools=tools, provenance=provenance_of(session, contract), n_apart=n_apart
    )
    candidate = from_sources(candidate, sources)
    keep_candidate(session, candidate)
    return candidate


def keep_candidate(session: Session, candidate: Candidate, *, retrained: bool = False) -> str:
    """Store a candidate and make it the pending one; its digest."""
    files = candidate_files(candidate)
    digest = candidate_digest(files)
    session.drafts.put(files, digest)
    pending = Pending(candidate=digest, retrained=retrained)
    keep_pending(session.place, candidate.contract.name, pending)
    return digest


def pending_of(place: Place, name: str) -> Pending:
    """The pending candidate of a detector.

    Raises:
        DataError: nothing was trained yet.
    """
    path = _pending_path(place, name)
    if not path.exists():
        raise DataError(f"{name} has no trained candidate", hint="baluarte train.")
    return msgspec.json.decode(path.read_bytes(), type=Pending)


def keep_pending(place: Place, name: str, pending: Pending) -> None:
    """Remember the pending candidate."""
    write_aside(_pending_path(place, name), msgspec.json.encode(pending))


def pending_candidate(session: Session, name: str) -> tuple[Pending, Candidate]:
    """The pending candidate itself."""
    pending = pending_of(session.place, name)
    return pending, candidate_from_files(session.drafts.get(pending.candidate))


def prove_pending(session: Session, detector: Detector, events: Events) -> Proof:
    """Spend a look at the pending candidate's proof rows, and keep what may be kept of it.

    Args:
        events: those that the candidate was trained from.
    """
    pending, candidate = pending_candidate(session, detector.name)
    champion = session.registry.champion(detector.name)
    rival = None
    if champion is not None:
        sealed = session.bundle(champion.digest)
        rival = Champion(encoder=sealed.encoder, program=sealed.program, bands=sealed.bands)
    proof = prove(
        candidate,
        events,
        digest=pending.candidate,
        actor=session.actor,
        tools=ProvingTools(
            gates=gates_of(candidate.contract),
            registry=session.registry,
            ledger=session.shard,
            clock=session.clock,
            time_events=time_events,
            rng=np.random.default_rng(candidate.contract.learner.seed),
        ),
        champion=rival,
    )
    kept = Pending(
        candidate=pending.candidate, evidence=proof.evidence, retrained=pending.retrained
    )
    keep_pending(session.place, detector.name, kept)
    return proof


def new_labelled_events(session: Session, detector: str, contract: Contract) -> Events:
    """The decided events of the ledger whose labels have arrived."""
    labels = session.registry.labels(detector)
    decided = [record for record in session.decisions(detector) if record.role == "champion"]
    return labelled_events(contract, decided, labels)


def training_events(session: Session, detector: Detector, address: str | None = None) -> Events:
    """The events that the pending candidate was trained from, or would be."""
    contract = detector.contract()
    path = _pending_path(session.place, detector.name)
    if not (path.exists() and pending_of(session.place, detector.name).retrained):
        return material_of(session.place, detector, contract, address).events
    events = intake_of(session.place, detector, address).events(contract)
    return retraining_events(events, new_labelled_events(session, detector.name, contract))


def retrain_candidate(
    session: Session,
    detector: Detector,
    old: Events,
    new: Events,
    *,
    progress: Progress | None,
    sources: tuple[DataSource, ...] = (),
) -> Candidate:
    """Train a challenger with new labels, and keep it as the detector's pending candidate."""
    contract = detector.contract()
    champion = session.registry.champion(detector.name)
    provenance = provenance_of(session, contract, parent=champion.digest if champion else None)
    tools = training_tools(session.place, contract, progress=progress)
    candidate = retrain(contract, old, new, tools=tools, provenance=provenance)
    candidate = from_sources(candidate, sources)
    keep_candidate(session, candidate, retrained=True)
    return candidate


def seal_pending(session: Session, name: str) -> Version:
    """Seal the pending candidate with what was proved of it.

    Raises:
        DataError: nothing was proved yet, or the proof said no.
    """
    pending, candidate = pending_candidate(session, name)
    if pending.evidence is None:
        raise DataError(f"nothing was proved of {name}'s candidate yet", hint="baluarte prove.")
    files = candidate_files(candidate)
    parts = BundleParts(
        contract=candidate.contract,
        encoder_json=files["encoder.json"],
        program=files["program.bin"],
        bands_json=files["bands.json"],
        evidence=pending.evidence,
        lineage=candidate.training.lineage,
        drift_json=candidate.drift_json,
        spread=candidate.spread,
    )
    version = seal(
        parts,
        actor=session.actor,
        signer=session.signer,
        verifier=session.verifier,
        bundles=session.bundles,
        registry=session.registry,
        ledger=session.shard,
        clock=session.clock,
    )
    _pending_path(session.place, name).unlink(missing_ok=True)
    return version


def _pending_path(place: Place, name: str) -> Path:
    return place.drafts / f"{name}.pending.json"
