"""What a customer is told: outcome and reasons in their language, never a hidden field."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workspace_ground import Ground, Shell

from baluarte.apps.catalogue import LANGUAGES, Texts
from baluarte.apps.customer import letter_of, letter_page
from baluarte.apps.story import story_of
from baluarte.core.bundle import BundleParts
from baluarte.core.reason_catalogue import FieldReason, ReasonCatalogue, mentions
from baluarte.testing.bundles import sample_events, sample_parts

FIELDS = ("bytes_out", "failures", "service")
EVENTS = sample_events(40)
SPOKEN = FieldReason(
    code="R07",
    internal={"en": "sent {value}, usually {usual}", "es": "envió {value}, lo habitual {usual}"},
    customer={"en": "A lot of data was sent.", "es": "Se enviaron muchos datos."},
)


def parts(catalogue: ReasonCatalogue) -> BundleParts:
    found = sample_parts()
    contract = msgspec.structs.replace(found.contract, reasons=catalogue)
    names = [name for name in BundleParts.__slots__ if name != "contract"]
    return BundleParts(contract=contract, **{name: getattr(found, name) for name in names})


def alert(ground: Ground, catalogue: ReasonCatalogue) -> str:
    version = ground.seal(parts(catalogue))
    ground.decide(version, EVENTS)
    with ground.session() as session:
        return session.last_decision().id


def test_codes_and_texts_are_the_catalogues_in_the_language_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ground = Ground(tmp_path / "w")
    decision = alert(ground, ReasonCatalogue(fields={"bytes_out": SPOKEN}))
    shell = Shell(ground.root, capsys)
    _, said = shell.json("explain", decision, "--customer", "--lang", "es")
    assert set(said) == {"id", "decided_at", "outcome", "reasons", "otherwise"}
    assert {"text": "Se enviaron muchos datos.", "code": "R07"} in said["reasons"]
    _, inside = shell.json("explain", decision)
    mine = next(r for r in inside["reasons"] if r["field"] == "bytes_out")
    assert mine["code"] == "R07"
    assert re.fullmatch(r"sent [\d.,]+, usually [\d.,]+–[\d.,]+", mine["text"])


def test_without_a_catalogue_the_words_are_the_products(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ground = Ground(tmp_path / "w")
    decision = alert(ground, ReasonCatalogue())
    shell = Shell(ground.root, capsys)
    status, said = shell.json("explain", decision, "--customer", "--counterfactual")
    assert status == 0
    assert 0 < len(said["reasons"]) <= 4
    assert said["otherwise"].startswith("It would have passed if")
    for language in LANGUAGES:
        _, text = shell.text("explain", decision, "--customer", "--lang", language)
        assert max(map(len, text.splitlines())) <= 100


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    hidden=st.sets(st.sampled_from(FIELDS)),
    spoken=st.sets(st.sampled_from(FIELDS)),
    most=st.integers(1, 5),
    row=st.integers(0, len(EVENTS) - 1),
    language=st.sampled_from(LANGUAGES),
)
def test_a_hidden_field_appears_in_no_customer_text(
    tmp_path_factory: pytest.TempPathFactory,
    hidden: set[str],
    spoken: set[str],
    most: int,
    row: int,
    language: str,
) -> None:
    fields = {name: SPOKEN if name in spoken else FieldReason() for name in FIELDS}
    for name in hidden:
        fields[name] = FieldReason(code=f"H-{name}", hidden=True)
    ground = Ground(tmp_path_factory.mktemp("w") / "w")
    version = ground.seal(parts(ReasonCatalogue(fields=fields, most=most)))
    (decision,) = ground.decide(version, [EVENTS[row]], reasons="all")
    texts = Texts(language)  # type: ignore[arg-type]
    with ground.session() as session:
        story = story_of(session, session.decision(decision), texts)
    letter = letter_of(story, texts, counterfactual=True, seconds=10)
    html = re.sub(
        r"<style>.*?</style>", "", str(letter_page(letter, story, texts)), flags=re.DOTALL
    )
    said = json.dumps(msgspec.to_builtins(letter), ensure_ascii=False) + html
    assert len(letter.reasons) <= most
    for name in hidden:
        assert not mentions(said, name)
        assert f"H-{name}" not in said


def test_the_score_and_the_threshold_stay_inside(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    decision = alert(ground, ReasonCatalogue())
    with ground.session() as session:
        texts = Texts("en")
        story = story_of(session, session.decision(decision), texts)
        letter = letter_of(story, texts, counterfactual=False, seconds=1)
        html = re.sub(
            r"<style>.*?</style>", "", str(letter_page(letter, story, texts)), flags=re.DOTALL
        )
    assert str(story.record.score) not in html
    assert texts.numerals.count(story.record.score) not in html
    assert story.record.bundle not in html
