"""Random forest: the mean of many deep trees' probabilities, from scikit-learn."""

from __future__ import annotations

from typing import ClassVar

from baluarte.core.search import FitTask
from baluarte.methods.libraries import library
from baluarte.methods.sklearn_fitted import FittedEnsemble, class_weights
from baluarte.methods.sklearn_trees import draft_of_forest, with_missing_lowest
from baluarte.ports import Fitted, Matrix, Params, Suggest, Target

_TREES = 100  #: the library's default; more cost time in every decision and change little
_MOST_ROWS = 100_000  #: drawn for one tree: more make it slower, hardly better


class RandomForest:
    """A forest on the probability scale; categories enter as codes ordered by frequency."""

    name: ClassVar[str] = "random_forest"
    needs_labels: ClassVar[bool] = True

    def defaults(self) -> Params:
        """Leaves of two rows halve the forest that the library would grow, for nothing lost."""
        return {"max_features": 0.2, "min_samples_leaf": 2}

    def suggest(self, suggest: Suggest) -> Params:
        """How different the trees are, and how deep they grow."""
        return {
            "max_features": suggest.number("max_features", 0.08, 0.4, log=True),
            "min_samples_leaf": suggest.integer("min_samples_leaf", 1, 10, log=True),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:
        """Fit on both classes; trees have their seeds before any thread starts.

        The library splits on missing values but not under a monotone constraint: there a missing
        value is the lowest number.
        """
        monotone = any(task.monotone)
        ensemble = library("sklearn.ensemble")
        forest = ensemble.RandomForestClassifier(
            n_estimators=_TREES,
            max_features=float(params["max_features"]),
            min_samples_leaf=int(params["min_samples_leaf"]),
            class_weight=class_weights(task),
            monotonic_cst=list(task.monotone) if monotone else None,
            max_samples=_MOST_ROWS if len(X) > _MOST_ROWS else None,
            random_state=task.seed,
            n_jobs=task.threads,
        )
        forest.fit(with_missing_lowest(X) if monotone else X, y)
        # One thread sums the trees in their order; more would sum them as they finish.
        forest.set_params(n_jobs=1)
        return FittedEnsemble(
            model=forest, output="predict_proba", draft=draft_of_forest, missing_is_lowest=monotone
        )
