"""PMML's fields: inputs with what is done to missing and outlying values, and derived fields.

Source: https://dmg.org/pmml/v4-4-1/MiningSchema.html and Transformations.html.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from baluarte.errors import DataError
from baluarte.methods.foreign_columns import (
    Affine,
    Clipped,
    Coded,
    Column,
    Filled,
    InFloat32,
    Number,
    Product,
)
from baluarte.methods.foreign_inputs import Inputs
from baluarte.methods.xml_tree import Element

_COMPARING = frozenset({"SimplePredicate", "CategoricalPredictor"})
_ARITHMETIC = ("+", "-", "*", "/")


@dataclass(slots=True)
class Fields:
    """All fields that a predicate or a predictor may name, as columns."""

    inputs: Inputs
    columns: list[Column] = field(default_factory=list)
    place: dict[str, int] = field(default_factory=dict)
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)  #: of categorical fields

    def column(self, name: str) -> int:
        """The number of a field's column.

        Raises:
            DataError: there is no such field.
        """
        if name not in self.place:
            raise DataError(
                f"the model reads {name!r:.80}, which is no active or derived field",
                where=self.inputs.where,
            )
        return self.place[name]

    def add(self, name: str, column: Column) -> None:
        """A field under its name."""
        self.place[name] = len(self.columns)
        self.columns.append(column)

    def codes(self, name: str, texts: Sequence[str]) -> list[float]:
        """The codes of a categorical field's texts; an unknown text is never met.

        Raises:
            DataError: the field isn't categorical.
        """
        known = self.texts.get(name)
        if known is None:
            raise DataError(
                f"{name} is compared with categories and is none", where=self.inputs.where
            )
        return [float(known.index(text)) for text in texts if text in known]

    def indicator(self, name: str, text: str) -> Column:
        """1 where a categorical field has this text, else 0."""
        known = self.texts.get(name)
        column = self.columns[self.column(name)]
        if known is None or not isinstance(column, Coded):
            raise DataError(f"{name} is no categorical field", where=self.inputs.where)
        values = {other: float(other == text) for other in known}
        return self.inputs.coded(column.input, values, other=0.0, missing=0.0)


def fields_of(pmml: Element, model: Element, where: str) -> Fields:
    """The active fields of a model, and the fields derived from them, in order.

    Raises:
        DataError: a field or a transformation that can't be put as a program.
    """
    dictionary = pmml.one("DataDictionary")
    described = {one.get("name"): one for one in dictionary.all("DataField")} if dictionary else {}
    schema = model.one("MiningSchema")
    active = [
        one
        for one in (schema.all("MiningField") if schema else ())
        if one.get("usageType", "active") == "active"
    ]
    names = [one.get("name") for one in active]
    inputs = Inputs(names=names, where=where)
    fields = Fields(inputs)
    for j, one in enumerate(active):
        name = one.get("name")
        if name not in described:
            raise DataError(f"the field {name!r:.80} isn't in the DataDictionary", where=where)
        data = described[name]
        if data.get("optype") in {"categorical", "ordinal"}:
            _category(fields, j, data, one, model)
        else:
            fields.add(name, _treated(Number(j), data, one, where))
    _derive(fields, pmml.one("TransformationDictionary"))
    _derive(fields, model.one("LocalTransformations"))
    return fields


def _category(fields: Fields, j: int, data: Element, mining: Element, model: Element) -> None:
    name = data.get("name")
    texts = [
        one.get("value") for one in data.all("Value") if one.get("property", "valid") == "valid"
    ] or sorted(_compared(model, name))
    values = {text: float(k) for k, text in enumerate(texts)}
    replaced = mining.attributes.get("missingValueReplacement")
    missing = math.nan if replaced is None else values.get(replaced, float(len(texts)))
    as_missing = mining.get("invalidValueTreatment") == "asMissing"
    other = missing if as_missing else float(len(texts))
    fields.texts[name] = tuple(texts)
    fields.add(name, fields.inputs.coded(j, values, other=other, missing=missing))


def _compared(model: Element, name: str) -> set[str]:
    """Texts that a model compares a field with, where the dictionary lists none."""
    found: set[str] = set()
    waiting = [model]
    while waiting:
        element = waiting.pop()
        waiting += element.children
        if element.get("field") != name and element.get("name") != name:
            continue
        if element.tag in _COMPARING and "value" in element.attributes:
            found.add(element.get("value"))
        for array in element.all("Array"):
            found.update(array_texts(array))
    return found


def array_texts(array: Element) -> list[str]:
    """The items of an array of texts or numbers, quoted or not."""
    out, rest = [], array.text.strip()
    while rest:
        if rest[0] == '"':
            end = 1
            while end < len(rest) and rest[end] != '"':
                end += 2 if rest[end] == "\\" else 1
            out.append(rest[1:end].replace('\\"', '"').replace("\\\\", "\\"))
            rest = rest[end + 1 :].lstrip()
        else:
            item, _, rest = rest.partition(" ")
            out.append(item)
            rest = rest.lstrip()
    return out


def _treated(column: Number, data: Element, mining: Element, where: str) -> Number:
    if data.get("dataType") == "float":
        column = column.then(InFloat32())
    outliers = mining.get("outliers", "asIs")
    if outliers == "asExtremeValues":
        low, high = float(mining.get("lowValue")), float(mining.get("highValue"))
        column = column.then(Clipped(low, high))
    elif outliers != "asIs":
        raise DataError(
            f"outliers {outliers!r:.40} of {data.get('name')} can't be put as a program",
            where=where,
            hint="Leave them as they are, or take asExtremeValues.",
        )
    replaced = mining.attributes.get("missingValueReplacement")
    return column if replaced is None else column.then(Filled(float(replaced)))


# --- derived fields ----------------------------------------------------------------------------


def _derive(fields: Fields, where: Element | None) -> None:
    for derived in where.all("DerivedField") if where is not None else ():
        name = derived.get("name")
        expression = next((one for one in derived.children if one.tag != "Extension"), None)
        if expression is None:
            raise DataError(f"{name!r:.80} is derived from nothing", where=fields.inputs.where)
        if expression.tag == "FieldRef" and expression.get("field") in fields.texts:
            fields.texts[name] = fields.texts[expression.get("field")]
        column = _expression(fields, expression)
        if derived.get("dataType") == "float" and isinstance(column, Number):
            column = column.then(InFloat32())
        fields.add(name, column)


def _expression(fields: Fields, one: Element) -> Column:
    match one.tag:
        case "FieldRef":
            return fields.columns[fields.column(one.get("field"))]
        case "NormDiscrete":
            return fields.indicator(one.get("field"), one.get("value"))
        case "NormContinuous":
            return _norm(fields, one)
        case "Apply":
            return _apply(fields, one)
    raise _refused(fields, one.tag)


def _refused(fields: Fields, what: str) -> DataError:
    return DataError(
        f"the transformation {what!r:.60} can't be put as a program exactly",
        where=fields.inputs.where,
        hint="Supported: FieldRef, NormDiscrete, NormContinuous of two points, and Apply of + - * "
        "/ min max with one constant, or if(isMissing(…)).",
    )


def _norm(fields: Fields, one: Element) -> Column:
    points = [(float(p.get("orig")), float(p.get("norm"))) for p in one.all("LinearNorm")]
    if len(points) != 2 or one.get("outliers", "asIs") != "asIs":
        raise _refused(fields, one.tag)
    (x0, y0), (x1, y1) = points
    slope = (y1 - y0) / (x1 - x0)
    if not slope > 0:
        raise _refused(fields, "NormContinuous that falls")
    column = fields.columns[fields.column(one.get("field"))]
    return column.then(Product(1.0, -x0)).then(Product(slope, y0))


def _apply(fields: Fields, one: Element) -> Column:
    function = one.get("function")
    parts = [part for part in one.children if part.tag != "Extension"]
    if function == "if" and len(parts) == 3:
        return _if_missing(fields, parts)
    if len(parts) != 2 or function not in (*_ARITHMETIC, "min", "max"):
        raise _refused(fields, f"Apply {function}")
    first, second = parts
    if first.tag == "Constant" and function in {"+", "*", "min", "max"}:
        first, second = second, first
    if second.tag != "Constant":
        raise _refused(fields, f"Apply {function} of two fields")
    column, value = _expression(fields, first), float(second.text)
    match function:
        case "+":
            return column.then(Product(1.0, value))
        case "-":
            return column.then(Product(1.0, -value))
        case "min":
            return column.then(Clipped(-math.inf, value))
        case "max":
            return column.then(Clipped(value, math.inf))
    if not value > 0:
        raise _refused(fields, f"Apply {function} with a constant that is not above 0")
    return column.then(Product(value) if function == "*" else Affine(0.0, value))


def _if_missing(fields: Fields, parts: list[Element]) -> Column:
    """``if(isMissing(x), c, x)`` and ``if(isNotMissing(x), x, c)``."""
    condition, yes, no = parts
    asked = condition.get("function") if condition.tag == "Apply" else ""
    filler, kept = (yes, no) if asked == "isMissing" else (no, yes)
    same = condition.children and condition.children[0].get("field") == kept.get("field")
    if asked not in {"isMissing", "isNotMissing"} or filler.tag != "Constant" or not same:
        raise _refused(fields, "Apply if")
    return _expression(fields, kept).then(Filled(float(filler.text)))
