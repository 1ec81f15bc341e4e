"""Bring a parsed TOML table to a typed Struct and report every fault at once, each with its place.

msgspec stops at the first fault of a document; an author wants all of them. So the tables are
walked key by key, each value is held against its field's type, and only what fits goes on. A faulty
or missing value is replaced by its default (or by a placeholder of its type), so that the rules
between fields can still speak; the caller raises when there is any fault.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from baluarte.core.nearest import did_you_mean
from baluarte.core.toml_lines import KeyPath, Place, line_of, places
from baluarte.errors import ContractError, Fault

S = TypeVar("S")
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_ABSENT: Any = object()


@dataclass(slots=True)
class Report:
    """The faults found so far and where each key stands."""

    where: str
    known: dict[KeyPath, Place]
    origins: dict[KeyPath, str] = field(default_factory=dict)  #: of values set from elsewhere
    found: list[tuple[int, Fault]] = field(default_factory=list)

    def fault(self, path: KeyPath, message: str, hint: str | None = None) -> None:
        """Note a fault of the value at ``path``."""
        line = line_of(self.known, path)
        where = self._origin(path) or f"{self.where}:{line}"
        self.found.append((line, Fault(f"{dotted(path)}: {message}", where, hint)))

    def _origin(self, path: KeyPath) -> str | None:
        """Where a value was set if not in the file, or what created the table that it is in."""
        within = [place for place in self.origins if path[: len(place)] == place]
        if within:
            return self.origins[max(within, key=len)]
        created = [place for place in self.origins if place[: len(path)] == path]
        return self.origins[created[0]] if created and path not in self.known else None

    def touches(self, *path: str | int) -> bool:
        """Whether a fault has been noted at or under this path."""
        name = dotted(path)
        return any(fault.message.startswith((f"{name}:", f"{name}.")) for _, fault in self.found)

    def stop_if_faulty(self) -> None:
        """Raise all faults together, in the order of their lines.

        Raises:
            ContractError: there is at least one fault.
        """
        if self.found:
            ordered = sorted(self.found, key=lambda entry: entry[0])
            raise ContractError.of([fault for _, fault in ordered])


def dotted(path: KeyPath) -> str:
    """A path as a person reads it: ``fields.amount.type``, ``bands[1].name``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse_toml(text: str, *, where: str) -> tuple[dict[str, object], Report]:
    """The tables of a TOML text, and the report to note faults in.

    Raises:
        ContractError: the text is no TOML.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _TOML_PLACE.search(message)
        line = int(place.group(1)) if place and place.group(1) else text.rstrip().count("\n") + 1
        what = _TOML_PLACE.sub("", message)
        raise ContractError(
            f"not valid TOML: {what[:1].lower()}{what[1:]}.", where=f"{where}:{line}"
        ) from error
    return data, Report(where, places(text))


def to_struct(data: Mapping[str, object], kind: type[S], report: Report) -> S:
    """The tables as a Struct of this type; faults go to the report.

    >>> import msgspec
    >>> class Serve(msgspec.Struct, forbid_unknown_fields=True):
    ...     workers: int = 1
    >>> report = Report("w.toml", {})
    >>> to_struct({"workers": "two", "wrokers": 2}, Serve, report)
    Serve(workers=1)
    >>> [str(fault) for _, fault in report.found]  # doctest: +NORMALIZE_WHITESPACE
    ['w.toml:1: workers: expected a whole number; found "two"',
     'w.toml:1: wrokers: unknown key. Did you mean workers?']
    """
    value: S = _value(data, shape_of(kind), (), report)  # type: ignore[arg-type]
    return value


@cache
def shape_of(kind: type) -> inspect.Type:
    """A type's fields and what they accept; to work it out takes as long as a small import."""
    return inspect.type_info(kind)


