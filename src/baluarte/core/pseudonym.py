"""Keyed pseudonyms: what stands for a personal value, from the reader on.

The value of a field that says ``pseudonym = true`` is replaced as soon as it was read, before
windows, encoder, record and ledger see it: by 128 bits of HMAC-SHA-256 under a key of the
workspace, bound to the field's name. Equal values have equal pseudonyms, so that counts, windows
and categories work as they did; without the key nothing leads back, and not even all values that
there are can be tried. The field's steps ``trim``, ``lower`` and ``upper`` come before, so that
spelling doesn't matter.

Source: RFC 2104 (HMAC); ENISA, "Pseudonymisation techniques and best practices", 2019, section 5.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Sequence

import numpy as np

from baluarte.core.cleaning import text_cleaner
from baluarte.core.event import Column, Events, Values
from baluarte.core.schema import Field, Schema

MIN_KEY_CHARS = 32
PREFIX = "ps-"
_BYTES = 16
_TEXT_STEPS = ("trim", "lower", "upper")
_USE = b"baluarte pseudonym/1"

Make = Callable[[str], str]


class Pseudonyms:
    """Makes the pseudonyms of one schema's fields.

    Args:
        key: the secret's text.

    Raises:
        ValueError: the key is too short to keep anybody from trying.
    """

    def __init__(self, schema: Schema, key: str) -> None:
        if len(key) < MIN_KEY_CHARS:
            raise ValueError(f"expected a key of at least {MIN_KEY_CHARS} characters")
        secret = hmac.digest(key.encode(), _USE, "sha256")
        self.key_id = hmac.digest(secret, b"id", "sha256").hex()[:16]
        self._make = {
            field.name: _maker(field, secret) for field in schema.fields if field.is_pseudonym
        }
        identity = schema.by_role("id")
        self._id = self._make.get(identity.name) if identity is not None else None

    def of(self, field: str, value: str) -> str:
        """What stands for a value of a field."""
        return self._make[field](value)

    def event_id(self, said: str) -> str:
        """An event's id as records have it, from the one that the event came with."""
        return said if self._id is None else self._id(said)

    def events(self, events: Events) -> Events:
        """Events as they were read, with pseudonyms in place of personal values."""
        columns = dict(events.columns)
        for name, make in self._make.items():
            if name in columns:
                columns[name] = _column(make, columns[name])
        return Events(n=events.n, columns=columns)

    def records(self, records: Sequence[Values]) -> None:
        """The same for records, in place."""
        for name, make in self._make.items():
            for record in records:
                value = record.get(name)
                if value is not None:
                    record[name] = make(str(value))


def needs_pseudonyms(schema: Schema) -> bool:
    """Whether any field has them."""
    return any(field.is_pseudonym for field in schema.fields)


def _maker(field: Field, secret: bytes) -> Make:
    own = hmac.digest(secret, field.name.encode(), "sha256")
    steps = tuple(step for step in field.steps if step.op in _TEXT_STEPS)
    clean = text_cleaner(steps)

    def make(value: str) -> str:
        found = hmac.digest(own, (clean(value) or "").encode(), "sha256")[:_BYTES]
        return PREFIX + base64.b32encode(found).decode().rstrip("=").lower()

    return make


def _column(make: Make, column: Column) -> Column:
    values = column.tolist()
    table = {value: make(str(value)) for value in set(values) if value is not None}
    out = np.empty(len(values), dtype=object)
    out[:] = [table.get(value) for value in values]
    return out
