"""baluarte.stages.verify and checkpoint: a changed past is named, and never signed."""

from __future__ import annotations

import msgspec
import pytest

from baluarte.core.checkpoint import HEADS_ORIGIN, read_note, signed_at
from baluarte.core.decision import ActRecord
from baluarte.core.ids import format_ids
from baluarte.core.merkle import inclusion_proof, leaf_hash, verify_inclusion
from baluarte.errors import OutsideError, TrustError
from baluarte.stages.checkpoint import checkpoint
from baluarte.stages.notes import verify_note
from baluarte.stages.verify import LedgerReport, verify_ledger
from baluarte.testing.clock import START_US, FixedClock
from baluarte.testing.signers import MemorySigner, MemoryVerifier
from baluarte.testing.stores import MemoryLedger


def act(n: int) -> bytes:
    return msgspec.json.encode(ActRecord(at=n, act="label", actor="ada", detector="flows"))


class Place:
    """A ledger of two shards with 10 and 5 acts, signed after 6 and 5 and again at the end."""

    def __init__(self) -> None:
        self.ledger, self.clock, self.signer = MemoryLedger(), FixedClock(), MemorySigner()
        self.verifier = MemoryVerifier(self.signer.key)
        one, two = self.ledger.open_shard(), self.ledger.open_shard()
        one.append([act(i) for i in range(6)])
        two.append([act(i) for i in range(5)])
        for shard in (one, two):
            shard.commit()
        self.sign()
        one.append([act(i) for i in range(6, 10)])
        one.commit()
        self.clock.advance(1_000_000)
        self.sign()
        self.tag = one.tag
        self.records = self.ledger.kept[one.tag]

    def sign(self) -> None:
        checkpoint(self.ledger, signer=self.signer, verifier=self.verifier, clock=self.clock)

    def verify(self) -> LedgerReport:
        return verify_ledger(self.ledger, self.verifier)

    def words(self) -> str:
        return "\n".join(map(str, self.verify().all_faults))


@pytest.fixture
def place() -> Place:
    return Place()


def test_an_untouched_ledger_holds(place: Place) -> None:
    report = place.verify()
    assert report.all_faults == ()
    assert [(s.size, s.signed_size, s.records) for s in report.shards] == [
        (10, 10, {"label": 10}),
        (5, 5, {"label": 5}),
    ]
    assert report.n_heads == 2


def test_records_after_the_last_checkpoint_are_counted_as_unsigned(place: Place) -> None:
    place.records.append(act(10))
    (shard, _) = place.verify().shards
    assert (shard.size, shard.signed_size, shard.faults) == (11, 10, ())


@pytest.mark.parametrize("index", range(10))
def test_any_changed_record_is_noticed(place: Place, index: int) -> None:
    place.records[index] = act(99)
    first_signed = 6 if index < 6 else 10
    assert f"the first {first_signed} records are not the ones that were signed" in place.words()


def test_removed_inserted_swapped_and_cut_records_are_noticed(place: Place) -> None:
    whole = list(place.records)
    for changed in (
        whole[1:],
        [act(7), *whole],
        [whole[1], whole[0], *whole[2:]],
        whole[:9],
        [],
    ):
        place.records[:] = changed
        assert place.verify().all_faults
    place.records[:] = whole[:9]
    assert "a signed checkpoint covers 10 records, found 9" in place.words()


def test_a_shard_that_vanished_is_named(place: Place) -> None:
    del place.ledger.kept[place.tag]
    assert "it isn't there" in place.words()


def test_what_is_no_record_or_stands_in_another_place_is_named(place: Place) -> None:
    shard = place.ledger.open_shard()
    shard.append([b"{}", b"\xff", b"[" * 5000])
    shard.commit()
    assert place.words().count("expected a record") == 3


