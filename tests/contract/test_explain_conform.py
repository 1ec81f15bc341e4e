"""Every registered search for counterfactuals against its port."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

from baluarte.core.program.draft import Draft, seal
from baluarte.core.program.model import CATEGORICAL
from baluarte.ports import CounterfactualSearch
from baluarte.testing.explain import LEVELS, SmallCase, check_search, small_case

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))

from program_cases import RULES, random_trees

SEARCHES = [point.load()() for point in entry_points(group="baluarte.explain")]
N_MODELS = 100


def case(seed: int) -> SmallCase:
    """A random ensemble of a few trees that split among whole numbers and halves."""
    rng = np.random.default_rng(seed)
    n_trees = int(rng.integers(1, 8))
    trees = random_trees(rng, RULES[seed % 3], n_trees=n_trees, depth=4, n_features=4)
    n = len(trees.threshold)
    at = rng.integers(0, LEVELS, n) + rng.choice([0.0, 0.5], n)
    trees.threshold[:] = np.where(trees.flags & CATEGORICAL, 0.0, at)
    program = seal(Draft(n_features=4, base=0.0, parts=(trees,)))
    return small_case(rng, program)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
def test_on_a_hundred_small_models_every_answer_is_checked_against_all_points(
    search: CounterfactualSearch,
) -> None:
    for seed in range(N_MODELS):
        check_search(search, case(seed))


def test_a_search_that_proves_is_among_them() -> None:
    assert any(search.proves for search in SEARCHES)
    assert any(not search.proves for search in SEARCHES)
