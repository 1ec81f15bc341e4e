"""A small detector made by hand: no learner, the same bytes in every run."""

from __future__ import annotations

import msgspec
import numpy as np

from baluarte.core import bands as band_format
from baluarte.core.bands import Bands, point_cuts
from baluarte.core.bundle import BundleParts
from baluarte.core.calibration import Knots
from baluarte.core.contract import Band, Budget, Contract, Gate, Learner, Objective, Points
from baluarte.core.encode import Encoder, EncoderTables, FieldEncoding, encoder_to_json
from baluarte.core.event import Values
from baluarte.core.evidence import Evidence, Figure, GateResult, Lineage, Verdict
from baluarte.core.program import format as program_format
from baluarte.core.program.model import (
    CATEGORICAL,
    MISSING_LEFT,
    MISSING_NAN,
    LinearPart,
    Program,
    TreePart,
)
from baluarte.core.schema import Field, Schema
from baluarte.core.spread import Spread, fit_spread
from baluarte.testing.clock import START_US

SCHEMA = Schema(
    fields=(
        Field(name="id", type="text", role="id"),
        Field(name="time", type="time", role="time"),
        Field(name="bytes_out", type="number", path="flow.bytes_out"),
        Field(name="failures", type="integer"),
        Field(name="service", type="category"),
        Field(name="attack", type="boolean", role="label", available="after"),
    )
)


def sample_contract(name: str = "flows") -> Contract:
    """A contract with three features: a number, an integer and a category."""
    return Contract(
        name=name,
        purpose="Find hostile flows.",
        owner="security",
        events=SCHEMA,
        label=None,
        objective=Objective(budget=Budget(kind="max_fpr", value=0.01)),
        bands=(Band(name="pass"), Band(name="alert", budget=Budget(kind="max_fpr", value=0.01))),
        points=Points(),
        learner=Learner(),
        gates=(Gate(name="recall", min=0.9),),
    )


def personal_schema() -> Schema:
    """The sample's schema with a subject: who opened the flow, and what it sent."""
    about = {"bytes_out"}
    fields = [
        msgspec.structs.replace(field, personal=True) if field.name in about else field
        for field in SCHEMA.fields
    ]
    who = Field(name="user", type="text", role="entity", personal=True)
    named = Field(name="full_name", type="text", role="sensitive", personal=True)
    return Schema(fields=(*fields, who, named), subject="user")


def sample_program() -> Program:
    """Two trees over number and category, and one linear term over the integer."""
    trees = TreePart(
        rule="lightgbm",
        root=np.array([0, 2], dtype=np.int32),
        feature=np.array([0, 1, 2], dtype=np.int32),
        threshold=np.array([1000.5, 2.5, 0.0]),
        left=np.array([~0, ~1, ~3], dtype=np.int32),
        right=np.array([1, ~2, ~4], dtype=np.int32),
        flags=np.array([MISSING_LEFT | MISSING_NAN, 0, CATEGORICAL], dtype=np.uint8),
        set_index=np.array([-1, -1, 0], dtype=np.int32),
        set_start=np.array([0, 1], dtype=np.int32),
        set_bits=np.array([0b101], dtype=np.uint32),
        leaf=np.array([-900, 300, 1200, -250, 410], dtype=np.int64),
        node_cover=np.array([100.0, 40.0, 100.0]),
        leaf_cover=np.array([60.0, 30.0, 10.0, 70.0, 30.0]),
    )
    empty = np.zeros(0, dtype=np.int64)
    linear = LinearPart(
        column=np.array([1], dtype=np.int32),
        center=np.array([1.0]),
        scale=np.array([2.0]),
        low=np.array([0.0]),
        high=np.array([50.0]),
        weight=np.array([77.0]),
        missing=np.array([-5], dtype=np.int64),
        mean=np.array([11], dtype=np.int64),
        table_column=np.zeros(0, dtype=np.int32),
        table_start=np.zeros(1, dtype=np.int32),
        table_value=empty,
        cut_start=np.zeros(1, dtype=np.int32),
        cut=np.zeros(0),
        table_missing=empty,
        table_other=empty,
        table_mean=empty,
    )
    return Program(n_features=3, scale_bits=10, base=-40, parts=(trees, linear))


def sample_bands() -> Bands:
    """Alert strictly above 500."""
    knots = Knots(
        scores=np.array([-1200, 0, 500, 3000], dtype=np.int64),
        probabilities=np.array([0.01, 0.2, 0.6, 0.99]),
    )
    return Bands(
        names=("pass", "alert"),
        thresholds=(500,),
        knot_scores=tuple(knots.scores.tolist()),
        knot_probabilities=tuple(knots.probabilities.tolist()),
        point_cuts=point_cuts(knots, Points()),
        calibration="isotonic",
    )


def sample_encoder() -> Encoder:
    """Three columns; two services are known."""
    return Encoder(
        EncoderTables(
            fields=(
                FieldEncoding(field="bytes_out", type="number"),
                FieldEncoding(field="failures", type="integer"),
                FieldEncoding(field="service", type="category", categories=("http", "ssh")),
            )
        )
    )


def sample_parts(
    name: str = "flows",
    *,
    verdict: Verdict = "pass",
    trained_by: str = "eve",
    schema: Schema = SCHEMA,
) -> BundleParts:
    """All that a seal takes."""
    figure = Figure(name="recall", value=0.95, low=0.91, confidence=0.95, n=300)
    return BundleParts(
        contract=msgspec.structs.replace(sample_contract(name), events=schema),
        encoder_json=encoder_to_json(sample_encoder()),
        program=program_format.dumps(sample_program()),
        bands_json=band_format.dumps(sample_bands()),
        evidence=Evidence(
            verdict=verdict,
            gates=(
                GateResult(gate="recall", verdict=verdict, limit=0.9, figure=figure, bound=0.91),
            ),
            figures=(figure,),
            look=1,
            holdout="sha256:" + "0" * 64,
            at=START_US,
        ),
        lineage=Lineage(
            data={"fit": "sha256:" + "1" * 64}, seed=7, trained_by=trained_by, trained_at=START_US
        ),
        spread=sample_spread(),
    )


def sample_spread() -> Spread:
    """Where the columns of :func:`sample_events` stand."""
    encoder = sample_encoder()
    X = np.array([encoder.encode_row(event) for event in sample_events(400)])
    X[X[:, 2] == 2.0, 2] = np.nan  # an encoder was fitted on what it knows
    return fit_spread(X, np.zeros(len(X), np.int8), encoder.columns)


def sample_events(n: int) -> list[Values]:
    """Records of ``n`` events, with missing, unseen and extreme values among them."""
    services = ("http", "ssh", "telnet", None)
    events: list[Values] = []
    for i in range(n):
        event: Values = {"id": f"e{i}", "time": START_US + i}
        if i % 5:
            event["bytes_out"] = 1000.5 if i % 7 == 0 else i * 37.25
        if i % 3:
            event["failures"] = i % 11
        service = services[i % 4]
        if service is not None:
            event["service"] = service
        events.append(event)
    return events
