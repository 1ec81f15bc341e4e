"""The bytes of decision records, put together of parts that are encoded already.

They are the JSON of :class:`baluarte.core.decision.DecisionRecord`, to the byte. A server writes
one for every event, and most of it is the same for all decisions of a version or is JSON already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from baluarte.core.decision import Decision
from baluarte.core.envelope import Envelope

_ENCODE = msgspec.json.Encoder()


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
