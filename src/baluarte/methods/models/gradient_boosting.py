"""Gradient boosting over exact splits, from scikit-learn: for small tables.

Source: Friedman, "Stochastic gradient boosting", Computational Statistics & Data Analysis 38, 2002.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.search import FitTask
from baluarte.errors import ContractError
from baluarte.methods.libraries import library
from baluarte.methods.sklearn_fitted import FittedEnsemble, row_weights
from baluarte.methods.sklearn_trees import draft_of_boosting, with_missing_lowest
from baluarte.ports import Fitted, Matrix, Params, Suggest, Target

_MOST_ROWS = 20_000  #: drawn for one tree: every split sorts its rows


class GradientBoosting:
    """Boosted trees on the log-odds scale; a missing value is the lowest number."""

    name: ClassVar[str] = "gradient_boosting"
    needs_labels: ClassVar[bool] = True

    def defaults(self) -> Params:
        """More, smaller and more different steps than the library's own defaults."""
        return {
            "rounds": 200,
            "learning_rate": 0.08,
            "max_depth": 4,
            "min_samples_leaf": 4,
            "subsample": 0.7,
            "max_features": 0.4,
        }

    def suggest(self, suggest: Suggest) -> Params:
        """The parameters that matter, within ranges that stay quick."""
        return {
            "rounds": suggest.integer("rounds", 50, 300, log=True),
            "learning_rate": suggest.number("learning_rate", 0.02, 0.3, log=True),
            "max_depth": suggest.integer("max_depth", 2, 6),
            "min_samples_leaf": suggest.integer("min_samples_leaf", 1, 50, log=True),
            "subsample": suggest.number("subsample", 0.3, 1.0),
            "max_features": suggest.number("max_features", 0.1, 1.0, log=True),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:
        """Fit on both classes, in one thread.

        Raises:
            ContractError: a monotone column was asked for, which the library can't promise.
        """
        if any(task.monotone):
            raise ContractError(
                "gradient_boosting can't promise a monotone column",
                hint="Use lightgbm, xgboost or hist_gradient_boosting where a field must be "
                "monotone.",
            )
        model = library("sklearn.ensemble").GradientBoostingClassifier(
            n_estimators=int(params["rounds"]),
            learning_rate=float(params["learning_rate"]),
            max_depth=int(params["max_depth"]),
            min_samples_leaf=int(params["min_samples_leaf"]),
            subsample=min(float(params["subsample"]), _MOST_ROWS / max(len(X), 1)),
            max_features=float(params["max_features"]),
            random_state=task.seed,
        )
        model.fit(with_missing_lowest(X), y.astype(np.int64), sample_weight=row_weights(y, task))
        return FittedEnsemble(
            model=model, output="decision_function", draft=draft_of_boosting, missing_is_lowest=True
        )
