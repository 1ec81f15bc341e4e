"""The catalogue: both languages say everything, with the same figures in it."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest

from baluarte.apps.catalogue import LANGUAGES, Texts, load, placeholders
from baluarte.apps.finding_text import cure_text, finding_text, fix_command
from baluarte.core.evidence import Finding
from baluarte.stages.infer_roles import QUESTIONS

SOURCE = Path(__file__).parents[2] / "src" / "baluarte"


def test_both_languages_have_the_same_keys_in_the_same_order() -> None:
    assert list(load("en")) == list(load("es"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_that_are_read_by_sections_are_those_of_the_whole_file(language: str) -> None:
    def flat(table: dict[str, Any], prefix: str = "") -> dict[str, str]:
        found: dict[str, str] = {}
        for key, value in table.items():
            found |= (
                flat(value, f"{prefix}{key}.")
                if isinstance(value, dict)
                else {f"{prefix}{key}": value}
            )
        return found

    file = SOURCE / "apps" / "texts" / f"{language}.toml"
    whole = flat(tomllib.loads(file.read_text("utf-8")))
    assert dict(load(language)) == whole
    assert {key: load(language)[key] for key in whole} == whole


@pytest.mark.parametrize("key", load("en"))
def test_a_text_has_the_same_placeholders_in_both_languages(key: str) -> None:
    english, spanish = (set(placeholders(load(language)[key])) for language in LANGUAGES)
    # Which words take a plural differs between languages; the values that are shown don't.
    shown = [{p for p in names if not p.endswith(":plural")} for names in (english, spanish)]
    assert shown[0] == shown[1]
    names = [{p.split(":")[0] for p in each} for each in (english, spanish)]
    assert names[0] == names[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_can_be_written_with_one_and_with_many(language: str) -> None:
    texts = Texts(language)
    for key, text in load(language).items():
        for value in (1, 2, 0.5):
            values = dict.fromkeys((p.split(":")[0] for p in placeholders(text)), value)
            written = texts.get(key, **values)
            assert written
            assert "{" not in written
            assert "|" not in written


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_left_in_the_other_language(language: str) -> None:
    other = {"en": ["¿", "ñ", " los ", " las "], "es": [" the ", " of ", " is ", " are "]}[language]
    foreign = {k: t for k, t in load(language).items() if any(word in f" {t} " for word in other)}
    assert foreign == {}


def test_a_missing_key_or_value_is_our_bug() -> None:
    with pytest.raises(KeyError):
        Texts("en").get("no.such.key")
    with pytest.raises(KeyError):
        Texts("en").get("init.fields")


def test_figures_are_written_as_the_language_writes_them() -> None:
    values = {"n": 125_973, "share": 0.00837}
    assert "125,973 events" in Texts("en").get("check.duplicates.all", **values)
    assert "0.837 %" in Texts("en").get("check.duplicates.all", **values)
    assert "125\u202f973 eventos" in Texts("es").get("check.duplicates.all", **values)
    assert "0,837 %" in Texts("es").get("check.duplicates.all", **values)


def test_one_is_written_as_one() -> None:
    assert Texts("en").get("check.duplicates.all", n=1, share=0.1).startswith("1 event repeats")
    assert Texts("es").get("check.duplicates.all", n=1, share=0.1).startswith("1 evento repite")


def test_a_field_that_looks_like_a_placeholder_stays_as_it_is() -> None:
    assert Texts("en").get("reason.missing", field="{x} 12") == "{x} 12 is missing"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_doubt_of_init_has_its_question(language: str) -> None:
    assert {f"init.doubt.{question}" for question in QUESTIONS} <= set(load(language))


def test_a_finding_is_a_sentence_with_its_cure() -> None:
    finding = Finding(
        check="constant",
        level="note",
        field="num out",
        values={"field": "num out", "value": "0"},
        fix="num out",
    )
    assert finding_text(Texts("en"), finding) == "num out is constant (0): it tells nothing."
    assert fix_command(finding) == "baluarte plan --fix 'num out'"
    assert "baluarte plan --fix 'num out'" in cure_text(Texts("es"), finding)


def test_a_finding_without_a_command_is_accepted_by_its_name() -> None:
    finding = Finding(
        check="balance.rare", level="warn", values={"positives": 3, "n": 9, "share": 0.3}
    )
    assert "--accept balance_rare --because" in cure_text(Texts("en"), finding)


def test_words_inside_a_finding_are_translated() -> None:
    finding = Finding(check="balance.one_class", level="block", values={"what": "negatives"})
    assert "no ataques" in finding_text(Texts("es"), finding)


def test_a_finding_of_somebody_elses_check_speaks_by_its_values() -> None:
    finding = Finding(check="theirs", level="note", field="x", values={"n": 3})
    assert finding_text(Texts("en"), finding) == "theirs_x: n 3"


def asked() -> dict[str, set[str]]:
    """Keys and beginnings of keys that the code asks a catalogue for, with where."""
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if not called or node.func.attr != "get" or not node.args:
                continue
            if not ast.unparse(node.func.value).lower().endswith("texts"):
                continue
            for key in literals(node.args[0]):
                found.setdefault(key, set()).add(path.name)
    return found


def literals(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return literals(node.body) + literals(node.orelse)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        return [str(node.values[0].value) + "…"]
    return []


def test_every_key_that_the_code_asks_for_is_in_the_catalogue() -> None:
    keys = load("en")
    missing = {
        key: places
        for key, places in asked().items()
        if not any(each.startswith(key[:-1]) if key.endswith("…") else each == key for each in keys)
    }
    assert missing == {}
    assert len(asked()) > 50
