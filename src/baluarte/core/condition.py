"""Conditions on one event: a small language of comparisons, and nothing that runs code.

::

    amount >= 100 and (channel == "web" or channel == "app")
    not country in ["PT", "ES"] and at.hour <= 6

A name is a field's; one with other characters than letters, digits, ``_``, ``-`` and ``.`` stands
in backticks. A field of type time has ``.hour`` (0-23) and ``.weekday`` (0 is Monday), both in UTC.
Texts stand in quotes. ``not`` binds closer than ``and``, ``and`` closer than ``or``. A comparison
with a missing value is false, whatever the operator. The label stands for attack or not: it is
compared with ``true`` and ``false``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from baluarte.core.event import Value
from baluarte.core.nearest import did_you_mean
from baluarte.core.schema import Schema

Record = Mapping[str, Value | None]
Test = Callable[[Record, int | None], bool]  #: of a record and its label (1, 0 or None)
Getter = Callable[[Record, int | None], Value | None]
Form = Literal["label", "text", "number", "truth", "hour", "weekday"]  #: how a value is read

MAX_CHARS = 1_000  #: of a condition
_MAX_DEPTH = 32
_HOUR_US, _DAY_US = 3_600_000_000, 86_400_000_000
_THURSDAY = 3  # 1970-01-01 was one; 0 is Monday
_NUMERIC = ("number", "integer")
_TEXTUAL = ("category", "text", "ip")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<=": operator.le, ">=": operator.ge,
    "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_TOKEN = re.compile(
    r"\s*(?:(?P<op>==|!=|<=|>=|<|>)|(?P<mark>[()\[\],])"
    r"|(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<quoted>`[^`]+`)"
    r"|(?P<name>[^\W\d][\w.-]*))"
)
_WORDS = frozenset({"and", "or", "not", "in", "true", "false"})


class ConditionError(ValueError):
    """A condition that can't be read: what was expected, what was found, at which character.

    Args:
        hint: what to do.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Node(NamedTuple):
    """A part of a condition: to be asked (``test``), and said so that compiled code can ask it."""

    kind: Literal["any", "all", "not", "compare", "among"]
    test: Test
    parts: tuple[Node, ...] = ()
    form: Form = "label"
    field: str = ""
    sign: str = ""
    wanted: Value | frozenset[Value] = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, ready to be asked of records."""

    root: Node
    fields: frozenset[str]  #: the fields that it reads

    @property
    def holds(self) -> Test:
        """Whether it holds of a record and its label."""
        return self.root.test


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse_condition(text: str, schema: Schema) -> Condition:
    """The condition that a text says of events of this schema.

    >>> from baluarte.core.schema import Field
    >>> schema = Schema(fields=(Field(name="amount", type="number"),))
    >>> condition = parse_condition("amount >= 100 or amount < 0", schema)
    >>> [condition.holds({"amount": x}, None) for x in (99.5, 100, -1)], condition.holds({}, None)
    ([False, True, True], False)

    Raises:
        ConditionError: the text is no condition, or not one on this schema's fields.
    """
    if len(text) > MAX_CHARS:
        raise ConditionError(f"expected at most {MAX_CHARS} characters, found {len(text)}")
    parser = _Parser(_tokens(text), schema)
    root = parser.either(0)
    parser.end()
    return Condition(root=root, fields=frozenset(parser.fields))


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            rest = text[at:].lstrip()
            raise ConditionError(f"can't read {rest[:20]!r} at character {len(text) - len(rest)}")
        kind, said = match.lastgroup, match[match.lastgroup]
        start, at = match.start(kind), match.end()
        if kind == "name" and said in _WORDS:
            kind = "word"
        elif kind == "text":
            said = said[1:-1]
        elif kind == "quoted":
            kind, said = "name", said[1:-1]
        tokens.append(_Token(kind, said, start))
    return [*tokens, _Token("end", "the end", len(text))]


@dataclass(frozen=True, slots=True)
class _Reader:
    """How a name's value is read, and what kind of literal it is compared with."""

    kind: str
    form: Form
    field: str
    get: Getter


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[_Token], schema: Schema) -> None:
        self._tokens, self._at = tokens, 0
        self._schema = schema
        self.fields: set[str] = set()

    def either(self, depth: int) -> Node:
        parts = [self._both(depth)]
        while self._took("word", "or"):
            parts.append(self._both(depth))
        if len(parts) == 1:
            return parts[0]
        tests = [part.test for part in parts]
        return Node(
            "any", lambda record, label: any(test(record, label) for test in tests), tuple(parts)
        )

    def end(self) -> None:
        if self._next.kind != "end":
            raise self._odd("and, or, or the end")

    def _both(self, depth: int) -> Node:
        parts = [self._one(depth)]
        while self._took("word", "and"):
            parts.append(self._one(depth))
        if len(parts) == 1:
            return parts[0]
        tests = [part.test for part in parts]
        return Node(
            "all", lambda record, label: all(test(record, label) for test in tests), tuple(parts)
        )

    def _one(self, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise ConditionError(f"more than {_MAX_DEPTH} levels of parentheses")
        if self._took("word", "not"):
            part = self._one(depth + 1)
            test = part.test
            return Node("not", lambda record, label: not test(record, label), (part,))
        if self._took("mark", "("):
            inner = self.either(depth + 1)
            self._expect("mark", ")")
            return inner
        return self._comparison()

    def _comparison(self) -> Node:
        name = self._take("name", "a field's name").text
        reader = self._reader(name)
        if self._took("word", "in"):
            return self._membership(reader)
        sign = self._take("op", "one of ==, !=, <, <=, >, >=, in").text
        if sign not in ("==", "!=") and reader.kind != "number":
            raise ConditionError(f"{name} has no order: expected ==, != or in, found {sign}")
        compare, wanted, get = _OPERATORS[sign], self._literal(reader.kind), reader.get

        def test(record: Record, label: int | None) -> bool:
            value = get(record, label)
            return value is not None and compare(value, wanted)

        return Node("compare", test, form=reader.form, field=reader.field, sign=sign, wanted=wanted)

    def _membership(self, reader: _Reader) -> Node:
        self._expect("mark", "[")
        said = {self._literal(reader.kind)}
        while self._took("mark", ","):
            said.add(self._literal(reader.kind))
        self._expect("mark", "]")
        wanted, get = frozenset(said), reader.get
        return Node(
            "among",
            lambda record, label: get(record, label) in wanted,
            form=reader.form,
            field=reader.field,
            wanted=wanted,
        )

    def _literal(self, kind: str) -> Value:
        token = self._next
        self._at += 1
        if kind == "truth" and token.text in ("true", "false", "1", "0"):
            return int(token.text in ("true", "1"))
        if kind == "number" and token.kind == "number":
            return float(token.text)
        if kind == "text" and token.kind in ("text", "number"):
            return token.text
        self._at -= 1
        raise self._odd({"truth": "true or false", "number": "a number"}.get(kind, "a text"))

    def _reader(self, name: str) -> _Reader:
        """What kind of value a name gives, and how it is read."""
        schema = self._schema
        stem, _, part = name.rpartition(".")
        if name not in schema and stem in schema and part in ("hour", "weekday"):
            return self._part_of_time(stem, part)
        if name not in schema:
            known = [field.name for field in schema.fields if field.is_given]
            raise ConditionError(f"no field {name} is declared.", did_you_mean(name, known))
        field = schema[name]
        self.fields.add(name)
        if field.role == "label":
            return _Reader("truth", "label", name, lambda _, label: label)
        if field.available == "after":
            raise ConditionError(f"{name} is only known after the decision")
        if not field.is_given:
            raise ConditionError(f"{name} has the role {field.role}: its value is not at hand")
        if field.type == "time":
            raise ConditionError(f"{name} is a time: expected {name}.hour or {name}.weekday")
        if field.type in _TEXTUAL:
            return _Reader("text", "text", name, lambda record, _: record.get(name))
        if field.type in _NUMERIC:
            return _Reader("number", "number", name, lambda record, _: number_of(record.get(name)))
        return _Reader("truth", "truth", name, lambda record, _: record.get(name))

    def _part_of_time(self, name: str, part: str) -> _Reader:
        if self._schema[name].type != "time":
            raise ConditionError(f"{name} is no time: it has no {part}")
        self.fields.add(name)

        def hour(record: Record, _: int | None) -> Value | None:
            at = record.get(name)
            return None if at is None else int(at) % _DAY_US // _HOUR_US

        def weekday(record: Record, _: int | None) -> Value | None:
            at = record.get(name)
            return None if at is None else (int(at) // _DAY_US + _THURSDAY) % 7

        if part == "hour":
            return _Reader("number", "hour", name, hour)
        return _Reader("number", "weekday", name, weekday)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _took(self, kind: str, text: str) -> bool:
        if self._next.kind == kind and self._next.text == text:
            self._at += 1
            return True
        return False

    def _expect(self, kind: str, text: str) -> None:
        if not self._took(kind, text):
            raise self._odd(text)

    def _take(self, kind: str, words: str) -> _Token:
        token = self._next
        if token.kind != kind:
            raise self._odd(words)
        self._at += 1
        return token

    def _odd(self, expected: str) -> ConditionError:
        token = self._next
        return ConditionError(f"expected {expected}, found {token.text} at character {token.at}")


def number_of(value: Value | None) -> float | int | None:
    """A record's number; infinities, which a record writes as texts, included.

    >>> number_of("-Infinity"), number_of(3), number_of(None)
    (-inf, 3, None)
    """
    return float(value) if isinstance(value, str) else value
