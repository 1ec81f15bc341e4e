"""The page shell: one file, no requests, no script, and no value can become code."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.apps.catalogue import LANGUAGES, Texts
from baluarte.apps.html import Html, join, tag
from baluarte.apps.page import (
    command,
    facts,
    figure,
    listing,
    notice,
    page,
    paragraph,
    section,
    table,
    together,
    verdict,
)
from baluarte.apps.plan_page import plan_page
from baluarte.core.evidence import Finding
from baluarte.methods.gates.recall import Recall
from baluarte.stages.plan import PlanResult, plan
from baluarte.testing.checks import check_contract, check_events

VOID = {"meta", "br", "hr", "link"}


class Reader(HTMLParser):
    """Collects tags and text, and refuses what is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((name, dict(attributes)))

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def whole_page(word: str) -> Html:
    return page(
        word,
        language="en",
        lead=word,
        eyebrow=word,
        footer=word,
        sections=[
            section(
                word,
                paragraph(word),
                facts([(word, word)]),
                table([word], [[word], [verdict("kept", word)]], numeric=[0]),
                notice("broken", word, paragraph(word), None),
                command(word),
                listing([word]),
                together(paragraph(word), paragraph(word)),
                figure(tag("svg", tag("title", word)), caption=word, source=word),
            )
        ],
    )


def assert_self_contained(html: str) -> None:
    reader = read(html)
    names = {name for name, _ in reader.tags}
    assert names.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "base", "form"})
    for _, attributes in reader.tags:
        for key, value in attributes.items():
            assert not key.startswith("on")
            assert key not in {"src", "href", "style"}
            assert not (value or "").strip().lower().startswith("javascript:")
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    assert "url(" not in style.group(1)
    assert "@import" not in style.group(1)
    policies = [a for n, a in reader.tags if n == "meta" and a.get("http-equiv")]
    assert policies[0]["content"] is not None
    assert policies[0]["content"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "word",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</style><b>",
        "' onload='x",
        "&lt;",
    ],
)
def test_a_hostile_word_stays_a_word_wherever_it_stands(word: str) -> None:
    html = whole_page(word)
    assert_self_contained(html)
    plain = read(whole_page("plain"))
    hostile = read(html)
    assert [name for name, _ in hostile.tags] == [name for name, _ in plain.tags]
    assert hostile.text.count(word) == plain.text.count("plain")


@given(word=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20))
def test_any_text_comes_back_as_it_was(word: str) -> None:
    reader = read(tag("p", word, class_=word))
    assert reader.text == word
    assert reader.tags[0][1]["class"] == word


def test_markup_is_kept_and_text_is_escaped() -> None:
    assert join(["a < b", tag("b", "c & d")]) == "a &lt; b<b>c &amp; d</b>"
    assert tag("circle", cx=1.0, r=2.345) == '<circle cx="1" r="2.35"/>'
    assert tag("p", None, title=None) == "<p></p>"


def test_a_verdict_has_colour_symbol_and_words() -> None:
    assert verdict("broken", "fail") == '<span class="verdict broken">✗ fail</span>'
    assert verdict("unsure", "not enough data").count("◐") == 1


def result(*findings: Finding) -> PlanResult:
    class Given:
        name = "given"

        def findings(self, contract: object, events: object) -> list[Finding]:
            return list(findings)

    return plan(check_contract(), check_events(), checks=[Given()], gates={"recall": Recall()})


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_plans_page_says_first_what_matters(language: str) -> None:
    texts = Texts(language)
    leak = Finding(
        check="label_copy.copy",
        level="block",
        field="<x>",
        values={"field": "<x>", "auc": 1.0},
        fix="<x>",
    )
    html = plan_page(result(leak), texts, source="baluarte plan mine", footer="here")
    assert_self_contained(html)
    reader = read(html)
    assert dict(reader.tags)["html"]["lang"] == language
    assert texts.get("plan.lead_blocked", blocks=1) in reader.text
    assert "baluarte plan --fix '<x>'" in reader.text
    assert texts.get("level.block") in reader.text
    assert reader.text.count("baluarte plan mine") == 2


def test_a_plan_without_findings_says_so() -> None:
    texts = Texts("en")
    quiet = msgspec.structs.replace(result(), findings=(), blocking=())
    text = read(plan_page(quiet, texts, source="s")).text
    assert texts.get("plan.nothing") in text
    assert "Nothing stands in the way" in text
