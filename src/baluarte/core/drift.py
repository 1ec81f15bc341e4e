"""What a drift detector says: an alarm with its channels, and the values of views."""

from __future__ import annotations

from typing import Literal

import msgspec

Direction = Literal["up", "down", "more", "less", "unseen", "missing", "present"]

SCORE = "score"  #: channel of the detector's own score
MAHALANOBIS = "novelty.mahalanobis"  #: channel: how far the numeric columns are from usual together
RESIDUAL = "novelty.residual"  #: channel: the one numeric column that the others explain least


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """One channel's part in an alarm.

    Attributes:
        channel: a column's name, or one of the channels above.
        share: of the alarm's evidence, in [0, 1].
        direction: values went up or down; one category became more or less frequent; categories
            that the baseline never had; values missing, or present where they used to be missing.
        value: the number or the category's code that the direction is about, where there is one.
        low: the indicator's rate in the baseline lies in [low, high].
        high: see ``low``.
    """

    channel: str
    share: float
    direction: Direction
    value: float | None
    low: float
    high: float


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs are no longer what they were.

    Attributes:
        at: events seen since the detector was armed.
        evidence: the statistic that passed its limit.
        limit: alarms come at ``evidence >= limit``.
        arl: promised mean number of events between false alarms, at least.
        moved: the channels that carry the evidence, most first.
    """

    at: int
    evidence: float
    limit: float
    arl: float
    moved: tuple[Moved, ...]


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """What the detector did on held-out baseline rows before it was armed."""

    events: int
    alarms: int
    allowed: int  #: more alarms than this would contradict the promise at 5 %


class ViewValue(msgspec.Struct, frozen=True, kw_only=True):
    """One channel of a view: a number a person may look at, without any promise.

    Attributes:
        value: the distance of the view.
        p: the p-value of this one comparison where the view has one. Looked at every hour it alarms
            for nothing: 5 % of quiet windows have p < .05.
    """

    channel: str
    value: float
    p: float | None = None
