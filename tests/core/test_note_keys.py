"""baluarte.core.note_keys: keys and messages of notes, as the specifications publish them."""

from __future__ import annotations

import base64
import hashlib

import pytest

from baluarte.apps import offline_verifier
from baluarte.core.checkpoint import (
    Checkpoint,
    NoteSignature,
    cosigned,
    log_checkpoint,
    note_of,
    read_note,
    read_signatures,
    text_of,
)
from baluarte.core.keys import PublicKey
from baluarte.core.note_keys import (
    COSIGN_ED25519,
    COSIGN_ML_DSA_44,
    LOG_ED25519,
    NoteKey,
    log_key,
    read_vkey,
    signature_line,
    signed_message,
    split_signature,
    witness_key,
)
from baluarte.errors import TrustError
from baluarte.wiring import signature_kind

# C2SP signed-note, the example under "Verifier keys".
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_SIGNATURE = (
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
)
# C2SP tlog-cosignature, the example at the head and the message under "Ed25519 signed message".
EXAMPLE = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZ\
niMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn\
/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""
EXAMPLE_MESSAGE = b"""\
cosignature/v1
time 1679315147
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
"""
# A checkpoint of the Go checksum database, as that log signed and published it, and its key.
GO_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
GO_NOTE = """\
go.sum database tree
35225469
vt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=

— sum.golang.org Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV\
2KA2HgXpD+gu9HHONebHLAyaKbbTM75QTtPydhKCExixSfwQ=
"""

CHECKPOINT = log_checkpoint(
    "bank.example/ledger", 5, hashlib.sha256(b"r").digest(), at_us=7_000_000
)


def public(kind: int) -> NoteKey:
    n_bytes = 1312 if kind == COSIGN_ML_DSA_44 else 32
    return NoteKey(name="a.example/k", kind=kind, public_key=b"\x05" * n_bytes)


def test_the_published_key_verifies_the_published_note() -> None:
    key = read_vkey(FOO, where="x")
    blob = base64.b64decode(FOO_SIGNATURE)
    text = b"This is an example message.\n"
    assert (key.name, key.kind, key.key_hash) == ("example.com/foo", LOG_ED25519, blob[:4])
    assert signature_kind("ed25519").holds(key.public_key, text, blob[4:])
    assert offline_verifier.ed25519(key.public_key, text, blob[4:])
    assert not offline_verifier.ed25519(key.public_key, text + b"\n", blob[4:])


def test_a_checkpoint_of_the_go_checksum_database_holds() -> None:
    key = read_vkey(GO_KEY, where="x")
    checkpoint, (line,) = read_note(GO_NOTE.encode(), where="x")
    assert (line.name, line.key_hash) == (key.name, key.key_hash)
    signature, time_s = split_signature(key, line)
    message = signed_message(key, checkpoint, time_s)
    assert signature_kind("ed25519").holds(key.public_key, message, signature)
    assert checkpoint.size == 35225469


def test_the_published_cosignature_has_the_published_time_and_message() -> None:
    checkpoint, (_, line) = read_note(EXAMPLE.encode(), where="x")
    witness = NoteKey(name=line.name, kind=COSIGN_ED25519, public_key=b"\x01" * 32)
    signature, time_s = split_signature(witness, line)
    assert (len(signature), time_s) == (64, 1679315147)
    assert signed_message(witness, checkpoint, time_s) == EXAMPLE_MESSAGE
    assert signature_line(witness, signature, time_s).signature == line.signature


def test_the_message_for_ml_dsa_44_has_the_published_layout() -> None:
    # struct cosigned_message: label, name, time, origin, start, end, hash
    key = NoteKey(name="w.example", kind=COSIGN_ML_DSA_44, public_key=b"\x02" * 1312)
    origin = "bank.example/ledger"
    assert signed_message(key, CHECKPOINT, 7) == (
        b"subtree/v1\n\x00" + b"\x09w.example" + bytes(7) + b"\x07"
        + bytes([len(origin)]) + origin.encode() + bytes(8) + bytes(7) + b"\x05" + CHECKPOINT.root
    )  # fmt: skip


def test_the_key_hash_is_that_of_the_signed_note_specification() -> None:
    key = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert NoteKey(name="PeterNeumann", kind=1, public_key=key[1:]).key_hash.hex() == "c74f20a3"


@pytest.mark.parametrize("kind", [LOG_ED25519, COSIGN_ED25519, COSIGN_ML_DSA_44])
def test_a_key_is_read_as_it_is_written(kind: int) -> None:
    key = public(kind)
    assert read_vkey(key.vkey, where="x") == key
    assert read_vkey(f" {key.vkey}\n", where="x") == key
    assert key.timed == (kind != LOG_ED25519)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a+b",
        "a+b+!",
        "a b" + FOO,
        FOO.replace("530d903a", "530d903b"),
        FOO.replace("530d903a", "530D903A"),
        FOO.replace("example", "Example"),
        FOO[:-4],
        FOO + "=",
        "+" + FOO,
        "x+00000000+" + base64.b64encode(b"\x02" + b"k" * 32).decode(),
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(TrustError):
        read_vkey(text, where="x")


def test_a_log_and_a_witness_with_one_key_are_told_apart() -> None:
    ed = PublicKey(name="k", public_key=b"\x03" * 32, not_before=0, not_after=1)
    assert log_key("n", ed).key_hash != witness_key("n", ed).key_hash
    pq = PublicKey(
        name="k", algorithm="ml-dsa-44", public_key=b"\x03" * 1312, not_before=0, not_after=1
    )
    assert log_key("n", pq) == witness_key("n", pq)
    assert log_key("n", pq).as_public().key_id == pq.key_id


def test_a_signature_without_its_time_is_refused() -> None:
    key = public(COSIGN_ED25519)
    for data in (b"", b"\x00" * 8, b"\x00" * 72, b"\xff" * 72):
        line = NoteSignature(name=key.name, key_hash=key.key_hash, signature=data)
        with pytest.raises(TrustError):
            split_signature(key, line)


def test_cosignatures_are_added_once_and_leave_the_text_as_it_was() -> None:
    first = NoteSignature(name="log", key_hash=b"aaaa", signature=b"s" * 64)
    more = NoteSignature(name="w", key_hash=b"bbbb", signature=b"t" * 72)
    note = note_of(CHECKPOINT, [first])
    twice = cosigned(cosigned(note, [more], where="x"), [more, first], where="x")
    assert twice == note_of(CHECKPOINT, [first, more])
    assert twice.startswith(text_of(CHECKPOINT) + b"\n")
    assert read_signatures(twice.rpartition(b"\n\n")[2], where="x") == [first, more]


@pytest.mark.parametrize("data", [b"", b"\xff", b"- a b\n", "— a b\n".encode()])
def test_what_are_no_signature_lines_is_refused(data: bytes) -> None:
    with pytest.raises(TrustError):
        read_signatures(data, where="x")


def test_a_name_too_long_for_its_field_is_refused() -> None:
    key = public(COSIGN_ML_DSA_44)
    long = Checkpoint(origin="o" * 256, size=1, root=bytes(32))
    with pytest.raises(TrustError, match="1 to 255"):
        signed_message(key, long, 1)
