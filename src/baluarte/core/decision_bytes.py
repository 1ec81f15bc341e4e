"""The bytes of decision records, put together of parts that are encoded already.

They are the JSON of :class:`baluarte.core.decision.DecisionRecord`, to the byte. A server writes
one for every event, and most of it is the same for all decisions of a version or is JSON already.
``_records.c`` does the same for many at once; what it writes is tested to be what this writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.envelope import PersonalPlan, context_around, envelope_of
from baluarte.core.leaves import Records
from baluarte.core.native import native

_ENCODE = msgspec.json.Encoder()


NATIVE = native("_records")  #: None where it was not built


class Identified(Protocol):
    """An event as its record names it."""

    @property
    def event_id(self) -> str:
        """Its own, or a derived one."""
        ...

    @property
    def event_at(self) -> int:
        """Microseconds of UTC."""
        ...

    @property
    def digest(self) -> str:
        """Of the event's values."""
        ...

    @property
    def event(self) -> bytes:
        """JSON of the values in the clear."""
        ...


class Personal(Identified, Protocol):
    """An event with values that are sealed."""

    @property
    def personal(self) -> bytes:
        """JSON of those values."""
        ...

    @property
    def key(self) -> object:
        """A :class:`baluarte.ports.DataKey`: its id and its compiled form are read."""
        ...


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided about ``n`` events, as their records tell it."""

    ids: list[str]  #: of the decisions
    scores: NDArray[np.int64]  #: (n,)
    points: NDArray[np.int64]  #: (n,)
    bands: NDArray[np.int64]  #: (n,)
    base: int  #: of reasons
    features: NDArray[np.float64]  #: (n, d) in the clear; null where they are NaN
    reasons: list[Sequence[int] | None]
    deferred: list[bool]
    cells: bytes | None = None  #: the JSON of all features, row by row, where it is there already


class RecordWriter:
    """Writes the records of one version in one role.

    Args:
        bundle: digest of the sealed bundle.
        outcomes: names of the bands, lowest first.
        thresholds: of each band, in score units; None for the lowest.
    """

    def __init__(
        self,
        *,
        detector: str,
        version: int,
        bundle: str,
        role: Literal["champion", "challenger"],
        outcomes: Sequence[str],
        thresholds: Sequence[int | None],
    ) -> None:
        self._bound = context_around(detector, version)
        self._version_part = (
            f',"detector":{_text(detector)},"version":{version},"bundle":{_text(bundle)}'
            f',"role":{_text(role)},"event_digest":"'
        )
        self._band_parts = [
            f',"band":{band},"outcome":{_text(outcome)}'
            f',"threshold":{"null" if threshold is None else threshold}'
            for band, (outcome, threshold) in enumerate(zip(outcomes, thresholds, strict=True))
        ]
        self._encoded = self._version_part.encode(), tuple(p.encode() for p in self._band_parts)

    def write_all(
        self,
        decided: Decided,
        identities: Sequence[Identified],
        *,
        decided_at: int,
        sealed: list[tuple[str, bytes] | None] | None = None,
        tells_reasons: bool = True,
    ) -> Records:
        """The records of decisions, in order.

        Args:
            decided_at: microseconds of UTC.
            sealed: of each its subject's key and what was sealed under it; None: nothing.
            tells_reasons: they stand in the clear.
        """
        envelopes = [None] * len(decided.ids) if sealed is None else sealed
        if NATIVE is None:
            told = decided.reasons if tells_reasons else [None] * len(envelopes)
            return Records.of(
                self._write(
                    i, decided, identities[i], decided_at=decided_at, reasons=why, sealed=to
                )
                for i, (why, to) in enumerate(zip(told, envelopes, strict=True))
            )
        parts = self._parts(decided, identities, decided_at)
        return Records(*NATIVE.compose(parts, envelopes, tells_reasons))

    def seal_all(
        self,
        decided: Decided,
        identities: Sequence[Personal],
        *,
        decided_at: int,
        plan: PersonalPlan,
        columns: NDArray[np.float64],
        nonces: bytes,
    ) -> Records | None:
        """As :meth:`write_all`, sealing what is personal on the way: each under its identity's key.

        Args:
            columns: (n, k) that are personal.
            nonces: 12 bytes a record, fresh and random.

        Returns:
            The records, or None where compiled code can't seal under one of the keys.

        Raises:
            ValueError: an identity has no key.
        """
        if NATIVE is None:
            return None
        parts = self._parts(decided, identities, decided_at)
        bound = plan.before_columns, *_cells(columns), plan.seals_reasons, *self._bound, nonces
        found = NATIVE.compose_sealed(parts, bound)
        return None if found is None else Records(*found)

    def _parts(
        self, decided: Decided, identities: Sequence[Identified], decided_at: int
    ) -> tuple[Any, ...]:
        """As compiled code takes them."""
        return (
            b',"decided_at":%d%b' % (decided_at, self._encoded[0]),
            self._encoded[1],
            decided.ids,
            list(identities),
            decided.scores,
            decided.points,
            decided.bands,
            decided.base,
            *_cells(decided.features, decided.cells),
            decided.reasons,
            decided.deferred,
        )

    def _write(
        self,
        i: int,
        decided: Decided,
        identity: Identified,
        *,
        decided_at: int,
        reasons: Sequence[int] | None,
        sealed: tuple[str, bytes] | None,
    ) -> bytes:
        """One record, in Python."""
        base = "null" if decided.reasons[i] is None else decided.base
        head = (
            f'{{"kind":"decision","v":{1 if sealed is None else 2},"id":"{decided.ids[i]}"'
            f',"event_id":{_text(identity.event_id)},"event_at":{identity.event_at}'
            f',"decided_at":{decided_at}{self._version_part}{identity.digest}","event":'
        )
        tail = (
            f',"score":{decided.scores[i]},"points":{decided.points[i]}'
            f'{self._band_parts[decided.bands[i]]},"base":{base},"reasons":'
        )
        told = b"null" if reasons is None else _ENCODE.encode(reasons)
        features = _ENCODE.encode(decided.features[i].tolist())
        parts = [head.encode(), identity.event, b',"features":', features, tail.encode(), told]
        if decided.deferred[i]:
            parts.append(b',"reasons_deferred":true')
        if sealed is not None:
            parts += (b',"personal":', _ENCODE.encode(envelope_of(*sealed)))
        parts.append(b"}")
        return b"".join(parts)


def _cells(table: NDArray[np.float64], known: bytes | None = None) -> tuple[bytes, int]:
    """All cells of a table as one JSON array, row by row, and the width of a row."""
    return known or _ENCODE.encode(table.ravel().tolist()), table.shape[1]


def _text(text: str) -> str:
    return _ENCODE.encode(text).decode()
