"""PMML's trees: nodes with predicates, in their order, as nodes that compare once each.

Source: https://dmg.org/pmml/v4-4-1/TreeModel.html; the strategies for missing values are its.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.shape import MAX_DEPTH
from baluarte.errors import DataError
from baluarte.methods.foreign_trees import AMONG, AT_MOST, BELOW, ForeignTree
from baluarte.methods.pmml_fields import Fields, array_texts
from baluarte.methods.xml_tree import Element

_MAX_NODES = 1 << 22
_COMPARED = {
    "lessOrEqual": (AT_MOST, False),
    "lessThan": (BELOW, False),
    "greaterThan": (AT_MOST, True),
    "greaterOrEqual": (BELOW, True),
    "equal": (AMONG, False),
    "notEqual": (AMONG, True),
}  #: the comparison, and whether the predicate is its opposite
_PREDICATES = frozenset(
    {"True", "False", "SimplePredicate", "SimpleSetPredicate", "CompoundPredicate"}
)

Score = Callable[[Element], float]


@dataclass(frozen=True, slots=True)
class _Test:
    """A predicate: a comparison of one column, or constant."""

    column: int = -1
    how: int = AT_MOST
    threshold: float = 0.0
    opposite: bool = False
    members: tuple[float, ...] = ()
    missing: bool | None = None  #: what it is of a missing value; None: not known
    always: bool | None = None  #: constant

    def completes(self, other: _Test) -> bool:
        """Whether one of the two is true of every value that is there."""
        same = (self.column, self.how, self.threshold, self.members)
        theirs = (other.column, other.how, other.threshold, other.members)
        return same == theirs and self.opposite != other.opposite and self.always is None


@dataclass(slots=True)
class _Nodes:
    """Nodes as they are found; a slot is filled once."""

    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    tests: list[_Test] = field(default_factory=list)
    nan_left: list[bool] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def slot(self) -> int:
        """Room for one more node."""
        if len(self.left) >= _MAX_NODES:
            raise DataError(f"expected trees of at most {_MAX_NODES} nodes")
        for column, empty in ((self.left, -1), (self.right, -1)):
            column.append(empty)
        self.tests.append(_Test())
        self.nan_left.append(False)
        self.value.append(0.0)
        return len(self.left) - 1

    def split(self, slot: int, test: _Test, *, missing: bool) -> tuple[int, int]:
        """Make a slot compare; (where the predicate is true, where it isn't)."""
        yes, no = self.slot(), self.slot()
        self.left[slot], self.right[slot] = (no, yes) if test.opposite else (yes, no)
        self.tests[slot] = test
        self.nan_left[slot] = missing != test.opposite
        return yes, no


def tree_of(model: Element, fields: Fields, score: Score) -> tuple[ForeignTree, set[int]]:
    """A TreeModel's nodes, and the columns of which it doesn't say what missing values do.

    Args:
        score: what a node gives if the way ends there.

    Raises:
        DataError: a predicate or a strategy that can't be put as a program.
    """
    root = model.one("Node")
    if root is None:
        raise DataError("a tree has no node", where=fields.inputs.where)
    strategy = model.get("missingValueStrategy", "none")
    if strategy not in {"none", "defaultChild", "lastPrediction", "nullPrediction"}:
        raise DataError(
            f"the strategy {strategy!r:.40} for missing values can't be put as a program",
            where=fields.inputs.where,
            hint="Export with defaultChild, lastPrediction or none.",
        )
    grown = _Growth(
        fields=fields,
        score=score,
        by_default=strategy == "defaultChild",
        keeps_last=strategy == "lastPrediction"
        or (strategy == "none" and model.get("noTrueChildStrategy") == "returnLastPrediction"),
    )
    grown.grow(root)
    return grown.tree(), grown.undefined


@dataclass(slots=True, kw_only=True)
class _Growth:
    fields: Fields
    score: Score
    by_default: bool
    keeps_last: bool
    nodes: _Nodes = field(default_factory=_Nodes)
    undefined: set[int] = field(default_factory=set)

    def grow(self, root: Element) -> None:
        """Fill a slot for every node, without recursion."""
        if self._test(root).always is not True:
            raise DataError("expected a root that is always true", where=self.fields.inputs.where)
        waiting = [(root, self.nodes.slot(), 0)]
        while waiting:
            element, slot, depth = waiting.pop()
            if depth > MAX_DEPTH:
                raise DataError(f"expected trees at most {MAX_DEPTH} deep")
            for child, at in self._children(element, slot):
                waiting.append((child, at, depth + 1))

    def _children(self, element: Element, slot: int) -> Iterable[tuple[Element, int]]:
        """Compare for each child in turn; the first whose predicate is true is taken."""
        children = list(element.all("Node"))
        if not children:
            self.nodes.value[slot] = self.score(element)
            return
        tests = [self._test(child) for child in children]
        keeps = self.keeps_last and (
            "score" in element.attributes or element.one("ScoreDistribution") is not None
        )
        default = element.get("defaultChild")
        for i, (child, test) in enumerate(zip(children, tests, strict=True)):
            if test.always is True:
                yield child, slot
                return
            if test.always is False:
                continue
            missing = test.missing
            if missing is None and self.by_default and default:
                missing = child.get("id") == default
            last = i == len(children) - 1
            if (
                last
                and i
                and test.completes(tests[i - 1])
                and self._decided(tests[i - 1], test, keeps=keeps)
            ):
                yield child, slot  # what the one before it left over, missing values with it
                return
            yes, slot = self.nodes.split(slot, test, missing=bool(missing))
            yield child, yes
        if not keeps:
            raise DataError(
                "a node leaves values for which no child is true, and no prediction is stated",
                where=self.fields.inputs.where,
                hint='Export with noTrueChildStrategy="returnLastPrediction" or complete splits.',
            )
        self.nodes.value[slot] = self.score(element)

    def _decided(self, first: _Test, second: _Test, *, keeps: bool) -> bool:
        """Whether missing values may go with the last child, too."""
        if first.missing or second.missing or self.by_default:
            return True
        if not keeps:
            self.undefined.add(second.column)  # the model gives nothing for them
        return not keeps

    def _test(self, node: Element) -> _Test:
        found = [one for one in node.children if one.tag in _PREDICATES]
        if len(found) != 1:
            raise DataError(
                "expected one predicate of a node that can be put as a program",
                where=self.fields.inputs.where,
            )
        return self._predicate(found[0])

    def _predicate(self, one: Element) -> _Test:
        match one.tag:
            case "True" | "False":
                return _Test(always=one.tag == "True")
            case "SimplePredicate":
                return self._simple(one)
            case "SimpleSetPredicate":
                array = one.one("Array")
                texts = array_texts(array) if array is not None else []
                opposite = one.get("booleanOperator") == "isNotIn"
                return self._among(one.get("field"), texts, opposite=opposite)
        return self._compound(one)

    def _simple(self, one: Element) -> _Test:
        name, operator = one.get("field"), one.get("operator")
        column = self.fields.column(name)
        if operator in {"isMissing", "isNotMissing"}:
            wanted = operator == "isMissing"
            if name in self.fields.texts:
                return _Test(column, AMONG, opposite=not wanted, missing=wanted)
            return _Test(column, AT_MOST, -math.inf, opposite=not wanted, missing=wanted)
        if operator not in _COMPARED:
            raise DataError(
                f"the operator {operator!r:.40} can't be put as a program",
                where=self.fields.inputs.where,
            )
        how, opposite = _COMPARED[operator]
        if how == AMONG:
            return self._among(name, [one.get("value")], opposite=opposite)
        return _Test(column, how, float(one.get("value")), opposite=opposite)

    def _among(self, name: str, texts: list[str], *, opposite: bool) -> _Test:
        codes = (
            self.fields.codes(name, texts)
            if name in self.fields.texts
            else [float(text) for text in texts]
        )
        members = tuple(sorted(codes))
        return _Test(self.fields.column(name), AMONG, opposite=opposite, members=members)

    def _compound(self, one: Element) -> _Test:
        """A comparison that says itself what a missing value is."""
        parts = [part for part in one.children if part.tag in _PREDICATES]
        tests = [self._predicate(part) for part in parts]
        operator = one.get("booleanOperator")
        if len(tests) == 2:
            first, second = tests
            if operator == "surrogate" and second.always is not None:
                return _missing_is(first, missing=second.always)
            if operator == "or" and first.missing and second.missing is None:
                first, second = second, first
            if operator == "or" and second.missing and _only_missing(second):
                return _missing_is(first, missing=True)
        raise DataError(
            f"a compound predicate ({operator!r:.40}) of {len(tests)} parts can't be put as a "
            "program",
            where=self.fields.inputs.where,
            hint="Supported: surrogate of one comparison and True or False, or a comparison or "
            "isMissing.",
        )

    def tree(self) -> ForeignTree:
        """All nodes."""
        nodes = self.nodes
        tests = nodes.tests
        return ForeignTree(
            left=np.array(nodes.left, dtype=np.int64),
            right=np.array(nodes.right, dtype=np.int64),
            column=np.array([max(test.column, 0) for test in tests], dtype=np.int64),
            how=np.array([test.how for test in tests], dtype=np.int64),
            threshold=np.array([test.threshold for test in tests], dtype=np.float64),
            nan_left=np.array(nodes.nan_left, dtype=bool),
            value=np.array(nodes.value, dtype=np.float64),
            sets={i: _members(test) for i, test in enumerate(tests) if test.how == AMONG},
        )


def _members(test: _Test) -> NDArray[np.float64]:
    return np.array(test.members, dtype=np.float64)


def _only_missing(test: _Test) -> bool:
    return test.missing is True and not test.members and test.threshold in {0.0, -math.inf}


def _missing_is(test: _Test, *, missing: bool) -> _Test:
    return _Test(
        test.column, test.how, test.threshold, test.opposite, test.members, missing=missing
    )
