"""What every model keeps: the same model twice, finite margins, and a compiled form that agrees.

The rows hold what goes wrong: missing values, categories that fit never saw, both zeros, and values
at and one unit in the last place beside the model's own thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft, seal
from baluarte.core.program.draft_value import value
from baluarte.core.program.edges import edges
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.format import dumps
from baluarte.core.program.model import Program
from baluarte.core.schema import FLOAT32_MAX
from baluarte.core.search import FitTask
from baluarte.ports import Fitted, Matrix, Model, Params, Suggest, Target
from baluarte.testing.expect import expect, same

TOLERANCE = 1e-9  #: of the larger of 1 and Σ|terms|, between the program and the library
CATEGORICAL = (False, False, False, True, False, False)
N_CATEGORIES = 40  #: more than one word of a category set
_TINY = float(np.float32(1e-35))  #: what LightGBM reads as zero
_EDGES = (np.nan, 0.0, -0.0, _TINY, -_TINY, 1e-35, -1e-35, 1e-300, 1e30, -1e30)

ModelCheck = Callable[[Model], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Labelled rows with an effect in every column but the constant one."""

    X: Matrix
    y: Target


def ground(n: int = 600, seed: int = 0) -> Ground:
    """Rows of numbers with heavy tails, missing values, a category and a constant."""
    rng = np.random.default_rng(seed)
    X = np.empty((n, len(CATEGORICAL)))
    X[:, 0] = rng.normal(size=n)
    X[:, 1] = np.exp(3.0 * rng.normal(size=n))
    X[:, 2] = rng.integers(0, 2, n)
    X[:, 3] = np.minimum(rng.geometric(0.1, n) - 1, N_CATEGORIES - 1)
    X[:, 4] = 7.0
    X[:, 5] = rng.normal(size=n) * 1e-3
    X[rng.random(n) < 0.1, 1] = np.nan
    X[rng.random(n) < 0.1, 3] = np.nan
    signal = X[:, 0] + (X[:, 3] % 3 == 0) + (np.nan_to_num(X[:, 1], nan=9.0) > 4.0) + X[:, 2]
    y = (signal + rng.normal(size=n) > 2.0).astype(np.int8)
    return Ground(X=X, y=y)


def task(*, seed: int = 0, threads: int = 2, balanced: bool = False) -> FitTask:
    """The task of fitting on the ground."""
    return FitTask(
        categorical=CATEGORICAL,
        monotone=(0,) * len(CATEGORICAL),
        seed=seed,
        threads=threads,
        class_weight="balanced" if balanced else "none",
    )


def trap_rows(draft: Draft, X: Matrix, *, n: int, seed: int = 0) -> Matrix:
    """(n, d) rows of X with values put where a comparison could go the other way."""
    program = seal(draft)
    rng = np.random.default_rng(seed)
    traps = X[rng.integers(len(X), size=n)].copy()
    for j, categorical in enumerate(CATEGORICAL):
        pool = _codes() if categorical else _near(program, j)
        hit = rng.random(n) < 0.5
        traps[hit, j] = pool[rng.integers(len(pool), size=int(hit.sum()))]
    traps[0] = np.nan
    return traps


def _codes() -> NDArray[np.float64]:
    return np.array([np.nan, *range(N_CATEGORIES + 3), 63, 64, 999], dtype=np.float64)


def _near(program: Program, column: int) -> NDArray[np.float64]:
    """Every value at which the program changes its mind about a column, and its neighbours."""
    cuts = np.concatenate([np.array(_EDGES), edges(program, column)])
    cuts = cuts[np.isnan(cuts) | (np.abs(cuts) <= FLOAT32_MAX)]
    return np.concatenate([cuts, np.nextafter(cuts, np.inf), np.nextafter(cuts, -np.inf)])


def agree(fitted: Fitted, X: Matrix) -> None:
    """Return if the compiled program says what the library says, on every row.

    Raises:
        AssertionError: it doesn't; says by how much.
    """
    draft = fitted.compile()
    program = seal(draft)
    margin = fitted.margin(X)
    own = Evaluator(program).score(X) * 2.0**-program.scale_bits
    off = np.abs(own - margin) / np.maximum(1.0, value(draft, X)[1])
    worst = float(off.max())
    expect(worst <= TOLERANCE, f"the program is the library's output; off by {worst:g}")


def check_the_same_arguments_give_the_same_program(model: Model) -> None:
    """Fitting is a function of its arguments."""
    rows = ground()
    first, second = (
        dumps(seal(model.fit(rows.X, rows.y, params=model.defaults(), task=task()).compile()))
        for _ in range(2)
    )
    expect(first == second, "equal arguments give equal programs, byte for byte")


