"""Evaluate a sealed program: scores and reasons, the same bits whichever kernel computes them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache, partial
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from baluarte.core.native import native
from baluarte.core.program import reasons as vector_reasons
from baluarte.core.program import vector
from baluarte.core.program.estimate import EstimatePlan, alone, estimate, plan_estimate
from baluarte.core.program.format import (
    KERNEL_ARRAYS,
    LINEAR_ARRAYS,
    NETWORK_ARRAYS,
    SAMPLING_ARRAYS,
    TREE_ARRAYS,
    dumps,
)
from baluarte.core.program.limits import MAX_SCORE
from baluarte.core.program.model import (
    DensePart,
    KernelPart,
    LinearPart,
    NetworkPart,
    Part,
    Program,
    TreePart,
    columns_read,
)
from baluarte.core.program.reason_plan import Plan, plan_reasons, quadrature_tables

Choice = Literal["auto", "c", "numpy"]
#: as _kernel.h numbers them
_KINDS = {
    "lightgbm": 0,
    "sklearn": 1,
    "xgboost": 2,
    "linear": 3,
    "kernel": 4,
    "network": 5,
    "stack": 6,
}


class SlowerWarning(RuntimeWarning):
    """Scores come from NumPy because no kernel was compiled."""


@lru_cache(maxsize=1)
def _warn_slow() -> None:
    warnings.warn(
        "the compiled kernel is not built: scoring with NumPy, the same bits, more slowly;"
        " a C compiler and a reinstall of baluarte build it",
        SlowerWarning,
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

    __slots__ = ("_compiled", "_handle", "_mixed", "_plan", "_planned", "kernel", "program")

    kernel: Literal["c", "numpy"]

    def __init__(self, program: Program, *, kernel: Choice = "auto") -> None:
        self.program = program
        self._plan: Plan | None = None
        self._planned = False
        self._mixed: _Mixed | None = None
        self._compiled = None if kernel == "numpy" else native("program._kernel")
        self._handle: object = None
        if self._compiled is None:
            if kernel == "c":
                raise RuntimeError("the compiled kernel is not built")
            if kernel == "auto":
                _warn_slow()
            self.kernel = "numpy"
        else:
            self.kernel = "c"
            self._handle = _prepared(self._compiled, program)

    @property
    def estimates(self) -> bool:
        """Whether some reasons are estimates, with an error."""
        return any(isinstance(part, DensePart) for part in self.program.parts)

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
        """The base and the (n, n_features) Shapley reasons, in score units.

        ``base + reasons.sum(axis=1)`` equals the scores to the last bit; columns that the program
        doesn't read get 0. Exact for trees and linear parts; for kernel machines, networks and
        stacks an estimate, the same every time: :meth:`reasons_and_errors`.

        Raises:
            ValueError: another shape, type or layout, or less than one thread.
        """
        base, found, _ = self.reasons_and_errors(X, threads=threads)
        return base, found

    def reasons_and_errors(
        self, X: NDArray[np.float64], *, threads: int = 1
    ) -> tuple[int, NDArray[np.int64], NDArray[np.float64]]:
        """As :meth:`reasons`, and the (n, n_features) standard errors, in score units.

        The errors are 0 where all reasons are exact.

        Raises:
            ValueError: another shape, type or layout, or less than one thread.
        """
        self._check(X, threads)
        if not self.estimates:
            base, found = self._exact_reasons(X, threads)
            return base, found, np.zeros(X.shape)
        if self._mixed is None:
            self._mixed = _Mixed(self.program, self.kernel)
        return self._mixed.reasons(X, self.score(X, threads=threads), threads)

    def _exact_reasons(self, X: NDArray[np.float64], threads: int) -> tuple[int, NDArray[np.int64]]:
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


class _Mixed:
    """Reasons of a program with parts that are estimated: theirs, and the exact ones of the rest.

    Where the sum of all parts saturates, what is missing to the score is shared out evenly.
    """

    def __init__(self, program: Program, kernel: Choice) -> None:
        exact = tuple(part for part in program.parts if not isinstance(part, DensePart))
        self._exact = Evaluator(replace(program, parts=exact), kernel=kernel)
        self._estimated: list[tuple[Evaluator, EstimatePlan]] = []
        digest = hashlib.sha256(dumps(program)).digest()
        for i, part in enumerate(program.parts):
            if not isinstance(part, DensePart):
                continue
            one = Evaluator(alone(program, part), kernel=kernel)
            seed = digest + i.to_bytes(4, "little")
            plan = plan_estimate(part, n_features=program.n_features, seed=seed, score=one.score)
            self._estimated.append((one, plan))
        self._used = np.unique(np.concatenate([columns_read(part) for part in program.parts]))

    def reasons(
        self, X: NDArray[np.float64], scores: NDArray[np.int64], threads: int
    ) -> tuple[int, NDArray[np.int64], NDArray[np.float64]]:
        """Base, reasons and errors of checked rows with these scores."""
        base, phi = self._exact.reasons(X, threads=threads)
        base += sum(plan.base for _, plan in self._estimated)
        base = max(-MAX_SCORE, min(MAX_SCORE, base))
        variance = np.zeros(X.shape)
        for one, plan in self._estimated:
            score = partial(one.score, threads=threads)
            for i, row in enumerate(X):
                found, error = estimate(plan, row, score=score)
                phi[i, plan.columns] += found
                variance[i, plan.columns] += error * error
        if len(self._used):
            each, rest = np.divmod(scores - base - phi.sum(axis=1), len(self._used))
            more = np.arange(len(self._used)) < rest[:, None]
            phi[:, self._used] += each[:, None] + more
        return base, phi, np.sqrt(variance)


def _rebuild(program: Program, kernel: Choice) -> Evaluator:
    return Evaluator(program, kernel=kernel)


def _named(part: Part, names: Iterable[str]) -> tuple[object, ...]:
    """A part's arrays that its values follow from, in order."""
    return tuple(getattr(part, name) for name in names if name not in SAMPLING_ARRAYS)


def _prepared(compiled: ModuleType, program: Program) -> object:
    """The compiled kernel's handle of a program."""
    handle: object = compiled.prepare(program.n_features, program.base, kernel_parts(program))
    return handle


def kernel_parts(program: Program) -> tuple[tuple[object, ...], ...]:
    """A program's parts as the compiled kernel takes them: a kind and its arrays each."""
    return tuple(_arrays(part) for part in program.parts)


def _arrays(part: Part) -> tuple[object, ...]:
    """A part as the compiled kernel takes it."""
    if isinstance(part, TreePart):
        return (_KINDS[part.rule], *_named(part, TREE_ARRAYS))
    if isinstance(part, LinearPart):
        return (_KINDS["linear"], *_named(part, LINEAR_ARRAYS))
    if isinstance(part, KernelPart):
        return (_KINDS["kernel"], *_named(part, KERNEL_ARRAYS))
    if isinstance(part, NetworkPart):
        return (_KINDS["network"], *_named(part, NETWORK_ARRAYS))
    scales = np.array([2.0**-member.scale_bits for member in part.members])
    members = tuple((member.base, kernel_parts(member)) for member in part.members)
    return (_KINDS["stack"], part.link, part.weight, scales, members)
