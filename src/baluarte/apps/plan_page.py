"""The page of a plan: what stands in the way, what the contract needs, how the rows are shared."""

from __future__ import annotations

from collections.abc import Iterator

from baluarte.apps.catalogue import Texts
from baluarte.apps.charts.rows import bars
from baluarte.apps.charts.values import Axis, Bar
from baluarte.apps.forecast_text import forecast_lines, no_forecast_line
from baluarte.apps.gate_words import promise_name
from baluarte.apps.html import Html
from baluarte.apps.page import (
    facts,
    figure,
    page,
    paragraph,
    section,
    table,
    verdict,
)
from baluarte.apps.plan_findings import finding_sections
from baluarte.core.forecast import Forecast
from baluarte.stages.plan import Need, PlanResult

MOST_FIELDS = 15  #: of the chart of what each field tells


def plan_page(result: PlanResult, texts: Texts, *, source: str, footer: str = "") -> Html:
    """The whole page.

    Args:
        source: the command that the figures come from.
        footer: where the page comes from: version, file, date.
    """
    by_level = finding_sections(result, texts)
    notes = by_level.pop("note", None)
    sections = [_data(result, texts), *by_level.values(), _needs(result, texts)]
    sections.append(_parts(result, texts, source))
    if any(look.auc is not None for look in result.fields):
        sections.append(_fields(result, texts, source))
    if result.forecast is not None:
        sections.append(_forecast(result.forecast, texts))
    if result.no_forecast is not None:
        lack = paragraph(no_forecast_line(result.no_forecast, texts))
        sections.append(section(texts.get("plan.forecast"), lack))
    if notes is not None:
        sections.append(notes)
    return page(
        texts.get("plan.title", detector=result.detector),
        language=texts.language,
        eyebrow=texts.get("plan.eyebrow", detector=result.detector),
        lead=lead(result, texts),
        sections=sections,
        footer=footer,
    )


def lead(result: PlanResult, texts: Texts) -> str:
    """The sentence that matters first: whether anything stands in the way of training."""
    if result.blocking:
        return texts.get("plan.lead_blocked", blocks=len(result.blocking))
    levels = [finding.level for finding in result.findings]
    return texts.get("plan.lead_ready", warnings=levels.count("warn"), notes=levels.count("note"))


def _data(result: PlanResult, texts: Texts) -> Html:
    counts, count = result.counts, texts.numerals.count
    named = [
        (texts.get("word.events"), count(counts.events)),
        (texts.get("word.attacks"), count(counts.positives)),
        (texts.get("word.not_attacks"), count(counts.negatives)),
        (texts.get("plan.features"), count(counts.features)),
    ]
    sampled = None
    if counts.sampled < counts.events:
        sampled = paragraph(texts.get("plan.sampled", n=counts.sampled, of=counts.events))
    nothing = None if result.findings else paragraph(texts.get("plan.nothing"))
    return section(texts.get("plan.findings"), facts(named), sampled, nothing)


def _forecast(told: Forecast, texts: Texts) -> Html:
    """What the detector will take, with what that stands on."""
    lines = [(value, basis) for _, value, basis in forecast_lines(told, texts)]
    heads = (texts.get("plan.forecast_what"), texts.get("plan.forecast_basis"))
    return section(
        texts.get("plan.forecast"), paragraph(texts.get("plan.forecast_text")), table(heads, lines)
    )


def _needs(result: PlanResult, texts: Texts) -> Html:
    rows: dict[tuple[str, str | None], list[Need]] = {}
    for need in result.needs:
        rows.setdefault((need.gate, need.by), []).append(need)
    looks = sorted({need.look for need in result.needs})
    heads = [
        texts.get("plan.needs_row_gate"),
        *(texts.get("plan.needs_row_look", n=look) for look in looks),
        texts.get("plan.needs_row_there"),
    ]
    body = [list(_need_row(gate, by, needs, texts)) for (gate, by), needs in rows.items()]
    threshold = result.threshold
    planned = None
    if threshold is not None and threshold.alpha is not None:
        planned = paragraph(
            texts.get(
                "plan.threshold_planned",
                alpha=threshold.alpha,
                budget=threshold.budget,
                power=threshold.power,
            )
        )
    numeric = range(1, len(looks) + 2)
    return section(
        texts.get("plan.needs"),
        paragraph(texts.get("plan.needs_text")),
        table(heads, body, numeric=list(numeric)) if body else None,
        planned,
    )


def _need_row(gate: str, by: str | None, needs: list[Need], texts: Texts) -> Iterator[str]:
    """The gate, what it needs at each look, and what is there."""
    name = promise_name(texts, gate)
    of_positives = any(need.positives for need in needs)
    what = texts.get("what.positives" if of_positives else "what.negatives")
    yield f"{name} ({what})" if by is None else f"{name}, {by} ({what})"
    for need in needs:
        n = texts.numerals.count(need.positives or need.negatives)
        yield verdict("kept" if need.enough else "unsure", n)
    there = needs[0].positives_there if of_positives else needs[0].negatives_there
    yield texts.numerals.count(there)


def _parts(result: PlanResult, texts: Texts, source: str) -> Html:
    if result.how is None:
        return section(texts.get("plan.parts"), paragraph(texts.get("plan.no_split")))
    there = {part: pair for part, pair in result.parts.items() if part != "unused"}
    chart = bars(
        [
            Bar(label=texts.get(f"part.{part}"), value=positives, other=negatives)
            for part, (negatives, positives) in there.items()
        ],
        x=Axis(label=texts.get("word.events")),
        names=(texts.get("word.attacks"), texts.get("word.not_attacks")),
        numerals=texts.numerals,
    )
    how = texts.get(f"plan.how_{result.how}")
    return section(
        texts.get("plan.parts"),
        paragraph(texts.get("plan.parts_text", how=how)),
        figure(chart, caption=texts.get("plan.parts_chart"), source=source),
    )


def _fields(result: PlanResult, texts: Texts, source: str) -> Html:
    told = sorted(
        ((look.auc, look.name) for look in result.fields if look.auc is not None), reverse=True
    )[:MOST_FIELDS]
    suspects = {finding.field for finding in result.findings if finding.level == "block"}
    chart = bars(
        [
            Bar(label=name, value=auc, tone="broken" if name in suspects else "plain")
            for auc, name in told
        ],
        x=Axis(label=texts.get("plan.auc"), high=1.0),
        numerals=texts.numerals,
    )
    caption = texts.get("plan.tells_chart", n=len(told))
    return section(texts.get("plan.fields"), figure(chart, caption=caption, source=source))
