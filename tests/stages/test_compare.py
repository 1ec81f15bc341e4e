"""baluarte.stages.compare: the same events by two versions, counted exactly."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import msgspec
import numpy as np
import pytest

from baluarte.core.bundle import Manifest, SealedBundle, pack
from baluarte.core.encode import Encoder, EncoderTables
from baluarte.stages.compare import Shared, compare, paired
from baluarte.stages.score import Scorer
from baluarte.testing.bundles import (
    sample_bands,
    sample_encoder,
    sample_events,
    sample_parts,
    sample_program,
)
from baluarte.testing.clock import START_US

EVENTS = sample_events(200)


def bundle(version: int = 1, *, threshold: int = 500) -> SealedBundle:
    parts = sample_parts()
    files, _ = pack(parts, version=version, epoch=version, created_at=START_US)
    return SealedBundle(
        digest="sha256:" + str(version) * 64,
        key_id="0" * 64,
        manifest=msgspec.json.decode(files["manifest.json"], type=Manifest),
        contract=parts.contract,
        encoder=sample_encoder(),
        program=sample_program(),
        bands=msgspec.structs.replace(sample_bands(), thresholds=(threshold,)),
        evidence=parts.evidence,
        lineage=parts.lineage,
        drift_json=None,
        card=None,
        spread=parts.spread,
    )


def shared(labels: np.ndarray[tuple[int], np.dtype[np.int8]] | None = None) -> Shared:
    unknown = np.full(len(EVENTS), -1, np.int8)
    return Shared(
        old=EVENTS, new=EVENTS, labels=unknown if labels is None else labels, segments=["service"]
    )


def test_a_version_differs_from_itself_in_nothing() -> None:
    found = compare(bundle(), bundle(), shared(), kernel="numpy")
    assert not found.contract
    assert not found.features
    assert all(part.same for part in found.data)
    assert found.events is not None
    assert (found.events.changed, found.events.low) == (0, 0.0)
    assert found.events.high > 0
    assert not found.events.movers
    assert not found.events.paired


def test_decisions_that_change_are_counted_by_outcome_and_segment() -> None:
    old, new = bundle(1), bundle(2, threshold=900)
    found = compare(old, new, shared(), kernel="numpy").events
    assert found is not None
    before = Scorer(old, kernel="numpy").decide_records(EVENTS).bands
    after = Scorer(new, kernel="numpy").decide_records(EVENTS).bands
    assert found.changed == int((before != after).sum()) > 0
    assert sum(n for _, _, n in found.moves) == found.n == len(EVENTS)
    moves = {(a, b): n for a, b, n in found.moves}
    assert moves["alert", "pass"] == found.changed
    assert ("pass", "alert") not in moves
    assert sum(s.n for s in found.segments) == found.n
    assert sum(s.changed for s in found.segments) == found.changed
    assert {s.value for s in found.segments} == {"http", "ssh", "telnet", None}


def test_labels_give_the_exact_comparison_of_the_two() -> None:
    old, new = bundle(1), bundle(2, threshold=900)
    lost = Scorer(old, kernel="numpy").decide_records(EVENTS).bands > 0
    kept = Scorer(new, kernel="numpy").decide_records(EVENTS).bands > 0
    labels = (np.arange(len(EVENTS)) % 3 == 0).astype(np.int8)
    found = compare(old, new, shared(labels), kernel="numpy").events
    assert found is not None
    attacks, others = found.paired
    assert attacks.only_old == int((lost & ~kept & (labels == 1)).sum())
    assert attacks.only_new == 0
    assert others.only_new == int((lost & ~kept & (labels == 0)).sum())
    assert attacks.n + others.n == len(EVENTS)


@pytest.mark.parametrize(("only_old", "only_new"), [(0, 5), (3, 9), (7, 7), (0, 0)])
def test_the_test_is_the_exact_binomial_one(only_old: int, only_new: int) -> None:
    found = paired("attacks", 100, only_old, only_new)
    m, k = only_old + only_new, min(only_old, only_new)
    want = min(1.0, 2 * sum(comb(m, i) for i in range(k + 1)) / 2**m)
    assert found.p_value == pytest.approx(want, rel=1e-9)
    assert found.low < found.difference < found.high, "no interval of a sample is a point"


def test_the_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    rng, n, old_right, new_right = np.random.default_rng(0), 400, 0.05, 0.11
    kept = 0
    for _ in range(600):
        draw = rng.random(n)
        b = int((draw < old_right).sum())
        c = int(((draw >= old_right) & (draw < old_right + new_right)).sum())
        found = paired("attacks", n, b, c)
        kept += found.low <= new_right - old_right <= found.high
    assert 0.93 <= kept / 600 <= 0.97


def test_the_largest_movers_come_first_with_what_moved_them() -> None:
    old, new = bundle(1), bundle(2)
    tree, linear = new.program.parts
    turned = replace(linear, weight=linear.weight * -9)  # type: ignore[type-var]
    new = replace(new, program=replace(new.program, parts=(tree, turned)))
    found = compare(old, new, shared(), kernel="numpy").events
    assert found is not None
    far = [abs(a - b) for a, b in (mover.points for mover in found.movers)]
    assert far == sorted(far, reverse=True)
    assert all(mover.reasons[0].field == "failures" for mover in found.movers)


def test_features_that_came_and_went_are_named_and_so_are_those_that_no_event_has() -> None:
    new = bundle(2)
    tables = tuple(
        msgspec.structs.replace(t, categories=("http", "dns")) if t.field == "service" else t
        for t in new.encoder.tables.fields
    )
    new = replace(new, encoder=Encoder(EncoderTables(fields=tables)))
    bare = [{k: v for k, v in event.items() if k != "failures"} for event in EVENTS]
    events = Shared(old=EVENTS, new=bare, labels=shared().labels, segments=[])
    found = compare(bundle(1), new, events, kernel="numpy")
    (change,) = found.features
    assert (change.field, change.gained, change.lost) == ("service", ("dns",), ("ssh",))
    assert found.events is not None
    assert found.events.absent == ("flows@2 failures",)
