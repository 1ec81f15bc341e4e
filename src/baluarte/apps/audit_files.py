"""An audit pack as files: a folder, or one archive whose bytes are the same every time."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import msgspec

from baluarte.adapters.disk import outside, write_aside
from baluarte.apps.audit import (
    Audit,
    approvals_document,
    inventory_document,
    replays_document,
)
from baluarte.apps.audit_page import audit_page
from baluarte.apps.catalogue import Texts
from baluarte.apps.evidence_page import evidence_page
from baluarte.apps.proving import CHECKPOINT, KEYS, VERIFIER, keys_text, verifier_source
from baluarte.apps.session import Session
from baluarte.core.record_proof import write_proof
from baluarte.errors import DataError

_NO_TIME = (1980, 1, 1, 0, 0, 0)  #: the first that a zip archive can say
SUMS = "SHA256SUMS"  #: digests of all other files; its own digest is in the ledger


def pack_files(found: Audit, session: Session, texts: Texts) -> dict[str, bytes]:
    """Every file of the pack by its path."""
    page = audit_page(found, session.verifier.public_keys(), texts)
    files = {
        "index.html": page.encode(),
        "README.txt": texts.get("audit.readme", seed=found.seed).encode(),
        CHECKPOINT: found.anchor.note,
        KEYS: keys_text(session).encode(),
        VERIFIER: verifier_source(),
        "replays.json": _json(replays_document(found)),
        "approvals.json": _json(approvals_document(found)),
        "inventory.json": _json(inventory_document(found, session)),
    }
    for one in found.decisions:
        files[f"records/{one.record.id}.json"] = one.data
        files[f"records/{one.record.id}.proof"] = write_proof(one.proof).encode()
    for act in found.acts:
        name = f"records/act-{act.tag}-{act.index}"
        files[f"{name}.json"] = act.data
        files[f"{name}.proof"] = write_proof(act.proof).encode()
    for approved in found.versions:
        if approved.bundle is not None:
            version = approved.version
            name = f"versions/{version.detector}@{version.version}"
            files[f"{name}.html"] = evidence_page(approved.bundle, version, texts).encode()
    sums = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())]
    files[SUMS] = "".join(sums).encode()
    return files


def write_pack(path: Path, files: dict[str, bytes]) -> None:
    """Write a folder that isn't there, or an archive where the path ends in ``.zip``.

    Raises:
        DataError: the folder holds something.
        OutsideError: it can't be written.
    """
    with outside("the audit pack can't be written", path):
        if path.suffix == ".zip":
            _write_zip(path, files)
            return
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise DataError("expected a folder that is empty or not there yet", where=str(path))
        for name, data in files.items():
            place = path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            write_aside(place, data)


def _write_zip(path: Path, files: dict[str, bytes]) -> None:
    aside = path.with_name(f".{path.name}.part")
    with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{path.stem}/{name}", date_time=_NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    aside.replace(path)


def _json(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
