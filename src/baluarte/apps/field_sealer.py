"""The caller's side of sealed fields: only the workers that decide can open them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from baluarte.adapters.disk import outside
from baluarte.adapters.field_keys import read_field_key, seal
from baluarte.core.field_sealing import SEALED_KEY, PublicFieldKey, take_out, write_sealed
from baluarte.errors import DataError


class FieldSealer:
    """Seals declared fields of events to the key of the workers of a detector.

    What is on the way - a proxy, a queue, a log - sees a text in their place. Whoever hands out the
    key can read what is sealed to it, so take it from whom you trust, not over that way.

    >>> sealer = FieldSealer("fraud", fields=["card"], key="key.json")  # doctest: +SKIP
    >>> sealer.seal({"id": "tx1", "amount": 12.5, "card": "4000…"})  # doctest: +SKIP
    {'id': 'tx1', 'amount': 12.5, '_sealed': 'bf1.…'}

    Args:
        detector: its name; a sealed text opens for no other.
        fields: whole paths of the fields, such as ``customer.name``.
        key: the public record, as ``baluarte keys fields`` writes it: a file or its bytes.
        id_field: whole path of the event's id, which a sealed text is bound to.

    Raises:
        DataError: it is no such record.
        OutsideError: the file can't be read.
    """

    def __init__(
        self,
        detector: str,
        *,
        fields: Sequence[str],
        key: str | Path | bytes,
        id_field: str = "id",
    ) -> None:
        where = "the field key" if isinstance(key, bytes) else str(key)
        if not isinstance(key, bytes):
            with outside("the field key can't be read", Path(key)):
                key = Path(key).read_bytes()
        self._key: PublicFieldKey = read_field_key(key, where=where)
        self._detector = detector
        self._paths = [tuple(field.split(".")) for field in fields]
        self._id = tuple(id_field.split("."))

    @property
    def key_id(self) -> str:
        """Of the key that is sealed to."""
        return self._key.key

    def seal(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The event with its declared fields sealed; the one that was given stays as it is.

        Raises:
            DataError: it has no id of its own, or something sealed already.
        """
        if SEALED_KEY in event:
            raise DataError(f"expected an event without {SEALED_KEY}, found a sealed one")
        at: Any = event
        for key in self._id:
            at = at.get(key) if isinstance(at, Mapping) else None
        if at is None:
            at = event.get(".".join(self._id))
        if not isinstance(at, str) or not at:
            raise DataError(
                f"expected an id as text in {'.'.join(self._id)}, which what is sealed is bound "
                "to; found none"
            )
        rest, values = take_out(event, self._paths)
        if not values:
            return rest
        sealed = seal(msgspec.json.encode(values), self._key, detector=self._detector, event_id=at)
        rest[SEALED_KEY] = write_sealed(self._key.key, sealed)
        return rest
