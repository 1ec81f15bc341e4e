"""The least change of all, proved, for programs of trees, tables and linear terms on a grid.

A box is a set of values for each field. Its cheapest corner costs no more than any change in it;
the sum of the smallest leaves that each tree can still reach bounds its scores from below. Boxes
are taken by cost: one that can't reach the goal is dropped, one whose cheapest corner does is the
answer, every other is split in two. Stopped early, the cheapest box left bounds the cost of every
change that was not looked at.

Source: Land & Doig, Econometrica 28(3), 1960; bounds by tree as in Chen et al., NeurIPS 2019
("Robustness verification of tree-based models").
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.counterfactual import Answer, Axis, Question
from baluarte.core.program.model import LinearPart, Program, TreePart
from baluarte.core.program.shape import shape_of
from baluarte.core.program.vector import goes_left, linear_terms
from baluarte.errors import DataError

BOXES = 16  #: that are bounded at a time
TRIED = 6  #: fields that a box may be split by are weighed against one another
MAX_ANSWERS = 1 << 26  #: splits times values that are kept
FIELDS = 1 << 10  #: a changed field costs this part of a millionth, so that fewer is less

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class BranchAndBound:
    """Meets ``ports.CounterfactualSearch``."""

    name: ClassVar[str] = "branch_and_bound"
    proves: ClassVar[bool] = True

    def find(
        self, question: Question, *, known: Answer | None, stop: Callable[[int], bool]
    ) -> Answer | None:
        """The least change, or the least known one with a bound where it was stopped.

        Raises:
            DataError: the program has parts or columns that this can't bound.
        """
        refuse_unbounded(question)
        most = None if known is None else _key(known.cost, len(known.values))
        near = replace(question, axes=_worth_it(question.axes, most))
        bounds = _Bounds(near)
        return _search(near, bounds, known, most, stop)


def refuse_unbounded(question: Question) -> None:
    """Refuse what has no exact answer here.

    Raises:
        DataError: says which part or column, and what to do.
    """
    parts = question.evaluator.program.parts
    odd = [type(part).__name__ for part in parts if not _bounded(part)]
    open_axes = [axis.field for axis in question.axes if not axis.complete]
    if odd or open_axes:
        found = f"a {odd[0]}" if odd else f"{open_axes[0]}, which is read between its steps"
        raise DataError(
            f"the least change is proved for trees, tables and grids only; found {found}",
            hint="Leave --exact out: the quick search works for every program.",
        )


def _bounded(part: object) -> bool:
    return isinstance(part, TreePart | LinearPart)


def _key(cost: int, n_fields: int) -> int:
    return cost * FIELDS + n_fields


def _worth_it(axes: tuple[Axis, ...], most: int | None) -> tuple[Axis, ...]:
    """The axes without the values that cost more than a known change."""
    if most is None:
        return axes
    cut = []
    for axis in axes:
        n = int(np.searchsorted(axis.costs * FIELDS, most, side="right"))
        if n > 1:
            cut.append(replace(axis, values=axis.values[:n], costs=axis.costs[:n]))
    return tuple(cut)


@dataclass(frozen=True, slots=True)
class _Trees:
    """An ensemble of which every node asks one of a table of questions."""

    part: TreePart
    levels: tuple[Ints, ...]
    question: Ints  #: (N,) row of the node's question


@dataclass(frozen=True, slots=True)
class _Test:
    """The questions about one axis.

    ``answers``: where all are comparisons (rank given), how many values in ascending order go left;
    else (questions, values) whether each does.
    """

    rows: Ints
    answers: NDArray[Any]
    rank: Ints | None  #: (m,) place of each value of the axis in ascending order


class _Bounds:
    """Lower bounds of what a box must still be short of."""

    def __init__(self, question: Question) -> None:
        self._question, self.axes = question, question.axes
        self.sizes = [len(axis.values) for axis in question.axes]
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)
        self._sign = 1 if question.goal.below else -1
        program = question.evaluator.program
        self._base = self._sign * program.base
        self._asked: list[Mask] = []  # of each question, which values of its axis go left
        self._of_axis: list[int] = []
        self._trees = [self._tree(p) for p in program.parts if isinstance(p, TreePart)]
        self._tests = [self._test(axis) for axis in range(-1, len(self.axes))]
        self._terms = self._linear(program)
        self._weights: list[int] | None = None
        limit = question.goal.limit
        self._limit = limit if question.goal.below else -(limit + 1)

    def by_weight(self) -> list[int]:
        """The axes, first those which, held where they are, leave all the rest furthest off."""
        if self._weights is None:
            boxes = np.ones((len(self.axes), int(self.starts[-1])), np.bool_)
            for axis in range(len(self.axes)):
                boxes[axis, self.starts[axis] + 1 : self.starts[axis + 1]] = False
            self._weights = np.argsort(-self.least(boxes), kind="stable").tolist()
        return self._weights

    def _tree(self, part: TreePart) -> _Trees:
        """Nodes that ask the same of the same column share one row of answers."""
        shape = shape_of(part.root, part.left, part.right, len(part.leaf))
        asked = np.empty(len(part.feature), np.int64)
        at_axis = {axis.column: i for i, axis in enumerate(self.axes)}
        for column in np.unique(part.feature).tolist():
            nodes = np.flatnonzero(part.feature == column)
            kinds = np.stack(
                [part.threshold[nodes].view(np.int64), part.flags[nodes], part.set_index[nodes]],
                axis=1,
            )
            _, first, which = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
            asked[nodes] = len(self._asked) + which.ravel()
            axis = at_axis.get(column, -1)
            values = self._question.x[[column]] if axis < 0 else self.axes[axis].values
            held = sum(answers.size for answers in self._asked) + len(first) * len(values)
            if held > MAX_ANSWERS:
                raise DataError(
                    "the program has too many splits for an exact search",
                    hint="Leave --exact out: the quick search works for every program.",
                )
            for node in nodes[first].tolist():
                same = np.full(len(values), node)
                self._asked.append(goes_left(part, same, values))
                self._of_axis.append(axis)
        return _Trees(part, shape.levels, asked)

    def _linear(self, program: Program) -> list[Ints]:
        """For each axis (m,) what its terms say at each of its values; the rest joins the base."""
        x, own = self._question.x, {axis.column: i for i, axis in enumerate(self.axes)}
        terms = [np.zeros(size, np.int64) for size in self.sizes]
        for part in program.parts:
            if not isinstance(part, LinearPart):
                continue
            for column, _, at in linear_terms(part, x[None, :]):
                if column not in own:
                    self._base += self._sign * int(at[0])
            for axis, size in enumerate(self.sizes):
                X = np.repeat(x[None, :], size, axis=0)
                X[:, self.axes[axis].column] = self.axes[axis].values
                for column, _, at in linear_terms(part, X):
                    if column == self.axes[axis].column:
                        terms[axis] += self._sign * at
        return terms

    def least(self, boxes: Mask) -> Ints:
        """(b,) what the best point of each box is short of at least; (b, Σ sizes) boxes."""
        total = np.full(len(boxes), self._base - self._limit, np.int64)
        for axis, term in enumerate(self._terms):
            mine = boxes[:, self.starts[axis] : self.starts[axis + 1]]
            total += np.where(mine, term, 2**62).min(axis=1)
        left, right = self._possible(boxes)
        for trees in self._trees:
            total += self._smallest(trees, left, right)
        return total

    def _test(self, axis: int) -> _Test:
        """The questions about an axis (-1: about no axis), made ready for :meth:`_possible`."""
        rows = np.flatnonzero(np.array(self._of_axis, np.int64) == axis)
        n = self.sizes[axis] if axis >= 0 else 1
        held = [self._asked[row] for row in rows.tolist()]
        answers = np.array(held, np.bool_).reshape(len(rows), n)
        if axis < 0 or np.isnan(self.axes[axis].values).any():
            return _Test(rows=rows, answers=answers, rank=None)
        order = np.argsort(self.axes[axis].values, kind="stable")
        rank = np.empty(n, np.int64)
        rank[order] = np.arange(n)
        sorted_answers = answers[:, order].astype(np.int8)
        if (np.diff(sorted_answers, axis=1) > 0).any():  # a set of categories, or zero apart
            return _Test(rows=rows, answers=answers, rank=None)
        return _Test(rows=rows, answers=sorted_answers.sum(axis=1, dtype=np.int64), rank=rank)

    def _possible(self, boxes: Mask) -> tuple[Mask, Mask]:
        """(questions, b) whether some value of the box goes left, and whether some goes right."""
        left = np.empty((len(self._asked), len(boxes)), np.bool_)
        right = np.empty_like(left)
        for axis, test in enumerate(self._tests, -1):
            if axis < 0:
                left[test.rows], right[test.rows] = test.answers, ~test.answers
                continue
            mine = boxes[:, self.starts[axis] : self.starts[axis + 1]]
            if test.rank is None:
                inside = mine.T.astype(np.float32)
                left[test.rows] = test.answers.astype(np.float32) @ inside > 0
                right[test.rows] = (~test.answers).astype(np.float32) @ inside > 0
            else:
                first = np.where(mine, test.rank, len(test.rank)).min(axis=1)
                last = np.where(mine, test.rank, -1).max(axis=1)
                left[test.rows] = first[None, :] < test.answers[:, None]
                right[test.rows] = last[None, :] >= test.answers[:, None]
        return left, right

    def _smallest(self, trees: _Trees, left: Mask, right: Mask) -> Ints:
        """(b,) sum over the trees of the least leaf that can be reached."""
        part, n = trees.part, left.shape[1]
        n_nodes = len(part.left)
        # Nodes, then leaves: the least under a reference r >= 0 is row r, of a leaf ~r row N + ~r.
        least = np.empty((n_nodes + len(part.leaf), n), np.int64)
        least[n_nodes:] = (self._sign * part.leaf)[:, None]
        for nodes in reversed(trees.levels):
            asked = trees.question[nodes]
            down_left, down_right = (
                least[np.where(refs >= 0, refs, n_nodes + ~refs)]
                for refs in (part.left[nodes], part.right[nodes])
            )
            down_left[~left[asked]] = 2**62
            down_right[~right[asked]] = 2**62
            least[nodes] = np.minimum(down_left, down_right)
        roots = np.where(part.root >= 0, part.root, n_nodes + ~part.root)
        found: Ints = least[roots].sum(axis=0)
        return found


def _search(
    question: Question,
    bounds: _Bounds,
    known: Answer | None,
    most: int | None,
    stop: Callable[[int], bool],
) -> Answer | None:
    """Boxes by cost, until the cheapest of them is no cheaper than a known change."""
    keys = [axis.costs * FIELDS + (axis.costs > 0) for axis in bounds.axes]
    best, best_key = known, 2**62 if most is None else most
    root = np.ones(int(bounds.starts[-1]), np.bool_)
    queue: list[tuple[int, int, Mask]] = []
    if bounds.least(root[None, :])[0] <= 0:
        heapq.heappush(queue, (0, 0, root))
    made, looked = 0, 1
    while queue and queue[0][0] < best_key and not stop(looked):
        taken = [heapq.heappop(queue) for _ in range(min(BOXES, len(queue)))]
        boxes = np.stack([box for _, _, box in taken])
        corners = _corners(question, bounds, boxes)
        there = question.short(corners) <= 0
        for row in np.flatnonzero(there).tolist():
            if taken[row][0] < best_key:
                best, best_key = _answer(question, corners[row]), taken[row][0]
        halves = [
            half for row in np.flatnonzero(~there).tolist() for half in _split(bounds, boxes[row])
        ]
        looked += len(halves)
        if not halves:
            continue
        children = np.stack(halves)
        cost = _cheapest_keys(bounds, keys, children)
        may = (bounds.least(children) <= 0) & (cost < best_key)
        for row in np.flatnonzero(may).tolist():
            made += 1
            heapq.heappush(queue, (int(cost[row]), made, children[row]))
    if best is None:
        return None
    bound = best.cost if not queue else min(best.cost, queue[0][0] // FIELDS)
    return replace(best, bound=bound, nodes=looked)


def _cheapest_keys(bounds: _Bounds, keys: list[Ints], boxes: Mask) -> Ints:
    """(b,) cost of each box's cheapest corner."""
    total = np.zeros(len(boxes), np.int64)
    for axis, key in enumerate(keys):
        mine = boxes[:, bounds.starts[axis] : bounds.starts[axis + 1]]
        total += key[mine.argmax(axis=1)]  # values stand by cost
    return total


