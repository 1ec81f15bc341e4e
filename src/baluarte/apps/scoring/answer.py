"""What a caller gets back for one event, and the words beside its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from baluarte.apps.reason_words import ReasonWords
from baluarte.apps.scoring.body import Shape
from baluarte.core.decision import Decision
from baluarte.core.event import Values
from baluarte.core.native import native
from baluarte.stages.score import Decisions, Identity, Scorer

_ENCODE = msgspec.json.Encoder()
_TEXT = _ENCODE.encode
NATIVE = native("_records")  #: None where it was not built


class Reason(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one field did to the score. All reasons and ``base`` add up to the score, exactly.

    Attributes:
        value: the canonical value; null where it was missing.
        score: score units, above zero where the field made the event more suspicious.
        share: of all that moved the score, in [-1, 1], with the sign of ``score``.
        text: the reason in words: the value and what is usual, or what the catalogue says.
        code: of the detector's catalogue of reasons; null where it has none.
    """

    field: str
    value: float | int | str | None
    score: int
    share: float
    text: str
    code: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One decision. ``base`` and ``reasons`` are there for alerts, or as the request asked.

    ``reasons_deferred``: they were due and the load left no time for them; explain gives them.
    """

    id: str
    event_id: str
    detector: str
    version: int
    outcome: str
    points: int
    score: int
    probability: float
    base: int | None = None
    reasons: tuple[Reason, ...] | None = None
    reasons_deferred: bool = False


def answer(
    decision: Decision,
    values: Values,
    fields: Sequence[str],
    say: ReasonWords | None,
    *,
    deferred: bool = False,
) -> Answer:
    """A decision for its caller; with ``say`` the reasons come along, the strongest first."""
    reasons = None
    if say is not None and decision.reasons is not None:
        reasons = reasons_of(decision.reasons, values, fields, say)
    return Answer(
        id=decision.id,
        event_id=decision.event_id,
        detector=decision.detector,
        version=decision.version,
        outcome=decision.outcome,
        points=decision.points,
        score=decision.score,
        probability=decision.probability,
        base=decision.base if reasons is not None else None,
        reasons=reasons,
        reasons_deferred=deferred,
    )


def plain_answers(
    decisions: Decisions, ids: list[str], identities: list[Identity], scorer: Scorer
) -> list[bytes]:
    """The JSON of each row's :class:`Answer`, as far as it has no reasons."""
    between = _between(scorer.detector, scorer.version, decisions.outcomes)
    if NATIVE is not None:
        found: list[bytes] = NATIVE.answers(
            ids, identities, between, decisions.bands, decisions.points, decisions.scores,
            _TEXT(decisions.probability.tolist()),
        )  # fmt: skip
        return found
    columns = zip(
        ids,
        identities,
        decisions.bands.tolist(),
        decisions.points.tolist(),
        decisions.scores.tolist(),
        map(_TEXT, decisions.probability.tolist()),
        strict=True,
    )
    return [
        b'{"id":"%b","event_id":%b%b%d,"score":%d,"probability":%b}'
        % (own_id.encode(), _TEXT(one.event_id), between[band], points, score, probability)
        for own_id, one, band, points, score, probability in columns
    ]


@lru_cache(maxsize=256)
def _between(detector: str, version: int, outcomes: tuple[str, ...]) -> tuple[bytes, ...]:
    """What stands between an event's id and its points, by outcome."""
    return tuple(
        b',"detector":%b,"version":%d,"outcome":%b,"points":'
        % (_TEXT(detector), version, _TEXT(outcome))
        for outcome in outcomes
    )


def reasons_of(
    phi: Sequence[int], values: Values, fields: Sequence[str], say: ReasonWords
) -> tuple[Reason, ...]:
    """One reason a field that moved the score, the strongest first."""
    moved = sum(map(abs, phi)) or 1
    reasons = []
    for _, i in sorted((-abs(units), i) for i, units in enumerate(phi) if units):
        field, units = fields[i], phi[i]
        value, text, code = say.told(field, values.get(field))
        reasons.append(
            Reason(field=field, value=value, score=units, share=units / moved, text=text, code=code)
        )
    return tuple(reasons)


def encode_answers(answers: Sequence[Answer], shape: Shape) -> tuple[bytes, str]:
    """The body of an answer in the shape of its request, and its content type."""
    if shape == "one":
        return _ENCODE.encode(answers[0]), "application/json"
    if shape == "many":
        return _ENCODE.encode(answers), "application/json"
    if shape == "arrow":
        from baluarte.apps.scoring.protocols import arrow_stream  # noqa: PLC0415 - an extra's

        return arrow_stream.write(answers)
    return _ENCODE.encode_lines(answers), "application/x-ndjson"
