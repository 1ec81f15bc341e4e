"""baluarte.adapters.ledger.tree and heads_log: kept for speed, and never believed for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from baluarte.adapters.ledger.heads_log import append_heads, read_heads_log
from baluarte.adapters.ledger.reader import SegmentReader
from baluarte.adapters.stores.segments import Segments
from baluarte.core.checkpoint import read_note
from baluarte.core.merkle import leaf_hash, root_of
from baluarte.core.record_proof import check_proof
from baluarte.errors import OutsideError, TrustError
from baluarte.stages.checkpoint import checkpoint
from baluarte.stages.proofs import Prover, find_anchor
from baluarte.testing.clock import FixedClock
from baluarte.testing.signers import MemorySigner, MemoryVerifier

N = 70_000


def record(n: int) -> bytes:
    return b'{"kind":"act","n":%d}' % n


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    with Segments(root, segment_bytes=1 << 18).open_shard() as shard:
        for start in range(0, N, 10_000):
            shard.append([record(n) for n in range(start, start + 10_000)])
            shard.commit()
    return root


LEAVES = [leaf_hash(record(n)) for n in range(N)]


def rows(root: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(root.glob("*/tree/*"))}


@pytest.fixture
def reader(whole: Path) -> SegmentReader:
    for path in rows(whole).values():
        path.unlink()
    return Segments(whole).reader()


def test_rows_are_made_of_what_is_complete_and_hold_its_heads(
    whole: Path, reader: SegmentReader
) -> None:
    (tag,) = reader.shards()
    assert reader.tree(tag).root() == root_of(LEAVES)
    assert {name: p.stat().st_size for name, p in rows(whole).items()} == {
        "1": 32 * (N // 256),
        "2": 32 * (N // 65536),
    }
    assert rows(whole)["1"].read_bytes()[-32:] == root_of(LEAVES[272 * 256 : 273 * 256])


def test_torn_rows_are_made_again_when_they_do_not_lead_to_a_signed_head(
    whole: Path, reader: SegmentReader
) -> None:
    signer, clock = MemorySigner(), FixedClock()
    verifier = MemoryVerifier(signer.key)
    signed = checkpoint(reader, signer=signer, verifier=verifier, clock=clock)
    assert read_note(signed.note, where="x")[0].size == 1
    good = rows(whole)["1"].read_bytes()
    for damaged in (
        good[:-700] + bytes(700),
        bytes(len(good)),
        good + bytes(320),
        b"x" * 5,
    ):
        rows(whole)["1"].write_bytes(damaged)
        again = checkpoint(reader, signer=signer, verifier=verifier, clock=clock)
        assert again.checkpoint.root == signed.checkpoint.root
        anchor = find_anchor(reader, verifier)
        assert anchor is not None
        data, proof = Prover(reader, anchor).prove(reader.shards()[0], 69_999)
        check_proof(data, proof, anchor.checkpoint)
        assert len(proof.path) <= 17


def test_a_folder_that_can_not_be_written_is_read_all_the_same(
    whole: Path, reader: SegmentReader
) -> None:
    (tag,) = reader.shards()
    shutil.rmtree(whole / tag / "tree", ignore_errors=True)  # there once a tree was asked for
    (whole / tag / "tree").write_bytes(b"in the way")
    try:
        tree = reader.tree(tag)
        assert tree.root() == root_of(LEAVES)
        assert tree.root(66_000) == root_of(LEAVES[:66_000])
    finally:
        (whole / tag / "tree").unlink()


def test_the_log_of_heads_forgets_a_torn_line_and_nothing_else(tmp_path: Path) -> None:
    append_heads(tmp_path / "heads", [b"one", b"two"], after=0)
    log = tmp_path / "heads" / "log"
    log.write_bytes(log.read_bytes() + b"thr")
    assert read_heads_log(tmp_path / "heads") == [b"one", b"two"]
    append_heads(tmp_path / "heads", [b"three"], after=2)
    assert log.read_bytes() == b"one\ntwo\nthree\n"


def test_the_log_of_heads_has_one_writer_at_a_time(tmp_path: Path) -> None:
    import fcntl

    append_heads(tmp_path / "heads", [b"one"], after=0)
    with (tmp_path / "heads" / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OutsideError, match="another process") as caught:
            append_heads(tmp_path / "heads", [b"two"], after=1)
    assert caught.value.retryable
    with pytest.raises(OutsideError, match="expected 0 entries"):
        append_heads(tmp_path / "heads", [b"two"], after=0)


def test_a_head_that_was_never_so_is_not_proved(whole: Path, reader: SegmentReader) -> None:
    signer, verifier = MemorySigner(), MemoryVerifier(MemorySigner().key)
    checkpoint(reader, signer=signer, verifier=verifier, clock=FixedClock())
    anchor = find_anchor(reader, verifier)
    assert anchor is not None
    log = whole / "heads" / "log"
    before = log.read_bytes()
    log.write_bytes(before.replace(b"70000", b"70001"))
    try:
        with pytest.raises(TrustError, match="log of heads"):
            Prover(reader, anchor)
    finally:
        log.write_bytes(before)
