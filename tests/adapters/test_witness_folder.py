"""baluarte.adapters.witness_folder: what a witness saw is on disk before it answers, and stays."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from baluarte.adapters.witness_folder import WitnessFolder, create_witness
from baluarte.core.checkpoint import log_checkpoint, read_note
from baluarte.core.merkle import consistency_proof, leaf_hash, root_of
from baluarte.core.note_keys import NoteKey, log_key, read_vkey
from baluarte.core.witnessing import Refused, Request, write_request
from baluarte.errors import DataError, OutsideError, TrustError
from baluarte.stages.notes import check_cosignature, sign_note
from baluarte.stages.witness import cosign
from baluarte.testing.clock import FixedClock
from baluarte.testing.signers import MemorySigner
from baluarte.wiring import open_given_keys, signature_kind

LEAVES = [leaf_hash(b"%d" % n) for n in range(60)]
LOG = MemorySigner()
GO = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
GO_NOTE = """\
go.sum database tree
35225469
vt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=

— sum.golang.org Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHLAyaKbbTM75QTt\
PydhKCExixSfwQ=
"""


def key_of(origin: str = "bank.example/log") -> NoteKey:
    return log_key(origin, LOG.key)


@pytest.fixture(params=["ed25519", "ml-dsa-44"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> WitnessFolder:
    create_witness(tmp_path / "w", "witness.example/w", signature_kind(request.param))
    return WitnessFolder(tmp_path / "w")


def ask(folder: WitnessFolder, body: bytes) -> bytes | Refused:
    keys = [one.as_public() for keys in folder.logs().values() for one in keys]
    return cosign(
        body,
        store=folder,
        verifier=open_given_keys(keys),
        key=folder.key,
        private=folder.private(signature_kind(folder.key.algorithm)),
        clock=FixedClock(),
    )


def body(old: int, size: int) -> bytes:
    checkpoint = log_checkpoint("bank.example/log", size, root_of(LEAVES[:size]), at_us=1_000_000)
    proof = tuple(consistency_proof(LEAVES, old, size)) if old else ()
    return write_request(Request(old_size=old, proof=proof, note=sign_note(checkpoint, [LOG])))


def test_the_key_is_its_owners_alone_and_made_once(folder: WitnessFolder, tmp_path: Path) -> None:
    path = tmp_path / "w" / "witness.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(DataError, match="already"):
        create_witness(tmp_path / "w", "other", signature_kind("ed25519"))
    path.chmod(0o640)
    with pytest.raises(DataError, match="0600"):
        folder.private(signature_kind(folder.key.algorithm))


@pytest.mark.parametrize("name", ["a b", "a+b", ""])
def test_a_name_that_a_note_can_not_hold_makes_no_witness(name: str, tmp_path: Path) -> None:
    with pytest.raises(TrustError):
        create_witness(tmp_path / "w", name, signature_kind("ed25519"))
    assert not (tmp_path / "w").exists()


def test_what_it_saw_survives_it_and_binds_the_next(folder: WitnessFolder, tmp_path: Path) -> None:
    assert folder.add_log(key_of())
    assert not folder.add_log(key_of())
    line = ask(folder, body(0, 20))
    assert isinstance(line, bytes)
    note = folder.last("bank.example/log")
    assert note is not None
    checkpoint, lines = read_note(note, where="x")
    assert checkpoint.size == 20
    verifier = open_given_keys([folder.key.as_public()])
    assert check_cosignature(checkpoint, lines[-1], folder.key, verifier) > 0
    again = WitnessFolder(tmp_path / "w")  # another process, later
    answer = ask(again, body(0, 40))
    assert isinstance(answer, Refused)
    assert (answer.kind, answer.size) == ("conflict", 20)
    assert isinstance(ask(again, body(20, 40)), bytes)


def test_a_disk_that_refuses_means_no_cosignature(folder: WitnessFolder, tmp_path: Path) -> None:
    folder.add_log(key_of())
    assert isinstance(ask(folder, body(0, 20)), bytes)
    seen = tmp_path / "w" / "seen"
    kept = {path.name: path.read_bytes() for path in seen.iterdir()}
    moved = seen.rename(tmp_path / "w" / "moved")
    seen.write_bytes(b"in the way")
    with pytest.raises(OutsideError):
        ask(folder, body(20, 40))
    seen.unlink()
    moved.rename(seen)
    assert {path.name: path.read_bytes() for path in seen.iterdir()} == kept


def test_many_who_ask_at_once_never_get_two_trees_of_one_size(folder: WitnessFolder) -> None:
    folder.add_log(key_of())
    answers: list[bytes | Refused] = []
    threads = [
        threading.Thread(target=lambda size=size: answers.append(ask(folder, body(0, size))))
        for size in range(1, 13)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(answer, bytes) for answer in answers) == 1
    assert {a.kind for a in answers if isinstance(a, Refused)} == {"conflict"}


def test_a_public_log_with_a_key_of_another_name_is_cosigned(folder: WitnessFolder) -> None:
    body = b"old 0\n\n" + GO_NOTE.encode()
    answer = ask(folder, body)
    assert isinstance(answer, Refused)
    assert answer.kind == "unknown"
    folder.add_log(read_vkey(GO, where="x"), origin="go.sum database tree")
    assert isinstance(ask(folder, body), bytes)


def test_a_log_that_another_key_signed_is_refused(folder: WitnessFolder) -> None:
    stranger = log_key("bank.example/log", MemorySigner("stranger").key)
    folder.add_log(stranger)
    answer = ask(folder, body(0, 20))
    assert isinstance(answer, Refused)
    assert answer.kind == "unsigned"
    assert folder.last("bank.example/log") is None


def test_a_folder_that_is_no_witness_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no witness's folder"):
        _ = WitnessFolder(tmp_path).key
