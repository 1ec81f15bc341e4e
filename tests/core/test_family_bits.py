"""Every family that can be trained: one program, one row, one score, whoever computes it."""

from __future__ import annotations

import importlib
import tomllib
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from program_cases import KERNELS, near_the_definition, plain_scorer, trap_rows

from baluarte.core.program.draft import seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.format import dumps, loads
from baluarte.testing.models import ground, task

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
MODELS = PROJECT["project"]["entry-points"]["baluarte.models"]
KERNEL_MACHINES = {"svm_rbf", "svm_poly"}
ESTIMATED = KERNEL_MACHINES | {"mlp"}  #: their reasons are estimates, with a stated error
_FEW = {"rounds": 10, "trees": 10, "passes": 3}  # fewer trees are no other rules


@lru_cache
def program_of(name):
    """A family's program, fitted on rows with missing values and categories, and read back."""
    module, kind = MODELS[name].split(":")
    try:
        model = getattr(importlib.import_module(module), kind)()
    except ImportError as missing:
        pytest.skip(f"not installed here: {missing.name}")
    rows = ground(300)
    given = model.defaults()
    params = {
        key: min(_FEW.get(key, value), value) if key in _FEW else value
        for key, value in given.items()
    }
    fitted = model.fit(rows.X, rows.y, params=params, task=task(threads=1))
    return loads(dumps(seal(fitted.compile())))


def hold_together(name, *, n_rows, n_plain, seed):
    program = program_of(name)
    X = trap_rows(program, np.random.default_rng(seed), n_rows)
    scores = [Evaluator(program, kernel=kernel).score(X) for kernel in KERNELS]
    assert np.array_equal(scores[0], scores[-1])
    plain = plain_scorer(program)
    assert scores[0][:n_plain].tolist() == [plain(row) for row in X[:n_plain].tolist()]


@pytest.mark.parametrize("name", MODELS)
def test_three_evaluators_agree_on_a_trained_family(name):
    """Rows of traps: missing, zeros, subnormals, infinities, thresholds and their neighbours."""
    n_rows = 20_000 if name in KERNEL_MACHINES else 100_000
    hold_together(name, n_rows=n_rows, n_plain=200, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("name", MODELS)
def test_three_evaluators_agree_on_a_million_rows_of_a_trained_family(name):
    n_rows, blocks = (20_000, 1) if name in KERNEL_MACHINES else (100_000, 10)
    for block in range(blocks):
        hold_together(name, n_rows=n_rows, n_plain=20_000 // blocks, seed=100 + block)


@pytest.mark.parametrize("name", MODELS)
def test_neither_batch_size_nor_threads_change_a_score_of_a_trained_family(name):
    program = program_of(name)
    n_rows = 5_000
    X = trap_rows(program, np.random.default_rng(2), n_rows)
    evaluator = Evaluator(program, kernel=KERNELS[0])
    expected = evaluator.score(X)
    for size in (1, 7, 64, 1_000, n_rows):
        some = 300 if size == 1 else n_rows
        for threads in (1, 2, 3):
            found = [
                evaluator.score(X[i : i + size], threads=threads) for i in range(0, some, size)
            ]
            assert np.array_equal(np.concatenate(found)[:some], expected[:some])


@pytest.mark.parametrize("name", sorted(MODELS.keys() - ESTIMATED))
def test_reasons_of_a_trained_family_are_within_a_unit_of_the_definition(name):
    program = program_of(name)
    assert program.n_features <= 12
    X = trap_rows(program, np.random.default_rng(3), 12)
    base, reasons = Evaluator(program, kernel=KERNELS[0]).reasons(X)
    for row, found in zip(X.tolist(), reasons.tolist(), strict=True):
        near_the_definition(program, row, base, found)
