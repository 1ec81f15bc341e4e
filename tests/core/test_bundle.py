"""baluarte.core.bundle: nothing opens that is not, byte for byte, what a trusted key sealed."""

from __future__ import annotations

import base64
import hashlib
import random

import msgspec
import pytest

from baluarte.core.bundle import (
    MAX_FILE_BYTES,
    BundleParts,
    Manifest,
    SealedBundle,
    bundle_digest,
    open_bundle,
    pack,
)
from baluarte.core.evidence import Evidence
from baluarte.core.statement import envelope, signed_bytes, statement
from baluarte.errors import TrustError
from baluarte.testing.bundles import sample_bands, sample_contract, sample_parts
from baluarte.testing.clock import START_US
from baluarte.testing.signers import MemorySigner, MemoryVerifier

SIGNER = MemorySigner()
VERIFIER = MemoryVerifier(SIGNER.key)
NOW = START_US + 1_000_000

Files = dict[str, bytes]


def sealed(parts: BundleParts | None = None, *, version: int = 3, epoch: int = 4) -> Files:
    files, payload = pack(
        parts or sample_parts(), version=version, epoch=epoch, created_at=START_US
    )
    signature = SIGNER.sign(signed_bytes(payload))
    files["model.sig"] = envelope(payload, key_id=SIGNER.key_id, signature=signature)
    return files


def resigned(files: Files) -> Files:
    """Damage with digests and signature made good again: what only the other checks can stop."""
    manifest = msgspec.json.decode(files["manifest.json"])
    manifest["files"] = {
        path: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for path, data in files.items()
        if path not in {"manifest.json", "model.sig"}
    }
    again = {**files, "manifest.json": msgspec.json.encode(manifest, order="sorted")}
    payload = statement(
        again,
        name=manifest["name"],
        version=manifest["version"],
        epoch=manifest["epoch"],
        created_at=manifest["created_at"],
    )
    signature = SIGNER.sign(signed_bytes(payload))
    again["model.sig"] = envelope(payload, key_id=SIGNER.key_id, signature=signature)
    return again


def opened(files: Files, **expected: object) -> SealedBundle:
    return open_bundle(files, VERIFIER, at_us=NOW, **expected)  # type: ignore[arg-type]


FILES = sealed()


def test_a_sealed_bundle_opens_and_is_what_was_sealed() -> None:
    parts = sample_parts()
    bundle = opened(
        FILES,
        expect_name="flows",
        expect_version=3,
        expect_digest=bundle_digest(FILES),
        min_epoch=4,
    )
    assert bundle.contract == parts.contract
    assert bundle.evidence == parts.evidence
    assert bundle.lineage == parts.lineage
    assert bundle.bands == sample_bands()
    assert bundle.key_id == SIGNER.key_id
    assert (bundle.manifest.version, bundle.manifest.epoch) == (3, 4)
    assert not bundle.manifest.provisional


def test_the_digest_is_the_hash_of_the_manifest() -> None:
    assert bundle_digest(FILES) == "sha256:" + hashlib.sha256(FILES["manifest.json"]).hexdigest()


def test_optional_files_are_sealed_too() -> None:
    parts = sample_parts()
    with_all = BundleParts(
        contract=parts.contract,
        encoder_json=parts.encoder_json,
        program=parts.program,
        bands_json=parts.bands_json,
        evidence=parts.evidence,
        lineage=parts.lineage,
        drift_json=b"{}",
        card="# Flows ✓",
    )
    files = sealed(with_all)
    bundle = opened(files)
    assert (bundle.drift_json, bundle.card) == (b"{}", "# Flows ✓")
    with pytest.raises(TrustError, match=r"card\.md"):
        opened({path: data for path, data in files.items() if path != "card.md"})


def test_a_proof_that_lacked_data_seals_a_provisional_bundle() -> None:
    assert opened(sealed(sample_parts(verdict="not_enough_data"))).manifest.provisional


def damaged(rng: random.Random) -> Files:
    """One damage of one of the kinds that disks, networks and hands make."""
    files = dict(FILES)
    path = rng.choice(sorted(files))
    data = files[path]
    at = rng.randrange(len(data))
    match rng.randrange(9):
        case 0:
            files[path] = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        case 1:
            files[path] = data[:at] + rng.randbytes(rng.randint(1, 9)) + data[at:]
        case 2:
            files[path] = data[:at] + data[at + rng.randint(1, 9) :]
        case 3:
            files[path] = data[:at]
        case 4:
            other = rng.choice(sorted(files.keys() - {path}))
            files[path], files[other] = files[other], data
        case 5:
            name = rng.choice((f"{path}.bak", path.upper(), f"sub/{path}", f"../{path}", ""))
            files[name] = files.pop(path)
        case 6:
            del files[path]
        case 7:
            files[rng.choice((".git/config", ".gitignore", "notes.txt", "model.sig.1"))] = b"x"
        case _:
            other_at = rng.randrange(len(data))
            swapped = bytearray(data)
            swapped[at], swapped[other_at] = data[other_at], data[at]
            files[path] = bytes(swapped)
    return files


def test_a_thousand_random_damages_are_all_refused() -> None:
    rng = random.Random(7)
    tried = 0
    while tried < 1000:
        files = damaged(rng)
        if files == FILES:
            continue
        tried += 1
        with pytest.raises(TrustError):
            opened(files)


def test_every_single_flipped_bit_of_manifest_and_signature_is_refused() -> None:
    for path in ("manifest.json", "model.sig"):
        data = FILES[path]
        for at in range(0, len(data), 3):
            flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            with pytest.raises(TrustError):
                opened({**FILES, path: flipped})


