"""baluarte.core.leaves: compiled or not, the same frames, leaf hashes and trees."""

from __future__ import annotations

import hashlib
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baluarte.core import leaves, merkle
from baluarte.core.leaves import ENTRY, FRAME, Records, seal, seal_in_python, text_digests
from baluarte.core.merkle import NATIVE, Frontier, leaf_hash, leaf_hashes, node_hash

compiled = pytest.mark.skipif(NATIVE is None, reason="the compiled code was not built here")


@pytest.fixture(params=["processor", "plain"])
def native(request: pytest.FixtureRequest):
    if NATIVE is None:
        pytest.skip("the compiled code was not built here")
    has_more = NATIVE.use(request.param == "plain")
    if request.param == "processor" and not has_more:
        pytest.skip("this processor has no instructions for SHA-256")
    yield NATIVE
    NATIVE.use(0)


def in_python(size: int, records: list[bytes]) -> list[bytes]:
    """Peaks by the definition: a stack of perfect subtrees."""
    stack: list[tuple[int, bytes]] = []
    for record in records:
        node = (1, hashlib.sha256(b"\x00" + record).digest())
        while stack and stack[-1][0] == node[0]:
            left = stack.pop()
            node = (2 * node[0], hashlib.sha256(b"\x01" + left[1] + node[1]).digest())
        stack.append(node)
    return [peak for _, peak in stack]


def test_leaf_hashes_are_those_of_hashlib_at_every_length_around_a_block(native) -> None:
    rng = random.Random(1)
    records = [rng.randbytes(n) for n in [*range(300), 4095, 4096, 4097, 70_001]]
    hashes = native.leaf_hashes(records)
    assert [hashes[i * 32 : i * 32 + 32] for i in range(len(records))] == [
        leaf_hash(record) for record in records
    ]
    assert leaf_hashes(records) == [leaf_hash(record) for record in records]


def test_digests_of_texts_are_those_of_hashlib_at_every_length_around_a_block(native) -> None:
    rng = random.Random(2)
    texts = [rng.randbytes(n) for n in [*range(300), 4095, 4096, 4097, 70_001]]
    assert text_digests(texts) == ["sha256:" + hashlib.sha256(text).hexdigest() for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaves, "NATIVE", None)
        assert text_digests(texts[:70]) == native.digests(texts[:70])


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(st.binary(min_size=1, max_size=70), max_size=40),
    records=st.lists(st.binary(min_size=1, max_size=200), max_size=40),
    cut=st.integers(0, 40),
    offset=st.integers(0, 2**40),
)
def test_both_ways_make_the_same_bytes(
    before: list[bytes], records: list[bytes], cut: int, offset: int
) -> None:
    one, two = Frontier(), Frontier()
    seal([Records.of(before)], offset=0, frontier=one)
    seal_in_python(before, offset=0, frontier=two)
    groups = [Records.of(records[:cut]), Records.of(records[cut:])]
    first = seal(groups, offset=offset, frontier=one)
    second = seal_in_python(records, offset=offset, frontier=two)
    assert first == second
    assert (one.size, one.peaks) == (two.size, two.peaks)
    assert list(one.peaks) == in_python(0, before + records)
    at = 0
    for i, record in enumerate(records):
        assert ENTRY.unpack_from(first.entries, i * ENTRY.size) == (offset + at, leaf_hash(record))
        assert FRAME.unpack_from(first.frames, at) == (len(record), zlib.crc32(record))
        at += FRAME.size + len(record)
    assert at == len(first.frames)


def test_a_tree_grows_the_same_however_it_is_cut(native, monkeypatch) -> None:
    hashes = [leaf_hash(b"%d" % i) for i in range(1000)]
    whole = Frontier()
    whole.extend(hashes)
    rng, cut, at = random.Random(2), Frontier(), 0
    while at < len(hashes):
        n = rng.randint(1, 60)
        cut.extend(hashes[at : at + n])
        at += n
    monkeypatch.setattr(merkle, "NATIVE", None)
    plain = Frontier()
    plain.extend(hashes)
    assert whole.peaks == cut.peaks == plain.peaks
    assert (
        node_hash(hashes[0], hashes[1]) == hashlib.sha256(b"\x01" + b"".join(hashes[:2])).digest()
    )


@compiled
def test_what_is_no_frontier_and_no_list_of_bytes_is_refused() -> None:
    assert NATIVE is not None
    for size, peaks in ((1, b""), (0, b"x" * 32), (3, b"x" * 32), (2**63, b"x" * 32)):
        with pytest.raises(ValueError, match="peaks"):
            NATIVE.seal([b"a"], [b"\1\0\0\0"], 0, size, peaks)
        with pytest.raises(ValueError, match="peaks"):
            NATIVE.grow(size, peaks, b"")
    with pytest.raises(ValueError, match="32 bytes"):
        NATIVE.grow(0, b"", b"x" * 33)
    for bad in (["text"], [None], 7, [b"fine", bytearray(b"x")]):
        with pytest.raises(TypeError):
            NATIVE.seal(bad, [b"\4\0\0\0"] * len(bad) if isinstance(bad, list) else 7, 0, 0, b"")
        with pytest.raises(TypeError):
            NATIVE.leaf_hashes(bad)


@compiled
@pytest.mark.parametrize(
    "lengths", [[b"\1\0\0\0" * 2], [b"\3\0\0\0\0"], [b"\xff" * 8], [b""], [], [b"\3\0\0\0"] * 2]
)
def test_lengths_that_are_not_those_of_the_records_are_refused(lengths: list[bytes]) -> None:
    assert NATIVE is not None
    with pytest.raises(ValueError, match="lengths"):
        NATIVE.seal([b"abc"], lengths, 0, 0, b"")


def test_records_on_their_way_are_a_sequence_of_their_bytes() -> None:
    apart = [b"one", b"", b"four" * 70]
    records = Records.of(apart)
    assert (len(records), list(records), records[2], records[-3:2]) == (
        3,
        apart,
        apart[2],
        apart[:2],
    )
    assert records == Records.of(iter(apart))
    assert list(Records.of([])) == []
    assert [records.fit(280), Records.of(apart[::2]).fit(280), Records.of(apart[::2]).fit(279)] == [
        False, True, False
    ]  # fmt: skip


def test_without_the_compiled_code_python_does_the_same(monkeypatch) -> None:
    records = [b"%d" % i for i in range(50)]
    one, two = Frontier(), Frontier()
    expected = seal([Records.of(records)], offset=7, frontier=one)
    monkeypatch.setattr(leaves, "NATIVE", None)
    monkeypatch.setattr(merkle, "NATIVE", None)
    assert seal([Records.of(records)], offset=7, frontier=two) == expected
    assert one.peaks == two.peaks
    assert leaf_hashes(records) == [leaf_hash(record) for record in records]
