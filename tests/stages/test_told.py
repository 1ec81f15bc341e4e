"""baluarte.stages.told: what the contract says of a family stands in place of the search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_ground import contract

from baluarte.core.contract import Sampling
from baluarte.core.program.draft import DraftTrees
from baluarte.core.program.model import MISSING_ZERO
from baluarte.errors import ContractError
from baluarte.methods.models.lightgbm import LightGBM
from baluarte.methods.models.logistic import Logistic
from baluarte.methods.models.svm_rbf import SvmRbf
from baluarte.methods.models.xgboost import XGBoost
from baluarte.ports import Model
from baluarte.stages.told import sampled, told
from baluarte.testing.models import agree, drawn, ground, task, trap_rows


def of(model: Model, **params: object) -> Model:
    return told(contract(families=(model.name,), params={model.name: params}), [model])[0]


def test_a_family_of_which_nothing_is_said_stays_as_it_is() -> None:
    model = Logistic()
    assert told(contract(), [model]) == [model]


def test_one_value_is_neither_searched_nor_left_to_the_defaults() -> None:
    model = of(LightGBM(), num_leaves=9, boosting="dart")
    assert model.name == "lightgbm"
    points = [model.defaults(), *drawn(model, n=5)]
    assert {(p["num_leaves"], p["boosting"]) for p in points} == {(9, "dart")}
    assert len({p["learning_rate"] for p in points}) == 6


def test_of_several_values_only_these_are_tried_and_the_first_is_the_default() -> None:
    model = of(Logistic(), c=(2, 0.5))
    assert model.defaults()["c"] == 2.0
    assert {p["c"] for p in drawn(model, n=20)} == {2.0, 0.5}


def test_a_value_may_lie_outside_the_range_of_the_search() -> None:
    assert of(LightGBM(), rounds=1_200).defaults()["rounds"] == 1_200


@pytest.mark.parametrize(
    ("model", "params", "says"),
    [
        (LightGBM(), {"num_leafs": 9}, "Did you mean num_leaves"),
        (LightGBM(), {"num_leaves": 9.5}, "a whole number"),
        (LightGBM(), {"learning_rate": "fast"}, "a number"),
        (LightGBM(), {"learning_rate": -0.1}, "≥ 0"),
        (LightGBM(), {"boosting": "goss"}, "one of gbdt, dart, rf"),
        (LightGBM(), {"linear_tree": True}, "linear model"),
        (XGBoost(), {"booster": "gblinear"}, "one of gbtree, dart"),
        (Logistic(), {"c": True}, "a number"),
    ],
)
def test_what_a_family_cannot_be_told_is_refused_before_anything_starts(
    model: Model, params: dict[str, object], says: str
) -> None:
    with pytest.raises(ContractError, match=says) as caught:
        of(model, **params)
    assert f"learner.params.{model.name}.{next(iter(params))}" in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    both = contract(
        families=("lightgbm", "logistic"),
        params={"lightgbm": {"num_leafs": 3, "rounds": 0.5}, "logistic": {"bins": "many"}},
    )
    with pytest.raises(ContractError) as caught:
        told(both, [LightGBM(), Logistic()])
    assert [fault.where for fault in caught.value.faults] == [
        "learner.params.lightgbm.num_leafs",
        "learner.params.lightgbm.rounds",
        "learner.params.logistic.bins",
    ]


def test_what_the_library_refuses_names_the_table() -> None:
    rows = ground(200)
    for model in (of(LightGBM(), bagging_fraction=7.0), of(XGBoost(), subsample=7.0)):
        with pytest.raises(ContractError, match=f"learner.params.{model.name}"):
            model.fit(rows.X, rows.y, params=model.defaults(), task=task())


@pytest.mark.parametrize("boosting", ["dart", "rf"])
def test_lightgbm_by_dropout_and_as_a_forest_compile_to_what_the_library_says(
    boosting: str,
) -> None:
    rows = ground()
    model = of(LightGBM(), boosting=boosting, rounds=40)
    for weight in ("none", 3.0):
        of_weight = task() if weight == "none" else _weighing(3.0)
        fitted = model.fit(rows.X, rows.y, params=model.defaults(), task=of_weight)
        agree(fitted, trap_rows(fitted.compile(), rows.X, n=2_000))
    part = fitted.compile().parts[0]
    assert isinstance(part, DraftTrees)
    assert len(part.root) == 40


def test_zeros_that_are_told_to_be_missing_go_where_the_library_sends_them() -> None:
    rows = ground()
    X = np.where(np.abs(rows.X) < 0.4, 0.0, rows.X)
    model = of(LightGBM(), zero_as_missing=True, rounds=40)
    fitted = model.fit(X, rows.y, params=model.defaults(), task=task())
    draft = fitted.compile()
    agree(fitted, trap_rows(draft, X, n=2_000))
    part = draft.parts[0]
    assert isinstance(part, DraftTrees)
    assert (part.flags & MISSING_ZERO).any()
    assert not LightGBM().defaults()["zero_as_missing"]


def _weighing(weight: float) -> object:
    plain = task()
    return type(plain)(
        categorical=plain.categorical,
        monotone=plain.monotone,
        seed=0,
        threads=1,
        class_weight=weight,
    )


@given(
    attacks=st.integers(1, 60),
    others=st.integers(1, 60),
    share=st.floats(0.01, 0.99),
    how=st.sampled_from(["under", "over"]),
    seed=st.integers(0, 99),
)
def test_sampling_reaches_the_share_and_loses_no_attack(
    attacks: int, others: int, share: float, how: str, seed: int
) -> None:
    y = np.zeros(attacks + others, np.int8)
    y[np.random.default_rng(seed).permutation(len(y))[:attacks]] = 1
    rows = sampled(y, Sampling(how=how, share=share), seed=seed)  # type: ignore[arg-type]
    assert (np.diff(rows) >= 0).all()
    assert set(np.flatnonzero(y == 1)) <= set(rows.tolist())
    assert (y[rows] != 1).any()
    n_attacks, n_others = int(y[rows].sum()), int((y[rows] != 1).sum())
    if share <= attacks / (attacks + others):
        assert len(rows) == len(y)
    elif how == "over":
        assert n_others == others
        assert abs(n_attacks - share / (1 - share) * others) <= 1
    else:
        assert n_attacks == attacks
        assert abs(n_others - (1 - share) / share * attacks) <= 1
    np.testing.assert_array_equal(rows, sampled(y, Sampling(how=how, share=share), seed=seed))  # type: ignore[arg-type]


def test_every_family_is_fitted_on_the_rows_that_are_asked_for_and_names_them() -> None:
    rows = ground(900)
    rare = rows.y & (np.arange(900) % 9 == 0)
    of_sample = contract(families=("svm_rbf",), sampling=Sampling(how="under", share=0.4))
    model = told(of_sample, [SvmRbf()])[0]
    fitted = model.fit(rows.X, rare, params={**model.defaults(), "rows": 50}, task=task())
    sample = fitted.sample  # type: ignore[attr-defined]
    assert len(sample) <= 50
    assert rare[sample].sum() > 0
    assert set(np.flatnonzero(rare)) >= {row for row in sample.tolist() if rare[row]}
    agree(fitted, trap_rows(fitted.compile(), rows.X, n=500))
    raised = fitted.margin(rows.X).mean()
    plain = SvmRbf().fit(rows.X, rare, params=SvmRbf().defaults(), task=task())
    assert raised > plain.margin(rows.X).mean()