@pytest.mark.parametrize(
    ("expected", "word"),
    [
        ({"expect_name": "cards"}, "expected name cards, found flows"),
        ({"expect_version": 4}, "expected version 4, found 3"),
        ({"expect_digest": "sha256:" + "0" * 64}, "expected digest"),
        ({"min_epoch": 5}, "an older bundle"),
    ],
)
def test_a_renamed_or_rolled_back_bundle_is_refused(expected: dict[str, object], word: str) -> None:
    with pytest.raises(TrustError, match=word):
        opened(FILES, **expected)


@pytest.mark.parametrize("key", ["name", "version", "epoch", "created_at", "provisional"])
def test_a_manifest_that_says_something_else_is_not_what_was_signed(key: str) -> None:
    manifest = msgspec.json.decode(FILES["manifest.json"])
    manifest[key] = {"name": "cards", "provisional": True}.get(key, 99)
    with pytest.raises(TrustError):
        opened({**FILES, "manifest.json": msgspec.json.encode(manifest, order="sorted")})


def test_only_trusted_valid_unrevoked_keys_open_a_bundle() -> None:
    stranger = MemoryVerifier(MemorySigner("stranger").key)
    with pytest.raises(TrustError, match="not trusted"):
        open_bundle(FILES, stranger, at_us=NOW)
    with pytest.raises(TrustError, match="expired"):
        open_bundle(FILES, VERIFIER, at_us=SIGNER.key.not_after + 1)
    revoking = MemoryVerifier(SIGNER.key)
    revoking.revoke("tester", at=NOW)
    with pytest.raises(TrustError, match="revoked"):
        open_bundle(FILES, revoking, at_us=NOW)
    open_bundle(FILES, revoking, at_us=NOW - 1)


def test_a_key_that_was_not_valid_at_the_sealing_does_not_open_it_later() -> None:
    late = MemorySigner(not_before=START_US + 1)
    with pytest.raises(TrustError, match="not valid yet"):
        open_bundle(FILES, MemoryVerifier(late.key), at_us=NOW)


def test_another_spelling_of_the_same_signature_is_refused() -> None:
    plain = FILES["model.sig"]
    spaced = msgspec.json.format(plain, indent=1)
    sig = msgspec.json.decode(plain)
    sig["extra"] = 1
    two = msgspec.json.decode(plain)
    two["dsseEnvelope"]["signatures"] *= 2
    unpadded = plain.replace(b"=", b"")
    for again in (spaced, msgspec.json.encode(sig), msgspec.json.encode(two), unpadded):
        with pytest.raises(TrustError):
            opened({**FILES, "model.sig": again})


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[" * 100_000, b"{}", b'{"dsseEnvelope":{"signatures":[]}}', b"\xff"]
)
@pytest.mark.parametrize("path", ["model.sig", "manifest.json"])
def test_nonsense_in_place_of_signature_or_manifest_is_refused(path: str, data: bytes) -> None:
    with pytest.raises(TrustError):
        opened({**FILES, path: data[: MAX_FILE_BYTES["manifest.json"]]})


def test_too_large_a_file_is_refused_before_it_is_read() -> None:
    large = b" " * (MAX_FILE_BYTES["lineage.json"] + 1)
    with pytest.raises(TrustError, match="expected at most"):
        opened({**FILES, "lineage.json": large})


def test_all_faults_are_named_at_once() -> None:
    files = {path: data for path, data in FILES.items() if path != "bands.json"}
    with pytest.raises(TrustError) as caught:
        opened({**files, "evil.py": b"", "run.sh": b""})
    assert {fault.where for fault in caught.value.faults} == {"bands.json", "evil.py", "run.sh"}


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("contract.json", b"{}"),
        ("encoder.json", b"[]"),
        ("program.bin", b"\x80\x04K\x00."),
        ("bands.json", b"{}"),
        ("evidence.json", b"[]"),
        ("lineage.json", b"\xff"),
    ],
)
def test_a_part_that_is_none_is_refused_though_it_is_signed(path: str, data: bytes) -> None:
    with pytest.raises(TrustError):
        opened(resigned({**FILES, path: data}))


def test_parts_of_another_detector_are_refused_though_they_are_signed() -> None:
    other = msgspec.json.encode(sample_contract("cards"), order="sorted")
    with pytest.raises(TrustError, match="the contract's name"):
        opened(resigned({**FILES, "contract.json": other}))
    verdict = msgspec.json.encode(Evidence(verdict="not_enough_data"), order="sorted")
    with pytest.raises(TrustError, match="provisional"):
        opened(resigned({**FILES, "evidence.json": verdict}))


def test_signing_the_same_parts_again_gives_the_same_bytes() -> None:
    assert resigned(FILES) == FILES


def test_the_statement_names_every_file_in_the_form_of_model_signing() -> None:
    payload = base64.b64decode(msgspec.json.decode(FILES["model.sig"])["dsseEnvelope"]["payload"])
    said = msgspec.json.decode(payload)
    resources = said["predicate"]["resources"]
    assert [r["name"] for r in resources] == sorted(FILES.keys() - {"model.sig"})
    assert all(r["digest"] == hashlib.sha256(FILES[r["name"]]).hexdigest() for r in resources)
    root = hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in resources)).hexdigest()
    assert said["subject"] == [{"name": "flows@3", "digest": {"sha256": root}}]
    assert said["predicate"]["baluarte"]["epoch"] == 4


def test_a_manifest_lists_sizes_and_digests() -> None:
    manifest = msgspec.json.decode(FILES["manifest.json"], type=Manifest)
    assert manifest.files.keys() == FILES.keys() - {"manifest.json", "model.sig"}
    assert all(entry.size == len(FILES[path]) for path, entry in manifest.files.items())
