"""The page of one decision: all of its story, escaped, self-contained, in both languages."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from workspace_ground import Ground

from baluarte.apps.catalogue import LANGUAGES, Texts
from baluarte.apps.charts.contributions import contributions
from baluarte.apps.charts.values import Axis, Bar
from baluarte.apps.decision_page import decision_page, probability_chart
from baluarte.apps.story import Story, story_of
from baluarte.apps.story_words import estimated_line
from baluarte.core.event import Values
from baluarte.testing.bundles import sample_events


def told(ground: Ground, event: Values, language: str = "en", **more: object) -> tuple[Story, str]:
    version = ground.seal()
    (decision,) = ground.decide(version, [event], reasons="all", **more)  # type: ignore[arg-type]
    texts = Texts(language)  # type: ignore[arg-type]
    with ground.session() as session:
        story = story_of(session, session.decision(decision), texts)
    return story, str(decision_page(story, texts))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_holds_reasons_sum_version_and_proof(tmp_path: Path, language: str) -> None:
    story, html = told(Ground(tmp_path), sample_events(4)[3], language)
    texts = Texts(language)  # type: ignore[arg-type]
    for reason in story.reasons:
        assert reason.text in html
        assert texts.numerals.count(abs(reason.score)) in html
    assert texts.numerals.count(story.record.score) in html
    assert story.record.bundle in html
    assert f'lang="{language}"' in html
    assert f"baluarte replay {story.record.id}" in html


def test_the_page_asks_nothing_of_the_network_and_runs_no_script(tmp_path: Path) -> None:
    _, html = told(Ground(tmp_path), sample_events(4)[3])
    assert "<script" not in html
    assert not re.search(r"""(src|href)=["']""", html)
    assert "default-src 'none'" in unescape(html)


def test_a_value_cannot_become_markup(tmp_path: Path) -> None:
    event = {**sample_events(4)[3], "service": "<script>alert(1)</script>"}
    _, html = told(Ground(tmp_path), event)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_sum_that_does_not_hold_is_shown_broken(tmp_path: Path) -> None:
    story, html = told(Ground(tmp_path), sample_events(4)[3], change={"base": 9_999})
    assert not story.adds_up
    assert 'class="notice broken"' in html


def test_a_field_without_effect_is_named_as_such(tmp_path: Path) -> None:
    story, html = told(Ground(tmp_path), {"id": "e", "bytes_out": 1.0, "failures": 0})
    idle = {field.name for field in story.event} - {reason.field for reason in story.reasons}
    assert ("Without any effect" in html) == bool(idle)


def test_the_event_stands_on_the_sealed_curve_of_probabilities(tmp_path: Path) -> None:
    story, _ = told(Ground(tmp_path), sample_events(4)[3])
    chart = probability_chart(story.bundle, Texts("en"), dot=(501, 0.6, "this one"))
    assert chart is not None
    assert "this one" in chart
    assert "alert" in chart


def widths(svg: str) -> list[float]:
    return [float(w) for w in re.findall(r'<rect [^>]*width="([\d.]+)"', svg)]


def test_contributions_are_as_long_as_they_are_large() -> None:
    items = [Bar(label="a", value=4.0), Bar(label="b", value=-2.0), Bar(label="c", value=0.0)]
    long, short, none = widths(contributions(items, x=Axis(label="x")))
    assert long == pytest.approx(2 * short, abs=0.05)
    assert none == 0


def test_what_adds_and_what_takes_away_stand_on_both_sides_of_zero() -> None:
    svg = contributions([Bar(label="a", value=1.0), Bar(label="b", value=-3.0)], x=Axis(label="x"))
    starts = [float(x) for x in re.findall(r'<rect x="([\d.]+)"', svg)]
    up, down = widths(svg)
    assert starts[0] == pytest.approx(starts[1] + down, abs=0.05)
    assert starts[0] + up <= 720


@pytest.mark.parametrize("values", [[], [0.0], [-1.0, -2.0], [5e-324]])
def test_contributions_of_any_sign_can_be_drawn(values: list[float]) -> None:
    svg = contributions([Bar(label="f", value=v) for v in values], x=Axis(label="x"))
    assert "nan" not in svg
    assert all(0 <= width <= 720 for width in widths(svg))


@pytest.mark.parametrize("language", LANGUAGES)
def test_estimated_reasons_are_said_to_be_with_their_error(tmp_path: Path, language: str) -> None:
    story, exact = told(Ground(tmp_path), sample_events(4)[3], language)
    texts = Texts(language)  # type: ignore[arg-type]
    assert story.reason_errors is None
    assert estimated_line(texts, story) is None
    errors = {reason.field: 1234.4 for reason in story.reasons}
    line = estimated_line(texts, replace(story, reason_errors=errors))
    assert line is not None
    assert texts.numerals.count(1234) in line
    html = str(decision_page(replace(story, reason_errors=errors), texts))
    assert line in unescape(html)
    assert line not in unescape(exact)
