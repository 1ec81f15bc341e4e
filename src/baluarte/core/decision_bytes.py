"""The bytes of decision records, put together of parts that are encoded already.

They are the JSON of :class:`baluarte.core.decision.DecisionRecord`, to the byte. A server writes
one for every event, and most of it is the same for all decisions of a version or is JSON already.
``_records.c`` does the same for many at once; what it writes is tested to be what this writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from baluarte.core.decision import Decision
from baluarte.core.envelope import Envelope, envelope_of
from baluarte.core.native import native

_ENCODE = msgspec.json.Encoder()


NATIVE = native("_records")  #: None where it was not built


class Identified(Protocol):
    """An event as its record names it."""

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
        answers: list[Decision],
        identities: list[Identified],
        *,
        decided_at: int,
        features: list[list[float | None]],
        reasons: list[Sequence[int] | None],
        deferred: list[bool],
        sealed: list[tuple[str, bytes] | None],
    ) -> list[bytes]:
        """The records of decisions, in order.

        Args:
            features: of each event its encoded columns in the clear.
            reasons: of each decision those that stand in the clear.
            sealed: of each its subject's key and what was sealed under it; None: nothing.
        """
        if NATIVE is not None and answers:
            columns = _ENCODE.encode_lines(features).split(b"\n")[:-1]
            told = [None if one is None else _ENCODE.encode(one) for one in reasons]
            parts = *self._encoded, decided_at, answers, identities, columns, told, deferred, sealed
            records: list[bytes] = NATIVE.compose(*parts)
            return records
        return [
            self.write(
                answer,
                event_at=identity.event_at,
                decided_at=decided_at,
                digest=identity.digest,
                event=identity.event,
                features=features[i],
                reasons=reasons[i],
                deferred=deferred[i],
                personal=None if (kept := sealed[i]) is None else envelope_of(*kept),
            )
            for i, (answer, identity) in enumerate(zip(answers, identities, strict=True))
        ]

    def write(
        self,
        answer: Decision,
        *,
        event_at: int,
        decided_at: int,
        digest: str,
        event: bytes,
        features: Sequence[float | None],
        reasons: Sequence[int] | None,
        deferred: bool,
        personal: Envelope | None,
    ) -> bytes:
        """One record.

        Args:
            event: JSON of the values in the clear.
            reasons: those that stand in the clear.
        """
        v = 1 if personal is None else 2
        head = (
            f'{{"kind":"decision","v":{v},"id":"{answer.id}","event_id":{_text(answer.event_id)}'
            f',"event_at":{event_at},"decided_at":{decided_at}{self._version_part}{digest}'
            '","event":'
        )
        tail = (
            f',"score":{answer.score},"points":{answer.points}{self._band_parts[answer.band]}'
            f',"base":{"null" if answer.base is None else answer.base},"reasons":'
        )
        told = b"null" if reasons is None else _ENCODE.encode(reasons)
        parts = [head.encode(), event, b',"features":', _ENCODE.encode(features)]
        parts += (tail.encode(), told)
        if deferred:
            parts.append(b',"reasons_deferred":true')
        if personal is not None:
            parts += (b',"personal":', _ENCODE.encode(personal))
        parts.append(b"}")
        return b"".join(parts)


def _text(text: str) -> str:
    return _ENCODE.encode(text).decode()
