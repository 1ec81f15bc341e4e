"""baluarte.methods: models as libraries save them become drafts that say the same on every row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft, seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.errors import DataError
from baluarte.methods.lightgbm_text import draft_of_text
from baluarte.methods.sklearn_histogram import draft_of_histogram_boosting
from baluarte.methods.sklearn_trees import (
    draft_of_adaboost,
    draft_of_boosting,
    draft_of_forest,
    draft_of_isolation_forest,
    with_missing_lowest,
)
from baluarte.methods.ubjson import read_ubjson
from baluarte.methods.xgboost_model import base_margin, draft_of_model, leaf_values, read_model
from baluarte.testing.models import CATEGORICAL, ground, trap_rows

xgboost = pytest.importorskip("xgboost", reason="the extra `xgboost` is not installed")
lightgbm = pytest.importorskip("lightgbm")
ensemble = pytest.importorskip("sklearn.ensemble")

ROWS = ground(1_200)
pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = ["c" if category else "q" for category in CATEGORICAL]
Rows = NDArray[np.float64]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """More threads than free cores mostly wait for one another."""
    with pytest.importorskip("threadpoolctl").threadpool_limits(1):
        yield


def said(draft: Draft, X: Rows) -> NDArray[np.float64]:
    program = seal(draft)
    return Evaluator(program).score(X) * 2.0**-program.scale_bits


def same_output(draft: Draft, output: Callable[[Rows], Rows]) -> None:
    X = trap_rows(draft, ROWS.X, n=6_000)
    np.testing.assert_allclose(said(draft, X), output(X), rtol=1e-9, atol=1e-9)


def dmatrix(X: Rows, y: Any = None) -> Any:
    return xgboost.DMatrix(X, y, feature_types=KINDS, enable_categorical=True)


def boosted(**params: Any) -> Any:
    options = {"objective": "binary:logistic", "max_depth": 5, "verbosity": 0, "nthread": 1}
    return xgboost.train(options | params, dmatrix(ROWS.X, ROWS.y), 25)


BOOSTERS = (
    {},
    {"max_cat_to_onehot": 1},
    {"booster": "dart", "rate_drop": 0.4},
    {"num_parallel_tree": 3, "subsample": 0.5},
    {"tree_method": "exact", "gamma": 2.0, "feature_types": None},
    {"base_score": 0.1, "objective": "binary:logitraw"},
)


def booster(params: dict[str, Any]) -> tuple[Any, Callable[[Rows], Any]]:
    if "feature_types" not in params:
        return boosted(**params), dmatrix
    own = {key: value for key, value in params.items() if key != "feature_types"}
    options = {"objective": "binary:logistic", "verbosity": 0, "nthread": 1} | own
    return xgboost.train(options, xgboost.DMatrix(ROWS.X, ROWS.y), 25), xgboost.DMatrix


@pytest.mark.parametrize("params", BOOSTERS, ids=str)
def test_xgboost_reaches_the_same_leaves_and_sums_them_truly(params: dict[str, Any]) -> None:
    model, matrix = booster(params)
    saved = read_model(bytes(model.save_raw("ubj")))
    draft = draft_of_model(saved)
    X = trap_rows(draft, ROWS.X, n=6_000)
    leaves = model.predict(matrix(X), pred_leaf=True).astype(int)
    total = np.full(len(X), base_margin(saved))
    for t, values in enumerate(leaf_values(saved)):
        total += values[leaves[:, t]]
    np.testing.assert_allclose(said(draft, X), total, rtol=1e-9, atol=1e-9)
    margin = model.predict(matrix(X), output_margin=True)
    np.testing.assert_allclose(margin, total, rtol=1e-5, atol=1e-5)  # its float32 sum
    for t, tree in enumerate(
        saved["learner"]["gradient_booster"].get("gbtree", saved["learner"]["gradient_booster"])[
            "model"
        ]["trees"]
    ):
        number = np.arange(len(tree["left_children"]))
        cut = np.asarray(tree["split_conditions"])
        named = tree | {"split_conditions": np.where(tree["left_children"] < 0, number, cut)}
        one = json.loads(model.save_raw("json"))
        one["learner"]["gradient_booster"] = {
            "name": "gbtree",
            "model": {"trees": [named], "gbtree_model_param": {}},
        }
        one["learner"]["learner_model_param"]["base_score"] = "0"
        one["learner"]["objective"]["name"] = "binary:logitraw"
        assert (said(draft_of_model(one), X) == leaves[:, t]).all()


def test_xgboost_json_and_ubjson_give_the_same_draft() -> None:
    model = boosted(max_cat_to_onehot=1)
    texts, binary = (
        draft_of_model(read_model(bytes(model.save_raw(kind)))) for kind in ("json", "ubj")
    )
    assert texts.base == binary.base
    for name in texts.parts[0].__slots__:
        np.testing.assert_array_equal(
            getattr(texts.parts[0], name), getattr(binary.parts[0], name), strict=name != "rule"
        )


def test_xgboost_counts_only_the_rounds_asked_for() -> None:
    model = boosted(num_parallel_tree=2)
    saved = read_model(bytes(model.save_raw("json")))
    few = draft_of_model(saved, n_rounds=7)
    assert len(few.parts[0].root) == 14  # type: ignore[union-attr]
    margin = model.predict(dmatrix(ROWS.X), output_margin=True, iteration_range=(0, 7))
    np.testing.assert_allclose(said(few, ROWS.X), margin, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("objective", "score", "margin"),
    [
        ("binary:logistic", "5E-1", 0.0),
        ("binary:logistic", "[3E-1]", -0.8472978),
        ("reg:squarederror", "3E-1", 0.3),
        ("binary:logitraw", "[3E-1]", 0.3),
        ("count:poisson", "3E-1", -1.2039728),
    ],
)
def test_the_base_score_is_put_on_the_margins_scale_by_the_objectives_link(
    objective: str, score: str, margin: float
) -> None:
    learner = {"objective": {"name": objective}, "learner_model_param": {"base_score": score}}
    assert base_margin({"learner": learner}) == pytest.approx(margin, rel=1e-6)


def test_xgboost_models_that_are_no_single_sum_of_trees_are_refused_with_a_word() -> None:
    linear = xgboost.train({"booster": "gblinear", "verbosity": 0}, xgboost.DMatrix(ROWS.X, ROWS.y))
    with pytest.raises(DataError, match="found gblinear"):
        draft_of_model(read_model(bytes(linear.save_raw("ubj"))))
    many = xgboost.train(
        {"objective": "multi:softprob", "num_class": 3, "verbosity": 0},
        dmatrix(ROWS.X, ROWS.y + ROWS.X[:, 2]),
        2,
    )
    with pytest.raises(DataError, match="one output, found 3"):
        draft_of_model(read_model(bytes(many.save_raw("ubj"))))
    with pytest.raises(DataError, match="save_model"):
        read_model(b"binf\x00\x00")
    with pytest.raises(DataError, match="without a learner"):
        read_model(b'{"version": 1}')
    with pytest.raises(DataError, match="schema"):
        draft_of_model({"learner": {"gradient_booster": {"name": "gbtree"}}})


def test_ubjson_that_stops_anywhere_is_an_error_and_nothing_else() -> None:
    whole = bytes(boosted(max_depth=2).save_raw("ubj"))
    for end in range(1, len(whole), 97):
        with pytest.raises(DataError, match="UBJSON"):
            read_ubjson(whole[:end])


def test_ubjson_reads_what_its_specification_shows() -> None:
    assert read_ubjson(b"[ZTFi\x07]") == [
        None,
        True,
        False,
        7,
    ]
    assert read_ubjson(b"{#i\x01i\x01aSi\x02hi") == {"a": "hi"}
    assert read_ubjson(b"{i\x01a[$d#i\x01?\x80\x00\x00}")["a"].tolist() == [1.0]
    with pytest.raises(DataError, match="deep"):
        read_ubjson(b"[" * 100)
    with pytest.raises(DataError, match="marker"):
        read_ubjson(b"?")


@pytest.mark.parametrize("monotone", [None, [1, 0, 0, 0, 0, -1]])
@pytest.mark.parametrize("categorical", [list(CATEGORICAL), None])
def test_histogram_boosting_sends_unseen_categories_where_missing_ones_go(
    monotone: list[int] | None, categorical: list[bool] | None
) -> None:
    model = ensemble.HistGradientBoostingClassifier(
        categorical_features=categorical, monotonic_cst=monotone, max_iter=40
    ).fit(ROWS.X, ROWS.y)
    same_output(draft_of_histogram_boosting(model), model.decision_function)


def test_histogram_boosting_over_texts_needs_our_codes() -> None:
    texts = np.array([["b"], ["a"], ["c"], ["a"]] * 60, dtype=object)
    y = (texts[:, 0] == "a").astype(int)
    model = ensemble.HistGradientBoostingClassifier(categorical_features=[0], max_iter=5)
    model.fit(texts, y)
    with pytest.raises(DataError, match="codes"):
        draft_of_histogram_boosting(model)
    draft = draft_of_histogram_boosting(model, {0: np.array([7, 2, 40])})  # a, b, c
    X = np.array([[7.0], [2.0], [40.0], [np.nan], [5.0]])
    own = np.array([["a"], ["b"], ["c"], [np.nan], ["z"]], dtype=object)
    np.testing.assert_allclose(said(draft, X), model.decision_function(own), rtol=1e-9)


def test_forests_of_scikit_learn_are_their_own_mean() -> None:
    for kind in (ensemble.RandomForestClassifier, ensemble.ExtraTreesClassifier):
        model = kind(30, random_state=0).fit(ROWS.X, ROWS.y)
        same_output(draft_of_forest(model), lambda X, m=model: m.predict_proba(X)[:, 1])


def test_an_isolation_forest_over_some_of_the_columns_keeps_which() -> None:
    X = with_missing_lowest(ROWS.X)
    model = ensemble.IsolationForest(n_estimators=40, max_features=0.5, random_state=0).fit(X)
    draft = draft_of_isolation_forest(model)
    path = -said(draft, X) / len(model.estimators_)
    score = 2.0 ** (-path / (2 * (np.log(255) + np.euler_gamma) - 2 * 255 / 256))
    np.testing.assert_allclose(score, -model.score_samples(X), rtol=1e-9)


@pytest.mark.parametrize("init", [None, "zero"])
def test_gradient_boosting_starts_where_it_started(init: str | None) -> None:
    low = with_missing_lowest
    model = ensemble.GradientBoostingClassifier(n_estimators=30, init=init, subsample=0.7)
    model.fit(low(ROWS.X), ROWS.y)
    draft = draft_of_boosting(model, missing_is_lowest=True)
    same_output(draft, lambda X: model.decision_function(low(X)))


def test_gradient_boosting_upon_another_model_is_refused() -> None:
    X = np.nan_to_num(ROWS.X)
    first = ensemble.RandomForestClassifier(3)
    model = ensemble.GradientBoostingClassifier(n_estimators=2, init=first).fit(X, ROWS.y)
    with pytest.raises(DataError, match="RandomForestClassifier"):
        draft_of_boosting(model)


@pytest.mark.parametrize("depth", [1, 3, None])
def test_adaboost_votes_as_it_does_also_when_it_stopped_early(depth: int | None) -> None:
    tree = pytest.importorskip("sklearn.tree").DecisionTreeClassifier(max_depth=depth)
    low = with_missing_lowest
    model = ensemble.AdaBoostClassifier(tree, n_estimators=30).fit(low(ROWS.X), ROWS.y)
    draft = draft_of_adaboost(model, missing_is_lowest=True)
    same_output(draft, lambda X: model.decision_function(low(X)))


def test_adaboost_over_anything_but_trees_is_refused() -> None:
    linear = pytest.importorskip("sklearn.linear_model").LogisticRegression()
    model = ensemble.AdaBoostClassifier(linear, n_estimators=2).fit(np.nan_to_num(ROWS.X), ROWS.y)
    with pytest.raises(DataError, match="LogisticRegression"):
        draft_of_adaboost(model)


def test_three_classes_are_refused() -> None:
    y = ROWS.y + ROWS.X[:, 2]
    forest = ensemble.RandomForestClassifier(2).fit(ROWS.X, y)
    histogram = ensemble.HistGradientBoostingClassifier(max_iter=2).fit(ROWS.X, y)
    for compile_it, model in ((draft_of_forest, forest), (draft_of_histogram_boosting, histogram)):
        with pytest.raises(DataError, match="two classes, found 3"):
            compile_it(model)


def light(**params: Any) -> Any:
    of_data = {"verbose": -1, **{k: params[k] for k in ("linear_tree",) if k in params}}
    rows = lightgbm.Dataset(
        ROWS.X,
        params.pop("y", ROWS.y),
        categorical_feature=[] if "linear_tree" in params else [3],
        params=of_data,
    )
    options = {"objective": "binary", "verbose": -1, "num_threads": 1} | params
    return lightgbm.train(options, rows, 20)


def log_odds(model: Any, X: Rows, **options: int) -> Rows:
    """Of the probability, that is; ``raw_score`` of a random forest is the sum of its trees."""
    raw = model.predict(X, raw_score=True, **options)
    averaged = "\naverage_output\n" in model.model_to_string()
    return np.asarray(raw / (options.get("num_iteration", 20) if averaged else 1))


@pytest.mark.parametrize(
    "params",
    [
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
        {"boosting": "dart", "drop_rate": 0.4},
        {"zero_as_missing": True},
        {"use_missing": False},
        {"max_cat_to_onehot": 1},
    ],
    ids=str,
)
def test_lightgbm_text_says_what_its_model_says(params: dict[str, Any]) -> None:
    model = light(**params)
    same_output(draft_of_text(model.model_to_string()), lambda X: log_odds(model, X))


def test_lightgbm_text_counts_only_the_rounds_asked_for() -> None:
    for params in ({}, {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}):
        model = light(**params)
        few = draft_of_text(model.model_to_string(), n_rounds=6)
        same_output(few, lambda X, m=model: log_odds(m, X, num_iteration=6))


def test_lightgbm_text_of_another_kind_is_refused_with_a_word() -> None:
    with pytest.raises(DataError, match="linear trees"):
        draft_of_text(light(linear_tree=True).model_to_string())
    many = light(objective="multiclass", num_class=3, y=ROWS.y + ROWS.X[:, 2])
    with pytest.raises(DataError, match="one output, found 3"):
        draft_of_text(many.model_to_string())
    with pytest.raises(DataError, match="other text"):
        draft_of_text("hello")
    whole = light().model_to_string()
    with pytest.raises(DataError, match="not complete"):
        draft_of_text(whole.replace("left_child=", "left="))
