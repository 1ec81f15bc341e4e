"""Adopt: a model that people already have becomes a candidate, on the same road as a trained one.

Nothing is fitted. The model's inputs are found among the contract's fields by name; thresholds are
set on rows kept for that, and every row says how like the model the sealed program is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from baluarte.core.adopted import Compared, LibraryOutput, ModelInput, certify, on_columns, sealed
from baluarte.core.candidate import Candidate, Member
from baluarte.core.certificate import Certificate
from baluarte.core.contract import Contract
from baluarte.core.encode import MAX_CATEGORIES, Encoder, EncoderTables, fit_encoder
from baluarte.core.event import Events
from baluarte.core.labels import attacks
from baluarte.core.nearest import did_you_mean
from baluarte.core.program.draft import Draft
from baluarte.core.program.draft_value import n_terms, value
from baluarte.core.program.model import Program
from baluarte.core.schema import Schema
from baluarte.core.split import Part, split_rows
from baluarte.errors import BaluarteError, DataError, Fault
from baluarte.ports import ForeignModel, Matrix
from baluarte.stages.train import (
    Made,
    Provenance,
    TrainingRows,
    TrainingTools,
    candidate_of,
    lineage_of,
)

_MAX_LISTED = 1_000  #: changed decisions of the proof rows that are listed


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """Where a foreign model comes from.

    Attributes:
        digest: of the file, ``sha256:…``.
        name: of the file, for messages.
        columns: names of the model's inputs in its order, where it has none or other ones.
        unpickled: how the child process was confined that read it; empty where none was needed.
    """

    digest: str
    name: str
    columns: tuple[str, ...] = ()
    unpickled: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fed:
    """The encoder that feeds the model, and which of its columns each input is."""

    encoder: Encoder
    columns: tuple[int, ...]


def adopt(
    contract: Contract,
    events: Events,
    model: ForeignModel,
    *,
    file: ModelFile,
    tools: TrainingTools,
    provenance: Provenance,
    n_apart: int = 0,
) -> Candidate:
    """Map, compile, seal, set the thresholds, rehearse and compare.

    Args:
        n_apart: how many of the last events are proof events of their own.

    Raises:
        DataError: inputs that the schema lacks, all of them; a model that can't be put as a
            program; too few rows, or no threshold keeps a budget.
    """
    labels = attacks(contract, events)
    split = split_rows(contract, events, labels, n_apart=n_apart, fits=False)
    own = events.take(split.rows(Part.FIT))
    fed = feed(contract.events, model.inputs, own, file=file)
    X = fed.encoder.encode(events)
    rows = TrainingRows(
        contract=contract, events=events, labels=labels, split=split, encoder=fed.encoder, X=X
    )
    given = X[:, fed.columns]
    _refuse_missing(model.inputs, given, fed, file)
    # Ranges of all rows: on none of them may the program be at a range's end where the model isn't.
    draft, program = _program(model, given, fed, file)
    output = model.by_library(given)
    own_value, size = value(draft, X)
    reference = own_value if output is None or output.margin is None else output.margin
    made = Made(
        program=program,
        members=(Member(model=model.read_as, weight=1.0, params={}),),
        margin=reference[split.rows(Part.PROOF)],
    )
    lineage = lineage_of(rows, _with(provenance, output), trials={"chosen": model.read_as})
    candidate = candidate_of(rows, made, tools, lineage)
    certificate = certify(
        Compared(
            scores=tools.evaluator(program).score(X, threads=contract.learner.threads),
            scale_bits=program.scale_bits,
            own=own_value,
            size=size,
            n_terms=n_terms(draft),
            output=output,
            thresholds=candidate.bands.thresholds,
            outcomes=candidate.bands.names,
        ),
        model=file.digest,
        rows=split.evidence.holdout,
        read_as=model.read_as,
        unpickled=file.unpickled,
    )
    _refuse_unlike(certificate, file)
    training = msgspec.structs.replace(
        candidate.training,
        certificate=certificate,
        changed=candidate.training.changed[:_MAX_LISTED],
    )
    return replace(candidate, training=training)


def feed(schema: Schema, inputs: Sequence[ModelInput], events: Events, *, file: ModelFile) -> _Fed:
    """The encoder whose columns hold what the model's inputs are called, and which ones.

    A category's table is the model's own, so that a code means the same to both.

    Raises:
        DataError: every input that can't be fed, each with why.
    """
    named = _named(inputs, file)
    fitted = fit_encoder(schema, events)
    kinds = {field.name: field.type for field in schema.features}
    column_of = {column.name: column for column in fitted.columns}
    spelled = {_plain(name): name for name in column_of}
    faults: list[Fault] = []
    tables: dict[str, tuple[str, ...]] = {}
    found: list[str] = []
    for name, one in named:
        key = name if name in column_of else spelled.get(_plain(name), "")
        if not key:
            faults.append(_lacking(schema, name, list(column_of), file.name))
            continue
        if key in found:
            faults.append(Fault(f"two inputs are both fed by {key}", where=file.name))
        found.append(key)
        kind = kinds[column_of[key].field]
        faults += [
            Fault(text, where=file.name, hint=hint) for text, hint in _misfits(key, kind, one)
        ]
        if one.categories is not None:
            tables[key] = one.categories
    if faults:
        raise DataError.of(faults)
    encoder = Encoder(
        EncoderTables(
            fields=tuple(
                msgspec.structs.replace(f, categories=tables.get(f.field, f.categories))
                for f in fitted.tables.fields
            )
        )
    )
    place = {column.name: j for j, column in enumerate(encoder.columns)}
    return _Fed(encoder=encoder, columns=tuple(place[key] for key in found))


def _refuse_missing(
    inputs: Sequence[ModelInput], given: Matrix, fed: _Fed, file: ModelFile
) -> None:
    """A model that takes no missing values can't have answered such rows before."""
    faults = []
    for j, one in enumerate(inputs):
        n = int(np.isnan(given[:, j]).sum())
        if n and not one.missing:
            name = fed.encoder.columns[fed.columns[j]].name
            faults.append(
                Fault(
                    f"{name} is missing in {n} of {len(given)} rows, and the model takes no "
                    "missing values there",
                    where=file.name,
                    hint="Put an imputer into the model, or bring rows without missing values.",
                )
            )
    if faults:
        raise DataError.of(faults)


