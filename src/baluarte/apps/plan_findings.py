"""The findings of a plan on its page: what was found, the evidence, a picture, the cure."""

from __future__ import annotations

from baluarte.apps.catalogue import Texts
from baluarte.apps.charts.rows import bars
from baluarte.apps.charts.values import Axis, Bar, Tone
from baluarte.apps.finding_text import accept_command, finding_text, fix_command
from baluarte.apps.html import Html, tag
from baluarte.apps.page import command, notice, paragraph, section
from baluarte.core.evidence import Figure, Finding, Picture
from baluarte.core.findings import finding_name
from baluarte.stages.plan import PlanResult

TONES: dict[str, Tone] = {"block": "broken", "warn": "unsure", "note": "plain"}
TITLES = {"block": "plan.tells", "warn": "plan.reads", "note": "plan.notes"}


def finding_sections(result: PlanResult, texts: Texts) -> dict[str, Html]:
    """A section for each level that something was found of, the worst first."""
    sections = {}
    for level, title in TITLES.items():
        found = [finding for finding in result.findings if finding.level == level]
        if found:
            blocks = [_finding(finding, result, texts) for finding in found]
            sections[level] = section(texts.get(title), *blocks)
    return sections


def _finding(finding: Finding, result: PlanResult, texts: Texts) -> Html:
    reason = result.accepted.get(finding_name(finding))
    title = texts.get(f"level.{finding.level}")
    said = paragraph(finding_text(texts, finding))
    more = _more(finding, texts)
    if reason is not None:
        accepted = paragraph(texts.get("cure.accepted", reason=reason))
        return notice("plain", title, said, accepted, more)
    cure = None
    if finding.fix is not None:
        cure = command(fix_command(finding))
    elif finding.level != "note":
        cure = command(accept_command(finding))
    return notice(TONES[finding.level], title, said, more, cure)


def _more(finding: Finding, texts: Texts) -> Html | None:
    """Evidence and picture: to be opened under a note, open elsewhere and on paper."""
    figures = [_figure(figure, texts) for figure in finding.evidence]
    picture = None if finding.picture is None else _picture(finding, finding.picture, texts)
    if not figures and picture is None:
        return None
    pairs = tag("dl", *figures, class_="pairs") if figures else None
    summary = tag("summary", texts.get("plan.evidence"))
    return tag(
        "details",
        summary,
        picture,
        pairs,
        class_="evidence",
        open=None if finding.level == "note" else "",
    )


def _figure(figure: Figure, texts: Texts) -> Html:
    """One figure: its name, its value, its interval or over how many questions it holds."""
    number = texts.numerals.number
    name = texts.get(f"evidence_of.{figure.name}")
    if figure.low is not None and figure.high is not None:
        said = texts.get(
            "evidence_of.between",
            value=number(figure.value),
            low=number(figure.low),
            high=number(figure.high),
            confidence=figure.confidence,
            n=figure.n,
        )
    elif figure.name == "chance":
        said = texts.get("evidence_of.bounded", value=number(figure.value, 2), n=figure.n)
    else:
        said = texts.get("evidence_of.plain", value=number(figure.value))
    return tag("div", tag("dt", name), tag("dd", said))


def _picture(finding: Finding, picture: Picture, texts: Texts) -> Html:
    named = None
    if picture.others:
        named = (
            texts.get(f"picture.{picture.name}_one"),
            texts.get(f"picture.{picture.name}_other"),
        )
    others = picture.others or (None,) * len(picture.values)
    tone = TONES[finding.level] if finding.level == "block" else "plain"
    items = [
        Bar(label=_bar(label, texts), value=value, other=other, tone=tone)
        for label, value, other in zip(picture.labels, picture.values, others, strict=True)
    ]
    shares = max((*picture.values, *picture.others), default=0.0) <= 1
    axis = Axis(label=texts.get(f"picture.{picture.name}"), percent=shares)
    return bars(items, x=axis, names=named, numerals=texts.numerals)


def _bar(label: str, texts: Texts) -> str:
    """A bar's words: values of the data stand as they are."""
    return texts.get(f"bar.{label}") if f"bar.{label}" in texts else label
