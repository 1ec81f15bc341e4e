"""baluarte.core.program.draft: drafts add up, and each term is rounded once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program_cases import KERNELS, mixed_draft, random_linear, random_trees, trap_rows

from baluarte.core.program.check import faults, largest
from baluarte.core.program.draft import Draft, add, seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.model import LinearPart, TreePart


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), power=st.integers(-40, 45))
def test_the_scale_is_the_finest_at_which_the_largest_score_fits(seed, power):
    rng = np.random.default_rng(seed)
    trees = random_trees(rng, "sklearn", n_trees=3, depth=3, n_features=2, leaf_scale=2.0**power)
    program = seal(Draft(n_features=2, base=float(rng.normal()), parts=(trees,)))
    size = abs(program.base) + sum(largest(part) for part in program.parts)
    assert size <= 2**50 + 4
    assert program.scale_bits == 40 or size > 2**49 - 4
    assert faults(program) == []


def test_leaves_are_rounded_once_half_to_even():
    rng = np.random.default_rng(1)
    trees = random_trees(rng, "sklearn", n_trees=6, depth=0, n_features=1)
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 3.0]) * 2.0**-40
    program = seal(Draft(n_features=1, base=0.0, parts=(replace(trees, leaf=halves),)))
    part = program.parts[0]
    assert isinstance(part, TreePart)
    assert part.leaf.tolist() == [0, 2, 2, 0, -2, 3]


def test_weights_are_scaled_exactly_and_other_linear_values_rounded():
    rng = np.random.default_rng(2)
    linear = random_linear(rng, n_numeric=4, n_tables=3, n_features=5)
    program = seal(Draft(n_features=5, base=0.0, parts=(linear,)))
    part, unit = program.parts[0], 2.0**program.scale_bits
    assert isinstance(part, LinearPart)
    assert (part.weight == linear.weight * unit).all()
    assert (part.table_value == np.rint(linear.table_value * unit)).all()
    assert (part.center == linear.center).all()


def test_a_score_is_the_margin_up_to_half_a_unit_a_term():
    rng = np.random.default_rng(3)
    linear = random_linear(rng, n_numeric=4, n_tables=0, n_features=5)
    program = seal(Draft(n_features=5, base=0.7, parts=(linear,)))
    X = rng.normal(size=(200, 5))
    margin = np.full(200, 0.7)
    for m, column in enumerate(linear.column):
        clipped = np.clip(X[:, column], linear.low[m], linear.high[m])
        margin += (clipped - linear.center[m]) / linear.scale[m] * linear.weight[m]
    scores = Evaluator(program, kernel=KERNELS[0]).score(X)
    assert np.abs(scores - margin * 2.0**program.scale_bits).max() <= 0.5 * 5 + 0.01


def test_a_weighted_sum_of_drafts_scores_as_the_weighted_sum_of_scores():
    rng = np.random.default_rng(4)
    drafts = [mixed_draft(rng) for _ in range(3)]
    weights = (0.5, -2.0, 1.25)
    programs = [seal(draft) for draft in drafts]
    blend = seal(add(list(zip(weights, drafts, strict=True))))
    X = trap_rows(blend, rng, 300)
    X[~np.isfinite(X)] = 0.5
    expected = sum(
        w * Evaluator(p, kernel=KERNELS[0]).score(X) * 2.0**-p.scale_bits
        for w, p in zip(weights, programs, strict=True)
    )
    found = Evaluator(blend, kernel=KERNELS[0]).score(X) * 2.0**-blend.scale_bits
    assert np.abs(found - expected).max() < 1e-9


def test_drafts_over_other_columns_or_none_do_not_add():
    rng = np.random.default_rng(5)
    with pytest.raises(ValueError, match="same columns"):
        add([(1.0, mixed_draft(rng, n_features=3)), (1.0, mixed_draft(rng, n_features=4))])
    with pytest.raises(ValueError, match="same columns"):
        add([])
    with pytest.raises(ValueError, match="finite weights"):
        add([(float("nan"), mixed_draft(rng))])


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("leaf", np.nan, "finite leaves"),
        ("leaf", np.inf, "finite leaves"),
        ("leaf", 2.0**51, "margins up to"),
        ("threshold", np.nan, "NaN"),
        ("feature", 99, "columns"),
        ("left", 0, "not after it"),
        ("leaf_cover", 0.0, "leaf_cover"),
    ],
)
def test_a_draft_that_breaks_a_rule_is_not_sealed(name, value, word):
    trees = random_trees(np.random.default_rng(6), "sklearn", n_trees=3, depth=4, n_features=3)
    array = getattr(trees, name).copy()
    array[0] = value
    with pytest.raises(ValueError, match=word):
        seal(Draft(n_features=3, base=0.0, parts=(replace(trees, **{name: array}),)))


def test_a_draft_without_finite_clipping_ranges_is_not_sealed():
    linear = random_linear(np.random.default_rng(7), n_numeric=2, n_tables=1, n_features=2)
    open_ended = replace(linear, high=np.full(2, np.inf))
    with pytest.raises(ValueError, match="finite"):
        seal(Draft(n_features=2, base=0.0, parts=(open_ended,)))
