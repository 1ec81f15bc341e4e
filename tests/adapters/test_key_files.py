"""baluarte.adapters.key_files: keys in files, of every kind, and who is believed."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from baluarte.adapters import key_files
from baluarte.adapters.key_files import create_key, read_public_key, revoke_key, trust_key
from baluarte.core.keys import Algorithm, PublicKey
from baluarte.errors import DataError, OutsideError, TrustError
from baluarte.wiring import signature_kind


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "keys", tmp_path / "trusted"


CHOSEN: list[Algorithm] = ["ed25519"]  #: the kind of the keys of the test that runs


@pytest.fixture(params=["ed25519", "ml-dsa-44"], autouse=True)
def every_kind(request: pytest.FixtureRequest) -> None:
    """Every test here holds for keys of every kind."""
    CHOSEN[:] = [request.param]


def create(place: tuple[Path, Path], name: str = "demo") -> PublicKey:
    return create_key(*place, name, signature_kind(CHOSEN[0]), not_before=10, not_after=1000)


def open_signer(private: Path, trusted: Path, name: str) -> key_files.FileSigner:
    return key_files.open_signer(private, trusted, name, signature_kind)


def believers(folder: Path) -> key_files.TrustedKeys:
    return key_files.TrustedKeys(folder, signature_kind)


def test_a_new_key_signs_and_is_believed(place: tuple[Path, Path]) -> None:
    key = create(place)
    signer = open_signer(*place, "demo")
    signature = signer.sign(b"message")
    believers(place[1]).verify(b"message", signature, key_id=key.key_id, at_us=10)
    assert signer.key == key


def test_the_private_key_is_its_owners_alone_and_never_overwritten(
    place: tuple[Path, Path],
) -> None:
    create(place)
    path = place[0] / "demo.key"
    before = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(place[0].stat().st_mode) == 0o700
    with pytest.raises(DataError, match="already"):
        create(place)
    (place[1] / "demo.json").unlink()
    with pytest.raises(DataError, match="already"):
        create(place)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_private_key_that_others_can_read_is_not_used(
    place: tuple[Path, Path], mode: int
) -> None:
    create(place)
    (place[0] / "demo.key").chmod(mode)
    with pytest.raises(OutsideError, match="0600"):
        open_signer(*place, "demo")


def test_a_private_key_through_a_link_is_not_used(place: tuple[Path, Path]) -> None:
    create(place)
    (place[0] / "demo.key").rename(place[0] / "real.key")
    (place[0] / "demo.key").symlink_to(place[0] / "real.key")
    with pytest.raises(OutsideError):
        open_signer(*place, "demo")


def test_only_the_records_own_key_signs(place: tuple[Path, Path]) -> None:
    create(place)
    create(place, "other")
    mine = place[0] / "demo.key"
    mine.write_bytes((place[0] / "other.key").read_bytes())
    with pytest.raises(TrustError, match="not that of demo"):
        open_signer(*place, "demo")
    curve = generate_private_key(SECP256R1())
    mine.write_bytes(curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(TrustError, match="another kind"):
        open_signer(*place, "demo")
    mine.write_bytes(b"nonsense")
    with pytest.raises(TrustError, match="PEM"):
        open_signer(*place, "demo")


def test_a_revocation_holds_at_once_from_its_time_on_and_for_good(
    place: tuple[Path, Path],
) -> None:
    key = create(place)
    signature = open_signer(*place, "demo").sign(b"m")
    believed = believers(place[1])
    believed.verify(b"m", signature, key_id=key.key_id, at_us=500)
    revoke_key(place[1], "demo", at=400)
    believed.verify(b"m", signature, key_id=key.key_id, at_us=399)
    with pytest.raises(TrustError, match="revoked"):
        believed.verify(b"m", signature, key_id=key.key_id, at_us=400)
    with pytest.raises(DataError, match="before"):
        revoke_key(place[1], "demo", at=900)
    with pytest.raises(DataError, match="no key"):
        revoke_key(place[1], "nobody", at=1)


def test_a_public_key_is_handed_over_as_a_file(place: tuple[Path, Path], tmp_path: Path) -> None:
    key = create(place)
    signature = open_signer(*place, "demo").sign(b"m")
    data = (place[1] / "demo.json").read_bytes()
    elsewhere = tmp_path / "elsewhere"
    trust_key(elsewhere, read_public_key(data, where="demo.json"))
    believers(elsewhere).verify(b"m", signature, key_id=key.key_id, at_us=10)
    again = msgspec.structs.replace(key, name="alias")
    for known in (key, again):
        with pytest.raises(DataError, match="known"):
            trust_key(elsewhere, known)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[" * 10_000,
        b'{"name":"demo","public_key":"AAAA","not_before":1,"not_after":2}',
        b'{"name":"demo","public_key":"%s","not_before":2,"not_after":2}' % (b"A" * 43 + b"="),
        b'{"name":"demo","public_key":"%s","not_before":1,"not_after":2,"x":1}'
        % (b"A" * 43 + b"="),
    ],
)
def test_what_is_no_key_record_is_refused_and_then_nothing_is_believed(
    place: tuple[Path, Path], data: bytes
) -> None:
    create(place, "good")
    (place[1] / "demo.json").write_bytes(data)
    with pytest.raises(TrustError):
        believers(place[1]).public_keys()


def test_a_record_under_another_name_is_refused(place: tuple[Path, Path]) -> None:
    create(place)
    (place[1] / "demo.json").rename(place[1] / "boss.json")
    with pytest.raises(TrustError, match="expected the key boss"):
        believers(place[1]).public_keys()


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "A", "x" * 64, "a b", "a\n"])
def test_a_name_outside_the_grammar_is_no_file(place: tuple[Path, Path], name: str) -> None:
    with pytest.raises(DataError):
        create(place, name)


def test_nobody_is_believed_where_there_are_no_keys(place: tuple[Path, Path]) -> None:
    believed = believers(place[1])
    assert believed.public_keys() == []
    with pytest.raises(TrustError, match="not trusted"):
        believed.verify(b"m", b"s" * 64, key_id="0" * 64, at_us=1)
    with pytest.raises(DataError, match="no key"):
        open_signer(*place, "demo")
