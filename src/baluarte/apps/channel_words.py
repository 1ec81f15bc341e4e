"""A drift channel as a person calls it."""

from __future__ import annotations

from baluarte.apps.catalogue import Texts
from baluarte.core.drift import MAHALANOBIS, RESIDUAL, SCORE

_KEYS = {
    SCORE: "drift.channel_score",
    MAHALANOBIS: "drift.channel_mahalanobis",
    RESIDUAL: "drift.channel_residual",
}


def channel_name(texts: Texts, channel: str) -> str:
    """A field's name, or words for what is no field."""
    key = _KEYS.get(channel)
    return channel if key is None else texts.get(key)
