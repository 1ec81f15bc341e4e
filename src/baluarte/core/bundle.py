"""The bundle: a sealed detector as a folder of data files, and the one way in.

Everything is checked before anything is used, and what doesn't hold is refused with its name: this
module is where a detector that nobody vouched for stops. ``docs/concepts/bundle.md`` lists the
files and the checks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import msgspec

from baluarte.core import bands as band_format
from baluarte.core import spread as spread_format
from baluarte.core.bands import Bands
from baluarte.core.cleaning import declared
from baluarte.core.contract import Contract, canonical
from baluarte.core.contract_surface import NAME_PATTERN
from baluarte.core.encode import Encoder, encoder_from_json
from baluarte.core.evidence import Evidence, Lineage
from baluarte.core.program import format as program_format
from baluarte.core.program.model import Program
from baluarte.core.spread import Spread
from baluarte.core.statement import (
    SIGNATURE_FILE,
    open_envelope,
    signed_bytes,
    statement,
)
from baluarte.errors import Fault, TrustError

MANIFEST_FILE = "manifest.json"
_MiB = 1 << 20

#: largest size of each file that a bundle may have
MAX_FILE_BYTES = {
    "contract.json": _MiB,
    "encoder.json": 64 * _MiB,
    "program.bin": 512 * _MiB,
    "bands.json": 16 * _MiB,
    "evidence.json": 16 * _MiB,
    "lineage.json": _MiB,
    "drift.json": 64 * _MiB,
    "spread.json": 16 * _MiB,
    "card.md": _MiB,
    MANIFEST_FILE: _MiB // 16,
    SIGNATURE_FILE: _MiB,
}
_OPTIONAL = frozenset({"drift.json", "spread.json", "card.md"})
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(NAME_PATTERN)
_MAX_NUMBER = 2**53 - 1

T = TypeVar("T")


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a bundle."""

    sha256: str
    size: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle is and which files it has; its SHA-256 is the bundle's digest."""

    format: Literal["baluarte-bundle/1"] = "baluarte-bundle/1"
    name: str
    version: int
    epoch: int
    provisional: bool
    created_at: int
    files: dict[str, FileEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleParts:
    """What is sealed, each in its own sealed form."""

    contract: Contract
    encoder_json: bytes
    program: bytes
    bands_json: bytes
    evidence: Evidence
    lineage: Lineage
    drift_json: bytes | None = None  #: the armed baseline of the drift monitor
    card: str | None = None  #: the model card, Markdown
    spread: Spread | None = None  #: where the columns stood


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBundle:
    """A bundle of which everything was checked."""

    digest: str  #: ``sha256:…`` of the manifest
    key_id: str  #: of the key that signed it
    manifest: Manifest
    contract: Contract
    encoder: Encoder
    program: Program
    bands: Bands
    evidence: Evidence
    lineage: Lineage
    drift_json: bytes | None
    card: str | None
    spread: Spread | None = None  #: bundles of version 0.1 have none


class SignatureCheck(Protocol):
    """What opening needs of a verifier; :class:`baluarte.ports.Verifier` meets it."""

    def verify(self, message: bytes, signature: bytes, *, key_id: str, at_us: int) -> None:
        """Return if the signature holds and the key was valid at that time."""
        ...


def pack(
    parts: BundleParts, *, version: int, epoch: int, created_at: int
) -> tuple[dict[str, bytes], bytes]:
    """All files but the signature, and the statement to sign.

    The bundle is provisional when its evidence lacks data; its name is the contract's.
    """
    files = {
        "contract.json": canonical(parts.contract),
        "encoder.json": parts.encoder_json,
        "program.bin": parts.program,
        "bands.json": parts.bands_json,
        "evidence.json": msgspec.json.encode(parts.evidence, order="sorted"),
        "lineage.json": msgspec.json.encode(parts.lineage, order="sorted"),
    }
    if parts.drift_json is not None:
        files["drift.json"] = parts.drift_json
    if parts.spread is not None:
        files["spread.json"] = spread_format.dumps(parts.spread)
    if parts.card is not None:
        files["card.md"] = parts.card.encode()
    manifest = Manifest(
        name=parts.contract.name,
        version=version,
        epoch=epoch,
        provisional=parts.evidence.verdict != "pass",
        created_at=created_at,
        files={
            path: FileEntry(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
            for path, data in files.items()
        },
    )
    files[MANIFEST_FILE] = _encode(manifest)
    return files, _statement_of(manifest, files)


def bundle_digest(files: Mapping[str, bytes]) -> str:
    """``sha256:…`` of the manifest: what a bundle is known by."""
    return "sha256:" + hashlib.sha256(files[MANIFEST_FILE]).hexdigest()


def open_bundle(
    files: Mapping[str, bytes],
    verifier: SignatureCheck,
    *,
    at_us: int,
    expect_digest: str | None = None,
    expect_name: str | None = None,
    expect_version: int | None = None,
    min_epoch: int | None = None,
) -> SealedBundle:
    """Check everything, then decode: the only way from a bundle's files to something that scores.

    Args:
        at_us: when the key must be valid: now, or for a replay when the decision was made. It must
            have been valid when the bundle was sealed, too.
        min_epoch: refuse an older bundle, even one that was signed well.

    Raises:
        TrustError: anything doesn't hold; says what.
    """
    _check_sizes(files)
    manifest = _read_manifest(files[MANIFEST_FILE])
    _check_files(files, manifest)
    key_id = _check_signature(files, manifest, verifier, at_us)
    digest = bundle_digest(files)
    _check_expected(
        expected={"digest": expect_digest, "name": expect_name, "version": expect_version},
        found={"digest": digest, "name": manifest.name, "version": manifest.version},
    )
    if min_epoch is not None and manifest.epoch < min_epoch:
        raise TrustError(
            f"expected epoch {min_epoch} or later, found {manifest.epoch}: "
            "an older bundle than the one that decides",
            hint="To go back on purpose: `baluarte rollback`.",
        )
    card = files.get("card.md")
    spread = files.get("spread.json")
    encoder = encoder_from_json(files["encoder.json"])
    bundle = SealedBundle(
        digest=digest,
        key_id=key_id,
        manifest=manifest,
        contract=_decode(files, "contract.json", Contract),
        encoder=encoder,
        program=program_format.loads(files["program.bin"]),
        bands=band_format.loads(files["bands.json"]),
        evidence=_decode(files, "evidence.json", Evidence),
        lineage=_decode(files, "lineage.json", Lineage),
        drift_json=files.get("drift.json"),
        card=None if card is None else card.decode(errors="replace"),
        spread=None if spread is None else spread_format.loads(spread, encoder.columns),
    )
    _check_whole(bundle)
    return bundle


# --- the checks, in order ------------------------------------------------------------------------


def _check_sizes(files: Mapping[str, bytes]) -> None:
    faults = [
        Fault("a bundle has no such file", where=path[:200])
        for path in files.keys() - MAX_FILE_BYTES
    ]
    faults += [
        Fault("the bundle lacks this file", where=path)
        for path in sorted(MAX_FILE_BYTES.keys() - _OPTIONAL - files.keys())
    ]
    faults += [
        Fault(f"expected at most {limit} bytes, found {len(files[path])}", where=path)
        for path, limit in MAX_FILE_BYTES.items()
        if path in files and len(files[path]) > limit
    ]
    if faults:
        raise TrustError.of(faults)


def _read_manifest(data: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise TrustError(f"expected a manifest, found: {error}", where=MANIFEST_FILE) from error
    if _encode(manifest) != data:
        raise TrustError("expected the one spelling of the manifest", where=MANIFEST_FILE)
    numbers = (manifest.version, manifest.epoch, manifest.created_at)
    if not _NAME.fullmatch(manifest.name) or not all(1 <= n <= _MAX_NUMBER for n in numbers):
        raise TrustError(
            "expected a name, and version, epoch and time of 1 or more", where=MANIFEST_FILE
        )
    return manifest


def _check_files(files: Mapping[str, bytes], manifest: Manifest) -> None:
    faults: list[Fault] = []
    held = files.keys() - {MANIFEST_FILE, SIGNATURE_FILE}
    for path in sorted(held ^ manifest.files.keys()):
        said = "is not in the manifest" if path in held else "is in the manifest and not there"
        faults.append(Fault(f"the file {said}", where=path[:200]))
    for path in sorted(held & manifest.files.keys()):
        entry, data = manifest.files[path], files[path]
        if entry.size != len(data):
            faults.append(Fault(f"expected {entry.size} bytes, found {len(data)}", where=path))
        elif entry.sha256 != hashlib.sha256(data).hexdigest():
            faults.append(Fault("the file's SHA-256 is not the manifest's", where=path))
    if faults:
        raise TrustError.of(faults)


def _check_signature(
    files: Mapping[str, bytes], manifest: Manifest, verifier: SignatureCheck, at_us: int
) -> str:
    payload = _statement_of(manifest, files)
    key_id, signature = open_envelope(files[SIGNATURE_FILE], payload)
    if not _DIGEST.fullmatch(key_id):
        raise TrustError("expected a key id of 64 hex digits", where=SIGNATURE_FILE)
    for moment in (manifest.created_at, at_us):
        verifier.verify(signed_bytes(payload), signature, key_id=key_id, at_us=moment)
    return key_id


def _check_expected(*, expected: Mapping[str, object], found: Mapping[str, object]) -> None:
    faults = [
        Fault(f"expected {what} {wanted}, found {found[what]}", where=MANIFEST_FILE)
        for what, wanted in expected.items()
        if wanted is not None and wanted != found[what]
    ]
    if faults:
        raise TrustError.of(faults)


def _check_whole(bundle: SealedBundle) -> None:
    """The parts must be of one detector: signed by mistake is refused as well."""
    contract, encoder = bundle.contract, bundle.encoder
    pairs: tuple[tuple[str, object, object], ...] = (
        ("the contract's name", bundle.manifest.name, contract.name),
        (
            "the encoder's fields",
            [field.name for field in contract.events.features],
            [field.field for field in encoder.tables.fields],
        ),
        (
            "the cleaning steps",
            [field.steps for field in contract.events.features],
            [declared(field.steps) for field in encoder.tables.fields],
        ),
        ("the program's columns", len(encoder.columns), bundle.program.n_features),
        ("the bands", [band.name for band in contract.bands], list(bundle.bands.names)),
        ("provisional", bundle.evidence.verdict != "pass", bundle.manifest.provisional),
    )
    faults = [
        Fault(f"{what}: expected {expected}, found {found}", where=bundle.digest)
        for what, expected, found in pairs
        if expected != found
    ]
    if faults:
        raise TrustError.of(faults)


def _decode(files: Mapping[str, bytes], path: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(files[path], type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise TrustError(f"expected {kind.__name__.lower()}, found: {error}", where=path) from error


def _encode(manifest: Manifest) -> bytes:
    return msgspec.json.encode(manifest, order="sorted")


def _statement_of(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    return statement(
        files,
        name=manifest.name,
        version=manifest.version,
        epoch=manifest.epoch,
        created_at=manifest.created_at,
    )
