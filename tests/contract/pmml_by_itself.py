"""A second reading of PMML, for the tests alone: it walks the document for one row at a time.

It shares nothing with the package: ElementTree, dictionaries and the specification's own words.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

NS = "{http://www.dmg.org/PMML-4_4}"
Row = dict[str, object]
MODELS = ("TreeModel", "MiningModel", "RegressionModel")


def raw_score(text: bytes, row: Row, positive: str = "1") -> float | None:
    """The additive score of the row: a share, a sum, or what stands before the logit."""
    root = ET.fromstring(text)
    model = next(one for one in root if one.tag in [NS + name for name in MODELS])
    known = dict(row)
    for field in model.find(NS + "MiningSchema"):
        name = field.get("name")
        if known.get(name) is None and field.get("missingValueReplacement") is not None:
            known[name] = float(field.get("missingValueReplacement"))
    for derived in root.iter(NS + "DerivedField"):
        known[derived.get("name")] = expression(derived[0], known)
    return of_model(model, known, positive)


def expression(one: ET.Element, row: Row) -> float | None:
    kind = one.tag.removeprefix(NS)
    if kind == "FieldRef":
        return row[one.get("field")]
    if kind == "Constant":
        return float(one.text)
    a, b = (expression(part, row) for part in one)
    if a is None or b is None:
        return None
    return {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else math.nan}[one.get("function")]


def of_model(model: ET.Element, row: Row, positive: str) -> float | None:
    kind = model.tag.removeprefix(NS)
    if kind == "TreeModel":
        return of_tree(model, row, positive)
    if kind == "RegressionModel":
        return of_regression(model, row, positive)
    segmentation = model.find(NS + "Segmentation")
    results, weights = [], []
    for segment in segmentation.findall(NS + "Segment"):
        inner = segment[-1]
        result = of_model(inner, row, positive)
        results.append(result)
        weights.append(float(segment.get("weight", "1")))
        for output in inner.iter(NS + "OutputField"):
            if output.get("feature") == "predictedValue":
                row[output.get("name")] = result
            elif output.get("feature") == "transformedValue":
                row[output.get("name")] = expression(output[0], row)
    return joined(segmentation.get("multipleModelMethod"), results, weights)


def joined(how: str, results: list[float], weights: list[float]) -> float:
    if how == "modelChain":
        return results[-1]
    if how == "sum":
        return math.fsum(results)
    if how == "average":
        return math.fsum(results) / len(results)
    assert how == "weightedAverage"
    return math.fsum(r * w for r, w in zip(results, weights, strict=True)) / math.fsum(weights)


def of_regression(model: ET.Element, row: Row, positive: str) -> float | None:
    tables = model.findall(NS + "RegressionTable")
    first = tables[0]
    value = float(first.get("intercept", "0"))
    for one in first:
        if one.tag == NS + "NumericPredictor":
            value += float(one.get("coefficient")) * row[one.get("name")]
        elif row[one.get("name")] == one.get("value"):
            value += float(one.get("coefficient"))
    return value if first.get("targetCategory") == positive else -value


def of_tree(model: ET.Element, row: Row, positive: str) -> float | None:
    node = model.find(NS + "Node")
    strategy = model.get("missingValueStrategy", "none")
    while True:
        children = node.findall(NS + "Node")
        if not children:
            return score(node, positive)
        truths = [(child, truth(predicate(child), row)) for child in children]
        taken = None
        for child, true in truths:
            if true is None and strategy == "defaultChild":
                taken = next(c for c in children if c.get("id") == node.get("defaultChild"))
                break
            if true:
                taken = child
                break
        if taken is None:
            keeps = strategy == "lastPrediction" or (
                model.get("noTrueChildStrategy") == "returnLastPrediction"
            )
            return score(node, positive) if keeps else None
        node = taken


def predicate(node: ET.Element) -> ET.Element:
    return next(one for one in node if one.tag.endswith(("Predicate", "True", "False")))


def truth(one: ET.Element, row: Row) -> bool | None:
    kind = one.tag.removeprefix(NS)
    if kind in {"True", "False"}:
        return kind == "True"
    if kind == "CompoundPredicate":
        parts = [truth(part, row) for part in one]
        if one.get("booleanOperator") == "surrogate":
            return next((part for part in parts if part is not None), None)
        return True if any(parts) else (None if None in parts else False)
    value = row[one.get("field")]
    operator = one.get("operator")
    if operator in {"isMissing", "isNotMissing"}:
        return (value is None) == (operator == "isMissing")
    if value is None:
        return None
    if kind == "SimpleSetPredicate":
        among = value in one[0].text.replace('"', "").split()
        return among if one.get("booleanOperator") == "isIn" else not among
    if isinstance(value, str):
        return (value == one.get("value")) == (operator == "equal")
    bound = float(one.get("value"))
    return {
        "lessThan": value < bound,
        "lessOrEqual": value <= bound,
        "greaterThan": value > bound,
        "greaterOrEqual": value >= bound,
    }[operator]


def score(node: ET.Element, positive: str) -> float | None:
    shares = {one.get("value"): one for one in node.findall(NS + "ScoreDistribution")}
    if shares:
        return float(shares[positive].get("confidence"))
    return None if node.get("score") is None else float(node.get("score"))
