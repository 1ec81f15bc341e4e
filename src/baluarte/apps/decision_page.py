"""The page of one decision: what was decided, why, on what, by which version, and the proof."""

from __future__ import annotations

from baluarte import __version__
from baluarte.apps.catalogue import Texts
from baluarte.apps.charts.contributions import contributions
from baluarte.apps.charts.plot import plot
from baluarte.apps.charts.rows import intervals
from baluarte.apps.charts.values import Axis, Bar, Dot, Line, Mark
from baluarte.apps.gate_words import gate_interval, outcome_name
from baluarte.apps.html import Html, tag
from baluarte.apps.otherwise import otherwise_line, proof_of_least
from baluarte.apps.page import (
    command,
    figure,
    listing,
    notice,
    page,
    paragraph,
    section,
    table,
)
from baluarte.apps.story import Story
from baluarte.apps.story_words import (
    about_line,
    computed_line,
    encoded_text,
    estimated_line,
    outcome_line,
    proof_line,
    replay_line,
    signed_count,
    sum_line,
    value_text,
    version_lines,
)
from baluarte.core.bundle import SealedBundle
from baluarte.core.schema import FieldType
from baluarte.stages.counterfactual import Counterfactual

_MOST_LETTERS = 27  #: beside a bar
MOST_BARS = 12  #: reasons that have a bar of their own


def decision_page(story: Story, texts: Texts, otherwise: Counterfactual | None = None) -> Html:
    """The whole page, with the counterfactual where one was found."""
    record = story.record
    parts = (
        _reasons(story, texts),
        None if otherwise is None else _otherwise(otherwise, story, texts),
        _probability(story, texts),
        _event(story, texts),
        _version(story, texts),
        _proof(story, texts),
    )
    return page(
        texts.get("decision.title", id=record.id),
        language=texts.language,
        eyebrow=texts.get("decision.eyebrow", detector=record.detector, version=record.version),
        lead=f"{_upper(outcome_line(texts, story))}.",
        sections=[part for part in parts if part is not None],
        footer=f"{about_line(texts, story)} · {record.bundle} · Baluarte {__version__}",
    )


def _reasons(story: Story, texts: Texts) -> Html:
    scale = 2.0**-story.bundle.program.scale_bits
    shown, rest = story.reasons[:MOST_BARS], story.reasons[MOST_BARS:]
    kinds = kinds_of(story.bundle)
    items = [
        Bar(label=_label(texts, r.field, r.value, kinds.get(r.field)), value=r.score * scale)
        for r in shown
    ]
    if rest:
        together = sum(reason.score for reason in rest) * scale
        items.append(Bar(label=texts.get("decision.rest", n=len(rest)), value=together))
    chart = contributions(
        items, x=Axis(label=texts.get("evidence.x_score")), numerals=texts.numerals
    )
    estimated = estimated_line(texts, story)
    return section(
        texts.get("decision.reasons"),
        figure(
            chart,
            caption=texts.get("decision.reasons_chart"),
            source=f"baluarte explain {story.record.id}",
        ),
        notice(
            "kept" if story.adds_up else "broken",
            sum_line(texts, story),
            paragraph(computed_line(texts, story)) if story.computed_now else None,
            paragraph(estimated) if estimated else None,
        ),
    )


def _otherwise(found: Counterfactual, story: Story, texts: Texts) -> Html:
    line = otherwise_line(texts, found)
    kinds = kinds_of(story.bundle)
    heads = [texts.get(f"counterfactual.{key}") for key in ("field", "before", "after")]
    rows = [
        [
            change.field,
            *(
                value_text(texts, value, kinds.get(change.field))
                for value in (change.before, change.after)
            ),
        ]
        for change in found.changes
    ]
    return section(
        texts.get("counterfactual.title"),
        paragraph(tag("b", f"{_upper(line)}.")),
        paragraph(texts.get("counterfactual.text")),
        table(heads, rows, numeric=[1, 2]),
        paragraph(proof_of_least(texts, found)),
        command(f"baluarte explain {story.record.id} --counterfactual"),
    )


def _probability(story: Story, texts: Texts) -> Html | None:
    chart = probability_chart(
        story.bundle,
        texts,
        dot=(story.record.score, story.probability, texts.get("decision.this_event")),
    )
    if chart is None:
        return None
    return section(
        texts.get("decision.where"),
        figure(
            chart,
            caption=texts.get("decision.probability_chart"),
            source=f"baluarte report evidence {story.record.detector}@{story.record.version}",
        ),
    )


