"""Batches that compiled code seals: the bytes that Python writes, opened by the other library."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from sealed_ground import Place

from baluarte.adapters import sealing
from baluarte.adapters.sealing import NATIVE, NONCE_BYTES, SEALS_AT_ONCE, SealingKey
from baluarte.core import decision_bytes
from baluarte.core.decision import DecisionRecord
from baluarte.core.decision_bytes import Decided, RecordWriter
from baluarte.core.envelope import Envelope, PersonalPlan, context_of, sealed_bytes
from baluarte.stages import score
from baluarte.stages.score import Identity
from baluarte.stages.unseal import Unsealer

at_once = pytest.mark.skipif(not SEALS_AT_ONCE, reason="needs compiled code and a libcrypto")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("people"))


def records(place: Place, n: int, who: list[Identity] | None = None) -> list[bytes]:
    """The records of the first decisions of the place."""
    scorer = place.scorer
    decisions = scorer.decide_records(place.events[:n], reasons="all")
    ids = [answer.id for answer in place.answers[:n]]
    return list(scorer.records(decisions, ids, who or place.who[:n], decided_at=7))


def envelopes(found: Iterable[bytes]) -> list[bytes]:
    """What stands sealed in each record."""
    decoded = [msgspec.json.decode(data, type=DecisionRecord).personal for data in found]
    return [sealed_bytes(each) for each in decoded if isinstance(each, Envelope)]


def opened(place: Place, found: Iterable[bytes]) -> list[DecisionRecord]:
    decoded = [msgspec.json.decode(data, type=DecisionRecord) for data in found]
    return Unsealer(place.keys).all(decoded)


@at_once
@pytest.mark.parametrize("n", [0, 1, 8, 9, 60])
def test_the_same_keys_and_nonces_give_the_same_bytes(
    place: Place, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = os.urandom(NONCE_BYTES * n)
    nonces = [drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES)]
    monkeypatch.setattr(SealingKey, "nonces", lambda _, n: drawn[: NONCE_BYTES * n])
    together = records(place, n)
    assert [each[:NONCE_BYTES] for each in envelopes(together)] == nonces
    monkeypatch.setattr(score, "_nonces", lambda _: None)
    for native in (decision_bytes.NATIVE, None):
        monkeypatch.setattr(decision_bytes, "NATIVE", native)
        monkeypatch.setattr(sealing, "_NONCES", nonces[::-1])
        assert records(place, n) == together


@at_once
@given(
    st.binary(min_size=32, max_size=32), st.binary(min_size=12, max_size=12),
    st.lists(st.binary(max_size=300), max_size=12),
)  # fmt: skip
def test_what_libcrypto_seals_the_other_library_opens(
    secret: bytes, nonce: bytes, values: list[bytes]
) -> None:
    @dataclass
    class Key:
        id: str
        compiled: object

    @dataclass
    class Event:
        personal: bytes
        event_id: str = "e"
        event_at: int = 5
        digest: str = "hmac-sha256:1"
        event: bytes = b"{}"
        key: object = None

    n, none = len(values), np.zeros(len(values), dtype=np.int64)
    decided = Decided(
        ids=[f"id{i}" for i in range(n)], scores=none, points=none, bands=none, base=0,
        features=np.zeros((n, 1)), reasons=[None] * n, deferred=[False] * n,
    )  # fmt: skip
    writer = RecordWriter(
        detector="d", version=3, bundle="b", role="champion", outcomes=["pass"], thresholds=[None]
    )
    plan = PersonalPlan(
        detector="d", fields=(), others=(), columns=(), before_columns=b"", seals_reasons=True,
        subject=None, space="", id_field=None,
    )  # fmt: skip
    who = [Event(value, key=Key(f"{i:032x}", NATIVE.key(secret))) for i, value in enumerate(values)]
    found = writer.seal_all(
        decided, who, decided_at=9, plan=plan, columns=np.zeros((n, 0)), nonces=nonce * n
    )
    assert found is not None
    for i, data in enumerate(found):
        personal = msgspec.json.decode(data)["personal"]
        assert personal["key"] == f"{i:032x}"
        sealed = base64.b64decode(personal["sealed"], validate=True)
        assert sealed[:NONCE_BYTES] == nonce
        plain = AESGCM(secret).decrypt(nonce, sealed[NONCE_BYTES:], context_of(f"id{i}", "d", 3))
        assert plain == b'{"event":' + values[i] + b"}"


@at_once
def test_threads_that_seal_batches_at_once_share_no_nonce_and_mix_nothing(place: Place) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: records(place, 60), range(60)))
    nonces = [each[:NONCE_BYTES] for part in found for each in envelopes(part)]
    assert len(set(nonces)) == len(nonces) == 60 * 60
    expected = opened(place, records(place, 60))
    for part in found[::10]:
        assert opened(place, part) == expected


@at_once
def test_a_process_that_is_forked_seals_batches_with_nonces_of_its_own(place: Place) -> None:
    records(place, 60)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writes, b"".join(each[:NONCE_BYTES] for each in envelopes(records(place, 60))))
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    theirs = {told[at : at + NONCE_BYTES] for at in range(0, len(told), NONCE_BYTES)}
    assert len(theirs) == 60
    assert theirs.isdisjoint(each[:NONCE_BYTES] for each in envelopes(records(place, 60)))


class Elsewhere:
    """A key that only its own store can seal with."""

    compiled = None

    def __init__(self, key: SealingKey) -> None:
        self.id, self._key = key.id, key

    def nonces(self, n: int) -> bytes:
        raise AssertionError(n)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        return self._key.seal(plain, context)


@pytest.mark.parametrize("where", [0, 30])
def test_a_key_that_compiled_code_can_t_use_is_asked_itself(place: Place, where: int) -> None:
    key = place.who[where].key
    assert isinstance(key, SealingKey)
    who = list(place.who)
    who[where] = msgspec.structs.replace(who[where], key=Elsewhere(key))
    assert opened(place, records(place, 60, who)) == opened(place, records(place, 60))


@pytest.mark.parametrize("where", [0, 30])
def test_no_record_is_written_without_its_subject_s_key(place: Place, where: int) -> None:
    who = list(place.who)
    who[where] = msgspec.structs.replace(who[where], key=None)
    with pytest.raises(ValueError, match="needs its subject's key"):
        records(place, 60, who)


def test_where_no_libcrypto_is_found_each_key_seals_by_itself(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "SEALS_AT_ONCE", False)
    key = SealingKey("0f" * 16, b"k" * 32)
    assert key.compiled is None
    monkeypatch.undo()
    assert (SealingKey("0f" * 16, b"k" * 32).compiled is not None) == SEALS_AT_ONCE
    plain = key.seal(b"value", b"context")
    assert SealingKey("0f" * 16, b"k" * 32).open(plain, b"context") == b"value"


@at_once
def test_a_nonce_is_wanted_for_each_record(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for n_bytes in (0, 59 * NONCE_BYTES, 60 * NONCE_BYTES - 1, 61 * NONCE_BYTES):
        monkeypatch.setattr(SealingKey, "nonces", lambda *_, n=n_bytes: bytes(n))
        with pytest.raises(ValueError, match="nonce for each record"):
            records(place, 60)
