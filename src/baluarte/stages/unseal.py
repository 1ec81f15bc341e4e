"""Unseal: put personal values back into their places, where their subject was not erased."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec
from msgspec import UNSET, UnsetType

from baluarte.core.decision import DecisionRecord
from baluarte.core.envelope import (
    KEYED_DIGEST,
    Envelope,
    PersonalValues,
    context_of,
    digested,
    sealed_bytes,
)
from baluarte.errors import TrustError
from baluarte.ports import DataKey, SubjectKeys

_BATCH = 1_024
_decode = msgspec.json.Decoder(PersonalValues).decode
_sorted = msgspec.json.Encoder(order="sorted").encode


class Unsealer:
    """Opens envelopes with the keys of a store.

    Args:
        keys: None where nothing was ever sealed: a record that has an envelope is then a fault.
    """

    def __init__(self, keys: SubjectKeys | None) -> None:
        self._keys = keys

    def one(self, record: DecisionRecord) -> DecisionRecord:
        """The record with its personal values in their places; as it is if they were erased.

        Raises:
            TrustError: the values are not those that were sealed in this record, or their key is
                neither there nor known to be destroyed.
        """
        (opened,) = self.all([record])
        return opened

    def all(self, records: Sequence[DecisionRecord]) -> list[DecisionRecord]:
        """As :meth:`one`, of many."""
        keys = self.keys_of([record.personal for record in records])
        return [self._opened(record, keys) for record in records]

    def each(self, records: Sequence[DecisionRecord]) -> list[DecisionRecord | TrustError]:
        """As :meth:`all`, with the fault of each record that can't be opened in its place."""
        keys = self.keys_of([record.personal for record in records])
        found: list[DecisionRecord | TrustError] = []
        for record in records:
            try:
                found.append(self._opened(record, keys))
            except TrustError as error:
                found.append(error)
        return found

    def stream(self, records: Iterable[DecisionRecord]) -> Iterator[DecisionRecord]:
        """As :meth:`all`, some at a time."""
        remaining = iter(records)
        while some := list(islice(remaining, _BATCH)):
            yield from self.all(some)

    def keys_of(self, envelopes: Sequence[Envelope | UnsetType]) -> dict[str, DataKey | None]:
        """The keys of these envelopes by id; None for one that was erased."""
        ids = {envelope.key for envelope in envelopes if not isinstance(envelope, UnsetType)}
        if not ids:
            return {}
        return {} if self._keys is None else self._keys.by_id(ids)

    def _opened(self, record: DecisionRecord, keys: dict[str, DataKey | None]) -> DecisionRecord:
        if isinstance(record.personal, UnsetType):
            return record
        key = key_of(record.personal, keys, where=record.id)
        if key is None:
            return record
        values = open_values(record, record.personal, key)
        features = list(record.features)
        for i, value in zip(values.columns, values.features, strict=True):
            if not 0 <= i < len(features):
                raise TrustError("the sealed values are of other columns", where=record.id)
            features[i] = value
        return msgspec.structs.replace(
            record,
            event=record.event | values.event,
            features=tuple(features),
            reasons=record.reasons if values.reasons is None else values.reasons,
            personal=UNSET,
        )


def key_of(envelope: Envelope, keys: dict[str, DataKey | None], *, where: str) -> DataKey | None:
    """The key of an envelope; None if it was erased.

    Raises:
        TrustError: it is neither there nor known to be destroyed.
    """
    try:
        return keys[envelope.key]
    except KeyError:
        raise TrustError(
            f"the key {envelope.key[:32]} of the personal values is neither in the key store nor "
            "was it destroyed by an erasure",
            where=where,
            hint="Restore the key store that belongs to this ledger: baluarte restore.",
        ) from None


def open_values(record: DecisionRecord, envelope: Envelope, key: DataKey) -> PersonalValues:
    """What an envelope holds, if it is this record's and the event is the one that was digested.

    Raises:
        TrustError: it is not.
    """
    context = context_of(record.id, record.detector, record.version)
    try:
        values = _decode(key.open(sealed_bytes(envelope), context))
    except (TrustError, ValueError, msgspec.MsgspecError) as error:
        raise TrustError(f"personal values can't be opened: {error}", where=record.id) from error
    if record.event_digest.startswith(KEYED_DIGEST):
        found = key.digest(digested(_sorted(record.event), _sorted(values.event)))
        if found != record.event_digest:
            raise TrustError("the event is not the one that was decided", where=record.id)
    return values