def probability_chart(
    bundle: SealedBundle, texts: Texts, *, dot: tuple[int, float, str] | None = None
) -> Html | None:
    """The sealed table from score to probability with the thresholds; None where it is one point.

    Args:
        dot: score, probability and name of one event.
    """
    bands, scale = bundle.bands, 2.0**-bundle.program.scale_bits
    if len(bands.knot_scores) < 2:
        return None
    line = Line(
        name="",
        x=[score * scale for score in bands.knot_scores],
        y=list(bands.knot_probabilities),
    )
    marks = [
        Mark(at=cut * scale, label=outcome_name(texts, name))
        for name, cut in zip(bands.names[1:], bands.thresholds, strict=True)
    ]
    dots = [] if dot is None else [Dot(x=dot[0] * scale, y=dot[1], label=dot[2])]
    return plot(
        [line],
        x=Axis(label=texts.get("evidence.x_score")),
        y=Axis(label=texts.get("decision.x_probability"), low=0.0, high=1.0, percent=True),
        marks=marks,
        dots=dots,
        numerals=texts.numerals,
    )


def _event(story: Story, texts: Texts) -> Html:
    """Every feature with its value, what was scored for it, and what that did."""
    scored = {field.name: encoded_text(texts, field) for field in story.event}
    heads = [
        texts.get("decision.sentence"),
        texts.get("decision.encoded"),
        texts.get("decision.units"),
        texts.get("decision.share"),
    ]
    rows = [
        [
            f"{reason.code}  {reason.text}" if reason.code else reason.text,
            scored[reason.field],
            signed_count(texts, reason.score),
            texts.numerals.percent(reason.share, 2),
        ]
        for reason in story.reasons
    ]
    rows.append([texts.get("reason.base"), "", signed_count(texts, story.base), ""])
    total = tag("b", signed_count(texts, story.total))
    rows.append([tag("b", texts.get("word.score")), "", total, ""])
    moved, kinds = {reason.field for reason in story.reasons}, kinds_of(story.bundle)
    idle = [
        " ".join(
            (f.name, value_text(texts, f.value, kinds.get(f.name)), encoded_text(texts, f))
        ).strip()
        for f in story.event
        if f.name not in moved
    ]
    return section(
        texts.get("decision.event"),
        paragraph(texts.get("decision.event_text")),
        table(heads, rows, numeric=[1, 2, 3]),
        paragraph(texts.get("decision.idle", fields=", ".join(idle))) if idle else None,
    )


def _version(story: Story, texts: Texts) -> Html:
    gates = story.bundle.evidence.gates
    name = f"{story.record.detector}@{story.record.version}"
    chart = None
    if gates:
        chart = figure(
            intervals([gate_interval(texts, gate) for gate in gates], numerals=texts.numerals),
            caption=texts.get("evidence.gates_chart"),
            source=f"baluarte report evidence {name}",
        )
    return section(
        texts.get("decision.approved"),
        listing(version_lines(texts, story)),
        paragraph(texts.get("decision.rests_on")) if gates else None,
        chart,
    )


def _proof(story: Story, texts: Texts) -> Html:
    record, head = story.record, story.checkpoint
    root = None
    if head is not None:
        said = texts.get("decision.root", root=head.root.hex())
        root = paragraph(tag("code", said))
    verb = "proof" if head else "checkpoint"
    proof = f"baluarte ledger {verb}" + (f" {record.id}" if head else "")
    return section(
        texts.get("decision.proof"),
        notice(
            "broken" if story.replayed.difference else "kept",
            replay_line(texts, story),
            command(f"baluarte replay {record.id}"),
        ),
        notice("kept" if head else "unsure", proof_line(texts, story), root, command(proof)),
    )


def kinds_of(bundle: SealedBundle) -> dict[str, FieldType]:
    """The type of each field of a version's events."""
    return {field.name: field.type for field in bundle.contract.events.fields}


def _label(
    texts: Texts, field: str, value: float | str | None, kind: FieldType | None = None
) -> str:
    """Field and value beside a bar, cut where there would be no room; the table has all of it."""
    label = f"{field} {value_text(texts, value, kind).removesuffix(' UTC')}"
    return label if len(label) <= _MOST_LETTERS else f"{label[: _MOST_LETTERS - 1]}…"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
