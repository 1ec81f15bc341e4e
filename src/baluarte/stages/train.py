"""Train: from labelled events to a candidate; nothing of the proof rows' labels is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.random import Generator  # noqa: TID251 - the type of a parameter
from numpy.typing import NDArray

from baluarte.core.bands import Bands
from baluarte.core.candidate import Candidate, Member, Training, TrialRow
from baluarte.core.contract import Contract
from baluarte.core.encode import ColumnInfo, Encoder, fit_encoder
from baluarte.core.event import Events
from baluarte.core.evidence import Figure, GateResult, Lineage
from baluarte.core.labels import attacks
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.model import Program
from baluarte.core.promise_value import TuningRows, costs
from baluarte.core.row_keys import digest
from baluarte.core.split import Part, Split, fold_keys, split_rows
from baluarte.core.spread import fit_spread
from baluarte.core.threshold_search import ProofSize, ScoredRows
from baluarte.core.thresholds import fit_bands
from baluarte.errors import BaluarteError, ContractError
from baluarte.ports import GatePlugin, Matrix, Model, Search
from baluarte.stages.fit import FitRows, Learned, learn, learn_without_labels
from baluarte.stages.legacy import against_legacy
from baluarte.stages.monotone import hold_monotone
from baluarte.stages.rehearse import (
    TimeEvents,
    faithfulness,
    figures_of,
    judge,
    judged_rows,
)
from baluarte.stages.told import told

_UNFAITHFUL = 1e-6  #: of the largest margin: far above any rounding, so a compiler's error


class ArmDrift(Protocol):
    """Arms the drift monitor on rows that nothing was fitted on."""

    def __call__(
        self, X: Matrix, scores: NDArray[np.int64], columns: Sequence[ColumnInfo]
    ) -> bytes | None:
        """The armed baseline's JSON, or None where it refuses; rows are in the order of time."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTools:
    """What the wiring hands to training."""

    models: Sequence[Model]  #: of the contract's families, in its order
    search: Search
    gates: Mapping[str, GatePlugin]  #: by name, all that the contract names
    evaluator: type[Evaluator] = Evaluator
    arm: ArmDrift | None = None
    time_events: TimeEvents | None = None  #: for the rehearsal of a latency gate
    rng: Generator  #: for the intervals that are resampled


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Who trains, when and with what: facts that only the outside knows."""

    code: str = ""  #: version of this package
    environment: dict[str, str] = {}
    trained_by: str = ""
    trained_at: int = 0  #: microseconds of UTC
    parent: str | None = None


def train(
    contract: Contract,
    events: Events,
    *,
    tools: TrainingTools,
    provenance: Provenance,
    n_old: int = 0,
    n_apart: int = 0,
) -> Candidate:
    """Split, fit, seal, set the thresholds and rehearse.

    Args:
        n_old: how many of the first events are of an earlier training; see
            :mod:`baluarte.stages.retrain`.
        n_apart: how many of the last events are proof events of their own.

    Raises:
        ContractError: no family can be trained as the contract stands.
        DataError: too few rows, or no threshold keeps a budget.
    """
    tools = replace(tools, models=told(contract, tools.models))
    labels = attacks(contract, events)
    split = split_rows(contract, events, labels, n_old=n_old, n_apart=n_apart)
    encoder = fit_encoder(contract.events, events.take(split.rows(Part.FIT)))
    rows = TrainingRows(
        contract=contract,
        events=events,
        labels=labels,
        split=split,
        encoder=encoder,
        X=encoder.encode(events),
    )
    learned = _learned(rows, tools, n_old)
    made = Made(
        program=learned.program,
        members=tuple(member for member, *_ in learned.members),
        margin=learned.margin(rows.X[split.rows(Part.PROOF)]),
        value=learned.value,
        trials=learned.trials,
        stopped_early=learned.stopped_early,
        float32=learned.off_by_float32(rows.X[split.rows(Part.PROOF)]),
    )
    trials: dict[str, str | int | float | bool | None] = {
        "completed": len(learned.trials),
        "stopped_early": learned.stopped_early,
        "chosen": " + ".join(member.model for member in made.members),
    }
    for member in made.members:
        if not isinstance(member.rows, UnsetType) and not isinstance(member.sample, UnsetType):
            trials[f"{member.model}_sample_rows"] = member.rows
            trials[f"{member.model}_sample"] = member.sample
    return candidate_of(rows, made, tools, lineage_of(rows, provenance, trials=trials))


def trained_families(contract: Contract) -> tuple[str, ...]:
    """The families to hand to training: without labels only the isolation forest can learn."""
    return contract.learner.families if contract.label is not None else ("isolation_forest",)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRows:
    """All rows, shared out and encoded."""

    contract: Contract
    events: Events
    labels: NDArray[np.int8]
    split: Split
    encoder: Encoder
    X: Matrix

    def scores(self, evaluator: Evaluator, *parts: Part) -> NDArray[np.int64]:
        """Scores of the sealed program for these parts' rows, ascending."""
        X = self.X[self.split.rows(*parts)]
        return evaluator.score(X, threads=self.contract.learner.threads)


