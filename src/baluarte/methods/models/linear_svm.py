"""Linear support vector machine on scaled numbers, bins and categories: exact reasons, no kernel.

The columns are treated as ``logistic`` treats them; the loss is the squared hinge.
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
from baluarte.methods.dense_inputs import spread
from baluarte.methods.libraries import library
from baluarte.methods.linear_terms import Terms, sparse_design, terms_of
from baluarte.methods.sklearn_fitted import class_weights
from baluarte.ports import Fitted, Matrix, Params, Suggest, Target

_MAX_ROWS = 50_000  #: a linear fit gains nothing from more


class LinearSvm:
    """L2-penalised linear support vector classification."""

    name: ClassVar[str] = "linear_svm"
    needs_labels: ClassVar[bool] = True

    def defaults(self) -> Params:
        """A penalty for standardised columns and twelve bins a number."""
        return {"c": 0.1, "bins": 12}

    def suggest(self, suggest: Suggest) -> Params:
        """The inverse penalty and the number of bins."""
        return {
            "c": suggest.number("c", 0.001, 10.0, log=True),
            "bins": suggest.integer("bins", 2, 24),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:
        """Fit the columns' stored treatment, then the weights; ``y`` has both classes.

        Raises:
            ContractError: a monotone column was asked for, which this fit can't promise.
        """
        if any(task.monotone):
            raise ContractError(
                "linear_svm can't promise a monotone column",
                hint="Use lightgbm or random_forest where a field must be monotone.",
            )
        rows = spread(len(X), _MAX_ROWS)
        terms = terms_of(X[rows], task.categorical, bins=int(params["bins"]))
        seen = sparse_design(terms, X[rows])
        model = library("sklearn.svm").LinearSVC(
            C=float(params["c"]),
            dual=False,
            class_weight=class_weights(task),
            random_state=task.seed,
            max_iter=300,
            tol=1e-3,
        )
        with warnings.catch_warnings():
            # Stopping at the iterations' end is part of the model, the same every time.
            warnings.simplefilter("ignore", library("sklearn.exceptions").ConvergenceWarning)
            model.fit(seen, y[rows])
        means = np.asarray(seen.mean(axis=0), dtype=np.float64).ravel()
        some = rows if len(rows) < len(X) else None
        return FittedLinearSvm(model=model, terms=terms, means=means, sample=some)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLinearSvm:
    """A linear machine, its columns' treatment and its compiled form."""

    model: Any
    terms: Terms
    means: NDArray[np.float64]  #: (weights,) mean of each column of the design over the fit rows
    sample: NDArray[np.int64] | None = None  #: (m,) the rows it was fitted on; None for all

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) signed distances, as ``decision_function`` says on the treated columns."""
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
