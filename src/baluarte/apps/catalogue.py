"""Every text that an analyst, customer or auditor reads, in English and Spanish, by key.

The texts stand in ``texts/en.toml`` and ``texts/es.toml``; both have the same keys and the same
placeholders (a test holds them to it). A placeholder may say how its value is written:
``{n}`` a count or number, ``{share:percent}``, ``{n:plural row|rows}`` only the fitting word,
``{field:name}`` as it stands. Keys of JSON never translate.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from baluarte.apps.numerals import Language, Numerals

_HEADER = re.compile(r"^\[([a-z_.]+)\]$", re.MULTILINE)
LANGUAGES: tuple[Language, ...] = ("en", "es")


class Texts:
    """The catalogue in one language.

    >>> Texts("en").get("level.block"), Texts("es").get("level.block")
    ('BLOCK', 'ALTO')
    """

    def __init__(self, language: Language) -> None:
        self.language = language
        self.numerals = Numerals(language)
        self._texts = load(language)
        self._formatter = _Formatter(self.numerals)
        self._parts: dict[str, list[tuple[str, str | None, str]]] = {}

    def get(self, key: str, **values: object) -> str:
        """The text of a key, its placeholders filled in.

        Raises:
            KeyError: no such key, or a placeholder without a value: our bug, never the user's.
        """
        parts, write = self._parts.get(key), self._formatter.format_field
        if parts is None:
            parts = self._parts[key] = _parsed(self._texts[key])
        return "".join(
            literal if name is None else literal + write(values[name], spec)
            for literal, name, spec in parts
        )

    def written(self, value: object) -> str:
        """A value alone, as a placeholder that says nothing of its form writes it."""
        if type(value) is float:
            return self.numerals.number(value)
        return self._formatter.format_field(value, "")

    def __contains__(self, key: str) -> bool:
        return key in self._texts


@cache
def load(language: Language) -> Mapping[str, str]:
    """All texts of a language by dotted key."""
    path = files("baluarte.apps").joinpath("texts", f"{language}.toml")
    return Sections(path.read_text(encoding="utf-8"))


class Sections(Mapping[str, str]):
    """A file of texts by dotted key, each section read when it is asked for: all take 20 ms."""

    def __init__(self, text: str) -> None:
        parts = _HEADER.split(text)
        self._said = dict(zip(parts[1::2], parts[2::2], strict=True))
        self._read: dict[str, dict[str, str]] = {}

    def _section(self, name: str) -> dict[str, str]:
        found = self._read.get(name)
        if found is None:  # two threads at once read it twice, and alike
            found = self._read[name] = tomllib.loads(self._said[name])
        return found

    def __getitem__(self, key: str) -> str:
        section = key
        while "." in section:
            section = section.rpartition(".")[0]
            if section in self._said:
                found = self._section(section).get(key[len(section) + 1 :])
                if found is not None:
                    return found
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        for name in self._said:
            yield from (f"{name}.{key}" for key in self._section(name))

    def __len__(self) -> int:
        return sum(len(self._section(name)) for name in self._said)


def _parsed(text: str) -> list[tuple[str, str | None, str]]:
    """A text in parts: what stands before a placeholder, its name, and how its value is written."""
    return [
        (literal, name, spec or "") for literal, name, spec, _ in string.Formatter().parse(text)
    ]


def placeholders(text: str) -> list[str]:
    """The names of a text's placeholders with how they are written, sorted."""
    parsed = string.Formatter().parse(text)
    return sorted(
        f"{name}:{(spec or '').split(' ')[0]}" for _, name, spec, _ in parsed if name is not None
    )


class _Formatter(string.Formatter):
    def __init__(self, numerals: Numerals) -> None:
        self._numerals = numerals

    def format_field(self, value: Any, format_spec: str) -> str:
        kind, _, rest = format_spec.partition(" ")
        if kind == "percent":
            return self._numerals.percent(float(value))
        if kind == "plural":
            one, many = rest.split("|")
            return one if value == 1 else many
        if kind == "name" or isinstance(value, str):
            return str(value)
        if isinstance(value, int):
            return self._numerals.count(value)
        if isinstance(value, float):
            return self._numerals.number(value)
        return str(value)
