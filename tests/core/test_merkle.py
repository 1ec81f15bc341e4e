"""baluarte.core.merkle: the tree of RFC 9162, against its vectors and a naive recursion."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from baluarte.errors import TrustError

# The reference tree of RFC 6962 implementations (certificate-transparency test data).
VECTOR = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
PATH_OF_0_IN_8 = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
)

LEAVES = [leaf_hash(b"%d" % i) for i in range(70)]
sizes = st.integers(1, 70)


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


@pytest.mark.parametrize("size", range(1, 9))
def test_the_reference_roots_come_out(size: int) -> None:
    assert root_of(map(leaf_hash, VECTOR[:size])).hex() == ROOTS[size - 1]


def test_a_reference_path_comes_out() -> None:
    path = inclusion_proof([leaf_hash(data) for data in VECTOR], 0, 8)
    assert [step.hex() for step in path] == list(PATH_OF_0_IN_8)


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert Frontier().root() == EMPTY_ROOT == hashlib.sha256(b"").digest()


@given(st.lists(st.integers(0, 9), max_size=12))
def test_a_frontier_has_the_naive_root_however_it_grew(steps: list[int]) -> None:
    frontier = Frontier()
    for step in steps:
        frontier.extend(LEAVES[frontier.size : frontier.size + step])
        frontier = Frontier(frontier.size, frontier.peaks)
    assert frontier.root() == naive_root(LEAVES[: frontier.size])


def test_a_copy_of_a_frontier_grows_alone() -> None:
    frontier = Frontier()
    frontier.extend(LEAVES[:5])
    other = frontier.copy()
    other.extend(LEAVES[5:9])
    assert (frontier.size, frontier.root()) == (5, naive_root(LEAVES[:5]))


def test_a_frontier_refuses_peaks_that_do_not_fit_its_size() -> None:
    with pytest.raises(ValueError, match="peaks"):
        Frontier(3, LEAVES[:1])


@given(size=sizes, data=st.data())
def test_every_leaf_has_a_proof_and_no_other_leaf_passes_with_it(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    root, proof = naive_root(LEAVES[:size]), inclusion_proof(LEAVES, index, size)
    verify_inclusion(LEAVES[index], index, size, proof, root)
    for leaf, at, of, path in (
        (leaf_hash(b"other"), index, size, proof),
        (LEAVES[index], index + 1, size, proof),
        (LEAVES[index], -1, size, proof),
        (LEAVES[index], index, size, [*proof, root]),
        (LEAVES[index], index, 2 * size + 1, proof),
    ):
        with pytest.raises(TrustError):
            verify_inclusion(leaf, at, of, path, root)
    for step in range(len(proof)):
        damaged = [*proof[:step], leaf_hash(b"x"), *proof[step + 1 :]]
        with pytest.raises(TrustError):
            verify_inclusion(LEAVES[index], index, size, damaged, root)
        with pytest.raises(TrustError):
            verify_inclusion(LEAVES[index], index, size, proof[:step], root)


@given(second=sizes, data=st.data())
def test_a_grown_tree_is_consistent_and_a_changed_one_is_not(
    second: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(1, second))
    old, new = naive_root(LEAVES[:first]), naive_root(LEAVES[:second])
    proof = consistency_proof(LEAVES, first, second)
    verify_consistency(first, second, old, new, proof)
    changed = [*LEAVES[: first - 1], leaf_hash(b"changed")]
    other = naive_root(changed)
    for bad_old, bad_new, path in (
        (other, new, proof),
        (old, other, proof),
        (old, new, [*proof, old]),
        *((old, new, proof[:k]) for k in range(len(proof))),
    ):
        with pytest.raises(TrustError):
            verify_consistency(first, second, bad_old, bad_new, path)


@pytest.mark.parametrize(("first", "second"), [(0, 5), (6, 5), (-1, 3)])
def test_consistency_is_between_a_tree_and_a_later_one(first: int, second: int) -> None:
    with pytest.raises(TrustError):
        verify_consistency(first, second, EMPTY_ROOT, EMPTY_ROOT, [])
    with pytest.raises(IndexError):
        consistency_proof(LEAVES, first, second)


@pytest.mark.parametrize(("index", "size"), [(5, 5), (-1, 5), (0, 71)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(IndexError):
        inclusion_proof(LEAVES, index, size)