def _learned(rows: TrainingRows, tools: TrainingTools, n_old: int) -> Learned:
    contract, fit = rows.contract, rows.split.rows(Part.FIT)
    missed, false_alarm = costs(contract, rows.events)
    tuning = TuningRows(
        labels=np.maximum(rows.labels, 0).astype(np.int8),
        # Where old rows are, choices are made on the new ones: they are what comes next.
        weights=(np.arange(rows.events.n) >= n_old).astype(np.float64),
        cost_missed=missed,
        cost_false_alarm=false_alarm,
    )
    keys = fold_keys(contract, rows.events.take(fit), rows.labels[fit] == 1, rows.split.keys[fit])
    fit_rows = FitRows(
        X=rows.X[fit], tuning=tuning.take(fit), keys=keys, contents=rows.split.contents[fit]
    )
    if contract.label is not None and tools.models:
        return learn(contract, fit_rows, rows.encoder, models=tools.models, search=tools.search)
    usable = [model for model in tools.models if not model.needs_labels]
    if not usable:
        raise ContractError(
            "no family that can learn from these events was named",
            where="learner.families",
            hint='Without labels write families = ["isolation_forest"].',
        )
    return learn_without_labels(contract, fit_rows, rows.encoder, models=usable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A program and how it came about."""

    program: Program
    members: tuple[Member, ...]
    margin: NDArray[np.float64]  #: (n,) what the program must reproduce on the proof rows
    value: float = 0.0
    trials: tuple[TrialRow, ...] = ()
    stopped_early: bool = False
    float32: Mapping[str, float] = field(default_factory=dict)  #: see Learned.off_by_float32


def candidate_of(
    rows: TrainingRows, made: Made, tools: TrainingTools, lineage: Lineage
) -> Candidate:
    """Everything after fitting is measured on the sealed program's own scores."""
    evaluator = tools.evaluator(made.program)
    bands, thresholds = _bands(rows, evaluator)
    fit, proof = rows.split.rows(Part.FIT), rows.split.rows(Part.PROOF)
    faithful, changed = faithfulness(
        margin=made.margin,
        scores=rows.scores(evaluator, Part.PROOF),
        scale_bits=made.program.scale_bits,
        bands=bands,
    )
    _refuse_unfaithful(faithful)
    faithful = {**faithful, **made.float32}
    shown = hold_monotone(rows.contract, rows.encoder, made.program)
    if shown:
        faithful = {**faithful, "monotone": shown}
    figures, gates = _rehearsal(rows, evaluator, bands, tools)
    training = Training(
        members=made.members,
        value=made.value,
        trials=made.trials,
        stopped_early=made.stopped_early,
        split=rows.split.evidence,
        thresholds=tuple(thresholds),
        rehearsal=figures,
        rehearsal_gates=gates,
        faithfulness=faithful,
        changed=tuple(proof[changed].tolist()),
        lineage=lineage,
    )
    return Candidate(
        contract=rows.contract,
        encoder=rows.encoder,
        program=made.program,
        bands=bands,
        training=training,
        parts=rows.split.parts,
        drift_json=_armed(rows, evaluator, tools),
        spread=fit_spread(rows.X[fit], rows.labels[fit], rows.encoder.columns),
    )


def _bands(rows: TrainingRows, evaluator: Evaluator) -> tuple[Bands, list[Figure]]:
    contract = rows.contract
    missed, false_alarm = costs(contract, rows.events)

    def scored(part: Part) -> ScoredRows:
        own = rows.split.rows(part)
        return ScoredRows(
            scores=rows.scores(evaluator, part),
            labels=None if contract.label is None else rows.labels[own],
            cost_missed=missed[own],
            cost_false_alarm=false_alarm[own],
        )

    proof = rows.split.rows(Part.PROOF)
    negatives = int(np.count_nonzero(rows.labels[proof] != 1))
    return fit_bands(
        contract,
        threshold=scored(Part.THRESHOLD),
        calibration=scored(Part.CALIBRATE),
        proof=ProofSize(negatives=negatives, rows=len(proof)),
    )


def _rehearsal(
    rows: TrainingRows, evaluator: Evaluator, bands: Bands, tools: TrainingTools
) -> tuple[tuple[Figure, ...], tuple[GateResult, ...]]:
    contract = rows.contract
    if contract.label is None:
        return (), ()
    tune = rows.split.rows(Part.TUNE)
    times = tools.time_events(evaluator, rows.X[tune]) if tools.time_events else np.empty(0)
    judged = judged_rows(
        contract,
        bands,
        rows.events.take(tune),
        labels=rows.labels[tune],
        scores=rows.scores(evaluator, Part.TUNE),
        latency_ms=times,
    )
    alpha = 1.0 - contract.objective.confidence
    figures = figures_of(contract, bands, judged, rng=tools.rng)
    figures += against_legacy(
        contract, rows.events, rows.split.parts, judged, part=Part.TUNE, rng=tools.rng
    )
    return figures, judge(contract, tools.gates, judged, alpha=alpha)


def _armed(rows: TrainingRows, evaluator: Evaluator, tools: TrainingTools) -> bytes | None:
    """The monitor's baseline: held-out rows as they come, whatever their labels."""
    if tools.arm is None:
        return None
    as_they_come = [Part.CALIBRATE, Part.PROOF]
    if rows.split.evidence.attacks_fit is UNSET:
        as_they_come.append(Part.THRESHOLD)
    parts = tuple(as_they_come)
    held, scores = rows.split.rows(*parts), rows.scores(evaluator, *parts)
    time = rows.contract.events.by_role("time")
    if time is not None and time.name in rows.events.columns:
        order = np.argsort(rows.events.columns[time.name][held], kind="stable")
        held, scores = held[order], scores[order]
    return tools.arm(rows.X[held], scores, rows.encoder.columns)


def _refuse_unfaithful(figures: Mapping[str, float | int | str]) -> None:
    largest, margin = float(figures["largest_difference"]), float(figures["largest_margin"])
    if largest > _UNFAITHFUL * max(1.0, margin):
        raise BaluarteError(
            f"the sealed program differs from the library's own output by {largest:g}; "
            "this is a fault of Baluarte's compiler for one of the families",
            hint="Please report it with the contract's [learner] table.",
        )


def _spans(rows: TrainingRows) -> dict[str, tuple[int, int]] | UnsetType:
    """First and last time of each part's events."""
    field = rows.contract.events.by_role("time")
    column = None if field is None else rows.events.columns.get(field.name)
    if column is None:
        return UNSET
    found: dict[str, tuple[int, int]] = {}
    for part in Part:
        own = column[rows.split.rows(part)]
        own = own[~np.isnan(own)]
        if part != Part.UNUSED and len(own):
            found[part.name.lower()] = (int(own.min()), int(own.max()))
    return found or UNSET


def lineage_of(
    rows: TrainingRows,
    provenance: Provenance,
    *,
    trials: Mapping[str, str | int | float | bool | None],
) -> Lineage:
    """Where a candidate comes from."""
    split = rows.split
    named = [part for part in Part if part != Part.UNUSED]
    return Lineage(
        data={part.name.lower(): digest(split.contents[split.rows(part)]) for part in named},
        rows={part.name.lower(): len(split.rows(part)) for part in named},
        spans=_spans(rows),
        code=provenance.code,
        environment=provenance.environment,
        seed=rows.contract.learner.seed,
        trials=dict(trials),
        trained_by=provenance.trained_by,
        trained_at=provenance.trained_at,
        parent=provenance.parent,
    )
