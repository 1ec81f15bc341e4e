"""Today's score beside the candidate, in words and as a table: what switching would gain."""

from __future__ import annotations

from collections.abc import Sequence

from baluarte.apps.catalogue import Texts
from baluarte.apps.gate_words import amount, figure_name, interval_text
from baluarte.core.evidence import Figure

PREFIXES = ("legacy.", "gain.")  #: of the figures that speak of the legacy score
_LEGACY, _GAIN = PREFIXES


def legacy_lines(texts: Texts, figures: Sequence[Figure]) -> list[str]:
    """A sentence or two; none where there is no legacy score."""
    found = {figure.name: figure for figure in figures}
    area, gained = found.get("legacy.roc_auc"), found.get("gain.roc_auc")
    if area is None or gained is None:
        return []
    lines = []
    recall, gain = found.get("legacy.recall"), found.get("gain.recall")
    if recall is None or gain is None:
        lines.append(texts.get("legacy.no_threshold"))
    else:
        lines.append(
            texts.get(
                "legacy.at_budget",
                recall=recall.value,
                alarms=found["legacy.false_alarm_rate"].value,
                gain=signed(texts, gain),
                interval=interval_text(texts, _plain(gain)),
            )
        )
    lines.append(
        texts.get(
            "legacy.area",
            area=area.value,
            gain=signed(texts, gained),
            interval=interval_text(texts, _plain(gained)),
        )
    )
    missing = found.get("legacy.missing")
    if missing is not None and missing.value > 0:
        lines.append(texts.get("legacy.missing", share=missing.value))
    if area.value < 0.5:
        lines.append(texts.get("legacy.upside_down"))
    return lines


def legacy_figures(figures: Sequence[Figure]) -> dict[str, dict[str, float | None]]:
    """The figures that speak of the legacy score, for a program."""
    return {
        one.name: {"value": one.value, "low": one.low, "high": one.high}
        for one in figures
        if one.name.startswith(PREFIXES)
    }


def legacy_rows(texts: Texts, figures: Sequence[Figure]) -> list[list[str]]:
    """A row a figure: its name, this version, the legacy score, the difference and its interval."""
    found = {figure.name: figure for figure in figures}
    rows = []
    for name, theirs in found.items():
        plain = name.removeprefix(_LEGACY)
        if not name.startswith(_LEGACY) or plain not in found:
            continue
        gain = found.get(_GAIN + plain)
        rows.append(
            [
                figure_name(texts, plain),
                amount(texts, plain, found[plain].value),
                amount(texts, plain, theirs.value),
                "" if gain is None else signed(texts, gain),
                "" if gain is None else interval_text(texts, _plain(gain)),
            ]
        )
    return rows


def signed(texts: Texts, gain: Figure) -> str:
    """A difference with its sign."""
    plain = _plain(gain)
    said = amount(texts, plain.name, abs(plain.value))
    return f"{'−' if plain.value < 0 else '+'}{said}"


def _plain(gain: Figure) -> Figure:
    """The figure under the name of what it is a difference of."""
    return Figure(
        name=gain.name.removeprefix(_GAIN),
        value=gain.value,
        low=gain.low,
        high=gain.high,
        confidence=gain.confidence,
        method=gain.method,
        n=gain.n,
    )
