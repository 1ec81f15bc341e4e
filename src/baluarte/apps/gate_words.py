"""Figures and gates in words: what was measured, between which bounds, against which limit."""

from __future__ import annotations

from baluarte.apps.catalogue import Texts
from baluarte.apps.charts.values import Interval, Tone
from baluarte.core.evidence import Figure, GateResult, Verdict

_RATES = frozenset(
    {"recall", "false_alarm_rate", "precision", "alert_rate", "accuracy", "recall_at_fpr"}
)

_AGAINST = frozenset({"legacy", "gain"})  #: figures of today's score, and of what is won over it

TONES: dict[Verdict, Tone] = {"pass": "kept", "fail": "broken", "not_enough_data": "unsure"}


def figure_name(texts: Texts, name: str) -> str:
    """A figure's name; what follows a dot is a band, a limit, or the figure of today's score."""
    plain, _, part = name.partition(".")
    if plain in _AGAINST and part:
        return texts.get(f"figure.against_{plain}", figure=figure_name(texts, part))
    said = texts.get(f"figure.{plain}") if f"figure.{plain}" in texts else plain
    if not part:
        return said
    try:
        return texts.get("figure.within", figure=said, max_fpr=float(part))
    except ValueError:
        return f"{said} ({outcome_name(texts, part)})"


def outcome_name(texts: Texts, outcome: str) -> str:
    """A band's name, in the reader's language where it is one of the usual ones."""
    key = f"outcome.{outcome}"
    return texts.get(key) if key in texts else outcome


def promise_name(texts: Texts, gate: str) -> str:
    """A gate's name, in the reader's language where it is one of ours."""
    key = f"word.{gate}"
    return texts.get(key) if key in texts else gate


def act_name(texts: Texts, act: str) -> str:
    """An act of the ledger in the reader's language; one of a later release stays as it is."""
    key = f"act.{act}"
    return texts.get(key) if key in texts else act


def amount(texts: Texts, name: str, value: float) -> str:
    """A figure's value: milliseconds, a rate in percent, or a plain number."""
    plain, _, part = name.partition(".")
    if plain in _AGAINST and part:
        return amount(texts, part, value)
    if plain.endswith("_ms"):
        return f"{texts.numerals.number(value, 3)} ms"
    return texts.numerals.percent(value) if plain in _RATES else texts.numerals.number(value)


def interval_text(texts: Texts, figure: Figure) -> str:
    """The figure's interval, one end or both."""
    low, high = (
        None if end is None else amount(texts, figure.name, end)
        for end in (figure.low, figure.high)
    )
    if low is not None and high is not None:
        return f"{low} – {high}"
    if low is not None:
        return f"≥ {low}"
    return f"≤ {high}" if high is not None else "–"


def keeps_below(result: GateResult) -> bool:
    """Whether the gate's figure must be at most its limit."""
    return result.figure.high is not None and result.figure.low is None


def gate_name(texts: Texts, result: GateResult) -> str:
    """What a gate measures, and in which segment."""
    said = figure_name(texts, result.figure.name)
    if result.segment is None:
        return said
    return texts.get("gate.segment", gate=said, segment=result.segment)


def gate_sentence(texts: Texts, result: GateResult) -> str:
    """One gate's answer: figure, bound, limit, verdict."""
    figure = result.figure
    name = gate_name(texts, result)
    if result.verdict == "not_enough_data":
        return texts.get("gate.open", figure=name, n=result.needed)
    below = keeps_below(result)
    signs = ("≤", "≤") if below else ("≥", "≥")
    bound = figure.high if below else figure.low
    return texts.get(
        "gate.kept" if result.verdict == "pass" else "gate.broken",
        figure=name,
        value=amount(texts, figure.name, figure.value),
        bound="–" if bound is None else f"{signs[0]} {amount(texts, figure.name, bound)}",
        limit=f"{signs[1]} {amount(texts, figure.name, result.limit)}",
        confidence=figure.confidence or 0.0,
    )


def gate_interval(texts: Texts, result: GateResult) -> Interval:
    """A gate as a row of the chart of intervals."""
    figure = result.figure
    plain = figure.name.partition(".")[0]
    return Interval(
        label=gate_name(texts, result),
        value=figure.value,
        low=figure.low,
        high=figure.high,
        limit=result.limit,
        keep="below" if keeps_below(result) else "above",
        tone=TONES[result.verdict],
        verdict=texts.get(f"verdict.{result.verdict}"),
        percent=plain in _RATES,
        unit="ms" if plain.endswith("_ms") else "",
    )
