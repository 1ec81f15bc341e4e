"""XGBoost: gradient-boosted trees by histograms, categories as they are, also with dropout (DART).

Source: Chen & Guestrin, "XGBoost", KDD 2016; Rashmi & Gilad-Bachrach, "DART", AISTATS 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft
from baluarte.core.search import FitTask
from baluarte.methods.libraries import library
from baluarte.methods.xgboost_model import base_margin, draft_of_model, leaf_values, read_model
from baluarte.ports import Fitted, Matrix, Params, Suggest, Target

_PARALLEL_ROWS = 200_000  #: below this a second thread saves little and burns much
_DROPOUT = 0.1  #: share of the trees that a round of DART sets aside


class XGBoost:
    """Gradient-boosted trees on the log-odds scale."""

    name: ClassVar[str] = "xgboost"
    needs_labels: ClassVar[bool] = True

    def defaults(self) -> Params:
        """More, smaller and more different steps than the library's own defaults."""
        return {
            "rounds": 250,
            "learning_rate": 0.06,
            "max_depth": 6,
            "min_child_weight": 1.0,
            "subsample": 0.9,
            "colsample_bynode": 0.5,
            "reg_lambda": 1.0,
            "booster": "gbtree",
        }

    def suggest(self, suggest: Suggest) -> Params:
        """The parameters that matter, within ranges that stay quick; the booster as told."""
        return {
            "rounds": suggest.integer("rounds", 80, 400, log=True),
            "learning_rate": suggest.number("learning_rate", 0.02, 0.3, log=True),
            "max_depth": suggest.integer("max_depth", 3, 9),
            "min_child_weight": suggest.number("min_child_weight", 0.1, 20.0, log=True),
            "subsample": suggest.number("subsample", 0.5, 1.0),
            "colsample_bynode": suggest.number("colsample_bynode", 0.3, 1.0),
            "reg_lambda": suggest.number("reg_lambda", 0.01, 30.0, log=True),
            "booster": suggest.option("booster", ["gbtree", "dart"]),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:
        """Fit by histograms, with fixed threads and seed: the same model every time."""
        xgb = library("xgboost")
        threads = task.threads if len(X) >= _PARALLEL_ROWS else 1
        n_attacks = int(np.count_nonzero(y))
        options: dict[str, Any] = {
            **params,
            "objective": "binary:logistic",
            "tree_method": "hist",
            "scale_pos_weight": task.attack_weight(n_attacks, len(y) - n_attacks),
            "seed": task.seed,
            "nthread": threads,
            "verbosity": 0,
        }
        rounds = int(options.pop("rounds"))
        if options["booster"] == "dart":
            options["rate_drop"] = _DROPOUT
        if any(task.monotone):
            # A category has no order to be monotone in.
            signs = zip(task.monotone, task.categorical, strict=True)
            options["monotone_constraints"] = tuple(0 if of else sign for sign, of in signs)
        kinds = ["c" if category else "q" for category in task.categorical]
        rows = _rows(xgb, X, kinds, threads, y)
        booster = xgb.train(options, rows, rounds)
        return FittedXGBoost(booster=booster, kinds=kinds, threads=threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedXGBoost:
    """A booster and its compiled form."""

    booster: Any
    kinds: list[str]  #: (d,) c for category codes, q for numbers
    threads: int

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) log-odds: the true sum of the leaves that ``pred_leaf`` names.

        The library's own margin is that sum in float32.
        """
        rows = _rows(library("xgboost"), X, self.kinds, self.threads)
        leaves = self.booster.predict(rows, pred_leaf=True).astype(np.int64).reshape(len(X), -1)
        saved = read_model(self._saved())
        margin = np.full(len(X), base_margin(saved))
        for tree, values in enumerate(leaf_values(saved)):
            margin += values[leaves[:, tree]]
        return margin

    def margin_in_float32(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) the library's own margin, which it adds up in float32."""
        rows = _rows(library("xgboost"), X, self.kinds, self.threads)
        return np.asarray(self.booster.predict(rows, output_margin=True), dtype=np.float64)

    def compile(self) -> Draft:
        """The booster's trees, from its own saved form."""
        return draft_of_model(read_model(self._saved()))

    def _saved(self) -> bytes:
        return bytes(self.booster.save_raw("ubj"))


def _rows(xgb: Any, X: Matrix, kinds: list[str], threads: int, y: Target | None = None) -> Any:
    return xgb.DMatrix(X, y, feature_types=kinds, enable_categorical=True, nthread=threads)
