"""baluarte.core.record_proof: from a record to a checkpoint, and nothing else passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.checkpoint import Checkpoint, ShardHead, head_entry, log_checkpoint
from baluarte.core.merkle import inclusion_proof, leaf_hash, root_of
from baluarte.core.record_proof import RecordProof, check_proof, read_proof, write_proof
from baluarte.errors import TrustError

RECORDS = [b"record %d" % i for i in range(11)]
LEAVES = [leaf_hash(record) for record in RECORDS]
HEADS = [
    head_entry(ShardHead(tag=tag, size=size, root=root_of(LEAVES[:size]), at_us=size))
    for tag, size in (("00000a", 4), ("00000b", 9), ("00000a", 11))
]
HEAD_LEAVES = [leaf_hash(entry) for entry in HEADS]
CHECKPOINT = log_checkpoint("log", 3, root_of(HEAD_LEAVES), at_us=99)


def proof_of(index: int) -> RecordProof:
    return RecordProof(
        shard="00000a",
        index=index,
        size=11,
        at_us=11,
        path=tuple(inclusion_proof(LEAVES, index, 11)),
        head_index=2,
        head_path=tuple(inclusion_proof(HEAD_LEAVES, 2, 3)),
    )


def check_text(text: str) -> None:
    check_proof(RECORDS[5], read_proof(text, where="x"), CHECKPOINT)


@pytest.mark.parametrize("index", range(11))
def test_every_record_has_a_proof_that_reads_as_it_is_written(index: int) -> None:
    text = write_proof(proof_of(index))
    proof = read_proof(text, where="x")
    assert proof == proof_of(index)
    check_proof(RECORDS[index], proof, CHECKPOINT)
    with pytest.raises(TrustError, match="don't lead"):
        check_proof(RECORDS[(index + 1) % 11], proof, CHECKPOINT)


def test_a_tree_of_one_has_a_proof_of_no_hash() -> None:
    lone = RecordProof(
        shard="00000a", index=0, size=1, at_us=1, path=(), head_index=0, head_path=()
    )
    text = write_proof(lone)
    assert text.endswith("\n\nheads 0\n")
    assert read_proof(text, where="x") == lone


@given(st.data())
def test_a_changed_proof_is_refused_or_leads_elsewhere(data: st.DataObject) -> None:
    text = write_proof(proof_of(5)).encode()
    at = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != text[at]))
    changed = text[:at] + bytes([byte]) + text[at + 1 :]
    with pytest.raises(TrustError):
        check_text(changed.decode("utf-8", "replace"))


@pytest.mark.parametrize("text", ["", "\n\n", "baluarte-proof/1\n\nheads 0\n", "x" * 100])
def test_what_is_no_proof_is_refused(text: str) -> None:
    with pytest.raises(TrustError, match="expected"):
        read_proof(text, where="x")


def test_another_checkpoint_is_not_led_to() -> None:
    for other in (
        Checkpoint(origin="log", size=3, root=bytes(32)),
        Checkpoint(origin="log", size=2, root=CHECKPOINT.root),
        Checkpoint(origin="log", size=4, root=CHECKPOINT.root),
    ):
        with pytest.raises(TrustError):
            check_proof(RECORDS[5], proof_of(5), other)
