"""Kernel machines, networks and stacks: C, NumPy and a plain evaluator give the same bits."""

from __future__ import annotations

import decimal
import math
from dataclasses import replace

import numpy as np
import pytest
from dense_cases import KINDS, dense_draft
from program_cases import KERNELS, mixed_draft, plain_scorer, trap_rows

from baluarte.core.program import functions
from baluarte.core.program.draft import Draft, seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.model import KernelPart
from baluarte.testing import reference


def program_of(seed, kind):
    """A dense part of a kind beside trees and linear parts."""
    rng = np.random.default_rng(seed)
    others = mixed_draft(rng, n_trees=1, depth=3).parts
    draft = dense_draft(rng, kind, others=others)
    return seal(Draft(n_features=6, base=draft.base, parts=(*others, *draft.parts))), rng


def same_everywhere(program, X, *, plain_rows):
    scores = [Evaluator(program, kernel=kernel).score(X) for kernel in KERNELS]
    plain = plain_scorer(program)
    assert scores[0][:plain_rows].tolist() == [plain(row) for row in X[:plain_rows].tolist()]
    assert np.array_equal(scores[0], scores[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_three_evaluators_agree_on_rows_of_traps(kind):
    for seed in range(12):
        program, rng = program_of(seed, kind)
        same_everywhere(program, trap_rows(program, rng, 300), plain_rows=40)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_three_evaluators_agree_on_twenty_thousand_rows_of_traps(kind):
    for seed in range(100, 105):
        program, rng = program_of(seed, kind)
        same_everywhere(program, trap_rows(program, rng, 20_000), plain_rows=20_000)


@pytest.mark.parametrize("kind", KINDS)
def test_neither_batch_size_nor_threads_change_a_bit_of_a_dense_part(kind):
    program, rng = program_of(3, kind)
    X = trap_rows(program, rng, 1203)
    expected = Evaluator(program, kernel="numpy").score(X)
    for kernel in KERNELS:
        evaluator = Evaluator(program, kernel=kernel)
        for size in (1, 7, 1000, len(X)):
            for threads in (1, 2):
                starts = range(0, len(X) if size > 8 else 56, size)
                pieces = [evaluator.score(X[i : i + size], threads=threads) for i in starts]
                found = np.concatenate(pieces)
                assert np.array_equal(found, expected[: len(found)])


def test_many_inputs_leave_the_stack_for_the_heap_and_change_nothing():
    rng = np.random.default_rng(5)
    program, _ = program_of(4, "network")
    rows = trap_rows(program, rng, 20)
    for kind in ("rbf", "network"):
        part = dense_draft(rng, kind).parts[0]
        n = 1500
        inputs = replace(
            part.inputs,
            column=rng.integers(0, 6, n).astype(np.int32),
            **{name: rng.uniform(0.5, 2, n) for name in ("center", "scale", "missing")},
            low=-np.ones(n),
            high=np.full(n, 2.0),
        )
        wide = n + len(inputs.flag_column)
        if kind == "rbf":
            part = replace(
                part, inputs=inputs, vector=rng.normal(size=(3, wide)), weight=np.ones(3)
            )
        else:
            first = part.layers[0]
            layer = replace(first, weight=rng.normal(size=(wide, len(first.bias))))
            part = replace(part, inputs=inputs, layers=(layer, *part.layers[1:]))
        same_everywhere(
            seal(Draft(n_features=6, base=0.0, parts=(part,))), rows, plain_rows=len(rows)
        )


def test_a_kernel_machine_rounds_its_finer_sum_half_to_even():
    """One constant term each: K is 1, so the sum is the weight."""
    rng = np.random.default_rng(6)
    sealed = seal(dense_draft(rng, "rbf"))
    (part,) = sealed.parts
    assert isinstance(part, KernelPart)
    empty = {
        field: getattr(part, field)[:0]
        for field in (
            *("column", "center", "scale", "low", "high", "missing"),
            *("flag_column", "code", "on", "off", "vector", "background"),
        )
    }
    for shift, sums in ((3, range(-40, 40)), (1, range(-9, 9)), (0, (-1, 0, 5))):
        for total in sums:
            machine = replace(
                part,
                **empty,
                kernel=np.array([0, 0, shift], np.int32),
                weight=np.array([total, 0.0]),
            )
            program = replace(sealed, base=0, parts=(machine,))
            for kernel in KERNELS:
                found = Evaluator(program, kernel=kernel).score(np.zeros((1, 6)))
                assert found.tolist() == [round(total / 2**shift)]


def exact(name, x):
    with decimal.localcontext() as context:
        context.prec = 60
        context.Emin = -(10**6)
        t = decimal.Decimal(x)
        if name == "exp":
            return t.exp()
        if name == "logistic":
            return 1 / (1 + (-t).exp())
        if abs(t) < decimal.Decimal("1e-12"):
            return t - t**3 / 3
        up, down = t.exp(), (-t).exp()
        return (up - down) / (up + down)


@pytest.mark.parametrize(
    ("name", "plain", "ulps"),
    [
        ("exp", reference.exp, 1.0),
        ("logistic", reference.logistic, 2.5),
        ("tanh", reference.tanh, 2.5),
    ],
)
def test_own_functions_are_near_the_exact_values_and_the_same_in_numpy(name, plain, ulps):
    rng = np.random.default_rng(7)
    x = np.concatenate(
        [
            rng.uniform(-708, 0, 1000),
            rng.uniform(-3, 0, 2000),
            -(10.0 ** rng.uniform(-300, 0, 500)),
            [0.0, -0.0, -708.0, -5e-324, -math.log(2) / 2, math.nextafter(-math.log(2) / 2, 0)],
        ]
    )
    if name != "exp":
        x = np.concatenate([x, -x])
    found = getattr(functions, name)(x)
    for at, value in zip(x.tolist(), found.tolist(), strict=True):
        assert value == plain(at)
        ulp = decimal.Decimal(math.ulp(value))
        assert abs(decimal.Decimal(value) - exact(name, at)) <= decimal.Decimal(ulps) * ulp


def test_own_functions_stay_in_their_ranges():
    x = np.concatenate([np.linspace(-800, 0, 200_001), -(10.0 ** np.linspace(-20, 300, 5000))])
    e, p, h = functions.exp(x), functions.logistic(-x), functions.tanh(-x)
    assert ((e >= 0) & (e <= 1)).all()
    assert (e[x < -708] == 0).all()
    assert functions.exp(np.array([-708.0]))[0] > 2.0**-1022
    assert ((p >= 0.5) & (p <= 1)).all()
    assert ((h >= 0) & (h <= 1)).all()
    assert np.array_equal(functions.tanh(x), -h)