def _corners(question: Question, bounds: _Bounds, boxes: Mask) -> Floats:
    rows = np.repeat(question.x[None, :], len(boxes), axis=0)
    for i, axis in enumerate(bounds.axes):
        mine = boxes[:, bounds.starts[i] : bounds.starts[i + 1]]
        rows[:, axis.column] = axis.values[mine.argmax(axis=1)]
    return rows


def _answer(question: Question, row: Floats) -> Answer:
    values, cost = {}, 0
    for axis in question.axes:
        value = float(row[axis.column])
        own = float(axis.values[0])
        if value != own and not (np.isnan(value) and np.isnan(own)):
            values[axis.column] = value
            cost += axis.cost_of(value)
    return Answer(values=values, cost=cost)


def _split(bounds: _Bounds, box: Mask) -> list[Mask]:
    """Two halves of a box: its cheaper and its dearer values of the field that decides most.

    That field is the one which, held at its cheapest value, leaves the box furthest from the goal.
    """
    wide = [
        axis
        for axis in bounds.by_weight()
        if box[bounds.starts[axis] : bounds.starts[axis + 1]].sum() > 1
    ][:TRIED]
    if not wide:
        return []
    held = np.repeat(box[None, :], len(wide), axis=0)
    for row, axis in enumerate(wide):
        mine = held[row, bounds.starts[axis] : bounds.starts[axis + 1]]
        mine[mine.argmax() + 1 :] = False
    axis = wide[int(np.argmax(bounds.least(held)))]
    inside = np.flatnonzero(box[bounds.starts[axis] : bounds.starts[axis + 1]])
    # The event's own value stands alone: whether a field moves at all is asked first.
    cut = 1 if inside[0] == 0 else (len(inside) + 1) // 2
    halves = []
    for kept in (inside[:cut], inside[cut:]):
        half = box.copy()
        half[bounds.starts[axis] : bounds.starts[axis + 1]] = False
        half[bounds.starts[axis] + kept] = True
        halves.append(half)
    return halves
