"""PMML: trees, sums and averages of trees, and regressions.

There is no one library for it, so the certificate compares with our own float64 evaluation of the
file, and says so. What a model leaves open for missing values is refused where your rows have them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from baluarte.core.adopted import LibraryOutput, ModelInput, Scale
from baluarte.core.program.draft import Draft
from baluarte.errors import DataError
from baluarte.methods.foreign_columns import Column
from baluarte.methods.foreign_sums import Additive, total
from baluarte.methods.foreign_text import refuse_damaged
from baluarte.methods.pmml_fields import Fields, fields_of
from baluarte.methods.pmml_trees import tree_of
from baluarte.methods.xml_tree import Element, read_xml
from baluarte.ports import ForeignModel, Matrix

_MODELS = frozenset({"TreeModel", "MiningModel", "RegressionModel"})
_MAX_NESTED = 8
_LINKS = ("logit", "softmax", "simplemax")


class Pmml:
    """Reads PMML 4."""

    name: ClassVar[str] = "pmml"

    def recognises(self, name: str, head: bytes) -> bool:  # noqa: ARG002 - the port's
        """By its root element."""
        return b"<PMML" in head

    def read(self, data: bytes, *, positive: str | None, where: str) -> ForeignModel:
        """The file's one model."""
        with refuse_damaged("a PMML model", where):
            pmml = read_xml(data)
            if pmml.tag != "PMML":
                raise DataError(f"expected PMML, found {pmml.tag!r:.60}", where=where)
            models = [one for one in pmml.children if one.tag in _MODELS]
            if len(models) != 1:
                there = ", ".join(sorted({one.tag for one in pmml.children}))
                raise DataError(
                    f"expected one {', '.join(sorted(_MODELS))}; found {there:.200}",
                    where=where,
                    hint="Other models of PMML can't be adopted.",
                )
            fields = fields_of(pmml, models[0], where)
            reading = _Reading(fields=fields, positive=positive, where=where)
            found, scale = reading.model(models[0], {}, 0)
            whole = {
                fields.columns[int(tree.column[i])].input
                for tree in found.trees
                for i in tree.sets
                if tree.sets[i].size
            }
            inputs = fields.inputs.finished(
                [*fields.columns, *(column for column, _ in found.terms)],
                whole=sorted(whole),
                undefined=sorted(reading.undefined),
            )
            header = pmml.one("Header")
            application = header.one("Application") if header is not None else None
            maker = application.get("name") if application is not None else ""
            return PmmlModel(
                read_as=f"pmml {pmml.get('version')}, {maker}".rstrip(", ")[:80],
                scale=scale,
                inputs=inputs,
                columns=tuple(fields.columns),
                sum=found,
                where=where,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PmmlModel:
    """A model in PMML."""

    read_as: str
    scale: Scale
    inputs: tuple[ModelInput, ...]
    columns: tuple[Column, ...]
    sum: Additive
    where: str

    def draft(self, rows: Matrix) -> Draft:
        """The sum over the active fields."""
        with refuse_damaged("a PMML model", self.where):
            return self.sum.draft(self.columns, n_inputs=len(self.inputs), rows=rows)

    def by_library(self, rows: Matrix) -> LibraryOutput | None:  # noqa: ARG002 - the port's
        """None: no library is PMML's own."""
        return None


Outputs = Mapping[str, Additive]  #: what earlier models of a chain gave, by the name of the field


@dataclass(slots=True, kw_only=True)
class _Reading:
    fields: Fields
    positive: str | None
    where: str
    undefined: set[int] = field(default_factory=set)

    def model(self, model: Element, given: Outputs, depth: int) -> tuple[Additive, Scale]:
        """A model as a sum on its scale.

        Raises:
            DataError: its output is no sum.
        """
        if depth > _MAX_NESTED:
            raise DataError(f"expected models at most {_MAX_NESTED} deep", where=self.where)
        if depth and model.one("LocalTransformations") is not None:
            raise DataError("a nested model derives fields of its own", where=self.where)
        if model.tag == "RegressionModel":
            return self._regression(model, given)
        if model.tag == "TreeModel":
            found, scale = self._tree(model)
        elif model.tag == "MiningModel":
            found, scale = self._mining(model, given, depth)
        else:
            raise DataError(f"a {model.tag!r:.60} inside can't be adopted", where=self.where)
        return _rescaled(found, model), scale

    # --- trees and sums of models ---

    def _tree(self, model: Element) -> tuple[Additive, Scale]:
        classifies = model.get("functionName") == "classification"
        score: Callable[[Element], float] = self._share if classifies else _score
        tree, undefined = tree_of(model, self.fields, score)
        self.undefined |= undefined
        return Additive(trees=(tree,)), "probability" if classifies else "raw"

    def _share(self, node: Element) -> float:
        """The share of the attack at a node, or whether the node says attack."""
        distribution = list(node.all("ScoreDistribution"))
        wanted = self._attack([one.get("value") for one in distribution])
        if not distribution:
            return float(node.get("score") == wanted)
        key = next(
            (k for k in ("probability", "confidence") if k in distribution[0].attributes),
            "recordCount",
        )
        counts = {one.get("value"): float(one.get(key)) for one in distribution}
        everything = sum(counts.values()) if key == "recordCount" else 1.0
        return counts.get(wanted, 0.0) / everything

    def _attack(self, classes: list[str]) -> str:
        """The class that is the attack: the one that was named, else the second of two."""
        if self.positive is not None:
            if classes and self.positive not in classes:
                raise DataError(
                    f"expected one of {', '.join(classes)[:200]}; found {self.positive!r}",
                    where="--positive",
                )
            return self.positive
        ordered = sorted(set(classes))
        if ordered in (["0", "1"], ["false", "true"]):
            return ordered[1]
        raise DataError(
            f"which class is the attack? The model has {', '.join(classes)[:200]}",
            where="--positive",
            hint="Name it.",
        )

    def _mining(self, model: Element, given: Outputs, depth: int) -> tuple[Additive, Scale]:
        segmentation = model.one("Segmentation")
        segments = list(segmentation.all("Segment")) if segmentation is not None else []
        if segmentation is None or not segments:
            raise DataError("a mining model has no segments", where=self.where)
        if any(segment.one("True") is None for segment in segments):
            raise DataError(
                "a segment is only for some rows, which is no sum",
                where=self.where,
                hint="Adopt the models one by one.",
            )
        how = segmentation.get("multipleModelMethod")
        if how == "modelChain":
            return self._chain(segments, given, depth)
        found = [self.model(_inside(segment, self.where), given, depth + 1) for segment in segments]
        if len({scale for _, scale in found}) != 1 or found[0][1] == "log-odds":
            raise DataError("a sum of models on different scales", where=self.where)
        weights = [float(segment.get("weight", "1")) for segment in segments]
        shares = {
            "sum": [1.0] * len(found),
            "weightedSum": weights,
            "average": [1.0 / len(found)] * len(found),
            "weightedAverage": [weight / sum(weights) for weight in weights],
        }.get(how)
        if shares is None:
            raise DataError(
                f"models that are joined by {how!r:.40} are no sum",
                where=self.where,
                hint="Supported: sum, weightedSum, average, weightedAverage, modelChain.",
            )
        parts = [one.times(w) for (one, _), w in zip(found, shares, strict=True)]
        return total(parts), found[0][1]

    def _chain(self, segments: list[Element], given: Outputs, depth: int) -> tuple[Additive, Scale]:
        """Models one after another: a later one may weigh what an earlier one gave."""
        known = dict(given)
        found: tuple[Additive, Scale] | None = None
        for segment in segments:
            model = _inside(segment, self.where)
            found = self.model(model, known, depth + 1)
            output = model.one("Output")
            for one in output.all("OutputField") if output is not None else ():
                given_out = _output(one, found[0], known)
                if given_out is not None:
                    known[one.get("name")] = given_out
        if found is None:
            raise DataError("a chain without models", where=self.where)
        return found

    # --- regressions ---

    def _regression(self, model: Element, given: Outputs) -> tuple[Additive, Scale]:
        tables = list(model.all("RegressionTable"))
        link = model.get("normalizationMethod", "none")
        if model.get("functionName") != "classification":
            if link not in {"none", "logit"} or len(tables) != 1:
                raise DataError(
                    f"a regression with {link!r:.40} of {len(tables)} tables is no sum",
                    where=self.where,
                )
            return self._table(tables[0], given), "log-odds" if link == "logit" else "raw"
        classes = [table.get("targetCategory") for table in tables]
        if len(tables) != 2 or link not in _LINKS:
            raise DataError(
                f"a regression with {link!r:.40} over {len(tables)} classes has no additive score",
                where=self.where,
                hint="Train it with two classes (attack or not).",
            )
        place = classes.index(self._attack(classes))
        first = self._table(tables[0], given)
        if link == "logit":  # the second class has what the first one leaves
            return (first if place == 0 else first.times(-1.0)), "log-odds"
        both = [first, self._table(tables[1], given)]
        if link == "simplemax":
            raise DataError("simplemax is no sum", where=self.where)
        return total([both[place], both[1 - place].times(-1.0)]), "log-odds"

    def _table(self, table: Element, given: Outputs) -> Additive:
        parts = [Additive(base=float(table.get("intercept", "0")))]
        for one in table.children:
            if one.tag == "Extension":
                continue
            weight = float(one.get("coefficient", "0"))
            name = one.get("name")
            if one.tag == "CategoricalPredictor":
                column = self.fields.indicator(name, one.get("value"))
                parts.append(Additive(terms=((column, weight),)))
            elif one.tag == "NumericPredictor" and float(one.get("exponent", "1")) == 1.0:
                if name in given:
                    parts.append(given[name].times(weight))
                    continue
                k = self.fields.column(name)
                self.undefined.add(k)
                parts.append(Additive(terms=((self.fields.columns[k], weight),)))
            else:
                raise DataError(
                    f"a {one.tag!r:.40} with an exponent is no linear term", where=self.where
                )
        return total(parts)


def _inside(segment: Element, where: str) -> Element:
    found = [one for one in segment.children if one.tag.endswith("Model")]
    if len(found) != 1:
        raise DataError("expected one model in a segment", where=where)
    return found[0]


def _score(node: Element) -> float:
    return float(node.get("score"))


def _rescaled(found: Additive, model: Element) -> Additive:
    """What a model's target does to its number."""
    targets = model.one("Targets")
    target = targets.one("Target") if targets is not None else None
    if target is None:
        return found
    if {"min", "max", "castInteger"} & target.attributes.keys():
        raise DataError("a target that cuts or rounds its number is no sum")
    factor = float(target.get("rescaleFactor", "1"))
    constant = float(target.get("rescaleConstant", "0"))
    scaled = found.times(factor)
    return replace(scaled, base=scaled.base + constant)


def _output(one: Element, found: Additive, known: Outputs) -> Additive | None:
    """What an output field holds: the prediction, or a number made of it by + and *."""
    feature = one.get("feature", "predictedValue")
    if feature == "predictedValue":
        return found
    apply = one.one("Apply")
    if feature != "transformedValue" or apply is None:
        return None
    return _transformed(apply, known, 0)


def _transformed(one: Element, known: Outputs, depth: int) -> Additive | None:
    if one.tag == "FieldRef":
        return known.get(one.get("field"))
    if one.tag == "Constant":
        return Additive(base=float(one.text))
    if one.tag != "Apply" or depth > _MAX_NESTED or len(one.children) != 2:
        return None
    first, second = (_transformed(part, known, depth + 1) for part in one.children)
    if first is None or second is None:
        return None
    return _applied(one.get("function"), first, second)


def _applied(function: str, first: Additive, second: Additive) -> Additive | None:
    if function in {"+", "-"}:
        return total([first, second.times(1.0 if function == "+" else -1.0)])
    if function == "*" and not (first.trees or first.terms):
        first, second = second, first
    if function != "*" or second.trees or second.terms:
        return None
    return first.times(second.base)
