"""baluarte.core.program.reasons: exact Shapley values that add up to the score, to the last bit."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program_cases import (
    KERNELS,
    RULES,
    mixed_draft,
    near_the_definition,
    random_linear,
    random_trees,
    trap_rows,
)

from baluarte.core.program.draft import Draft, DraftTrees, add, seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.format import dumps, loads
from baluarte.core.program.quadrature import gauss_legendre
from baluarte.core.program.reason_plan import plan_reasons
from baluarte.testing import reference, reference_reasons


def evaluators(program):
    return [Evaluator(program, kernel=kernel) for kernel in reversed(KERNELS)]


@pytest.mark.parametrize("rule", RULES)
@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_reasons_are_the_shapley_values_of_the_definition(rule, seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 6))
    trees = random_trees(rng, rule, n_trees=2, depth=4, n_features=d)
    linear = random_linear(rng, n_numeric=1, n_tables=1, n_features=d)
    program = seal(Draft(n_features=d, base=0.25, parts=(trees, linear)))
    X = trap_rows(program, rng, 2)
    for evaluator in evaluators(program):
        base, reasons = evaluator.reasons(X)
        for row, found in zip(X.tolist(), reasons.tolist(), strict=True):
            near_the_definition(program, row, base, found)


@pytest.mark.parametrize("d", range(6, 13))
def test_reasons_of_up_to_twelve_columns_are_within_a_unit_of_the_definition(d):
    for rule in RULES:
        rng = np.random.default_rng(d)
        trees = random_trees(rng, rule, n_trees=3, depth=7, n_features=d)
        linear = random_linear(rng, n_numeric=3, n_tables=2, n_features=d)
        program = seal(Draft(n_features=d, base=-0.5, parts=(trees, linear)))
        X = trap_rows(program, rng, 2)
        base, reasons = Evaluator(program, kernel=KERNELS[0]).reasons(X)
        for row, found in zip(X.tolist(), reasons.tolist(), strict=True):
            near_the_definition(program, row, base, found)


def test_the_readable_specification_gives_the_same_reasons_to_the_last_bit():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        draft = mixed_draft(rng, n_features=9, n_trees=2, depth=int(rng.integers(0, 9)))
        program = seal(draft)
        sound = reference.read(dumps(program))
        X = trap_rows(program, rng, 25)
        base, reasons = Evaluator(program, kernel=KERNELS[0]).reasons(X)
        for row, found in zip(X.tolist(), reasons.tolist(), strict=True):
            assert reference_reasons.reasons(sound, row) == (base, found)


@pytest.mark.parametrize("kernel", KERNELS[:1])
def test_reasons_of_a_hundred_thousand_rows_add_up_to_the_last_bit(kernel):
    rng = np.random.default_rng(31)
    program = seal(mixed_draft(rng, n_features=8, n_trees=3, depth=6))
    evaluator = Evaluator(program, kernel=kernel)
    X = trap_rows(program, rng, 100_000)
    for start in range(0, len(X), 20_000):
        rows = X[start : start + 20_000]
        base, reasons = evaluator.reasons(rows)
        assert np.array_equal(base + reasons.sum(axis=1), evaluator.score(rows))


def test_reasons_add_up_and_both_kernels_give_the_same_bits():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        draft = mixed_draft(rng, n_features=9, n_trees=4, depth=int(rng.integers(0, 9)))
        program = seal(draft)
        X = trap_rows(program, rng, 150)
        scores = Evaluator(program, kernel="numpy").score(X)
        answers = [evaluator.reasons(X) for evaluator in evaluators(program)]
        for base, reasons in answers:
            assert base == answers[0][0]
            assert np.array_equal(reasons, answers[0][1])
            assert np.array_equal(base + reasons.sum(axis=1), scores)


def test_neither_batch_size_nor_threads_change_a_reason():
    rng = np.random.default_rng(20)
    program = seal(mixed_draft(rng, n_trees=6, depth=6))
    X = trap_rows(program, rng, 150)
    for evaluator in evaluators(program):
        expected = evaluator.reasons(X)[1]
        for size in (
            1,
            4,
            7,
            100,
            146,
        ):  # one by one, eight side by side, blocks and what is left of one
            pieces = [evaluator.reasons(X[i : i + size])[1] for i in range(0, 150, size)]
            assert np.array_equal(np.concatenate(pieces), expected)
        assert np.array_equal(evaluator.reasons(X, threads=2)[1], expected)


def test_long_paths_of_many_columns_stay_exact():
    rng = np.random.default_rng(21)
    trees = random_trees(rng, "sklearn", n_trees=2, depth=11, n_features=60)
    program = seal(Draft(n_features=60, base=0.0, parts=(trees,)))
    assert plan_reasons(program).max_order > 5
    X = trap_rows(program, rng, 20)
    answers = [evaluator.reasons(X) for evaluator in evaluators(program)]
    for base, reasons in answers:
        assert np.array_equal(reasons, answers[0][1])
        assert np.array_equal(base + reasons.sum(axis=1), evaluators(program)[0].score(X))


def test_a_path_of_twenty_columns_agrees_with_a_product_form_solved_apart():
    """One leaf behind 20 columns: the weight of a known set depends on its size alone."""
    d, share = 20, 0.5
    at = np.arange(d)
    cover = 2.0 ** -np.arange(d + 1.0)
    tree = DraftTrees(
        rule="sklearn",
        root=np.zeros(1, np.int32),
        feature=at.astype(np.int32),
        threshold=np.zeros(d),
        left=np.append(at[1:], ~d).astype(np.int32),
        right=(~at).astype(np.int32),
        flags=np.zeros(d, np.uint8),
        set_index=np.full(d, -1, np.int32),
        set_start=np.zeros(1, np.int32),
        set_bits=np.zeros(0, np.uint32),
        leaf=np.append(np.zeros(d), 1.0),
        node_cover=cover[:-1],
        leaf_cover=np.append(cover[1:], cover[-1]),
    )
    program = seal(Draft(n_features=d, base=0.0, parts=(tree,)))
    expected = (1.0 - share**d) / d  # by symmetry all columns earn the same
    for evaluator in evaluators(program):
        base, reasons = evaluator.reasons(np.full((1, d), -1.0))
        assert base == round(share**d * 2**program.scale_bits)
        assert np.abs(reasons - expected * 2**program.scale_bits).max() <= 1


def test_equal_remainders_go_to_the_first_columns():
    tree = DraftTrees(
        rule="sklearn",
        root=np.array([0], np.int32),
        feature=np.array([2, 1], np.int32),
        threshold=np.zeros(2),
        left=np.array([1, ~0], np.int32),
        right=np.array([~2, ~1], np.int32),
        flags=np.zeros(2, np.uint8),
        set_index=np.full(2, -1, np.int32),
        set_start=np.zeros(1, np.int32),
        set_bits=np.zeros(0, np.uint32),
        leaf=np.array([2.0**-40 * 3, 0.0, 0.0]),
        node_cover=np.array([4.0, 2.0]),
        leaf_cover=np.array([1.0, 1.0, 2.0]),
    )
    program = seal(Draft(n_features=4, base=0.0, parts=(tree,)))
    assert program.scale_bits == 40
    for evaluator in evaluators(program):
        base, reasons = evaluator.reasons(np.full((1, 4), -1.0))
        assert base == 1  # the mean is 3/4
        assert reasons.tolist() == [[0, 1, 1, 0]]  # 9/8 each, 2 to share


def test_columns_that_the_program_does_not_read_get_nothing():
    rng = np.random.default_rng(22)
    trees = random_trees(rng, "lightgbm", n_trees=3, depth=4, n_features=3)
    program = seal(Draft(n_features=8, base=0.1, parts=(trees,)))
    X = trap_rows(program, rng, 40)
    for evaluator in evaluators(program):
        assert not evaluator.reasons(X)[1][:, 3:].any()


def test_reasons_of_a_blend_are_near_the_blend_of_reasons():
    rng = np.random.default_rng(23)
    drafts = [mixed_draft(rng) for _ in range(2)]
    blend = seal(add([(0.25, drafts[0]), (0.75, drafts[1])]))
    alone = [seal(draft) for draft in drafts]
    X = trap_rows(blend, rng, 30)
    X[~np.isfinite(X)] = 0.5
    unit = [2.0**-program.scale_bits for program in (blend, *alone)]
    found = Evaluator(blend, kernel=KERNELS[0]).reasons(X)[1] * unit[0]
    parts = [
        Evaluator(p, kernel=KERNELS[0]).reasons(X)[1] * u
        for p, u in zip(alone, unit[1:], strict=True)
    ]
    assert np.abs(found - (0.25 * parts[0] + 0.75 * parts[1])).max() < 1e-8


def test_quadrature_integrates_polynomials_exactly():
    for n in range(1, 40):
        points, weights = gauss_legendre(n)
        assert list(points) == sorted(points)
        assert points[0] > 0
        assert points[-1] < 1
        for degree in range(2 * n):
            total = sum(w * t**degree for t, w in zip(points, weights, strict=True))
            assert total == pytest.approx(1 / (degree + 1), rel=1e-13)


def test_lightgbm_gives_the_same_contributions():
    lightgbm = pytest.importorskip("lightgbm")
    models = pytest.importorskip("baluarte.methods.models.lightgbm")
    rng = np.random.default_rng(24)
    X = rng.normal(size=(3000, 12)).round(2)
    X[:, 3] = rng.integers(0, 50, 3000)
    X[rng.random(X.shape) < 0.05] = np.nan
    y = (np.nan_to_num(X[:, :5]).sum(axis=1) + rng.normal(size=3000) > 30).astype(float)
    data = lightgbm.Dataset(X, y, categorical_feature=[3], params={"verbose": -1})
    params = {"objective": "binary", "num_leaves": 40, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(params, data, 12)
    program = seal(models.draft_of_text(booster.model_to_string()))
    theirs = booster.predict(X[:50], pred_contrib=True, num_threads=1)
    for evaluator in evaluators(program):
        base, ours = evaluator.reasons(X[:50])
        assert np.abs(ours * 2.0**-program.scale_bits - theirs[:, :-1]).max() < 1e-9
        assert abs(base * 2.0**-program.scale_bits - theirs[0, -1]) < 1e-9


SHAP = json.loads((Path(__file__).parent / "shap_values.json").read_text("utf-8"))


@pytest.mark.parametrize("said", SHAP["models"], ids=lambda said: said["name"])
def test_shap_gives_the_same_values(said):
    """Recorded by record_shap.py, since shap is too large to install for this."""
    program = loads(base64.b64decode(said["program"]))
    X = np.array(said["rows"], np.float64)
    for evaluator in evaluators(program):
        _, reasons = evaluator.reasons(X)
        off = np.abs(reasons * 2.0**-program.scale_bits - np.array(said["values"]))
        assert off.max() < 1e-9