def check_margins_are_finite(model: Model) -> None:
    """Whatever the row, the margin is a number."""
    rows = ground()
    fitted = model.fit(rows.X, rows.y, params=model.defaults(), task=task())
    margin = fitted.margin(trap_rows(fitted.compile(), rows.X, n=300))
    same(margin.shape, (300,))
    same(margin.dtype, np.dtype(np.float64))
    expect(bool(np.isfinite(margin).all()), "every margin is finite")


def check_the_program_agrees_on_traps(model: Model) -> None:
    """The compiled form makes every comparison as the library does, for many kinds of fits."""
    rows = ground()
    for i, params in enumerate((model.defaults(), *drawn(model, n=4))):
        fitted = model.fit(rows.X, rows.y, params=params, task=task(balanced=i % 2 == 1))
        agree(fitted, trap_rows(fitted.compile(), rows.X, n=2_000))


def check_one_row_is_a_batch_of_one(model: Model) -> None:
    """The margin of a row doesn't depend on its neighbours."""
    rows = ground()
    fitted = model.fit(rows.X, rows.y, params=model.defaults(), task=task())
    together = fitted.margin(rows.X[:9])
    alone = np.concatenate([fitted.margin(rows.X[i : i + 1]) for i in range(9)])
    expect(bool(np.allclose(together, alone, rtol=1e-12)), "a row alone has the same margin")


def check_few_rows_and_rows_without_missing_values_fit(model: Model) -> None:
    """Small and clean tables are no special case: what fit never saw may come later."""
    rows = ground(24)
    for X in (rows.X, np.nan_to_num(rows.X)):
        fitted = model.fit(X, rows.y, params=model.defaults(), task=task())
        agree(fitted, trap_rows(fitted.compile(), rows.X, n=200))


def check_defaults_lie_in_the_space(model: Model) -> None:
    """The defaults are a point of the space, so a search can learn from trial 0."""
    space = _Bounds()
    model.suggest(space)
    defaults = dict(model.defaults())
    same(sorted(defaults), sorted(space.options))
    for name, inside in space.options.items():
        expect(inside(defaults[name]), f"the default of {name} is in its range")


def check_it_ranks_attacks_above_the_rest(model: Model) -> None:
    """On rows it did not see, where it has labels to learn from."""
    if not model.needs_labels:
        return
    rows, new = ground(2_000), ground(1_000, seed=1)
    fitted = model.fit(rows.X, rows.y, params=model.defaults(), task=task())
    margin = fitted.margin(new.X)
    attack, rest = margin[new.y == 1], margin[new.y == 0]
    above = float(np.mean(attack[:, None] > rest[None, :]))
    expect(above >= 0.75, f"an attack scores above the rest in {above:.2f} of pairs, not .75")


MODEL_CHECKS: tuple[ModelCheck, ...] = (
    check_the_same_arguments_give_the_same_program,
    check_margins_are_finite,
    check_the_program_agrees_on_traps,
    check_one_row_is_a_batch_of_one,
    check_few_rows_and_rows_without_missing_values_fit,
    check_defaults_lie_in_the_space,
    check_it_ranks_attacks_above_the_rest,
)


def drawn(model: Model, *, n: int, seed: int = 0) -> list[Params]:
    """Points of a model's space."""
    draw = _Drawn(np.random.default_rng(seed))
    return [model.suggest(draw) for _ in range(n)]


class _Drawn(Suggest):
    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        if log:
            return round(self.number(name, low, high, log=True))
        return int(self._rng.integers(low, high + 1))

    def number(self, name: str, low: float, high: float, *, log: bool = False) -> float:  # noqa: ARG002 - the port's
        if log:
            return float(np.exp(self._rng.uniform(np.log(low), np.log(high))))
        return float(self._rng.uniform(low, high))

    def choice(
        self,
        name: str,  # noqa: ARG002 - the port's
        options: Sequence[str | int | float | bool],
    ) -> str | int | float | bool:
        return options[int(self._rng.integers(len(options)))]

    option = choice


class _Bounds(Suggest):
    def __init__(self) -> None:
        self.options: dict[str, Callable[[str | int | float | bool], bool]] = {}

    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int:  # noqa: ARG002 - the port's
        self.options[name] = lambda value: isinstance(value, int) and low <= value <= high
        return low

    def number(self, name: str, low: float, high: float, *, log: bool = False) -> float:  # noqa: ARG002 - the port's
        self.options[name] = lambda value: not isinstance(value, str) and low <= value <= high
        return low

    def choice(
        self, name: str, options: Sequence[str | int | float | bool]
    ) -> str | int | float | bool:
        self.options[name] = lambda value: value in options
        return options[0]

    option = choice
