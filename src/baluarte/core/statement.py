"""The signed statement of a bundle, in the form of OpenSSF Model Signing 1.0.

``model.sig`` is a Sigstore bundle with a DSSE envelope around an in-toto statement that names every
file by its SHA-256. Beside what that form asks for, the predicate binds name, version and epoch, so
that a bundle can be neither renamed nor rolled back. Nothing is ignored but the signature itself.

There is one spelling: a signature file is read by taking its key and signature out and writing the
whole file again from the bundle's own files; any other byte is refused.

Source: OpenSSF Model Signing specification v1.0; in-toto Statement v1; DSSE v1.0.0 (PAE);
Sigstore bundle v0.3.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping

import msgspec

from baluarte.errors import TrustError

SIGNATURE_FILE = "model.sig"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def statement(
    files: Mapping[str, bytes], *, name: str, version: int, epoch: int, created_at: int
) -> bytes:
    """The in-toto statement over all files but the signature: the only bytes there are for it."""
    digests = {path: hashlib.sha256(data) for path, data in files.items() if path != SIGNATURE_FILE}
    order = sorted(digests)
    root = hashlib.sha256(b"".join(digests[path].digest() for path in order)).hexdigest()
    payload = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": f"{name}@{version}", "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE_FILE],
            },
            "resources": [
                {"name": path, "algorithm": "sha256", "digest": digests[path].hexdigest()}
                for path in order
            ],
            "baluarte": {
                "name": name,
                "version": version,
                "epoch": epoch,
                "created_at": created_at,
            },
        },
    }
    return msgspec.json.encode(payload)


def signed_bytes(payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding of the statement."""
    kind = _PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def envelope(payload: bytes, *, key_id: str, signature: bytes) -> bytes:
    """The bytes of ``model.sig``."""
    return msgspec.json.encode(
        {
            "mediaType": _MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": key_id}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": _PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": key_id}],
            },
        }
    )


class _Signature(msgspec.Struct):
    sig: str
    keyid: str


class _Envelope(msgspec.Struct):
    signatures: tuple[_Signature]


class _SigstoreBundle(msgspec.Struct):
    dsse_envelope: _Envelope = msgspec.field(name="dsseEnvelope")


def open_envelope(data: bytes, payload: bytes) -> tuple[str, bytes]:
    """The key id and signature in ``model.sig``, if it is the envelope of this very statement.

    Raises:
        TrustError: it is malformed, around another statement, or spelled another way.
    """
    try:
        found = msgspec.json.decode(data, type=_SigstoreBundle).dsse_envelope.signatures[0]
        signature = base64.b64decode(found.sig, validate=True)
    except (msgspec.MsgspecError, ValueError, RecursionError, binascii.Error) as error:
        raise TrustError(
            f"expected a Sigstore bundle with one signature, found: {error}", where=SIGNATURE_FILE
        ) from error
    if envelope(payload, key_id=found.keyid, signature=signature) != data:
        raise TrustError(
            "expected the one spelling of a signature over these files, found another statement",
            where=SIGNATURE_FILE,
        )
    return found.keyid, signature
