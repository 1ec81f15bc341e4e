"""A fitted scikit-learn ensemble of trees: the library's output, and its compiled form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft
from baluarte.core.search import FitTask
from baluarte.methods.sklearn_trees import with_missing_lowest
from baluarte.ports import Matrix, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedEnsemble:
    """A classifier of two classes whose second one is the attack."""

    model: Any
    output: Literal["decision_function", "predict_proba"]
    draft: Callable[..., Draft]  #: of :mod:`baluarte.methods.sklearn_trees`
    missing_is_lowest: bool = False  #: whether the library was given the lowest number for missing
    sample: NDArray[np.int64] | None = None  #: (m,) the rows it was fitted on; None for all

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) what the library says; the attack's probability where it has no other scale."""
        given = with_missing_lowest(X) if self.missing_is_lowest else X
        said = np.asarray(getattr(self.model, self.output)(given), dtype=np.float64)
        return said[:, 1] if said.ndim == 2 else said

    def compile(self) -> Draft:
        """The trees as they are."""
        return self.draft(self.model, missing_is_lowest=self.missing_is_lowest)


def row_weights(y: Target, task: FitTask) -> NDArray[np.float64] | None:
    """(n,) what each row weighs, for a learner that has no class weights; None where all are 1."""
    n_attacks = int(np.count_nonzero(y))
    weight = task.attack_weight(n_attacks, len(y) - n_attacks)
    return None if weight == 1.0 else np.where(y == 1, weight, 1.0)


def class_weights(task: FitTask) -> Literal["balanced"] | dict[int, float] | None:
    """What a learner with class weights takes for ``class_weight``."""
    if isinstance(task.class_weight, float):
        return {0: 1.0, 1: task.class_weight}
    return None if task.class_weight == "none" else task.class_weight
