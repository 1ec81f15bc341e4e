"""Logistic regression on scaled numbers, bins and categories: a score of one or two terms a column.

A number is seen twice: clipped and standardised, and by quantile bins, so that a threshold effect
or a heavy tail needs no transformation by hand. Missing values and categories have weights of their
own. Everything that the fit does to a column is in the compiled terms.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft
from baluarte.core.search import FitTask
from baluarte.errors import ContractError
from baluarte.methods.libraries import library
from baluarte.methods.linear_terms import Terms, sparse_design, terms_of
from baluarte.methods.sklearn_fitted import class_weights
from baluarte.ports import Fitted, Matrix, Params, Suggest, Target

_MAX_ROWS = 50_000  #: a linear fit gains nothing from more
_MAX_ITERATIONS = 150


class Logistic:
    """L2-penalised logistic regression on the log-odds scale."""

    name: ClassVar[str] = "logistic"
    needs_labels: ClassVar[bool] = True

    def defaults(self) -> Params:
        """The library's own penalty and twelve bins a number."""
        return {"c": 1.0, "bins": 12}

    def suggest(self, suggest: Suggest) -> Params:
        """The inverse penalty and the number of bins."""
        return {
            "c": suggest.number("c", 0.01, 30.0, log=True),
            "bins": suggest.integer("bins", 2, 24),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:
        """Fit the columns' stored treatment, then the weights; ``y`` has both classes.

        Raises:
            ContractError: a monotone column was asked for, which this fit can't promise.
        """
        if any(task.monotone):
            raise ContractError(
                "logistic can't promise a monotone column",
                hint="Use lightgbm or random_forest where a field must be monotone.",
            )
        linear = library("sklearn.linear_model")
        step = np.linspace(0, len(X) - 1, min(len(X), _MAX_ROWS)).astype(np.int64)
        terms = terms_of(X[step], task.categorical, bins=int(params["bins"]))
        design = sparse_design(terms, X[step])
        model = linear.LogisticRegression(
            C=float(params["c"]),
            class_weight=class_weights(task),
            max_iter=_MAX_ITERATIONS,
            tol=1e-3,
        )
        with warnings.catch_warnings():
            # Stopping at the iterations' end is part of the model, the same every time.
            warnings.simplefilter("ignore", library("sklearn.exceptions").ConvergenceWarning)
            model.fit(design, y[step])
        means = np.asarray(design.mean(axis=0), dtype=np.float64).ravel()
        some = step if len(step) < len(X) else None
        return FittedLogistic(model=model, terms=terms, means=means, sample=some)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLogistic:
    """A logistic regression, its columns' treatment and its compiled form."""

    model: Any
    terms: Terms
    means: NDArray[np.float64]  #: (weights,) mean of each column of the design over the fit rows
    sample: NDArray[np.int64] | None = None  #: (m,) the rows it was fitted on; None for all

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) log-odds, as ``decision_function`` says on the treated columns."""
        decided = self.model.decision_function(sparse_design(self.terms, X))
        return np.asarray(decided, dtype=np.float64)

    def compile(self) -> Draft:
        """One numeric and one table term a column."""
        weights = np.asarray(self.model.coef_[0], dtype=np.float64)
        return Draft(
            n_features=self.terms.n_features,
            base=float(self.model.intercept_[0]),
            parts=(self.terms.draft(weights, self.means),),
        )
