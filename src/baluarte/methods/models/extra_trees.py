"""Extra trees: a forest whose cuts are drawn at random, from scikit-learn.

Source: Geurts, Ernst & Wehenkel, "Extremely randomized trees", Machine Learning 63, 2006.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.search import FitTask
from baluarte.methods.libraries import library
from baluarte.methods.sklearn_fitted import FittedEnsemble, class_weights
from baluarte.methods.sklearn_trees import draft_of_forest, with_missing_lowest
from baluarte.ports import Fitted, Matrix, Params, Suggest, Target

_TREES = 100  #: the library's default; more cost time in every decision and change little
_MOST_ROWS = 100_000  #: drawn for one tree: more make it slower, hardly better


class ExtraTrees:
    """A forest on the probability scale; categories enter as codes ordered by frequency."""

    name: ClassVar[str] = "extra_trees"
    needs_labels: ClassVar[bool] = True

    def defaults(self) -> Params:
        """More columns at a node than in a random forest: the cuts themselves are random."""
        return {"max_features": 0.4, "min_samples_leaf": 2}

    def suggest(self, suggest: Suggest) -> Params:
        """How different the trees are, and how deep they grow."""
        return {
            "max_features": suggest.number("max_features", 0.1, 1.0, log=True),
            "min_samples_leaf": suggest.integer("min_samples_leaf", 1, 10, log=True),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:
        """Fit on both classes; trees have their seeds before any thread starts.

        The library splits on missing values but not under a monotone constraint: there a missing
        value is the lowest number.
        """
        monotone = any(task.monotone)
        many = len(X) > _MOST_ROWS
        forest = library("sklearn.ensemble").ExtraTreesClassifier(
            n_estimators=_TREES,
            max_features=float(params["max_features"]),
            min_samples_leaf=int(params["min_samples_leaf"]),
            class_weight=class_weights(task),
            monotonic_cst=list(task.monotone) if monotone else None,
            bootstrap=many,
            max_samples=_MOST_ROWS if many else None,
            random_state=task.seed,
            n_jobs=task.threads,
        )
        forest.fit(with_missing_lowest(X) if monotone else X, y.astype(np.int64))
        # One thread sums the trees in their order; more would sum them as they finish.
        forest.set_params(n_jobs=1)
        return FittedEnsemble(
            model=forest, output="predict_proba", draft=draft_of_forest, missing_is_lowest=monotone
        )