def test_a_decision_must_stand_where_its_id_says(place: Place) -> None:
    tag = place.ledger.shards()[0]
    ids = format_ids(START_US // 1000, tag, 10, 2)
    record = {
        "kind": "decision", "v": 1, "event_id": "e", "event_at": 1, "decided_at": 1,
        "detector": "flows", "version": 1, "bundle": "sha256:", "event_digest": "sha256:",
        "event": {}, "features": [], "score": 1, "points": 1, "band": 0, "outcome": "pass",
        "threshold": None,
    }  # fmt: skip
    place.records += [msgspec.json.encode({**record, "id": i}) for i in ids]
    assert place.verify().all_faults == ()
    assert place.verify().shards[0].records == {"label": 10, "decision": 2}
    place.records[10], place.records[11] = place.records[11], place.records[10]
    assert place.words().count("expected the record of this place") == 2


def test_a_checkpoint_by_a_stranger_or_for_another_log_does_not_count(place: Place) -> None:
    note = place.ledger.notes(place.tag)[0]
    origin = f"baluarte/ledger/{place.tag}"
    with pytest.raises(TrustError, match="no trusted key"):
        verify_note(note, MemoryVerifier(MemorySigner("stranger").key), origin=origin)
    with pytest.raises(TrustError, match="expected a checkpoint of"):
        verify_note(note, place.verifier, origin="baluarte/ledger")
    place.ledger.put_note(None, 0, note)
    assert f"expected a checkpoint over all shards, found one of {origin}" in place.words()


def test_a_changed_checkpoint_does_not_count(place: Place) -> None:
    note = place.ledger.notes(place.tag)[0]
    place.ledger.put_note(place.tag, 6, note.replace(b"\n6\n", b"\n7\n"))
    assert "not by key tester" in place.words()


def test_an_old_checkpoint_holds_after_its_key_expired_and_not_if_it_was_revoked_before(
    place: Place,
) -> None:
    checkpoint_of = read_note(place.ledger.notes(None)[0], where="x")[0]
    place.verifier.revoke("tester", at=signed_at(checkpoint_of) + 1)
    report = place.verify()  # the second checkpoints came after the revocation
    assert len(report.all_faults) == 2
    assert all("revoked" in fault.message for fault in report.all_faults)


def test_a_ledger_whose_past_was_changed_is_never_signed(place: Place) -> None:
    place.records[2] = act(99)
    before = place.ledger.notes(None)
    with pytest.raises(TrustError, match="the first 6 records"):
        place.sign()
    assert place.ledger.notes(None) == before
    place.records[:] = [act(i) for i in range(8)]
    with pytest.raises(TrustError, match="the first 10 records"):
        place.sign()


def test_an_expired_key_signs_no_checkpoint(place: Place) -> None:
    place.clock.advance(10**15)
    with pytest.raises(TrustError, match="expired"):
        place.sign()


def test_a_record_is_proved_against_a_checkpoint_without_the_others(place: Place) -> None:
    head = verify_note(
        place.ledger.notes(place.tag)[-1], place.verifier, origin=f"baluarte/ledger/{place.tag}"
    )
    proof = inclusion_proof(place.ledger.leaf_hashes(place.tag, head.size), 3, head.size)
    verify_inclusion(leaf_hash(act(3)), 3, head.size, proof, head.root)


def test_the_log_of_heads_is_only_added_to_and_signed_as_a_whole(place: Place) -> None:
    assert place.verify().n_entries == 3  # both shards, then the one that grew
    notes = [read_note(note, where="x")[0] for note in place.ledger.notes(None)]
    assert [(note.origin, note.size) for note in notes] == [(HEADS_ORIGIN, 2), (HEADS_ORIGIN, 3)]
    place.clock.advance(1)
    place.sign()  # nothing new: a fresh signature over the same log
    assert place.verify().n_entries == 3
    assert place.verify().all_faults == ()


@pytest.mark.parametrize("index", range(3))
def test_a_changed_log_of_heads_is_noticed_and_never_signed(place: Place, index: int) -> None:
    heads = place.ledger.kept_heads
    before = heads[index]
    for other in (b"", b"x", before.replace(b"/", b"+"), before + b"0", b"0" + before):
        heads[index] = other
        if other != before:
            assert place.verify().all_faults
            with pytest.raises(TrustError):
                place.sign()
    heads[index] = before
    assert place.verify().all_faults == ()


def test_a_log_of_heads_that_was_cut_or_shrinks_is_noticed(place: Place) -> None:
    heads = place.ledger.kept_heads
    last = heads.pop()
    assert "covers 3 entries of the log of heads, found 2" in place.words()
    heads += [last, heads[0]]
    assert "had 10 records before, and 6 here" in place.words()


def test_a_ledger_that_was_rolled_back_is_found_by_a_checkpoint_kept_elsewhere(
    place: Place,
) -> None:
    kept = place.ledger.notes(None)[-1]
    older = MemoryLedger()  # as it was at the first checkpoint, all of it
    for tag, records in place.ledger.kept.items():
        older.kept[tag] = records[:6]
        for note in place.ledger.notes(tag)[:1]:
            older.put_note(tag, 6, note)
    older.kept_heads = place.ledger.kept_heads[:2]
    older.put_note(None, 1, place.ledger.notes(None)[0])
    assert verify_ledger(older, place.verifier).all_faults == ()
    (fault,) = verify_ledger(older, place.verifier, kept=[kept]).all_faults
    assert "covers 3 entries of the log of heads, found 2" in fault.message
    assert fault.where == "the checkpoint kept elsewhere"


def test_a_ledger_that_was_forked_is_found_by_a_checkpoint_kept_elsewhere(place: Place) -> None:
    kept = place.ledger.notes(None)[-1]
    fork = Place()  # the same key, the same times, one other record
    fork.ledger = MemoryLedger()
    shards = [fork.ledger.open_shard(), fork.ledger.open_shard()]
    shards[0].append([act(i) for i in (0, 1, 2, 99, 4, 5, 6, 7, 8, 9)])
    shards[1].append([act(i) for i in range(5)])
    for shard in shards:
        shard.commit()
    fork.sign()
    fork.clock.advance(1)
    shards[1].append([act(5)])
    shards[1].commit()
    fork.sign()
    assert fork.verify().all_faults == ()
    assert verify_ledger(fork.ledger, place.verifier, kept=[kept]).all_faults


def test_two_who_sign_at_once_do_not_lose_a_head(place: Place) -> None:
    with pytest.raises(OutsideError) as caught:
        place.ledger.add_heads([b"late"], after=2)
    assert caught.value.retryable
    assert len(place.ledger.heads()) == 3


def test_an_empty_ledger_holds_and_can_be_signed() -> None:
    ledger, signer, clock = MemoryLedger(), MemorySigner(), FixedClock()
    ledger.open_shard()
    verifier = MemoryVerifier(signer.key)
    whole = checkpoint(ledger, signer=signer, verifier=verifier, clock=clock).checkpoint
    assert whole.size == 0
    assert verify_ledger(ledger, verifier).all_faults == ()