def _named(inputs: Sequence[ModelInput], file: ModelFile) -> list[tuple[str, ModelInput]]:
    if file.columns:
        if len(file.columns) != len(inputs):
            raise DataError(
                f"expected names for the model's {len(inputs)} inputs, found {len(file.columns)}",
                where="--columns",
            )
        return list(zip(file.columns, inputs, strict=True))
    nameless = [i for i, one in enumerate(inputs) if one.name is None]
    if nameless:
        raise DataError(
            f"the model doesn't name its {len(inputs)} inputs, so nothing says which field is "
            "which",
            where=file.name,
            hint="Say it: --columns a,b,c with the fields in the order that the model was trained "
            "on, or --columns fields where that is the order of detector.toml.",
        )
    return [(one.name or "", one) for one in inputs]


def _lacking(schema: Schema, name: str, known: list[str], where: str) -> Fault:
    if name in schema and not schema[name].is_feature:
        field = schema[name]
        why = field.role if field.role != "feature" else "known only after the fact"
        return Fault(
            f"the model reads {name}, which is no feature here ({why})",
            where=where,
            hint="A model that reads it can't decide at the time of the event; retrain without it, "
            "or correct detector.toml.",
        )
    near = did_you_mean(name, known)
    return Fault(
        f"the model reads {name!r}; detector.toml has no such feature",
        where=where,
        hint=near or "Declare it, or give the fields' names in the model's order with --columns.",
    )


def _misfits(key: str, kind: str, one: ModelInput) -> list[tuple[str, str]]:
    """Why a field can't feed an input, and what to do."""
    out: list[tuple[str, str]] = []
    if one.categories is None:
        if kind == "category":
            out.append(
                (
                    f"the model takes {key} as a number; detector.toml says category",
                    "Declare it as integer or number, as the model was trained on it.",
                )
            )
        elif one.whole and kind not in ("integer", "boolean"):
            out.append(
                (
                    f"the model takes {key} as codes of categories; detector.toml says {kind}",
                    "Declare it as integer.",
                )
            )
        return out
    if kind != "category":
        out.append(
            (
                f"the model takes {key} as a category; detector.toml says {kind}",
                "Declare it as category.",
            )
        )
    texts = one.categories
    if len(texts) > MAX_CATEGORIES:
        out.append(
            (
                f"expected at most {MAX_CATEGORIES} categories for {key}, found {len(texts)}",
                "Group the rare ones and retrain the model.",
            )
        )
    if len(set(texts)) != len(texts) or "" in texts:
        out.append(
            (
                f"the model's categories of {key} are not distinct texts",
                "Retrain it on texts that differ.",
            )
        )
    return out


def _plain(name: str) -> str:
    """A name as libraries write it that take no spaces."""
    return name.replace(" ", "_")


def _program(
    model: ForeignModel, rows: Matrix, fed: _Fed, file: ModelFile
) -> tuple[Draft, Program]:
    try:
        draft = on_columns(model.draft(rows), fed.columns, n_features=len(fed.encoder.columns))
        return draft, sealed(draft)
    except ValueError as error:
        raise DataError(
            f"the model can't be put as a program: {error}",
            where=file.name,
            hint="The file is damaged, or its numbers are beyond what a program can hold.",
        ) from error


def _with(provenance: Provenance, output: LibraryOutput | None) -> Provenance:
    if output is None:
        return provenance
    environment = provenance.environment | {output.library: output.version}
    return msgspec.structs.replace(provenance, environment=environment)


def _refuse_unlike(certificate: Certificate, file: ModelFile) -> None:
    if not certificate.kept:
        raise BaluarteError(
            f"the sealed program differs from the model by {certificate.largest_difference:g} "
            f"({certificate.largest_ratio:g} times what is allowed): "
            "this is a fault of Baluarte's reader",
            where=file.name,
            hint="Please report it with the model, or one like it.",
        )
