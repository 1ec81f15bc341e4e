"""baluarte.core.witnessing: a witness never goes back, never sideways, and says why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.checkpoint import Checkpoint
from baluarte.core.merkle import EMPTY_ROOT, consistency_proof, leaf_hash, root_of
from baluarte.core.witnessing import (
    LastSeen,
    Refused,
    Request,
    next_seen,
    read_request,
    write_request,
)

LEAVES = [leaf_hash(b"%d" % i) for i in range(40)]
OTHER = [*LEAVES[:7], leaf_hash(b"forged"), *LEAVES[8:]]
#: C2SP tlog-witness, the example request of add-checkpoint
EXAMPLE = """\
old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZ\
niMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
"""


def at(size: int, leaves: list[bytes] = LEAVES) -> Checkpoint:
    return Checkpoint(origin="log", size=size, root=root_of(leaves[:size]))


def seen(size: int) -> LastSeen:
    return LastSeen(size=size, root=root_of(LEAVES[:size]))


def proof(first: int, second: int, leaves: list[bytes] = LEAVES) -> list[bytes]:
    return consistency_proof(leaves, first, second) if first else []


def kind(answer: LastSeen | Refused) -> str:
    assert isinstance(answer, Refused), answer
    return answer.kind


def test_the_published_request_is_read_and_written() -> None:
    request = read_request(EXAMPLE.encode())
    assert isinstance(request, Request)
    assert (request.old_size, len(request.proof)) == (20852014, 4)
    assert request.note.startswith(b"example.com/behind-the-sofa\n20852163\n")
    assert write_request(request) == EXAMPLE.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 1\n",
        b"old 01\n\nx",
        b"old -1\n\nx",
        b"new 1\n\nx",
        b"1\n\nx",
        b"old 1\n!\n\nx",
        b"old 1\nAAAA\n\nx",
        b"old 99999999999999999999\n\nx",
        b"old 1\n" + b"PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n" * 64 + b"\nx",
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    answer = read_request(body)
    assert isinstance(answer, Refused)
    assert answer.kind == "malformed"


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8).map(sorted))
def test_a_log_that_only_grows_is_cosigned_at_every_step(sizes: list[int]) -> None:
    last = LastSeen()
    for size in sizes:
        steps = proof(last.size, size)
        answer = next_seen(last, at(size), old_size=last.size, proof=steps)
        assert answer == LastSeen(size=size, root=root_of(LEAVES[:size]))
        last = answer


@given(st.integers(8, 40), st.integers(8, 40))
def test_a_fork_is_never_cosigned_with_any_proof_at_hand(first: int, second: int) -> None:
    low, high = sorted((first, second))
    for steps in (proof(low, high), proof(low, high, OTHER), []):
        answer = next_seen(seen(low), at(high, OTHER), old_size=low, proof=steps)
        assert kind(answer) == "inconsistent"


@given(st.integers(1, 40), st.integers(0, 39))
def test_a_rollback_is_never_cosigned(last: int, size: int) -> None:
    if size >= last:
        return
    for old in (0, size, last):
        answer = next_seen(seen(last), at(size), old_size=old, proof=[])
        assert kind(answer) == ("malformed" if old > size else "conflict")


def test_a_conflict_says_what_was_seen_last() -> None:
    answer = next_seen(seen(9), at(20), old_size=0, proof=[])
    assert isinstance(answer, Refused)
    assert (answer.kind, answer.size) == ("conflict", 9)


def test_one_size_has_one_root() -> None:
    assert kind(next_seen(seen(9), at(9, OTHER), old_size=9, proof=[])) == "inconsistent"
    assert next_seen(seen(9), at(9), old_size=9, proof=[]) == seen(9)
    assert kind(next_seen(seen(9), at(9), old_size=9, proof=[LEAVES[0]])) == "inconsistent"


def test_the_empty_tree_has_one_root_and_a_first_tree_needs_no_proof() -> None:
    empty = Checkpoint(origin="log", size=0, root=EMPTY_ROOT)
    assert next_seen(LastSeen(), empty, old_size=0, proof=[]) == LastSeen()
    wrong = Checkpoint(origin="log", size=0, root=bytes(32))
    assert kind(next_seen(LastSeen(), wrong, old_size=0, proof=[])) == "inconsistent"
    assert kind(next_seen(LastSeen(), at(3), old_size=0, proof=[LEAVES[0]])) == "inconsistent"
