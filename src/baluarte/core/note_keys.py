"""Keys of signed notes and what each kind signs: the log itself, and witnesses after it.

Source: C2SP signed-note (key ids and verifier keys), tlog-cosignature (what a witness signs).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from typing import Final

import msgspec

from baluarte.core.checkpoint import Checkpoint, NoteSignature, text_of
from baluarte.core.keys import Algorithm, PublicKey
from baluarte.errors import TrustError

LOG_ED25519: Final = 0x01  #: a signature over the note's text
COSIGN_ED25519: Final = 0x04  #: over a time and the note's text
COSIGN_ML_DSA_44: Final = 0x06  #: over a time and the tree, by a log or by a witness
_ALGORITHMS: dict[int, Algorithm] = {
    LOG_ED25519: "ed25519",
    COSIGN_ED25519: "ed25519",
    COSIGN_ML_DSA_44: "ml-dsa-44",
}
_PUBLIC_BYTES: dict[int, int] = {LOG_ED25519: 32, COSIGN_ED25519: 32, COSIGN_ML_DSA_44: 1312}
_KEY_ID_BYTES = 4
_TIME = struct.Struct(">Q")
_SPACE = re.compile(r"[\s+]")
_MAX_TIME_S = 2**63 - 1
_ALWAYS_US = 2**53 - 1


class NoteKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key as notes name it."""

    name: str
    kind: int  #: signature type of the specification
    public_key: bytes

    @property
    def algorithm(self) -> Algorithm:
        """Which signatures it checks."""
        return _ALGORITHMS[self.kind]

    @property
    def key_hash(self) -> bytes:
        """4 bytes: how a signature line names the key."""
        head = self.name.encode() + b"\n" + bytes([self.kind])
        return hashlib.sha256(head + self.public_key).digest()[:_KEY_ID_BYTES]

    @property
    def timed(self) -> bool:
        """Whether its signatures begin with a time."""
        return self.kind != LOG_ED25519

    @property
    def vkey(self) -> str:
        """The key as one line of text, as the specification spells it."""
        material = base64.b64encode(bytes([self.kind]) + self.public_key).decode()
        return f"{self.name}+{self.key_hash.hex()}+{material}"

    def as_public(self) -> PublicKey:
        """The key for a verifier that asks for a validity: notes' keys have none."""
        return PublicKey(
            name=self.name,
            algorithm=self.algorithm,
            public_key=self.public_key,
            not_before=0,
            not_after=_ALWAYS_US,
        )


def log_key(name: str, key: PublicKey) -> NoteKey:
    """The key by which a log of this name signs its checkpoints."""
    kind = LOG_ED25519 if key.algorithm == "ed25519" else COSIGN_ML_DSA_44
    return NoteKey(name=name, kind=kind, public_key=key.public_key)


def witness_key(name: str, key: PublicKey) -> NoteKey:
    """The key by which a witness of this name cosigns."""
    kind = COSIGN_ED25519 if key.algorithm == "ed25519" else COSIGN_ML_DSA_44
    return NoteKey(name=name, kind=kind, public_key=key.public_key)


def read_vkey(text: str, *, where: str) -> NoteKey:
    """A key from its line of text.

    Raises:
        TrustError: it is none, of an unknown kind, or its parts don't fit together.
    """
    name, _, rest = text.strip().partition("+")
    _hashed, _, encoded = rest.partition("+")
    try:
        material = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TrustError(f"expected a verifier key, found {text[:80]!r}", where=where) from error
    kind = material[0] if material else 0
    if not name or _SPACE.search(name) or len(material) - 1 != _PUBLIC_BYTES.get(kind):
        raise TrustError(
            "expected NAME+ID+KEY with an Ed25519 or ML-DSA-44 key (types 1, 4 and 6), "
            f"found {text[:80]!r}",
            where=where,
        )
    key = NoteKey(name=name, kind=kind, public_key=material[1:])
    if key.vkey != text.strip():
        raise TrustError(f"the id of the key {name[:80]} is not that of its bytes", where=where)
    return key


def signed_message(key: NoteKey, checkpoint: Checkpoint, time_s: int) -> bytes:
    """The bytes that a signature of this kind is over.

    Args:
        time_s: POSIX time, of kinds that say when.
    """
    if key.kind == LOG_ED25519:
        return text_of(checkpoint)
    if key.kind == COSIGN_ED25519:
        return b"cosignature/v1\ntime %d\n" % time_s + text_of(checkpoint)
    return b"".join(
        (
            b"subtree/v1\n\x00",
            _short(key.name.encode()),
            _TIME.pack(time_s),
            _short(checkpoint.origin.encode()),
            _TIME.pack(0),
            _TIME.pack(checkpoint.size),
            checkpoint.root,
        )
    )


def signature_line(key: NoteKey, signature: bytes, time_s: int) -> NoteSignature:
    """A signature as a line of the note."""
    head = _TIME.pack(time_s) if key.timed else b""
    return NoteSignature(name=key.name, key_hash=key.key_hash, signature=head + signature)


def split_signature(key: NoteKey, line: NoteSignature) -> tuple[bytes, int]:
    """The signature in a line and its POSIX time (0 where its kind says none).

    Raises:
        TrustError: it is too short to have one.
    """
    if not key.timed:
        return line.signature, 0
    if len(line.signature) <= _TIME.size:
        raise TrustError("the signature has no time", where=key.name)
    (time_s,) = _TIME.unpack_from(line.signature)
    if not 0 < time_s <= _MAX_TIME_S:
        raise TrustError("the signature's time is not one", where=key.name)
    return line.signature[_TIME.size :], time_s


def _short(data: bytes) -> bytes:
    if not 0 < len(data) < 256:
        raise TrustError(f"expected a name of 1 to 255 bytes, found {len(data)}")
    return bytes([len(data)]) + data