def editor_schema(kind: type) -> dict[str, Any]:
    """The JSON Schema of a surface, for editors; TOML has no null, so neither has the schema."""
    schema: dict[str, Any] = _without_null(msgspec.json.schema(kind))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _without_null(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_null(each) for each in part if each != {"type": "null"}]
    if not isinstance(part, dict):
        return part
    kept = {key: _without_null(each) for key, each in part.items() if each is not None}
    if len(kept.get("anyOf", ())) == 1:
        return {**kept.pop("anyOf")[0], **kept}
    return kept


def expected(shape: inspect.Type) -> str:
    """What a type accepts, in words; its own stand in ``Meta(extra={"expected": …})``."""
    while isinstance(shape, inspect.Metadata):
        if shape.extra and "expected" in shape.extra:
            return str(shape.extra["expected"])
        shape = shape.type
    if isinstance(shape, inspect.LiteralType):
        return "one of " + ", ".join(str(option) for option in shape.values)
    if isinstance(shape, inspect.IntType | inspect.FloatType):
        kind = "a whole number" if isinstance(shape, inspect.IntType) else "a number"
        return kind + _range(shape)
    if isinstance(shape, inspect.StrType):
        return _text(shape)
    if isinstance(shape, inspect.UnionType):
        options = [expected(option) for option in shape.types if not _is_unset(_bare(option))]
        return " or ".join(options)
    for shape_kind, words in _WORDS.items():
        if isinstance(shape, shape_kind):
            return words
    raise TypeError(f"no words for {shape}")


_WORDS: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.ListType: "a list",
    inspect.VarTupleType: "a list",
    inspect.StructType: "a table",
    inspect.DictType: "a table",
}


def _text(shape: inspect.StrType) -> str:
    if shape.pattern is not None:
        return f"text of the form {shape.pattern}"
    return "text that is not empty" if shape.min_length else "text"


def _range(shape: inspect.IntType | inspect.FloatType) -> str:
    low = (
        f"[{shape.ge:g}"
        if shape.ge is not None
        else f"({shape.gt:g}"
        if shape.gt is not None
        else ""
    )
    high = (
        f"{shape.le:g}]"
        if shape.le is not None
        else f"{shape.lt:g})"
        if shape.lt is not None
        else ""
    )
    if low and high:
        return f" in {low}, {high}"
    if low:
        return f" {'≥' if low[0] == '[' else '>'} {low[1:]}"
    return f" {'≤' if high[-1] == ']' else '<'} {high[:-1]}" if high else ""


def _bare(shape: inspect.Type) -> inspect.Type:
    while isinstance(shape, inspect.Metadata):
        shape = shape.type
    return shape


def _is_unset(shape: inspect.Type) -> bool:
    return isinstance(shape, inspect.NoneType)


def _value(value: object, shape: inspect.Type, path: KeyPath, report: Report) -> Any:
    """The value if it fits (tables and lists: the part that fits), else ``_ABSENT``."""
    full, shape = shape, _bare(shape)
    if isinstance(shape, inspect.UnionType):
        return _union(value, shape, path, report)
    if isinstance(shape, inspect.StructType | inspect.DictType) and isinstance(value, Mapping):
        walk = _struct if isinstance(shape, inspect.StructType) else _dict
        return walk(value, shape, path, report)  # type: ignore[arg-type]
    if isinstance(shape, inspect.ListType | inspect.VarTupleType) and isinstance(value, list):
        items = (_value(item, shape.item_type, (*path, i), report) for i, item in enumerate(value))
        kept = [item for item in items if item is not _ABSENT]
        return tuple(kept) if isinstance(shape, inspect.VarTupleType) else kept
    if _fits(value, shape):
        return float(value) if isinstance(shape, inspect.FloatType) else value  # type: ignore[arg-type]
    # Text where a table belongs may be a secret that was pasted: it is not repeated.
    tables = isinstance(shape, inspect.StructType | inspect.DictType)
    shown = "text" if tables and isinstance(value, str) else _shown(value)
    report.fault(path, f"expected {expected(full)}; found {shown}", _hint(value, shape))
    return _ABSENT


