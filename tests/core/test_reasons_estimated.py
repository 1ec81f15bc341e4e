"""baluarte.core.program.estimate: estimates that add up, repeat, and are as near as they say."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from dense_cases import KINDS, dense_draft, random_network
from program_cases import KERNELS, mixed_draft, trap_rows

from baluarte.core.program.draft import Draft, seal
from baluarte.core.program.draft_dense import with_background
from baluarte.core.program.estimate import alone, estimate, plan_estimate
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.format import dumps
from baluarte.core.program.model import columns_read
from baluarte.testing import reference, reference_reasons


def mixed_program(seed, kind):
    rng = np.random.default_rng(seed)
    others = mixed_draft(rng, n_trees=1, depth=3).parts
    draft = dense_draft(rng, kind, others=others[:2])
    parts = (*others, *draft.parts)
    return seal(Draft(n_features=6, base=draft.base, parts=parts)), rng


@pytest.mark.parametrize("kind", KINDS)
def test_estimated_reasons_add_up_and_both_kernels_give_the_same_bits(kind):
    for seed in range(4):
        program, rng = mixed_program(seed, kind)
        X = trap_rows(program, rng, 6)
        answers = []
        for kernel in KERNELS:
            evaluator = Evaluator(program, kernel=kernel)
            base, reasons, errors = evaluator.reasons_and_errors(X)
            assert np.array_equal(base + reasons.sum(axis=1), evaluator.score(X))
            assert errors.shape == X.shape
            answers.append((base, reasons.tolist(), errors.tolist()))
        assert answers[0] == answers[-1]


def test_neither_neighbours_nor_threads_change_an_estimate():
    program, rng = mixed_program(5, "network")
    X = trap_rows(program, rng, 8)
    evaluator = Evaluator(program, kernel=KERNELS[0])
    base, reasons = evaluator.reasons(X)
    for i in range(len(X)):
        assert np.array_equal(evaluator.reasons(X[i : i + 1], threads=2)[1][0], reasons[i])
    again = Evaluator(program, kernel=KERNELS[0]).reasons(X[::-1].copy(), threads=2)
    assert again[0] == base
    assert np.array_equal(again[1][::-1], reasons)


def test_columns_that_no_part_reads_get_nothing():
    program, rng = mixed_program(6, "rbf")
    wide = replace(program, n_features=9)
    _, reasons, errors = Evaluator(wide, kernel=KERNELS[0]).reasons_and_errors(
        trap_rows(wide, rng, 5)
    )
    assert not reasons[:, 6:].any()
    assert not errors[:, 6:].any()


def test_exact_programs_state_no_error():
    program = seal(mixed_draft(np.random.default_rng(7)))
    evaluator = Evaluator(program, kernel=KERNELS[0])
    X = trap_rows(program, np.random.default_rng(8), 5)
    base, reasons, errors = evaluator.reasons_and_errors(X)
    assert not errors.any()
    assert np.array_equal(evaluator.reasons(X)[1], reasons)
    assert evaluator.reasons(X)[0] == base


@pytest.mark.parametrize("sign", [1, -1])
def test_estimates_add_up_where_scores_saturate(sign):
    program, rng = mixed_program(9, "network")
    X = trap_rows(program, rng, 4)
    for base in (sign * (3 << 52), sign * ((1 << 53) - 50)):
        for kernel in KERNELS:
            evaluator = Evaluator(replace(program, base=base), kernel=kernel)
            found, reasons = evaluator.reasons(X)
            assert np.array_equal(found + reasons.sum(axis=1), evaluator.score(X))


@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_is_the_specified_one(kind):
    """Also beside exact parts, and where the sum saturates."""
    program, rng = mixed_program(10, kind)
    for case in (program, replace(program, base=(1 << 53) - 50)):
        sound = reference.read(dumps(case))
        evaluator = Evaluator(case, kernel=KERNELS[0])
        for row in trap_rows(case, rng, 2):
            base, reasons = evaluator.reasons(row[None, :].copy())
            assert (base, reasons[0].tolist()) == reference_reasons.reasons(sound, row.tolist())


def brute_interventional(part, program, row):
    """Shapley values over the background, from every subset of the columns read."""
    one = Evaluator(alone(program, part), kernel=KERNELS[0])
    columns = columns_read(part)
    n_rows = int(part.sampling[0])
    background = part.background.reshape(n_rows, len(columns))
    worth = {}
    for known in itertools.product((False, True), repeat=len(columns)):
        rows = np.repeat(row[None, :], n_rows, axis=0)
        rows[:, columns] = np.where(known, row[columns], background)
        worth[known] = one.score(rows).astype(float).mean()
    d = len(columns)
    phi = np.zeros(d)
    for known, value in worth.items():
        size = sum(known)
        for k in range(d):
            if not known[k]:
                chance = math.factorial(size) * math.factorial(d - size - 1) / math.factorial(d)
                with_k = (*known[:k], True, *known[k + 1 :])
                phi[k] += chance * (worth[with_k] - value)
    return phi


def test_the_stated_error_is_the_error_of_the_estimate():
    """Over drawings of background rows and permutations, against all rows that there are."""
    ratios, inside, n = [], 0, 0
    for seed in range(5):
        rng = np.random.default_rng(seed + 100)
        network = random_network(rng, n_features=6, n_rows=500, widest=20)
        population = network.background
        sealed = seal(Draft(n_features=6, base=0.0, parts=(network,)))
        one = Evaluator(alone(sealed, sealed.parts[0]), kernel=KERNELS[0])
        row = rng.normal(size=6)
        truth = brute_interventional(sealed.parts[0], sealed, row)
        square = said = np.zeros(len(truth))
        for draw in range(150):
            part = with_background(
                sealed.parts[0], population[rng.integers(0, len(population), 32)], 1
            )
            seed_bytes = draw.to_bytes(4, "little")
            plan = plan_estimate(part, n_features=6, seed=seed_bytes, score=one.score)
            phi, error = estimate(plan, row, score=one.score)
            square = square + (phi - truth) ** 2
            said = said + error**2
            inside += int((np.abs(phi - truth) <= 2 * error + 2).sum())
            n += len(truth)
        drawn = said > 0
        ratios += (square[drawn] / said[drawn]).tolist()
    assert len(ratios) > 10
    assert 0.8 < np.mean(ratios) < 1.2
    assert inside / n > 0.9


def test_over_the_background_rows_alone_the_stated_error_is_on_the_safe_side():
    inside, n = 0, 0
    for seed in range(5):
        rng = np.random.default_rng(seed + 200)
        network = random_network(rng, n_features=8, n_rows=16, widest=20)
        program = seal(Draft(n_features=8, base=0.0, parts=(network,)))
        (part,) = program.parts
        one = Evaluator(alone(program, part), kernel=KERNELS[0])
        row = rng.normal(size=8)
        truth = brute_interventional(part, program, row)
        for draw in range(60):
            seed_bytes = draw.to_bytes(4, "little")
            plan = plan_estimate(part, n_features=8, seed=seed_bytes, score=one.score)
            phi, error = estimate(plan, row, score=one.score)
            inside += int((np.abs(phi - truth) <= 2 * error + 2).sum())
            n += len(truth)
    assert inside / n > 0.97


def test_a_part_that_adds_up_over_columns_is_exact_over_its_background():
    """Where no columns act together, every order says the same."""
    rng = np.random.default_rng(13)
    part = random_network(rng, n_features=5)
    last = replace(part.layers[-1], weight=rng.normal(size=(part.inputs.n_inputs, 1)))
    linear = replace(part, layers=(replace(last, activation="identity"),))
    program = seal(Draft(n_features=5, base=0.0, parts=(linear,)))
    X = rng.normal(size=(3, 5))
    _, reasons = Evaluator(program, kernel=KERNELS[0]).reasons(X)
    for row, found in zip(X, reasons, strict=True):
        truth = brute_interventional(program.parts[0], program, row)
        assert np.abs(found[columns_read(program.parts[0])] - truth).max() <= 2.0
