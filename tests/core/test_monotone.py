"""baluarte.core.program.monotone: what is shown holds for every row; the rest is not shown."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from baluarte.core.program.draft import Draft, Member, add, seal, stack
from baluarte.core.program.draft_dense import background_of
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.model import Program, TreePart
from baluarte.core.program.monotone import is_monotone
from baluarte.core.search import FitTask
from baluarte.methods.models.adaboost import AdaBoost
from baluarte.methods.models.extra_trees import ExtraTrees
from baluarte.methods.models.hist_gradient_boosting import HistGradientBoosting
from baluarte.methods.models.lightgbm import LightGBM
from baluarte.methods.models.linear_svm import LinearSvm
from baluarte.methods.models.random_forest import RandomForest
from baluarte.methods.models.xgboost import XGBoost
from baluarte.ports import Fitted, Model
from baluarte.testing.models import CATEGORICAL, ground, task

COLUMN = 0
PROMISING: tuple[Model, ...] = (
    LightGBM(),
    XGBoost(),
    RandomForest(),
    ExtraTrees(),
    HistGradientBoosting(),
    AdaBoost(),
)


def fitted(model: Model, sign: int = 1, n: int = 600, **params: object) -> Fitted:
    rows = ground(n)
    promised = FitTask(
        categorical=CATEGORICAL,
        monotone=(sign, 0, 0, 0, 0, 0),
        seed=0,
        threads=1,
        class_weight="none",
    )
    of = promised if sign else task(threads=1)
    return model.fit(rows.X, rows.y, params={**model.defaults(), **params}, task=of)


def steps(program: Program, column: int = COLUMN) -> np.ndarray:
    """How scores change as the column grows, the rest as it is, missing values among it."""
    X = np.repeat(ground(60, seed=3).X, 40, axis=0)
    X[:, column] = np.tile(np.linspace(-4, 4, 40), 60)
    return np.diff(Evaluator(program).score(X).reshape(60, 40), axis=1)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("model", PROMISING, ids=lambda m: m.name)
def test_a_constrained_family_is_shown_to_be_monotone_and_is(model: Model, sign: int) -> None:
    few = {key: 60 for key in ("rounds", "trees") if key in model.defaults()}
    program = seal(fitted(model, sign, **few).compile())
    assert is_monotone(program, COLUMN, sign)
    assert (steps(program) * sign >= 0).all()


@pytest.mark.parametrize("boosting", ["dart", "rf"])
def test_so_are_lightgbm_s_other_ways_to_boost(boosting: str) -> None:
    program = seal(fitted(LightGBM(), boosting=boosting, rounds=60).compile())
    assert is_monotone(program, COLUMN, 1)


@pytest.mark.parametrize("model", [*PROMISING, LinearSvm()], ids=lambda m: m.name)
def test_an_unconstrained_one_that_falls_somewhere_is_not_shown(model: Model) -> None:
    few = {key: 60 for key in ("rounds", "trees") if key in model.defaults()}
    program = seal(fitted(model, 0, **few).compile())
    for column in range(3):
        for sign in (1, -1):
            if (steps(program, column) * sign < 0).any():
                assert not is_monotone(program, column, sign)


def test_whatever_is_shown_of_many_small_forests_holds_on_a_grid_of_rows() -> None:
    shown = 0
    for seed in range(25):
        rows = ground(120, seed=seed)
        draft = LightGBM().fit(
            np.nan_to_num(rows.X),
            rows.y,
            params={**LightGBM().defaults(), "rounds": 2, "num_leaves": 5},
            task=task(seed=seed, threads=1),
        )
        program = seal(draft.compile())
        for column in (0, 1, 2, 5):
            for sign in (1, -1):
                if is_monotone(program, column, sign):
                    shown += 1
                    assert (steps(program, column) * sign >= 0).all()
    assert shown > 25


def test_leaves_out_of_order_that_no_row_can_pair_do_not_count() -> None:
    """Split on column 1 both ways: the large leaf on the left needs x1 <= 0, the small x1 > 0."""
    draft = fitted(RandomForest(), 1).compile()
    one = dataclasses.replace(
        draft.parts[0],  # type: ignore[arg-type]
        root=np.array([0], np.int32),
        feature=np.array([0, 1, 1], np.int32),
        threshold=np.zeros(3),
        left=np.array([1, ~0, ~2], np.int32),
        right=np.array([2, ~1, ~3], np.int32),
        flags=np.zeros(3, np.uint8),
        set_index=np.full(3, -1, np.int32),
        leaf=np.array([5.0, 0.0, 6.0, 1.0]),
        node_cover=np.array([4.0, 2.0, 2.0]),
        leaf_cover=np.ones(4),
    )
    program = seal(Draft(n_features=6, base=0.0, parts=(one,)))
    assert is_monotone(program, 0, 1)
    assert not is_monotone(program, 0, -1)
    part = program.parts[0]
    assert isinstance(part, TreePart)
    worse = dataclasses.replace(part, leaf=part.leaf[[0, 1, 3, 2]])
    assert not is_monotone(dataclasses.replace(program, parts=(worse,)), 0, 1)


def test_sums_and_votes_of_monotone_members_are_and_a_turned_member_is_not() -> None:
    first, second = (fitted(model, 1).compile() for model in (LightGBM(), HistGradientBoosting()))
    assert is_monotone(seal(add([(0.5, first), (2.0, second)])), COLUMN, 1)
    background = background_of(ground().X)
    for weight, shown in ((0.5, True), (-0.5, False)):
        vote = stack(
            [
                Member(draft=first, weight=0.5, link="logistic"),
                Member(draft=second, weight=weight, link="logistic"),
            ],
            base=0.0,
            background=background,
        )
        assert is_monotone(seal(vote), COLUMN, 1) is shown
