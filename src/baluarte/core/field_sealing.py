"""Fields that travel sealed: what stands in an event in their place, and what they are bound to.

A caller takes the declared fields out of an event, and puts one text in under :data:`SEALED_KEY`:
``bf1.KEY.SEALED``, with the id of the key and base64url of what was sealed to it. Within is one
JSON object of the fields' whole paths, so a value can't be moved to another field. The detector and
the event's id are bound to it: it opens in no other event.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

SEALED_KEY = "_sealed"  #: in an event
_FORM = re.compile(r"bf1\.([0-9a-f]{32})\.([A-Za-z0-9_-]{64,})")
_DOMAIN = "baluarte-fields/1"
MAX_SEALED_CHARS = 1 << 20


class NotSealedError(ValueError):
    """An event is not sealed as it should be; says what was expected, never what was found."""


class PublicFieldKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a caller needs to seal fields: safe to hand out, and to be got from whom one trusts."""

    format: str = "baluarte-field-key/1"
    key: str  #: id: 32 hex digits of the SHA-256 of the public key
    public: str  #: base64 of 32 bytes (RFC 7748)
    created_at: int  #: microseconds of UTC


def bound_to(detector: str, event_id: str, key: str) -> bytes:
    """What a sealed text holds for: one event of one detector, under one key."""
    return msgspec.json.encode([_DOMAIN, detector, event_id, key])


def take_out(
    event: Mapping[str, Any], paths: Sequence[tuple[str, ...]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """An event without the fields of these paths, and their values by whole path."""
    rest = _copied(event)
    values: dict[str, Any] = {}
    for path in paths:
        whole = ".".join(path)
        at: Any = rest
        for key in path[:-1]:
            at = at.get(key) if isinstance(at, dict) else None
        if isinstance(at, dict) and path[-1] in at:
            values[whole] = at.pop(path[-1])
        if whole in rest:
            values[whole] = rest.pop(whole)
    return rest, values


def put_in(event: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Put opened values into an event under their whole paths, which every reader knows."""
    event.pop(SEALED_KEY, None)
    event.update(values)


def read_sealed(text: object) -> tuple[str, bytes]:
    """The key's id and the sealed bytes of a text.

    Raises:
        NotSealedError: it is no such text.
    """
    match = (
        _FORM.fullmatch(text) if isinstance(text, str) and len(text) <= MAX_SEALED_CHARS else None
    )
    if match is None:
        raise NotSealedError("expected a text such as bf1.KEY.SEALED, as the SDK makes it")
    try:
        sealed = base64.urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4))
    except binascii.Error:
        raise NotSealedError("expected base64url within the sealed text") from None
    return match[1], sealed


def write_sealed(key: str, sealed: bytes) -> str:
    """The text that stands in an event; as :func:`read_sealed`."""
    return f"bf1.{key}.{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"


def _copied(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _copied(value) if isinstance(value, Mapping) else value for key, value in event.items()
    }
