"""LightGBM: gradient-boosted trees, also with dropout (DART) or as a random forest.

Categories stay as they are; the program is compiled from the model's own text.

Source: Ke et al., "LightGBM", NIPS 2017; Rashmi & Gilad-Bachrach, "DART", AISTATS 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft, add
from baluarte.core.search import FitTask
from baluarte.errors import ContractError
from baluarte.methods.libraries import library
from baluarte.methods.lightgbm_text import draft_of_text
from baluarte.ports import Fitted, Matrix, Params, Suggest, Target

_PARALLEL_ROWS = 200_000  #: below this a second thread saves little and burns much
_NEXT_SEED = 1_009  #: further on, for the fits of one mean: as other seeds of a contract are not
_MOST_BAGGED = 0.95  #: of the rows, for a tree of a random forest: all of them would grow one tree


class LightGBM:
    """Gradient-boosted trees on the log-odds scale."""

    name: ClassVar[str] = "lightgbm"
    needs_labels: ClassVar[bool] = True
    refuses: ClassVar[Mapping[str, str]] = {
        "linear_tree": "a leaf that holds a linear model is no fixed number, so no exact term of a "
        "program; more and smaller leaves say the same"
    }

    def defaults(self) -> Params:
        """More, smaller and more different steps than the library's own defaults."""
        return {
            "rounds": 300,
            "learning_rate": 0.03,
            "num_leaves": 40,
            "min_data_in_leaf": 4,
            "feature_fraction": 0.4,
            "bagging_fraction": 0.9,
            "lambda_l2": 0.2,
            "boosting": "gbdt",
            "zero_as_missing": False,
        }

    def suggest(self, suggest: Suggest) -> Params:
        """The parameters that matter, within ranges that stay quick; boosting and zeros as told."""
        return {
            "rounds": suggest.integer("rounds", 80, 600, log=True),
            "learning_rate": suggest.number("learning_rate", 0.02, 0.2, log=True),
            "num_leaves": suggest.integer("num_leaves", 7, 63, log=True),
            "min_data_in_leaf": suggest.integer("min_data_in_leaf", 3, 100, log=True),
            "feature_fraction": suggest.number("feature_fraction", 0.3, 1.0),
            "bagging_fraction": suggest.number("bagging_fraction", 0.5, 1.0),
            "lambda_l2": suggest.number("lambda_l2", 0.01, 30.0, log=True),
            "boosting": suggest.option("boosting", ["gbdt", "dart", "rf"]),
            "zero_as_missing": suggest.option("zero_as_missing", [False, True]),
        }

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:
        """Fit by rows, with fixed threads and seeds: the same model every time.

        With ``task.repeats`` it is the mean of several, which differ in the rows and columns that
        they drew: steadier where few rows, or no rows of a kind, tell what is right.

        Raises:
            ContractError: parameters that the library refuses.
        """
        lgb = library("lightgbm")
        threads = task.threads if len(X) >= _PARALLEL_ROWS else 1
        options: dict[str, Any] = {
            **params,
            "objective": "binary",
            "bagging_freq": 1,
            "seed": task.seed,
            "num_threads": threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
        rounds = int(options.pop("rounds"))
        if options.get("boosting") == "rf":
            options["bagging_fraction"] = min(float(options["bagging_fraction"]), _MOST_BAGGED)
        n_attacks = int(np.count_nonzero(y))
        options["scale_pos_weight"] = task.attack_weight(n_attacks, len(y) - n_attacks)
        if any(task.monotone):
            # A category has no order to be monotone in.
            options["monotone_constraints"] = [
                0 if category else sign
                for sign, category in zip(task.monotone, task.categorical, strict=True)
            ]
        rows = lgb.Dataset(
            X,
            y,
            categorical_feature=[j for j, category in enumerate(task.categorical) if category],
            params={"verbose": -1, "min_data_in_bin": 1 if len(X) < 5_000 else 3},
        )
        try:
            boosters = tuple(
                lgb.train(options | {"seed": task.seed + i * _NEXT_SEED}, rows, rounds)
                for i in range(task.repeats)
            )
        except lgb.basic.LightGBMError as error:
            raise ContractError(
                f"lightgbm refuses its parameters: {error}", where="learner.params.lightgbm"
            ) from error
        return FittedLightGBM(boosters=boosters, threads=threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLightGBM:
    """The mean of some boosters, mostly of one, and its compiled form."""

    boosters: tuple[Any, ...]
    threads: int

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) mean log-odds, as ``Booster.predict(raw_score=True)`` says.

        A random forest's ``raw_score`` is the sum of what its probability takes the mean of.
        """
        total = np.zeros(len(X))
        for booster in self.boosters:
            raw = booster.predict(X, raw_score=True, num_threads=self.threads)
            is_forest = booster.params.get("boosting") == "rf"
            total += np.asarray(raw) / booster.current_iteration() if is_forest else raw
        return total / len(self.boosters)

    def compile(self) -> Draft:
        """The boosters' trees, from their own texts."""
        each = 1 / len(self.boosters)
        drafts = [draft_of_text(booster.model_to_string()) for booster in self.boosters]
        return drafts[0] if len(drafts) == 1 else add([(each, draft) for draft in drafts])
