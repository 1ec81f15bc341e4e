"""baluarte.stages.counterfactual: what is told changes the outcome and touches what may move."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from baluarte.core.bundle import Manifest, SealedBundle, pack
from baluarte.core.encode import Encoder, EncoderTables
from baluarte.core.event import Values
from baluarte.core.schema import Cleaning, Mutable, Schema
from baluarte.core.spread import fit_spread
from baluarte.errors import DataError
from baluarte.methods.explain.beam import Beam
from baluarte.methods.explain.branch_and_bound import BranchAndBound
from baluarte.stages.counterfactual import Counterfactual, Counterfactuals
from baluarte.stages.score import Scorer
from baluarte.testing.bundles import (
    sample_bands,
    sample_encoder,
    sample_events,
    sample_parts,
    sample_program,
)
from baluarte.testing.clock import START_US

EVENTS = sample_events(120)


def bundle(**mutable: Mutable) -> SealedBundle:
    """The sample, with what the contract lets move."""
    parts = sample_parts()
    files, _ = pack(parts, version=1, epoch=1, created_at=START_US)
    fields = tuple(
        msgspec.structs.replace(f, mutable=mutable.get(f.name, f.mutable))
        for f in parts.contract.events.fields
    )
    return SealedBundle(
        digest="sha256:" + "a" * 64,
        key_id="0" * 64,
        manifest=msgspec.json.decode(files["manifest.json"], type=Manifest),
        contract=msgspec.structs.replace(parts.contract, events=Schema(fields=fields)),
        encoder=sample_encoder(),
        program=sample_program(),
        bands=sample_bands(),
        evidence=parts.evidence,
        lineage=parts.lineage,
        drift_json=None,
        card=None,
        spread=parts.spread,
    )


def finder(**mutable: Mutable) -> tuple[Counterfactuals, Scorer]:
    sealed = bundle(**mutable)
    scorer = Scorer(sealed, kernel="numpy")
    return Counterfactuals(scorer, sealed, quick=Beam(), exact=BranchAndBound()), scorer


def changed(event: Values, found: Counterfactual, *, said: bool = False) -> Values:
    return event | {c.field: c.said if said else c.after for c in found.changes}


@pytest.mark.parametrize("exact", [False, True])
def test_every_alert_that_can_pass_does_with_its_counterfactual(exact: bool) -> None:
    otherwise, scorer = finder()
    decided = scorer.decide_records(EVENTS)
    n = 0
    for row in np.flatnonzero(decided.bands > 0).tolist():
        found = otherwise.find(EVENTS[row], exact=exact)
        assert found is not None
        again = scorer.decide_records(
            [changed(EVENTS[row], found), changed(EVENTS[row], found, said=True)]
        )
        assert again.bands.tolist() == [0, 0]
        assert found.would_score == again.scores[0]
        assert found.would_be == "pass"
        assert (found.gap == 0.0) if exact else (found.gap is None)
        n += 1
    assert n > 10


def test_the_quick_search_is_never_below_the_proved_least() -> None:
    otherwise, _ = finder()
    for event in EVENTS[:60]:
        quick, least = otherwise.find(event), otherwise.find(event, exact=True)
        assert (quick is None) == (least is None)
        if quick is not None and least is not None:
            assert least.cost <= quick.cost


def test_a_pass_is_told_what_would_have_made_it_an_alert() -> None:
    otherwise, scorer = finder()
    event = next(e for e in EVENTS if scorer.decide_records([e]).bands[0] == 0)
    found = otherwise.find(event, to="alert")
    assert found is not None
    assert scorer.decide_records([changed(event, found)]).bands[0] == 1
    assert found == otherwise.find(event)


def test_what_may_not_move_does_not_and_what_may_goes_its_way_only() -> None:
    otherwise, _ = finder(bytes_out="down", failures="no", service="up")
    for event in EVENTS:
        found = otherwise.find(event)
        for change in () if found is None else found.changes:
            assert change.field == "bytes_out"
            assert isinstance(change.after, float | int)
            assert isinstance(change.before, float | int)
            assert change.after < change.before


def test_with_everything_held_there_is_none() -> None:
    otherwise, _ = finder(bytes_out="no", failures="no", service="no")
    assert all(otherwise.find(event) is None for event in EVENTS[:20])
    assert all(otherwise.find(event, exact=True) is None for event in EVENTS[:20])


def test_numbers_stay_on_the_grid_and_in_the_range_of_the_fit_rows() -> None:
    otherwise, _ = finder()
    seen = [e["bytes_out"] for e in sample_events(400) if "bytes_out" in e]
    for event in EVENTS:
        found = otherwise.find(event)
        for change in () if found is None else found.changes:
            if change.field == "bytes_out":
                assert isinstance(change.after, float | int)
                assert min(seen) <= change.after <= max(seen)  # type: ignore[type-var]
                assert round(change.after, 2) == change.after
            if change.field == "failures":
                assert isinstance(change.after, int)
            if change.field == "service":
                assert change.after in ("http", "ssh")


def test_a_range_that_is_told_holds_at_every_value_in_it() -> None:
    otherwise, scorer = finder(failures="no", service="no")
    told = 0
    for event in EVENTS:
        found = otherwise.find(event)
        if found is None or found.changes[0].reaches != "all_below":
            continue
        told += 1
        top = float(found.changes[0].after)
        rows: list[Values] = [event | {"bytes_out": v} for v in np.linspace(37.25, top, 200)]
        bands = scorer.decide_records(rows).bands
        assert not bands.any()
    assert told > 3


def test_another_outcome_must_be_another() -> None:
    otherwise, scorer = finder()
    event = next(e for e in EVENTS if scorer.decide_records([e]).bands[0] == 1)
    for named in ("alert", "reject"):
        with pytest.raises(DataError, match="expected one of pass"):
            otherwise.find(event, to=named)


def test_a_version_without_ranges_says_what_to_do() -> None:
    sealed = bundle()
    bare = SealedBundle(
        **{n: getattr(sealed, n) for n in SealedBundle.__slots__} | {"spread": None}
    )
    with pytest.raises(DataError, match="sealed without"):
        Counterfactuals(Scorer(bare), bare, quick=Beam(), exact=BranchAndBound())


def test_a_proof_that_is_stopped_says_how_far_it_came() -> None:
    otherwise, scorer = finder()
    event = next(e for e in EVENTS if scorer.decide_records([e]).bands[0] == 1)
    found = otherwise.find(event, exact=True, stop=lambda _: True)
    assert found is not None
    assert found.gap is not None
    assert found.gap > 0


def test_a_field_that_is_cleaned_is_told_in_its_own_values() -> None:
    sealed = bundle(failures="no", service="no")
    steps = (Cleaning(op="unit", factor=0.5), Cleaning(op="clip", low=0.0, high=9_000.0))
    tables = tuple(
        msgspec.structs.replace(t, clean=steps) if t.field == "bytes_out" else t
        for t in sealed.encoder.tables.fields
    )
    encoder = Encoder(EncoderTables(fields=tables))
    events = [event | {"bytes_out": 3_000.0 + i} for i, event in enumerate(EVENTS)]
    X = np.array([encoder.encode_row(event) for event in EVENTS])
    changed_parts = {
        "encoder": encoder,
        "spread": fit_spread(X, np.zeros(len(X), np.int8), encoder.columns),
    }
    parts = {name: getattr(sealed, name) for name in SealedBundle.__slots__} | changed_parts
    cleaned = SealedBundle(**parts)
    scorer = Scorer(cleaned, kernel="numpy")
    otherwise = Counterfactuals(scorer, cleaned, quick=Beam(), exact=BranchAndBound())
    told = 0
    for event in events:
        found = otherwise.find(event)
        if found is None:
            continue
        told += 1
        (change,) = found.changes
        assert change.field == "bytes_out"
        assert (
            scorer.decide_records([event | {"bytes_out": change.after}]).bands[0]
            != (scorer.decide_records([event]).bands[0])
        )
        if found.would_be == "pass":
            assert isinstance(change.after, float | int)
            assert 2_000 < change.after <= 2_001  # half of it is at most 1000.5
    assert told > 20
