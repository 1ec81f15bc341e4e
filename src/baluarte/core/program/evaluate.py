"""Evaluate a sealed program: scores and reasons, the same bits whichever kernel computes them."""

from __future__ import annotations

import warnings
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program import reasons as vector_reasons
from baluarte.core.program import vector
from baluarte.core.program.format import LINEAR_ARRAYS, TREE_ARRAYS
from baluarte.core.program.model import Program, TreePart
from baluarte.core.program.reason_plan import Plan, plan_reasons, quadrature_tables

Choice = Literal["auto", "c", "numpy"]
_KINDS = {"lightgbm": 0, "sklearn": 1, "xgboost": 2, "linear": 3}  # _kernel.h


@lru_cache(maxsize=1)
def _compiled() -> ModuleType | None:
    try:
        return import_module("baluarte.core.program._kernel")
    except ImportError:
        return None


@lru_cache(maxsize=1)
def _warn_slow() -> None:
    warnings.warn(
        "the compiled kernel is not built: scoring with NumPy, the same bits, more slowly;"
        " a C compiler and a reinstall of baluarte build it",
        RuntimeWarning,
        stacklevel=3,
    )


class Evaluator:
    """Scores and reasons of one program. May be shared by threads; pickles as its program.

    Args:
        program: sealed or loaded, so checked.
        kernel: ``auto`` takes ``c`` where it is built, else ``numpy`` with one warning a process.

    Raises:
        RuntimeError: ``c`` is asked for and not built.
    """

    __slots__ = ("_compiled", "_handle", "_plan", "_planned", "kernel", "program")

    kernel: Literal["c", "numpy"]

    def __init__(self, program: Program, *, kernel: Choice = "auto") -> None:
        self.program = program
        self._plan: Plan | None = None
        self._planned = False
        self._compiled = None if kernel == "numpy" else _compiled()
        self._handle: object = None
        if self._compiled is None:
            if kernel == "c":
                raise RuntimeError("the compiled kernel is not built")
            if kernel == "auto":
                _warn_slow()
            self.kernel = "numpy"
        else:
            self.kernel = "c"
            self._handle = self._compiled.prepare(
                program.n_features, program.base, tuple(_arrays(part) for part in program.parts)
            )

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.program, self.kernel)

    def score(self, X: NDArray[np.float64], *, threads: int = 1) -> NDArray[np.int64]:
        """(n,) scores of C-contiguous (n, n_features) rows; NaN is missing.

        Raises:
            ValueError: another shape, type or layout, or less than one thread.
        """
        self._check(X, threads)
        if self._compiled is None:
            return vector.score(self.program, X)
        scores = np.empty(len(X), np.int64)
        self._compiled.score(self._handle, X, scores, threads)
        return scores

    def reasons(self, X: NDArray[np.float64], *, threads: int = 1) -> tuple[int, NDArray[np.int64]]:
        """The base and the (n, n_features) exact Shapley reasons, in score units.

        ``base + reasons.sum(axis=1)`` equals the scores to the last bit; columns that the program
        doesn't read get 0.

        Raises:
            ValueError: another shape, type or layout, or less than one thread.
        """
        self._check(X, threads)
        plan = self._planned_once()
        if self._compiled is None:
            return plan.base, vector_reasons.reasons(self.program, plan, X)
        found = np.empty(X.shape, np.int64)
        self._compiled.reasons(self._handle, X, found, threads)
        return plan.base, found

    def _planned_once(self) -> Plan:
        if self._plan is None:
            self._plan = plan_reasons(self.program)
        if self._compiled is not None and not self._planned:
            parts = tuple(
                () if trees is None else (trees.before, trees.share, trees.merged, trees.order)
                for trees in self._plan.trees
            )
            tables = quadrature_tables(self._plan.max_order)
            self._compiled.plan(self._handle, self._plan.base, self._plan.max_order, tables, parts)
            self._planned = True
        return self._plan

    def _check(self, X: NDArray[np.float64], threads: int) -> None:
        if (
            not isinstance(X, np.ndarray)
            or X.dtype != np.float64
            or X.ndim != 2
            or X.shape[1] != self.program.n_features
            or not X.flags.c_contiguous
        ):
            found = f"{X.dtype} {X.shape}" if isinstance(X, np.ndarray) else type(X).__name__
            raise ValueError(
                f"expected C-contiguous float64 rows of {self.program.n_features} columns,"
                f" found {found}"
            )
        if threads < 1:
            raise ValueError(f"expected at least one thread, found {threads}")


def _rebuild(program: Program, kernel: Choice) -> Evaluator:
    return Evaluator(program, kernel=kernel)


def _arrays(part: object) -> tuple[object, ...]:
    if isinstance(part, TreePart):
        return (_KINDS[part.rule], *(getattr(part, name) for name in TREE_ARRAYS))
    return (_KINDS["linear"], *(getattr(part, name) for name in LINEAR_ARRAYS))
