"""baluarte.core.program.cells: within a cell a program can't tell values apart."""

from __future__ import annotations

import numpy as np
import pytest
from program_cases import RULES, random_linear, random_trees

from baluarte.core.counterfactual import on_grid
from baluarte.core.program.cells import cells_of
from baluarte.core.program.draft import Draft, DraftLinear, seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.schema import FLOAT32_MAX


def draft(seed: int, rule: str) -> Draft:
    rng = np.random.default_rng(seed)
    linear: DraftLinear = random_linear(rng, n_numeric=0, n_tables=3, n_features=3)
    trees = random_trees(rng, rule, n_trees=4, depth=5, n_features=3)
    return Draft(n_features=3, base=0.0, parts=(trees, linear))


@pytest.mark.parametrize("rule", RULES)
def test_the_ends_of_every_cell_and_its_inside_score_the_same(rule: str) -> None:
    for seed in range(30):
        program = seal(draft(seed, rule))
        cells, evaluator = cells_of(program), Evaluator(program, kernel="numpy")
        assert not cells.smooth
        rng = np.random.default_rng(seed)
        for column in range(3):
            edges = cells.edges[column]
            edges = edges[np.abs(edges) < FLOAT32_MAX]
            first = np.concatenate([[-FLOAT32_MAX], np.nextafter(edges, np.inf)])
            last = np.concatenate([edges, [FLOAT32_MAX]])
            inside = np.clip(first + (last / 2 - first / 2) * rng.random(len(first)), first, last)
            base = rng.normal(size=3)
            scores = []
            for values in (first, inside, last):
                X = np.repeat(base[None, :], len(values), axis=0)
                X[:, column] = values
                scores.append(evaluator.score(X))
            np.testing.assert_array_equal(scores[0], scores[1])
            np.testing.assert_array_equal(scores[0], scores[2])


def test_a_numeric_term_makes_its_column_smooth() -> None:
    rng = np.random.default_rng(0)
    linear = random_linear(rng, n_numeric=1, n_tables=0, n_features=2)
    cells = cells_of(seal(Draft(n_features=2, base=0.0, parts=(linear,))))
    assert cells.smooth == {int(linear.column[0])}
    assert cells.read == cells.smooth


@pytest.mark.parametrize("decimals", [0, 2, 6, None])
def test_the_grid_is_met_from_the_side_that_was_asked(decimals: int | None) -> None:
    x = np.random.default_rng(1).normal(size=2_000) * 1e3
    for up in (True, False):
        found = on_grid(x, decimals, up=up)
        assert ((found >= x) if up else (found <= x)).all()
        if decimals is None:
            assert (found == x).all()
        else:
            assert (np.abs(found - x) < 10.0**-decimals).all()
            assert [float(f"{v:.{decimals}f}") for v in found.tolist()] == found.tolist()
            np.testing.assert_array_equal(on_grid(found, decimals, up=not up), found)
