"""Isolation forest: without labels, what is isolated by few random cuts is suspicious.

Source: Liu, Ting & Zhou, "Isolation Forest", ICDM 2008; section 3 for the path length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft
from baluarte.core.search import FitTask
from baluarte.errors import ContractError
from baluarte.methods.libraries import library
from baluarte.methods.sklearn_trees import average_path_length, draft_of_isolation_forest
from baluarte.ports import Fitted, Matrix, Params, Suggest, Target


class IsolationForest:
    """Margin: minus the sum of path lengths over all trees, in cuts; its 2**(-d/c) is monotone."""

    name: ClassVar[str] = "isolation_forest"
    needs_labels: ClassVar[bool] = False

    def defaults(self) -> Params:
        """Twice the paper's trees and its sample of 256 rows a tree."""
        return {"trees": 200, "sample": 256}

    def suggest(self, suggest: Suggest) -> Params:
        """More trees steady it; larger samples see finer structure."""
        return {
            "trees": suggest.integer("trees", 100, 300),
            "sample": suggest.integer("sample", 128, 2048, log=True),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:  # noqa: ARG002 - the port's argument; no labels here
        """Fit on the rows alone.

        Raises:
            ContractError: a monotone column was asked for, which random cuts can't promise.
        """
        if any(task.monotone):
            raise ContractError(
                "isolation_forest can't promise a monotone column",
                hint="Use lightgbm or random_forest where a field must be monotone.",
            )
        ensemble = library("sklearn.ensemble")
        forest = ensemble.IsolationForest(
            n_estimators=int(params["trees"]),
            max_samples=min(int(params["sample"]), len(X)),
            random_state=task.seed,
            n_jobs=task.threads,
        )
        forest.fit(X)
        return FittedIsolation(forest=forest)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedIsolation:
    """An isolation forest and its compiled form."""

    forest: Any

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) minus the sum of path lengths, from the library's score 2**(-sum / (T·c))."""
        score = -np.asarray(self.forest.score_samples(X), dtype=np.float64)
        sample = np.array([float(self.forest.max_samples_)])
        scale = len(self.forest.estimators_) * float(average_path_length(sample)[0])
        return np.log2(score) * scale

    def compile(self) -> Draft:
        """Each leaf gives minus its depth and the mean path length of the rows left in it."""
        return draft_of_isolation_forest(self.forest)
