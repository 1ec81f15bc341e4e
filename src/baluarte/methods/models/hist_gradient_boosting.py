"""Histogram gradient boosting, categories as they are, from scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft
from baluarte.core.search import FitTask
from baluarte.methods.libraries import library
from baluarte.methods.sklearn_fitted import class_weights
from baluarte.methods.sklearn_histogram import draft_of_histogram_boosting
from baluarte.ports import Fitted, Matrix, Params, Suggest, Target

_MOST_CATEGORIES = 254  #: of a column; rarer ones are taken as missing
_THREADS = 1  #: its sums over rows depend on how threads finish


class HistGradientBoosting:
    """Boosted trees on the log-odds scale; an unseen category is taken as missing."""

    name: ClassVar[str] = "hist_gradient_boosting"
    needs_labels: ClassVar[bool] = True

    def defaults(self) -> Params:
        """More, smaller and more different steps than the library's own defaults."""
        return {
            "rounds": 200,
            "learning_rate": 0.06,
            "max_leaf_nodes": 24,
            "min_samples_leaf": 8,
            "max_features": 0.5,
            "l2_regularization": 0.2,
        }

    def suggest(self, suggest: Suggest) -> Params:
        """The parameters that matter, within ranges that stay quick."""
        return {
            "rounds": suggest.integer("rounds", 50, 400, log=True),
            "learning_rate": suggest.number("learning_rate", 0.02, 0.3, log=True),
            "max_leaf_nodes": suggest.integer("max_leaf_nodes", 7, 63, log=True),
            "min_samples_leaf": suggest.integer("min_samples_leaf", 3, 100, log=True),
            "max_features": suggest.number("max_features", 0.2, 1.0),
            "l2_regularization": suggest.number("l2_regularization", 0.01, 30.0, log=True),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:
        """Fit in one thread, all rounds: nothing is held out to stop early on."""
        categorical = np.array(task.categorical)
        monotone = np.where(categorical, 0, task.monotone)  # a category has no order
        model = library("sklearn.ensemble").HistGradientBoostingClassifier(
            max_iter=int(params["rounds"]),
            learning_rate=float(params["learning_rate"]),
            max_leaf_nodes=int(params["max_leaf_nodes"]),
            min_samples_leaf=int(params["min_samples_leaf"]),
            max_features=float(params["max_features"]),
            l2_regularization=float(params["l2_regularization"]),
            categorical_features=categorical if categorical.any() else None,
            monotonic_cst=monotone if monotone.any() else None,
            class_weight=class_weights(task),
            early_stopping=False,
            random_state=task.seed,
        )
        fitted = FittedHistograms(model=model, categorical=categorical)
        with library("threadpoolctl").threadpool_limits(_THREADS):
            model.fit(fitted.known(X), y.astype(np.int64))
        return fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedHistograms:
    """A fitted model and its compiled form."""

    model: Any
    categorical: NDArray[np.bool_]  #: (d,)

    def known(self, X: Matrix) -> Matrix:
        """X with the categories that the library has no room for as missing ones."""
        rare = self.categorical & (X > _MOST_CATEGORIES)
        return np.where(rare, np.nan, X) if rare.any() else X

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) log-odds, as ``decision_function`` says."""
        with library("threadpoolctl").threadpool_limits(_THREADS):
            said = self.model.decision_function(self.known(X))
        return np.asarray(said, dtype=np.float64)

    def compile(self) -> Draft:
        """The trees; codes that fit did not see go where missing values go, so do rare ones."""
        return draft_of_histogram_boosting(self.model)
