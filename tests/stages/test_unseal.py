"""baluarte.stages.unseal and score: what is personal is in the envelope and nowhere else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from sealed_ground import Place

from baluarte.core.decision import DecisionRecord
from baluarte.core.envelope import Envelope
from baluarte.core.event import event_digest
from baluarte.errors import TrustError
from baluarte.stages.replay import replay
from baluarte.stages.unseal import Unsealer
from baluarte.testing.keystores import sample_erasure


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("people"))


def test_a_record_has_no_personal_value_in_the_clear(place: Place) -> None:
    for data, record, event, row in zip(
        place.data, place.records, place.events, place.features, strict=True
    ):
        assert record.v == 2
        assert record.is_sealed
        assert record.event == {
            k: v for k, v in event.items() if k in ("id", "time", "failures", "service")
        }
        assert record.features[0] is None
        assert record.reasons is None
        assert list(record.features[1:]) == [None if x != x else x for x in row[1:].tolist()]
        assert event_digest(event).encode()[7:39] not in data
        for value in (event.get("user", "user-"), "Ñandú"):
            assert str(value).encode() not in data


def test_an_opened_record_is_whole_and_its_reasons_add_up(place: Place) -> None:
    opened = Unsealer(place.keys).all(place.records)
    for record, event, answer, row in zip(
        opened, place.events, place.answers, place.features, strict=True
    ):
        assert not record.is_sealed
        assert record.event == event
        assert record.reasons == answer.reasons
        assert (record.base or 0) + sum(record.reasons or ()) == record.score
        assert list(record.features) == [None if x != x else x for x in row.tolist()]


def test_opened_records_replay_to_the_bit(place: Place) -> None:
    found = replay(place.records, place.open, unsealer=Unsealer(place.keys))
    assert not [one for one in found if one.difference or one.erased]
    assert all(one.n_reasons for one in found)


def test_an_event_without_id_is_named_by_nothing_that_can_be_guessed(place: Place) -> None:
    with_subject, lone = place.records[0], place.records[5]
    assert with_subject.event_id == place.records[0].event_digest[12:44] + "-0"
    assert with_subject.event_digest.startswith("hmac-sha256:")
    assert lone.event_id == "lone0"
    keys = [record.personal for record in place.records]
    ids = [key.key for key in keys if isinstance(key, Envelope)]
    assert len(set(ids)) == 5 + 10  # a key a person, and one for each event that names nobody


def test_an_erased_person_s_records_stay_sealed_and_replay_says_so(tmp_path: Path) -> None:
    place = Place(tmp_path)
    who = place.subjects[1]
    place.keys.destroy([who], erasure=sample_erasure("e" * 32, who))
    opened = Unsealer(place.keys).all(place.records)
    erased = [record.is_sealed for record in opened]
    assert erased == [subject == who for subject in place.subjects]
    found = replay(place.records, place.open, unsealer=Unsealer(place.keys))
    assert [one.erased for one in found] == erased
    assert not [one for one in found if one.difference]


def changed(record: DecisionRecord, **values: object) -> DecisionRecord:
    return msgspec.structs.replace(record, **values)


def test_whatever_is_changed_in_a_sealed_record_is_named(place: Place) -> None:
    one, other = place.records[1], place.records[2]
    assert isinstance(one.personal, Envelope)
    assert isinstance(other.personal, Envelope)
    flipped = ("A" if one.personal.sealed[20] != "A" else "B").join(
        (one.personal.sealed[:20], one.personal.sealed[21:])
    )
    broken = [
        changed(one, personal=other.personal),
        changed(one, personal=msgspec.structs.replace(one.personal, sealed=flipped)),
        changed(one, personal=msgspec.structs.replace(one.personal, sealed="no base64!")),
        changed(one, personal=msgspec.structs.replace(one.personal, key="0" * 32)),
        changed(one, event=one.event | {"failures": 9}),
        changed(one, id=other.id),
        changed(one, version=7),
    ]
    found = replay(broken, place.open, unsealer=Unsealer(place.keys))
    assert [one.difference.component for one in found if one.difference] == ["event"] * len(broken)
    for record in broken:
        with pytest.raises(TrustError):
            Unsealer(place.keys).one(record)


def test_a_sealed_record_without_any_key_store_is_a_fault_and_not_erased(place: Place) -> None:
    with pytest.raises(TrustError, match="neither in the key store"):
        Unsealer(None).one(place.records[0])


def test_no_record_is_made_of_personal_values_without_their_key(place: Place) -> None:
    events = place.events[:1]
    decisions = place.scorer.decide_records(events)
    who = place.scorer.identify_all(events, ordinals=range(len(events)), arrival_us=5)
    with pytest.raises(ValueError, match="needs its subject's key"):
        place.scorer.records(decisions, ["x"], who, decided_at=1)
