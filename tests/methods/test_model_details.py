"""baluarte.methods.models: what is particular to each family, and the real data."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from baluarte.core.program.draft import DraftTrees, seal
from baluarte.core.program.draft_dense import DraftKernel
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.model import CATEGORICAL as CATEGORICAL_NODE
from baluarte.core.search import FitTask
from baluarte.errors import ContractError, OutsideError
from baluarte.methods.dense_inputs import design, inputs_of
from baluarte.methods.kernel_svm import sample
from baluarte.methods.libraries import library
from baluarte.methods.models.adaboost import AdaBoost
from baluarte.methods.models.extra_trees import ExtraTrees
from baluarte.methods.models.gradient_boosting import GradientBoosting
from baluarte.methods.models.hist_gradient_boosting import HistGradientBoosting
from baluarte.methods.models.isolation_forest import IsolationForest, average_path_length
from baluarte.methods.models.lightgbm import LightGBM
from baluarte.methods.models.linear_svm import LinearSvm
from baluarte.methods.models.logistic import Logistic
from baluarte.methods.models.mlp import Mlp
from baluarte.methods.models.random_forest import RandomForest
from baluarte.methods.models.svm_poly import SvmPoly
from baluarte.methods.models.svm_rbf import SvmRbf
from baluarte.methods.models.xgboost import XGBoost
from baluarte.ports import Model
from baluarte.testing.models import CATEGORICAL, agree, ground, task

LABELLED = (LightGBM(), RandomForest(), Logistic(), LinearSvm(), SvmRbf(), SvmPoly(), Mlp())
BOOSTED = (XGBoost(), ExtraTrees(), GradientBoosting(), HistGradientBoosting(), AdaBoost())


def test_lightgbm_splits_on_sets_of_categories_that_the_program_keeps() -> None:
    rows = ground(2_000)
    draft = LightGBM().fit(rows.X, rows.y, params=LightGBM().defaults(), task=task()).compile()
    part = draft.parts[0]
    assert isinstance(part, DraftTrees)
    sets = part.set_index[part.flags == CATEGORICAL_NODE]
    assert len(sets) > 0
    np.testing.assert_array_equal(np.sort(sets), np.arange(len(part.set_start) - 1))
    assert set(part.feature[part.flags == CATEGORICAL_NODE].tolist()) == {3}


def test_repeated_fits_are_the_mean_of_fits_that_drew_otherwise() -> None:
    rows, model = ground(500), LightGBM()
    params = {**model.defaults(), "rounds": 30}
    thrice = msgspec.structs.replace(task(), repeats=3)
    mean = model.fit(rows.X, rows.y, params=params, task=thrice)
    agree(mean, rows.X)
    again = model.fit(rows.X, rows.y, params=params, task=thrice)
    assert (mean.margin(rows.X) == again.margin(rows.X)).all()
    each = [
        model.fit(
            rows.X, rows.y, params=params, task=msgspec.structs.replace(task(), seed=1_009 * i)
        ).margin(rows.X)
        for i in range(3)
    ]
    assert np.abs(each[0] - each[1]).max() > 0.01
    np.testing.assert_allclose(mean.margin(rows.X), np.mean(each, axis=0), rtol=1e-12)


def test_lightgbm_without_anything_to_split_on_is_a_constant() -> None:
    rows = ground(60)
    nothing = np.zeros_like(rows.X)  # not even a missing value
    fitted = LightGBM().fit(nothing, rows.y, params=LightGBM().defaults(), task=task())
    agree(fitted, rows.X)
    assert len(np.unique(fitted.margin(rows.X))) == 1


@pytest.mark.parametrize("model", [LightGBM(), RandomForest()], ids=lambda m: m.name)
def test_a_monotone_column_never_lowers_the_score(model: Model) -> None:
    rows = ground(800)
    X = np.nan_to_num(rows.X)
    rising = FitTask(
        categorical=CATEGORICAL, monotone=(1, 0, 0, 0, 0, 0), seed=0, threads=1, class_weight="none"
    )
    program = seal(model.fit(X, rows.y, params=model.defaults(), task=rising).compile())
    sweep = np.repeat(X[:40], 30, axis=0)
    sweep[:, 0] = np.tile(np.linspace(-3, 3, 30), 40)
    scores = Evaluator(program).score(sweep).reshape(40, 30)
    assert (np.diff(scores, axis=1) >= 0).all()


@pytest.mark.parametrize("model", [*LABELLED[2:], IsolationForest()], ids=lambda m: m.name)
def test_a_family_that_cannot_promise_a_monotone_column_says_so(model: Model) -> None:
    rows = ground(60)
    rising = FitTask(
        categorical=CATEGORICAL, monotone=(1, 0, 0, 0, 0, 0), seed=0, threads=1, class_weight="none"
    )
    with pytest.raises(ContractError, match="monotone"):
        model.fit(rows.X, rows.y, params=model.defaults(), task=rising)


@pytest.mark.parametrize("model", LABELLED, ids=lambda m: m.name)
def test_balanced_classes_raise_the_margin_of_a_rare_attack(model: Model) -> None:
    rows = ground(2_000)
    rare = rows.y & (np.arange(2_000) % 4 == 0)
    means = [
        model.fit(rows.X, rare, params=model.defaults(), task=task(balanced=balanced))
        .margin(rows.X)
        .mean()
        for balanced in (False, True)
    ]
    assert means[1] > means[0]


def test_a_kernel_machine_is_fitted_on_a_stated_sample_that_keeps_the_rare_class() -> None:
    rare = np.zeros(50_000, np.int8)
    rare[::1000] = 1
    rows = sample(rare, 20_000)
    assert len(rows) == len(np.unique(rows)) == 20_000
    assert rare[rows].sum() == 50
    common = 1 - rare
    assert common[sample(common, 20_000)].sum() == 20_000 - 50
    assert len(sample(rare[:30], 20_000)) == 30
    data = ground(600)
    params = {**SvmRbf().defaults(), "rows": 100}
    fitted = SvmRbf().fit(data.X, data.y, params=params, task=task())
    assert isinstance(fitted.compile().parts[0], DraftKernel)
    assert len(fitted.compile().parts[0].weight) <= 100  # type: ignore[union-attr]


def test_ramps_say_a_number_s_rank_and_flags_its_absence() -> None:
    x = np.array([[0.0], [1.0], [10.0], [100.0], [1000.0], [np.nan]])
    inputs = inputs_of(x, (False,), ramps=4)
    seen = design(inputs, x)
    np.testing.assert_array_equal(seen[:5, 1:5].sum(axis=1), [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(seen[:, 5], [0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(seen[5, :5], [0, 0.5, 0.5, 0.5, 0.5])
    assert not inputs_of(np.ones((9, 1)), (False,), ramps=4).n_inputs


def test_threads_change_no_bit_of_a_forest() -> None:
    rows = ground(400)
    forests = [
        RandomForest().fit(rows.X, rows.y, params=RandomForest().defaults(), task=task(threads=n))
        for n in (1, 2)
    ]
    np.testing.assert_array_equal(*(forest.compile().parts[0].leaf for forest in forests))  # type: ignore[union-attr]


def test_the_mean_path_length_is_the_papers() -> None:
    lengths = average_path_length(np.array([1.0, 2.0, 3.0, 256.0]))
    harmonic = math.log(255) + np.euler_gamma  # the paper's own approximation of H(255)
    assert lengths[:2].tolist() == [0.0, 1.0]
    assert lengths[2] == pytest.approx(2 * (math.log(2) + np.euler_gamma) - 4 / 3)
    assert lengths[3] == pytest.approx(2 * harmonic - 2 * 255 / 256)


def test_an_isolated_row_scores_above_all_others() -> None:
    rows = ground(500)
    X = np.nan_to_num(rows.X)
    X[7] = [50.0, 1e6, 1.0, 39.0, 7.0, 5.0]
    fitted = IsolationForest().fit(X, rows.y, params=IsolationForest().defaults(), task=task())
    assert int(np.argmax(fitted.margin(X))) == 7


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutsideError, match=r"baluarte\[train\]"):
        library("a_library_that_is_not_there")

    def no_libgomp(name: str) -> object:
        raise OSError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(importlib, "import_module", no_libgomp)
    with pytest.raises(OutsideError, match="libgomp1"):
        library("lightgbm")


@pytest.mark.data
@pytest.mark.parametrize("model", [*LABELLED, *BOOSTED, IsolationForest()], ids=lambda m: m.name)
def test_on_real_traffic_the_program_is_the_librarys_output(data: Path, model: Model) -> None:
    frame = pytest.importorskip("pandas").read_parquet(data / "nsl-kdd" / "KDDTrain+.parquet")
    frame = frame.iloc[::9]
    y = (frame["label"] != "normal").to_numpy(np.int8)
    features = frame.drop(columns=["label", "difficulty"])
    categorical = tuple(
        not np.issubdtype(np.asarray(features[c]).dtype, np.number) for c in features
    )
    assert sum(categorical) == 3
    X = np.column_stack(
        [
            features[c].astype("category").cat.codes.to_numpy(np.float64)
            if category
            else features[c].to_numpy(np.float64)
            for c, category in zip(features, categorical, strict=True)
        ]
    )
    of = FitTask(
        categorical=categorical, monotone=(0,) * X.shape[1], seed=0, threads=2, class_weight="none"
    )
    fitted = model.fit(X[::2], y[::2], params=model.defaults(), task=of)
    agree(fitted, X)
    X[:, 4] = np.where(np.arange(len(X)) % 3 == 0, np.nan, X[:, 4])
    agree(fitted, X)
