"""baluarte.core.multiset: rows have one digest, however and in whatever order they come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core import multiset
from baluarte.core.multiset import MultisetDigest

COMPILED = multiset._NATIVE


@pytest.fixture(params=["c", "python"], scope="module", autouse=True)
def kernel(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both programs; the compiled one where it is built."""
    if request.param == "c" and COMPILED is None:
        pytest.skip("the compiled digest is not built")
    chosen: Any = COMPILED if request.param == "c" else None
    multiset._NATIVE = chosen
    yield
    multiset._NATIVE = COMPILED


def by_definition(rows: list[bytes]) -> str:
    """Row by row: 1024 numbers of 16 bits, little end first, added modulo 2**16."""
    lanes = [0] * 1024
    for row in rows:
        wide = hashlib.shake_128(row).digest(2048)
        for i in range(1024):
            lanes[i] = (lanes[i] + int.from_bytes(wide[2 * i : 2 * i + 2], "little")) % 2**16
    state = len(rows).to_bytes(8, "little") + b"".join(n.to_bytes(2, "little") for n in lanes)
    return "sha256:" + hashlib.sha256(state).hexdigest()


def digest_of(*parts: list[bytes]) -> str:
    together = MultisetDigest()
    for part in parts:
        together.add_all(part)
    return together.digest()


@given(st.lists(st.binary(max_size=400), max_size=12), st.integers(0, 12))
def test_a_digest_is_what_its_definition_says_however_the_rows_come(
    rows: list[bytes], cut: int
) -> None:
    wanted = by_definition(rows)
    assert digest_of(rows[cut:], rows[:cut]) == wanted
    one_by_one = MultisetDigest()
    for row in sorted(rows):
        one_by_one.add(row)
    assert one_by_one.digest() == wanted


def test_rows_of_every_length_around_a_block() -> None:
    rows = [bytes([n % 251]) * n for n in (0, 1, 7, 8, 9, 167, 168, 169, 335, 336, 337, 1_000)]
    for start in range(len(rows)):
        assert digest_of(rows[start:]) == by_definition(rows[start:])


def test_many_rows_and_the_number_of_rows_that_are_equal_count() -> None:
    rows = [f"{i}".encode() for i in range(1_000)]
    mixed = [rows[i] for i in np.random.default_rng(1).permutation(1_000)]
    assert digest_of(rows) == digest_of(mixed) == digest_of(mixed[:300], mixed[300:])
    assert digest_of(rows[:1]) != digest_of(rows[:1] * 2) != digest_of(rows[:1] * 65_537)
