"""The page of guarantees: each promise, what its simulation measured, what usual practice does."""

from __future__ import annotations

from collections.abc import Sequence

from baluarte import __version__
from baluarte.apps.catalogue import Texts
from baluarte.apps.charts.rows import bars
from baluarte.apps.charts.values import Axis, Bar
from baluarte.apps.guarantees import Guarantee, amount, usual_words
from baluarte.apps.html import Html
from baluarte.apps.page import figure, notice, page, paragraph, section


def guarantee_page(found: Sequence[Guarantee], texts: Texts) -> Html:
    """The whole page."""
    kept = sum(guarantee.kept for guarantee in found)
    lead = "guarantee.lead" if kept == len(found) else "guarantee.lead_broken"
    return page(
        texts.get("guarantee.title"),
        language=texts.language,
        eyebrow="Baluarte",
        lead=texts.get(lead, n=kept, n_all=len(found)),
        sections=[
            section(texts.get("guarantee.how"), paragraph(texts.get("guarantee.how_text"))),
            *(_one(guarantee, texts) for guarantee in found),
        ],
        footer=f"baluarte report guarantee · Baluarte {__version__}",
    )


def _one(guarantee: Guarantee, texts: Texts) -> Html:
    def said(value: float) -> str:
        return amount(texts.numerals, guarantee, value)

    label = "guarantee.x_alarms" if guarantee.counted else "guarantee.x_rate"
    chart = bars(
        [
            Bar(label=texts.get("guarantee.promised"), value=guarantee.promised),
            Bar(
                label="Baluarte",
                value=guarantee.measured,
                tone="kept" if guarantee.kept else "broken",
            ),
            *(Bar(label=name, value=value) for name, value in usual_words(texts, guarantee)),
        ],
        x=Axis(label=texts.get(label), percent=not guarantee.counted),
        numerals=texts.numerals,
    )
    verdict = texts.get(
        "guarantee.kept" if guarantee.kept else "guarantee.broken",
        measured=said(guarantee.measured),
        promised=said(guarantee.promised),
    )
    return section(
        texts.get(f"guarantee.{guarantee.key}"),
        paragraph(texts.get(f"guarantee.{guarantee.key}_text")),
        notice("kept" if guarantee.kept else "broken", verdict),
        figure(
            chart,
            caption=texts.get("guarantee.chart", n=guarantee.n, seed=guarantee.seed),
            source="baluarte report guarantee",
        ),
    )
