"""Support vector machines with a kernel: one fit and one conversion for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft
from baluarte.core.program.draft_dense import DraftKernel, background_of
from baluarte.core.program.model import Inputs
from baluarte.core.search import FitTask
from baluarte.errors import ContractError
from baluarte.methods.dense_inputs import design, inputs_of, spread
from baluarte.methods.libraries import library
from baluarte.methods.sklearn_fitted import class_weights
from baluarte.ports import Matrix, Target

MAX_ROWS = 20_000  #: the fit's time and the program's size grow with their square
_N_BACKGROUND = 32  #: a kernel machine takes long, and so does an estimate of its reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelForm:
    """Which kernel, with its parameters; gamma is for inputs of mean square 1."""

    kernel: Literal["rbf", "polynomial"]
    gamma: float
    degree: int = 0
    coef0: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedKernelSvm:
    """A fitted machine, what it sees of a row, and background rows for its reasons."""

    model: Any
    inputs: Inputs
    form: KernelForm
    gamma: float
    background: NDArray[np.float64]
    sample: NDArray[np.int64] | None = None  #: (m,) the rows it was fitted on; None for all

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) signed distances, as ``decision_function`` says."""
        decided = self.model.decision_function(design(self.inputs, X))
        return np.asarray(decided, dtype=np.float64)

    def compile(self) -> Draft:
        """The support vectors with their dual weights."""
        part = DraftKernel(
            inputs=self.inputs,
            kernel=self.form.kernel,
            gamma=self.gamma,
            degree=self.form.degree,
            coef0=self.form.coef0,
            vector=np.asarray(self.model.support_vectors_, np.float64)[:, : self.inputs.n_inputs],
            weight=np.asarray(self.model.dual_coef_[0], dtype=np.float64),
            background=self.background,
        )
        return Draft(
            n_features=self.background.shape[1],
            base=float(self.model.intercept_[0]),
            parts=(part,),
        )


def fit_kernel_svm(
    X: Matrix,
    y: Target,
    *,
    name: str,
    form: KernelForm,
    c: float,
    ramps: int,
    max_rows: int,
    task: FitTask,
) -> FittedKernelSvm:
    """Fit on at most ``max_rows`` rows, evenly over their order, half of them attacks at most.

    Raises:
        ContractError: a monotone column was asked for, which this fit can't promise.
    """
    if any(task.monotone):
        raise ContractError(
            f"{name} can't promise a monotone column",
            hint="Use lightgbm or random_forest where a field must be monotone.",
        )
    rows = sample(y, min(max_rows, MAX_ROWS))
    inputs = inputs_of(X[rows], task.categorical, ramps=ramps)
    seen = design(inputs, X[rows])
    square = float((seen * seen).mean()) or 1.0
    gamma = form.gamma / (seen.shape[1] * square)
    model = library("sklearn.svm").SVC(
        C=c,
        kernel="rbf" if form.kernel == "rbf" else "poly",
        gamma=gamma,
        degree=max(1, form.degree),
        coef0=form.coef0,
        class_weight=class_weights(task),
        cache_size=500,
    )
    model.fit(seen, y[rows])
    return FittedKernelSvm(
        model=model,
        inputs=inputs,
        form=form,
        gamma=gamma,
        background=background_of(X[rows], _N_BACKGROUND),
        sample=rows if len(rows) < len(X) else None,
    )


def sample(y: Target, most: int) -> NDArray[np.int64]:
    """At most ``most`` rows in order: attacks up to half of them, the rest from the others."""
    attacks, others = np.flatnonzero(y == 1), np.flatnonzero(y != 1)
    n_attacks = min(len(attacks), max(most // 2, most - len(others)))
    kept = [
        attacks[spread(len(attacks), n_attacks)],
        others[spread(len(others), most - n_attacks)],
    ]
    return np.sort(np.concatenate(kept))
