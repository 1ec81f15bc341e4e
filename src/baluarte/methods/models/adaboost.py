"""AdaBoost (SAMME) over small trees, from scikit-learn.

Source: Zhu, Zou, Rosset & Hastie, "Multi-class AdaBoost", Statistics and Its Interface 2, 2009.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.search import FitTask
from baluarte.errors import DataError
from baluarte.methods.libraries import library
from baluarte.methods.sklearn_fitted import FittedEnsemble, row_weights
from baluarte.methods.sklearn_trees import draft_of_adaboost, with_missing_lowest
from baluarte.ports import Fitted, Matrix, Params, Suggest, Target

_MOST_ROWS = 100_000  #: fitted on: every tree sorts all of its rows


class AdaBoost:
    """A weighted vote in [-2, 2]; a missing value is the lowest number."""

    name: ClassVar[str] = "adaboost"
    needs_labels: ClassVar[bool] = True

    def defaults(self) -> Params:
        """Trees of three cuts on a path, so that votes can depend on how fields go together."""
        return {"trees": 150, "learning_rate": 0.5, "max_depth": 3}

    def suggest(self, suggest: Suggest) -> Params:
        """How many vote, how fast weights move, and how much a tree sees."""
        return {
            "trees": suggest.integer("trees", 50, 300, log=True),
            "learning_rate": suggest.number("learning_rate", 0.05, 1.0, log=True),
            "max_depth": suggest.integer("max_depth", 1, 5),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:
        """Fit on both classes, in one thread, on evenly spaced rows where there are very many.

        Raises:
            DataError: no tree tells attacks from the rest any better than chance.
        """
        rows = np.linspace(0, len(X) - 1, min(len(X), _MOST_ROWS)).astype(np.int64)
        tree = library("sklearn.tree").DecisionTreeClassifier(
            max_depth=int(params["max_depth"]),
            monotonic_cst=list(task.monotone) if any(task.monotone) else None,
        )
        model = library("sklearn.ensemble").AdaBoostClassifier(
            tree,
            n_estimators=int(params["trees"]),
            learning_rate=float(params["learning_rate"]),
            random_state=task.seed,
        )
        labels = y[rows]
        try:
            weights = row_weights(labels, task)
            model.fit(with_missing_lowest(X[rows]), labels.astype(np.int64), sample_weight=weights)
        except ValueError as error:
            if "worse than random" not in str(error):
                raise
            raise DataError(
                "adaboost found no tree that tells attacks from the rest better than chance",
                hint="Leave it out of learner.families.",
            ) from error
        return FittedEnsemble(
            model=model,
            output="decision_function",
            draft=draft_of_adaboost,
            missing_is_lowest=True,
            sample=rows if len(rows) < len(X) else None,
        )
