"""A quick search for any program: one field at a time, the most promising few at each step.

What is found is then drawn back: every field that need not have moved returns, every other one goes
back as far as it can. The result is a change that reaches the goal, and that no smaller move of one
of its fields alone would; whether another set of fields were cheaper it can't say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.counterfactual import Answer, Axis, Question, cheapest, on_grid

WIDTH = 8  #: states that are taken further at each step
SAME_FIELD = 3  #: of them that end in the same field
MOVES = 12  #: values of a field that are tried beside others
DEPTH = 12  #: fields that change at most
DRAWN = 3  #: of what was found, the cheapest, that are drawn back
MAX_PAIRED = 240  #: moves that are tried two by two where nothing else leads on
_HALVINGS = 60  #: of the last step of a field between whose values the score changes

State = dict[int, int]  #: axis to the index of its value
Ints = NDArray[np.int64]


class Beam:
    """Meets ``ports.CounterfactualSearch``."""

    name: ClassVar[str] = "beam"
    proves: ClassVar[bool] = False

    def find(
        self, question: Question, *, known: Answer | None, stop: Callable[[int], bool]
    ) -> Answer | None:
        """A change that reaches the goal, or None where none was found."""
        start = int(question.short(question.x[None, :])[0])
        if start <= 0:
            return Answer(values={}, cost=0)
        if not question.axes:
            return None
        search = _Search(question, start)
        found = search.run(stop) or search.descend() or search.pairs()
        drawn = [search.draw_back(state) for state in found[:DRAWN]]
        return cheapest([*drawn, *([] if known is None else [known])])


@dataclass(frozen=True, slots=True)
class _Moves:
    """Single changes in columns: (m,) axis, index of the value, cost."""

    axis: Ints
    pick: Ints
    cost: Ints


class _Search:
    def __init__(self, question: Question, start: int) -> None:
        self._question, self._start = question, start
        self._axes = question.axes
        self._best = 2**62  # cost of the cheapest state that reached the goal
        self._reached: list[tuple[int, State]] = []
        sizes = [len(axis.values) - 1 for axis in self._axes]
        self._all = _Moves(
            axis=np.repeat(np.arange(len(sizes)), sizes),
            pick=np.concatenate([np.arange(1, size + 1) for size in sizes]),
            cost=np.concatenate([axis.costs[1:] for axis in self._axes]),
        )
        self._first = self._short([{}], self._all)[0]

    def run(self, stop: Callable[[int], bool]) -> list[State]:
        """States that reach the goal, the cheapest few of each depth."""
        self._note([{}], self._all, self._first[None, :])
        moves = self._promising()
        beam = self._choose([{}], moves, self._short([{}], moves))
        for _ in range(DEPTH - 1):
            if not beam or stop(0):
                break
            short = self._short(beam, moves)
            self._note(beam, moves, short)
            beam = self._choose(beam, moves, short)
        self._reached.sort(key=lambda found: found[0])
        return [state for _, state in self._reached[:WIDTH]]

    def descend(self) -> list[State]:
        """Where no step by step road was found: always the move that helps most, at any cost."""
        moves, state, short = self._thinned(), State(), self._start
        for _ in range(4 * len(self._axes)):
            found = self._short([state], moves, again=True)[0]
            at = int(np.argmin(found))
            if found[at] >= short:
                return []
            state = {**state, int(moves.axis[at]): int(moves.pick[at])}
            short = int(found[at])
            if short <= 0:
                return [state]
        return []

    def pairs(self) -> list[State]:
        """Where no single move helps: the cheapest two together, of as many as can be tried."""
        moves = self._some(_thin(np.arange(len(self._all.axis)), MAX_PAIRED))
        states = [
            {axis: pick}
            for axis, pick in zip(moves.axis.tolist(), moves.pick.tolist(), strict=True)
        ]
        self._note(states, moves, self._short(states, moves))
        self._reached.sort(key=lambda found: found[0])
        return [state for _, state in self._reached[:1]]

    # --- steps ------------------------------------------------------------------------------

    def _promising(self) -> _Moves:
        """Of each field the values that bring more than every cheaper one, thinned."""
        kept: list[Ints] = []
        for axis in range(len(self._axes)):
            mine = np.flatnonzero(self._all.axis == axis)
            before = np.minimum.accumulate(np.concatenate([[self._start], self._first[mine]]))
            better = mine[self._first[mine] < before[:-1]]
            kept.append(_thin(better, MOVES))
        return self._some(np.concatenate(kept))

    def _thinned(self) -> _Moves:
        axes = range(len(self._axes))
        return self._some(
            np.concatenate([_thin(np.flatnonzero(self._all.axis == a), 2 * MOVES) for a in axes])
        )

    def _some(self, rows: Ints) -> _Moves:
        m = self._all
        return _Moves(axis=m.axis[rows], pick=m.pick[rows], cost=m.cost[rows])

    def _short(self, states: list[State], moves: _Moves, *, again: bool = False) -> Ints:
        """(states, moves) what is still missing; as far as ever where the field moved already."""
        columns = np.array([self._axes[a].column for a in moves.axis.tolist()], np.int64)
        pairs = zip(moves.axis.tolist(), moves.pick.tolist(), strict=True)
        values = np.array([self._axes[axis].values[pick] for axis, pick in pairs])
        out = np.empty((len(states), len(values)), np.int64)
        for row, state in enumerate(states):
            X = np.repeat(self._row(state)[None, :], len(values), axis=0)
            X[np.arange(len(values)), columns] = values
            out[row] = self._question.short(X) if len(values) else 0
            if not again:
                out[row, np.isin(moves.axis, list(state))] = 2**62
        return out

    def _row(self, state: State) -> NDArray[np.float64]:
        x = self._question.x.copy()
        for axis, pick in state.items():
            x[self._axes[axis].column] = self._axes[axis].values[pick]
        return x

    def _cost(self, state: State) -> int:
        return sum(int(self._axes[axis].costs[pick]) for axis, pick in state.items())

    def _note(self, states: list[State], moves: _Moves, short: Ints) -> None:
        """Keep the cheapest of these that reach the goal, by the field that moved last."""
        for row, state in enumerate(states):
            cost = self._cost(state) + moves.cost
            there = np.flatnonzero(short[row] <= 0)
            for axis in np.unique(moves.axis[there]).tolist():
                mine = there[moves.axis[there] == axis]
                at = mine[np.argmin(cost[mine])]
                self._reached.append((int(cost[at]), {**state, axis: int(moves.pick[at])}))
                self._best = min(self._best, int(cost[at]))

    def _choose(self, states: list[State], moves: _Moves, short: Ints) -> list[State]:
        """The states to go on from: those that would reach the goal first at their own pace."""
        base = np.array([self._cost(state) for state in states])[:, None]
        cost = base + moves.cost[None, :]
        gained = self._start - short
        pace = np.where(gained > 0, cost * (self._start / np.maximum(gained, 1)), np.inf)
        pace[(short <= 0) | (cost >= self._best)] = np.inf
        chosen: dict[frozenset[tuple[int, int]], State] = {}
        ends: dict[int, int] = {}
        for at in np.argsort(pace, axis=None, kind="stable").tolist():
            row, column = divmod(at, pace.shape[1])
            if len(chosen) == WIDTH or pace[row, column] == np.inf:
                break
            axis = int(moves.axis[column])
            state = {**states[row], axis: int(moves.pick[column])}
            if ends.get(axis, 0) < SAME_FIELD and frozenset(state.items()) not in chosen:
                chosen[frozenset(state.items())] = state
                ends[axis] = ends.get(axis, 0) + 1
        return list(chosen.values())

    # --- drawing back -----------------------------------------------------------------------

    def draw_back(self, state: State) -> Answer:
        """The state with every field as near to the event's own value as the others allow."""
        changed = True
        while changed:
            changed = False
            for axis in sorted(state, key=lambda a: (-int(self._axes[a].costs[state[a]]), a)):
                others = {a: pick for a, pick in state.items() if a != axis}
                values = self._axes[axis].values[: state[axis]]
                X = np.repeat(self._row(others)[None, :], len(values), axis=0)
                X[:, self._axes[axis].column] = values
                there = np.flatnonzero(self._question.short(X) <= 0)
                if len(there):
                    at = int(there[0])
                    state = others if at == 0 else {**others, axis: at}
                    changed = True
        row = self._row(state)
        for axis in state:
            if not self._axes[axis].complete:
                row[self._axes[axis].column] = self._halve(row, self._axes[axis])
        moved = {self._axes[a].column: float(row[self._axes[a].column]) for a in sorted(state)}
        cost = sum(self._axes[a].cost_of(moved[self._axes[a].column]) for a in state)
        return Answer(values=moved, cost=cost)

    def _halve(self, row: NDArray[np.float64], axis: Axis) -> float:
        """The nearest value that still reaches the goal, by halving from the event's own."""
        own, there = float(axis.values[0]), float(row[axis.column])
        if np.isnan(own):
            return there
        trial, short = row.copy(), own
        for value in _between(axis.values, own, there):
            short = value
        for _ in range(_HALVINGS):
            middle = short + (there - short) / 2
            middle = float(on_grid(np.array([middle]), axis.decimals, up=there > short)[0])
            if middle in (short, there):
                break
            trial[axis.column] = middle
            if self._question.short(trial[None, :])[0] <= 0:
                there = middle
            else:
                short = middle
        return there


def _between(values: NDArray[np.float64], own: float, there: float) -> Iterator[float]:
    """The values strictly between, the nearest to ``there`` last."""
    low, high = min(own, there), max(own, there)
    inside = np.sort(values[(values > low) & (values < high)])
    yield from (inside if there > own else inside[::-1]).tolist()


def _thin(rows: Ints, most: int) -> Ints:
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
