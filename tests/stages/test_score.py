"""baluarte.stages.score: one flow, the same bits for one event and for many."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from baluarte.core.bundle import Manifest, SealedBundle, pack
from baluarte.core.decision import DecisionRecord, Record
from baluarte.core.encode import Encoder, EncoderTables, FieldEncoding
from baluarte.core.event import Events, Values, event_digest, event_id, event_time, records
from baluarte.core.event_rows import from_records
from baluarte.core.ids import format_ids
from baluarte.core.program.draft import Draft, seal
from baluarte.core.program.draft_dense import DraftNetwork, Layer
from baluarte.core.program.model import Inputs, Program
from baluarte.core.schema import Field, Schema
from baluarte.stages.score import Scorer
from baluarte.testing.bundles import (
    SCHEMA,
    sample_bands,
    sample_contract,
    sample_encoder,
    sample_events,
    sample_parts,
    sample_program,
)
from baluarte.testing.clock import START_US


def bundle() -> SealedBundle:
    """The sample as an opened bundle; how it is opened is tested beside core.bundle."""
    parts = sample_parts()
    files, _ = pack(parts, version=3, epoch=3, created_at=START_US)
    return SealedBundle(
        digest="sha256:" + "a" * 64,
        key_id="0" * 64,
        manifest=msgspec.json.decode(files["manifest.json"], type=Manifest),
        contract=parts.contract,
        encoder=sample_encoder(),
        program=sample_program(),
        bands=sample_bands(),
        evidence=parts.evidence,
        lineage=parts.lineage,
        drift_json=None,
        card=None,
    )


def scorer() -> Scorer:
    return Scorer(bundle())


def same_rows(few: list[Values], many: list[Values]) -> None:
    """Rows decided one by one, and all together in columns, come out the same."""
    by = scorer()
    together = by.decide(from_records(SCHEMA, many), reasons="all")
    phi = together.reasons()
    for i, values in enumerate(few):
        alone = by.decide_records([values], reasons="all")
        assert alone.scores[0] == together.scores[i]
        assert alone.points[0] == together.points[i]
        assert alone.bands[0] == together.bands[i]
        assert alone.probability[0] == together.probability[i]
        assert alone.reasons()[0] == phi[i]
        assert alone.features.tobytes() == together.features[i : i + 1].tobytes()


def test_one_event_is_a_batch_of_one() -> None:
    events = sample_events(300)
    same_rows(events, events)


@pytest.mark.parametrize("n", [1, 7, 24, 25, 1000])
def test_batches_of_every_size_read_the_tables_alike(n: int) -> None:
    events = from_records(SCHEMA, sample_events(1000))
    by = scorer()
    whole = by.decide(events, reasons="none")
    for start in range(0, 1000, n):
        part = by.decide(events.slice(start, start + n), reasons="none", threads=2)
        stop = start + part.n
        assert part.scores.tolist() == whole.scores[start:stop].tolist()
        assert part.points.tolist() == whole.points[start:stop].tolist()
        assert part.probability.tobytes() == whole.probability[start:stop].tobytes()
        assert part.bands.tolist() == whole.bands[start:stop].tolist()


def test_reasons_add_up_to_the_score_exactly_and_are_there_for_alerts() -> None:
    decisions = scorer().decide(from_records(SCHEMA, sample_events(400)))
    assert decisions.explained.tolist() == np.flatnonzero(decisions.bands > 0).tolist()
    assert 0 < len(decisions.explained) < 400
    sums = decisions.base + decisions.phi.sum(axis=1)
    assert sums.tolist() == decisions.scores[decisions.explained].tolist()


def test_a_mask_asks_for_single_rows_beside_the_alerts() -> None:
    by, events = scorer(), from_records(SCHEMA, sample_events(40))
    mask = np.zeros(40, dtype=np.bool_)
    mask[3] = True
    alerts = set(np.flatnonzero(by.decide(events).bands > 0).tolist())
    assert set(by.decide(events, reasons=mask).explained.tolist()) == alerts | {3}
    assert len(by.decide(events, reasons="none").explained) == 0


def test_a_field_of_several_columns_has_one_reason() -> None:
    fields = (
        Field(name="note", type="text"),
        Field(name="failures", type="integer"),
        Field(name="at", type="time"),
    )
    encoder = Encoder(
        EncoderTables(fields=tuple(FieldEncoding(field=f.name, type=f.type) for f in fields))
    )
    sample = sample_program()
    linear = replace(
        sample.parts[1],  # type: ignore[type-var]
        column=np.array([0, 2, 5, 6], dtype=np.int32),
        center=np.zeros(4),
        scale=np.ones(4),
        low=np.full(4, -100.0),
        high=np.full(4, 100.0),
        weight=np.array([2.0, 3.0, 5.0, 7.0]),
        missing=np.zeros(4, dtype=np.int64),
        mean=np.zeros(4, dtype=np.int64),
    )
    columns = len(encoder.columns)
    by = Scorer(
        replace(
            bundle(),
            contract=msgspec.structs.replace(sample_contract(), events=Schema(fields=fields)),
            encoder=encoder,
            program=Program(n_features=columns, scale_bits=10, base=9, parts=(linear,)),
        )
    )
    decided = by.decide_records([{"note": "AAAA", "failures": 4, "at": 0}], reasons="all")
    # note: length 4 · 2 and capitals 1 · 3; failures 4 · 5; at: hour 0 · 7
    assert decided.fields == ("note", "failures", "at")
    assert decided.reasons() == {0: (11, 20, 0)}
    assert decided.base + 31 == decided.scores[0]


def test_identity_is_the_events_own_or_the_stated_derived_one() -> None:
    by = scorer()
    for ordinal, values in enumerate([*sample_events(20), {"failures": 2}, {}]):
        found = by.identify(values, ordinal=ordinal, arrival_us=77)
        digest = event_digest(values)
        assert found.digest == digest
        assert found.event_id == event_id(SCHEMA, values, digest=digest, ordinal=ordinal)
        assert found.event_at == event_time(SCHEMA, values, arrival_us=77)


def test_identities_of_columns_are_those_of_rows() -> None:
    by, events = scorer(), from_records(SCHEMA, sample_events(50))
    values = records(events)
    whole = by.identify_all(values, ordinals=range(5, 5 + len(values)), arrival_us=9)
    rows = [by.identify(v, ordinal=i, arrival_us=9) for i, v in enumerate(values, 5)]
    assert whole == rows


def test_a_record_holds_all_that_replay_needs() -> None:
    by, values = scorer(), sample_events(30)
    decisions = by.decide_records(values)
    identities = [by.identify(v, ordinal=i, arrival_us=9) for i, v in enumerate(values)]
    ids = format_ids(1_700_000_000_000, "00beef", 4, 30)
    found = by.records(decisions, ids, identities, decided_at=11)
    for i, data in enumerate(found):
        record = msgspec.json.decode(data, type=Record)
        assert isinstance(record, DecisionRecord)
        assert record.id == ids[i]
        assert record.event == values[i]
        assert record.event_digest == event_digest(record.event)
        features = [math.nan if x is None else x for x in record.features]
        assert np.array(features).tobytes() == decisions.features[i].tobytes()
        assert (record.score, record.band) == (decisions.scores[i], decisions.bands[i])
        assert record.threshold == (500 if record.band else None)
        assert (record.reasons is not None) == (record.band > 0)
        if record.reasons is not None and record.base is not None:
            assert record.base + sum(record.reasons) == record.score
        assert (record.version, record.bundle) == (3, "sha256:" + "a" * 64)


def test_no_events_are_no_decisions() -> None:
    assert scorer().decide_records([]).n == 0
    assert scorer().decide(Events(n=0, columns={})).n == 0


def test_both_kernels_give_the_same_bits() -> None:
    events = from_records(SCHEMA, sample_events(500))
    c, numpy = Scorer(bundle(), kernel="auto"), Scorer(bundle(), kernel="numpy")
    one, two = c.decide(events, reasons="all"), numpy.decide(events, reasons="all")
    assert one.scores.tolist() == two.scores.tolist()
    assert (one.base, one.phi.tolist()) == (two.base, two.phi.tolist())


def network_program() -> Program:
    """One hidden unit over the number and the integer, beside the sample's trees."""
    inputs = Inputs(
        column=np.array([0, 1], np.int32),
        center=np.array([500.0, 2.0]),
        scale=np.array([1000.0, 3.0]),
        low=np.zeros(2),
        high=np.array([5000.0, 20.0]),
        missing=np.zeros(2),
        flag_column=np.array([2], np.int32),
        code=np.array([-1], np.int32),
        on=np.ones(1),
        off=np.zeros(1),
    )
    layers = (
        Layer(weight=np.array([[1.0], [-0.7], [0.3]]), bias=np.array([0.2]), activation="tanh"),
        Layer(weight=np.array([[2.0]]), bias=np.array([-0.1]), activation="identity"),
    )
    background = np.array([[0.0, 1.0, 0.0], [900.0, 4.0, 1.0], [4000.0, np.nan, np.nan]])
    network = DraftNetwork(inputs=inputs, layers=layers, background=background)
    return seal(Draft(n_features=3, base=0.1, parts=(network,)))


def test_reasons_that_are_estimates_say_their_error_and_others_say_none() -> None:
    row = sample_events(4)[3]
    assert scorer().reason_errors(row) is None
    by = Scorer(replace(bundle(), program=network_program()))
    errors = by.reason_errors(row)
    assert errors is not None
    assert set(errors) == {"bytes_out", "failures", "service"}
    assert max(errors.values()) > 0
    decided = by.decide_records([row], reasons="all")
    assert decided.base + int(decided.phi[0].sum()) == int(decided.scores[0])
