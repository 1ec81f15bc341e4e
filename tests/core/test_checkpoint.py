"""baluarte.core.checkpoint: one spelling of a signed note, and heads that lead to their root."""

from __future__ import annotations

import base64
import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.checkpoint import (
    Checkpoint,
    NoteSignature,
    ShardHead,
    heads_checkpoint,
    note_of,
    read_heads,
    read_note,
    shard_checkpoint,
    signed_at,
    text_of,
)
from baluarte.errors import TrustError

ROOT = hashlib.sha256(b"root").digest()
LINE = NoteSignature(name="demo", key_hash=b"\x01\x02\x03\x04", signature=b"s" * 64)
NOTE = note_of(shard_checkpoint("00ff00", 12, ROOT, at_us=1700), [LINE])


def test_a_note_has_the_form_of_the_specification() -> None:
    encoded = base64.b64encode(b"\x01\x02\x03\x04" + b"s" * 64).decode()
    assert NOTE.decode() == (
        f"baluarte/ledger/00ff00\n12\n{base64.b64encode(ROOT).decode()}\nat 1700\n\n"
        f"— demo {encoded}\n"
    )


@given(
    st.integers(0, 2**56),
    st.binary(min_size=32, max_size=32),
    st.lists(st.binary(min_size=1, max_size=70), min_size=1, max_size=3),
)
def test_what_is_written_is_read(size: int, root: bytes, signed: list[bytes]) -> None:
    checkpoint = shard_checkpoint("00ff00", size, root, at_us=5)
    lines = [NoteSignature(name="k", key_hash=b"hash", signature=s) for s in signed]
    assert read_note(note_of(checkpoint, lines), where="x") == (checkpoint, lines)


@given(st.data())
def test_a_changed_note_is_refused_or_says_something_else(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(NOTE) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != NOTE[at]))
    damaged = NOTE[:at] + bytes([byte]) + NOTE[at + 1 :]
    try:
        checkpoint, lines = read_note(damaged, where="x")
    except TrustError:
        return
    assert note_of(checkpoint, lines) == damaged  # another note, which its signature won't fit
    assert damaged != NOTE


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n\n",
        b"a\n1\n\n",
        NOTE[:-1],
        NOTE + b"\n",
        NOTE.replace(b"\n12\n", b"\n012\n"),
        NOTE.replace(b"\n12\n", b"\n-1\n"),
        NOTE.replace("—".encode(), b"-"),
        b"\xff" + NOTE,
        NOTE[: NOTE.index("—".encode())],
        NOTE + "— x AAAA\n".encode(),
    ],
)
def test_what_is_no_signed_note_is_refused(note: bytes) -> None:
    with pytest.raises(TrustError):
        read_note(note, where="x")


def test_a_checkpoint_over_all_heads_lists_them() -> None:
    heads = [ShardHead(tag=tag, size=n, root=ROOT) for n, tag in enumerate(("00000b", "00000a"))]
    whole = heads_checkpoint(heads, at_us=9)
    assert whole.size == 2
    assert signed_at(whole) == 9
    assert [head.tag for head in read_heads(whole)] == ["00000a", "00000b"]


def test_heads_that_are_not_those_of_the_root_are_refused() -> None:
    whole = heads_checkpoint([ShardHead(tag="00000a", size=3, root=ROOT)], at_us=9)
    larger = whole.extensions[1].replace(" 3 ", " 4 ")
    for changed in (
        msgspec.structs.replace(whole, extensions=(whole.extensions[0], larger)),
        msgspec.structs.replace(whole, extensions=whole.extensions[:1]),
        msgspec.structs.replace(whole, extensions=()),
        msgspec.structs.replace(whole, extensions=(*whole.extensions, "more")),
        msgspec.structs.replace(whole, size=2),
        msgspec.structs.replace(whole, root=hashlib.sha256(b"other").digest()),
        Checkpoint(origin="another", size=1, root=whole.root, extensions=whole.extensions),
    ):
        with pytest.raises(TrustError):
            read_heads(changed)


def test_the_text_is_what_is_signed() -> None:
    checkpoint, _ = read_note(NOTE, where="x")
    assert NOTE.startswith(text_of(checkpoint) + b"\n")