def _union(value: object, shape: inspect.UnionType, path: KeyPath, report: Report) -> Any:
    options = [option for option in shape.types if not _is_unset(_bare(option))]
    if len(options) == 1:
        return _value(value, options[0], path, report)
    fitting = next((option for option in options if _may_fit(value, _bare(option))), None)
    if fitting is not None:
        return _value(value, fitting, path, report)
    report.fault(path, f"expected {expected(shape)}; found {_shown(value)}")
    return _ABSENT


def _may_fit(value: object, shape: inspect.Type) -> bool:
    """Whether a value is of an option's kind; a list's items are looked at later."""
    if isinstance(shape, inspect.VarTupleType):
        return isinstance(value, list)
    return _fits(value, shape)


def _struct(
    value: Mapping[str, object], shape: inspect.StructType, path: KeyPath, report: Report
) -> Any:
    fields = {each.name: each for each in shape.fields}
    kept: dict[str, Any] = {}
    for key, item in value.items():
        if key in fields:
            kept[key] = _value(item, fields[key].type, (*path, key), report)
        else:
            report.fault((*path, key), "unknown key.", did_you_mean(key, fields))
    for key, each in fields.items():
        if each.required and kept.get(key, _ABSENT) is _ABSENT:
            if key not in value:
                report.fault((*path, key), f"missing; expected {expected(each.type)}")
            kept[key] = _placeholder(each.type)
    return shape.cls(**{key: item for key, item in kept.items() if item is not _ABSENT})


def _dict(
    value: Mapping[str, object], shape: inspect.DictType, path: KeyPath, report: Report
) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, item in value.items():
        if not _fits(key, _bare(shape.key_type)):
            report.fault((*path, key), f"the name must be {expected(shape.key_type)}")
            continue
        kept[key] = _value(item, shape.value_type, (*path, key), report)
    return {key: item for key, item in kept.items() if item is not _ABSENT}


def _fits(value: object, shape: inspect.Type) -> bool:
    if isinstance(shape, inspect.LiteralType):
        return value in shape.values and type(value) in {type(each) for each in shape.values}
    if isinstance(shape, inspect.BoolType):
        return isinstance(value, bool)
    if isinstance(shape, inspect.StrType):
        return isinstance(value, str) and _text_fits(value, shape)
    if isinstance(shape, inspect.IntType):
        return isinstance(value, int) and not isinstance(value, bool) and _in_range(value, shape)
    if isinstance(shape, inspect.FloatType):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and math.isfinite(value) and _in_range(value, shape)  # type: ignore[arg-type]
    return False


def _text_fits(value: str, shape: inspect.StrType) -> bool:
    if len(value) < (shape.min_length or 0) or len(value) > (shape.max_length or len(value)):
        return False
    return shape.pattern is None or re.search(shape.pattern, value) is not None


def _in_range(value: float, shape: inspect.IntType | inspect.FloatType) -> bool:
    tests: list[tuple[float | None, Callable[[float], bool]]] = [
        (shape.ge, lambda bound: value >= bound),
        (shape.gt, lambda bound: value > bound),
        (shape.le, lambda bound: value <= bound),
        (shape.lt, lambda bound: value < bound),
    ]
    return all(bound is None or test(bound) for bound, test in tests)


def _placeholder(shape: inspect.Type) -> Any:
    shape = _bare(shape)
    if isinstance(shape, inspect.LiteralType):
        return shape.values[0]
    if isinstance(shape, inspect.StrType):
        return ""
    raise TypeError(f"a required field of type {shape} needs a placeholder")


def _hint(value: object, shape: inspect.Type) -> str | None:
    if isinstance(shape, inspect.LiteralType) and isinstance(value, str):
        names = [str(option) for option in shape.values]
        hint = did_you_mean(value, names)
        return hint if hint and hint.startswith("Did") else None
    return None


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        short = value if len(value) <= 60 else f"{value[:59]}…"
        return '"' + short.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return str(value)
