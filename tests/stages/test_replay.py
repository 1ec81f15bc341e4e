"""baluarte.stages.replay and bits: the past comes out the same, or the difference has a name."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from baluarte.core.bundle import SealedBundle
from baluarte.core.decision import DecisionRecord
from baluarte.core.event import event_digest
from baluarte.core.ids import format_ids
from baluarte.core.program.evaluate import Evaluator
from baluarte.errors import OutsideError
from baluarte.stages.bits import trap_rows, verify_bits
from baluarte.stages.fetch import open_version
from baluarte.stages.replay import Difference, replay
from baluarte.stages.score import Scorer
from baluarte.stages.seal import seal
from baluarte.testing.bundles import (
    sample_encoder,
    sample_events,
    sample_parts,
    sample_program,
)
from baluarte.testing.clock import FixedClock
from baluarte.testing.signers import MemorySigner, MemoryVerifier
from baluarte.testing.stores import MemoryBundles, MemoryLedger, MemoryRegistry


class Place:
    """One sealed version and what it decided."""

    def __init__(self) -> None:
        signer = MemorySigner()
        self.bundles, self.verifier = MemoryBundles(), MemoryVerifier(signer.key)
        self.clock, self.ledger = FixedClock(), MemoryLedger()
        self.version = seal(
            sample_parts(),
            actor="ada",
            signer=signer,
            verifier=self.verifier,
            bundles=self.bundles,
            registry=MemoryRegistry(),
            ledger=self.ledger.open_shard(),
            clock=self.clock,
        )
        self.opened = 0

    def open(self, digest: str, at_us: int) -> SealedBundle:
        self.opened += 1
        version = msgspec.structs.replace(self.version, digest=digest)
        return open_version(version, bundles=self.bundles, verifier=self.verifier, at_us=at_us)

    def decide(self, n: int) -> list[DecisionRecord]:
        scorer = Scorer(self.open(self.version.digest, self.clock.now_us()))
        events = sample_events(n)
        decisions = scorer.decide_records(events)
        who = [scorer.identify(e, ordinal=i, arrival_us=5) for i, e in enumerate(events)]
        ids = format_ids(self.clock.now_us() // 1000, "00000a", 0, n)
        data = scorer.records(decisions, ids, who, decided_at=self.clock.now_us())
        return [msgspec.json.decode(record, type=DecisionRecord) for record in data]


PLACE = Place()
RECORDS = PLACE.decide(400)
ALERT = next(i for i, r in enumerate(RECORDS) if r.reasons is not None and r.reasons[0])


def difference(record: DecisionRecord) -> Difference:
    (one,) = replay([record], PLACE.open)
    assert one.difference is not None
    assert one.id == record.id
    return one.difference


@pytest.mark.parametrize("kernel", ["c", "numpy"])
def test_every_decision_comes_out_the_same(kernel: str) -> None:
    found = replay(RECORDS, PLACE.open, kernel=kernel)  # type: ignore[arg-type]
    assert [one.difference for one in found] == [None] * len(RECORDS)
    assert [one.id for one in found] == [record.id for record in RECORDS]
    assert {one.n_reasons for one in found} == {0, 3}


def test_records_of_one_bundle_share_one_opening() -> None:
    before = PLACE.opened
    replay(RECORDS, PLACE.open)
    assert PLACE.opened == before + 1


Change = Callable[[DecisionRecord], DecisionRecord]


def put(**values: object) -> Change:
    return lambda record: msgspec.structs.replace(record, **values)


def moved(name: str) -> Change:
    return lambda record: msgspec.structs.replace(record, **{name: getattr(record, name) + 1})


def first_feature(record: DecisionRecord) -> DecisionRecord:
    value = record.features[0]
    assert value is not None
    changed = (float(np.nextafter(value, np.inf)), *record.features[1:])
    return msgspec.structs.replace(record, features=changed)


def second_reason(record: DecisionRecord) -> DecisionRecord:
    assert record.reasons is not None
    a, b, c = record.reasons
    return msgspec.structs.replace(record, reasons=(a, b + 1, c))


@pytest.mark.parametrize(
    ("change", "component", "field"),
    [
        (moved("score"), "score", None),
        (moved("points"), "points", None),
        (moved("band"), "band", None),
        (put(outcome="pass"), "outcome", None),
        (put(threshold=501), "threshold", None),
        (moved("base"), "reasons", "base"),
        (put(reasons=(1, 2)), "reasons", None),
        (second_reason, "reasons", "failures"),
        (first_feature, "features", "bytes_out"),
        (put(features=()), "features", None),
        (put(event_digest="sha256:0"), "event", None),
        (put(bundle="sha256:" + "0" * 64), "bundle", None),
    ],
)
def test_the_first_difference_is_named(change: Change, component: str, field: str | None) -> None:
    found = difference(change(RECORDS[ALERT]))
    assert (found.component, found.field) == (component, field)
    assert found.recorded != found.computed


def test_a_changed_event_with_a_fitting_digest_shows_in_the_features() -> None:
    record = RECORDS[ALERT]
    event = {**record.event, "bytes_out": 5.5}
    found = difference(
        msgspec.structs.replace(record, event=event, event_digest=event_digest(event))
    )
    assert (found.component, found.field) == ("features", "bytes_out")


@pytest.mark.parametrize("value", ["a lot", True, "Infinity"])
def test_an_event_value_of_another_kind_is_named_and_not_scored(value: str | int) -> None:
    record = RECORDS[ALERT]
    event = {**record.event, "bytes_out": value}
    changed = msgspec.structs.replace(record, event=event, event_digest=event_digest(event))
    if value is True:  # a boolean is a number in JSON's eyes only by mistake: it shows as 1
        assert difference(changed).component == "features"
    else:
        assert difference(changed).field == "bytes_out"
        assert difference(changed).component == "event"


def test_missing_and_minus_zero_are_told_apart_from_zero() -> None:
    record = next(r for r in RECORDS if r.features[1] == 0.0)
    a, _, c = record.features
    for other in (-0.0, None):
        changed = msgspec.structs.replace(record, features=(a, other, c))
        assert difference(changed).component == "features"


def test_one_bad_record_does_not_hide_the_others() -> None:
    some = [*RECORDS[:5], moved("score")(RECORDS[5]), *RECORDS[6:10]]
    some[2] = put(event_digest="sha256:0")(some[2])
    found = replay(some, PLACE.open)
    assert [i for i, one in enumerate(found) if one.difference] == [2, 5]


def test_decisions_before_a_revocation_replay_and_later_ones_are_named() -> None:
    place = Place()
    early = place.decide(3)
    place.clock.advance(1_000_000)
    late = place.decide(3)
    place.verifier.revoke("tester", at=place.clock.now_us())
    found = replay([*early, *late], place.open)
    assert [one.difference is None for one in found] == [True] * 3 + [False] * 3
    assert found[5].difference is not None
    assert "revoked" in found[5].difference.computed


def test_nothing_to_replay_is_nothing() -> None:
    assert replay([], PLACE.open) == []


# --- bits ----------------------------------------------------------------------------------------


def test_both_evaluators_agree_on_trap_rows() -> None:
    try:
        report = verify_bits(
            sample_program(), sample_encoder().columns, n_rows=3000, rng=np.random.default_rng(5)
        )
    except OutsideError:
        pytest.skip("the compiled kernel is not here")
    assert (report.n_different, report.first) == (0, None)
    assert report.n_scores > 10_000


def test_trap_rows_stand_on_and_beside_every_threshold() -> None:
    rng = np.random.default_rng(1)
    X = trap_rows(sample_program(), sample_encoder().columns, 4000, rng)
    for column, cut in ((0, 1000.5), (1, 2.5)):
        for wanted in (cut, np.nextafter(cut, np.inf), np.nextafter(cut, -np.inf)):
            assert (X[:, column] == wanted).any()
        assert np.isnan(X[:, column]).any()
        assert (np.signbit(X[:, column]) & (X[:, column] == 0)).any()
    assert set(X[~np.isnan(X[:, 2]), 2]) == {0.0, 1.0, 2.0, 3.0}
    assert len(np.unique(Evaluator(sample_program(), kernel="numpy").score(X))) > 20
