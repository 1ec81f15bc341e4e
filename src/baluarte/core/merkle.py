"""The Merkle tree of RFC 9162 over SHA-256: heads, inclusion and consistency proofs.

Leaves are given by their hashes, never by their data, so that proofs need 32 bytes a record. A leaf
and a node are hashed with different first bytes, so that neither can pass for the other.

Source: RFC 9162 section 2.1 (the tree is the one of RFC 6962 section 2.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Self

from baluarte.core.native import native
from baluarte.errors import TrustError

HASH_BYTES = 32
_FEW = 8  #: leaves up to which the compiled code gains nothing
Subtree = Callable[[int, int], bytes]  #: the head over the leaves from start up to stop
EMPTY_ROOT = hashlib.sha256(b"").digest()  #: head of the empty tree (RFC 9162 section 2.1.1)


NATIVE = native("_leaves")  #: the same hashes without the interpreter; None where it was not built


def leaf_hash(data: bytes) -> bytes:
    """32 bytes: the hash of one record (RFC 9162 section 2.1.1, first byte 0)."""
    return hashlib.sha256(b"\x00" + data).digest()


def leaf_hashes(records: Sequence[bytes]) -> list[bytes]:
    """The hash of each record; as :func:`leaf_hash`."""
    if NATIVE is None or len(records) <= _FEW:
        return [leaf_hash(record) for record in records]
    joined: bytes = NATIVE.leaf_hashes(records)
    return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]


def node_hash(left: bytes, right: bytes) -> bytes:
    """32 bytes: the hash of an inner node (RFC 9162 section 2.1.1, first byte 1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The head of a growing tree in O(log n) memory: the roots of its perfect subtrees.

    Args:
        size: leaves so far.
        peaks: roots of the perfect subtrees, largest first: one for each set bit of ``size``.
    """

    __slots__ = ("_peaks", "_size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if size < 0 or len(peaks) != size.bit_count():
            raise ValueError(f"expected {size.bit_count()} peaks for {size} leaves")
        self._size = size
        self._peaks = list(peaks)

    @property
    def size(self) -> int:
        """Leaves so far."""
        return self._size

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """Roots of the perfect subtrees, largest first."""
        return tuple(self._peaks)

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Append leaves by their hashes, in order."""
        leaves = list(leaf_hashes)
        if NATIVE is not None and len(leaves) > _FEW:
            self.replace(len(leaves), NATIVE.grow(self._size, self.joined(), b"".join(leaves)))
            return
        peaks, size, sha256 = self._peaks, self._size, hashlib.sha256
        for leaf in leaves:
            node, bits = leaf, size
            while bits & 1:
                node = sha256(b"\x01" + peaks.pop() + node).digest()
                bits >>= 1
            peaks.append(node)
            size += 1
        self._size = size

    def joined(self) -> bytes:
        """The peaks one after the other."""
        return b"".join(self._peaks)

    def replace(self, n_more: int, joined: bytes) -> None:
        """Take the frontier that compiled code computed for so many more leaves."""
        self._size += n_more
        self._peaks = [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]

    def copy(self) -> Self:
        """An independent frontier with the same leaves."""
        return type(self)(self._size, self._peaks)

    def root(self) -> bytes:
        """32 bytes: the tree head over all leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """32 bytes: the tree head over these leaves."""
    frontier = Frontier()
    frontier.extend(leaf_hashes)
    return frontier.root()


def split_of(size: int) -> int:
    """The largest power of two smaller than ``size``, for ``size`` of 2 or more."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int, size: int) -> list[bytes]:
    """The audit path of leaf ``index`` in the tree over the first ``size`` leaves.

    Raises:
        IndexError: not ``0 <= index < size <= len(leaf_hashes)``.
    """
    if size > len(leaf_hashes):
        raise IndexError(f"no tree of {size} over {len(leaf_hashes)} leaves")
    return inclusion_path(lambda start, stop: root_of(leaf_hashes[start:stop]), index, size)


def inclusion_path(subtree: Subtree, index: int, size: int) -> list[bytes]:
    """The same, from whatever knows the heads of subtrees.

    Raises:
        IndexError: not ``0 <= index < size``.

    Source: RFC 9162 section 2.1.3.1.
    """
    if not 0 <= index < size:
        raise IndexError(f"no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + split_of(stop - start)
        if index < middle:
            path.append(subtree(middle, stop))
            stop = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    path.reverse()
    return path


def _sides(position: int, last: int, n_steps: int) -> list[bool]:
    """Whether each step of a proof stands to the left on the way from ``position`` to the head.

    Raises:
        TrustError: the way has another length.

    Source: RFC 9162 sections 2.1.3.2 and 2.1.4.2, steps on fn (here position) and sn (here last).
    """
    left: list[bool] = []
    for _ in range(n_steps):
        if last == 0:
            raise TrustError("the proof is longer than the tree is high")
        left.append(bool(position & 1) or position == last)
        if left[-1]:
            while not position & 1 and position != 0:
                position >>= 1
                last >>= 1
        position >>= 1
        last >>= 1
    if last != 0:
        raise TrustError("the proof is shorter than the tree is high")
    return left


def head_by_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The head of the tree of ``size`` leaves to which a proof leads from a leaf's hash.

    Raises:
        TrustError: the proof has not the length of that way.

    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size:
        raise TrustError(f"inclusion: index {index} is outside a tree of {size} leaves")
    node = leaf
    for step, left in zip(proof, _sides(index, size - 1, len(proof)), strict=True):
        node = node_hash(step, node) if left else node_hash(node, step)
    return node


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Return if ``leaf`` (a hash) is leaf ``index`` of the tree of ``size`` leaves with this head.

    Raises:
        TrustError: the proof doesn't lead to the head.
    """
    if head_by_inclusion(leaf, index, size, proof) != root:
        raise TrustError(f"inclusion: the proof of leaf {index} leads to another head")


def consistency_proof(leaf_hashes: Sequence[bytes], first: int, second: int) -> list[bytes]:
    """Proof that the tree over ``second`` leaves only appended to the one over ``first``.

    Raises:
        IndexError: not ``0 < first <= second <= len(leaf_hashes)``.
    """
    if second > len(leaf_hashes):
        raise IndexError(f"no tree of {second} over {len(leaf_hashes)} leaves")
    return consistency_path(lambda start, stop: root_of(leaf_hashes[start:stop]), first, second)


def consistency_path(subtree: Subtree, first: int, second: int) -> list[bytes]:
    """The same, from whatever knows the heads of subtrees.

    Raises:
        IndexError: not ``0 < first <= second``.

    Source: RFC 9162 section 2.1.4.1.
    """
    if not 0 < first <= second:
        raise IndexError(f"no proof from {first} to {second}")
    path: list[bytes] = []
    start, stop, inside, known = 0, second, first, True
    while inside != stop - start:
        middle = start + split_of(stop - start)
        if inside <= middle - start:
            path.append(subtree(middle, stop))
            stop = middle
        else:
            path.append(subtree(start, middle))
            inside -= middle - start
            start = middle
            known = False
    if not known:
        path.append(subtree(start, stop))
    path.reverse()
    return path


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> None:
    """Return if the tree of ``second`` leaves extends the tree of ``first`` leaves.

    Raises:
        TrustError: it does not, or the proof is malformed.

    Source: RFC 9162 section 2.1.4.2.
    """
    if not 0 < first <= second:
        raise TrustError(f"consistency: expected 0 < first <= second, found {first} and {second}")
    if first == second:
        if proof or first_root != second_root:
            raise TrustError(f"consistency: two heads for the same {first} leaves")
        return
    path = list(proof)
    if first & (first - 1) == 0:  # an exact power of two: its head is a node of the second tree
        path.insert(0, first_root)
    if not path:
        raise TrustError("consistency: the proof is empty")
    position, last = first - 1, second - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = path[0]
    for step, left in zip(path[1:], _sides(position, last, len(path) - 1), strict=True):
        if left:
            old, new = node_hash(step, old), node_hash(step, new)
        else:
            new = node_hash(new, step)
    if old != first_root or new != second_root:
        raise TrustError(f"consistency: the {second} leaves do not extend the first {first}")
