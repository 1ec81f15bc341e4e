"""baluarte.core.program.evaluate: C, NumPy and a plain evaluator give the same bits."""

from __future__ import annotations

import ctypes
import ctypes.util
import pickle
import subprocess
import sys

import numpy as np
import pytest
from program_cases import RULES, mixed_draft, plain_scorer, random_trees, trap_rows

from baluarte.core.program.draft import Draft, seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.model import Program, TreePart

pytest.importorskip(
    "baluarte.core.program._kernel", reason="the C kernel is not built on this machine"
)


def both(program):
    return Evaluator(program, kernel="c"), Evaluator(program, kernel="numpy")


def same_everywhere(program, X, *, plain_rows):
    compiled, vectors = both(program)
    scores = compiled.score(X)
    assert np.array_equal(scores, vectors.score(X))
    plain = plain_scorer(program)
    assert scores[:plain_rows].tolist() == [plain(row) for row in X[:plain_rows].tolist()]


def test_three_evaluators_agree_on_a_hundred_thousand_rows_of_traps():
    rng = np.random.default_rng(1)
    program = seal(mixed_draft(rng, n_trees=2, depth=5))
    same_everywhere(program, trap_rows(program, rng, 100_000), plain_rows=100_000)


@pytest.mark.soak
def test_three_evaluators_agree_on_a_million_rows_of_traps():
    rng = np.random.default_rng(2)
    for _ in range(10):
        program = seal(mixed_draft(rng, n_trees=4, depth=6))
        same_everywhere(program, trap_rows(program, rng, 100_000), plain_rows=100_000)


def test_three_evaluators_agree_on_many_small_programs():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        program = seal(mixed_draft(rng, n_trees=2, depth=int(rng.integers(0, 8))))
        same_everywhere(program, trap_rows(program, rng, 400), plain_rows=400)


@pytest.mark.parametrize("rule", RULES)
def test_trees_of_more_than_64_leaves_take_another_path_to_the_same_bits(rule):
    rng = np.random.default_rng(3)
    draft = random_trees(rng, rule, n_trees=12, depth=11, n_features=9)
    program = seal(Draft(n_features=9, base=0.0, parts=(draft,)))
    part = program.parts[0]
    assert isinstance(part, TreePart)
    assert len(part.leaf) > 64 * len(part.root)
    same_everywhere(program, trap_rows(program, rng, 3000), plain_rows=500)


def test_neither_batch_size_nor_threads_change_a_bit():
    rng = np.random.default_rng(4)
    program = seal(mixed_draft(rng, n_trees=20, depth=7))
    X = trap_rows(program, rng, 2003)
    expected = Evaluator(program, kernel="numpy").score(X)
    for evaluator in both(program):
        for size in (1, 2, 3, 7, 1000, len(X)):
            for threads in (1, 2, 5):
                pieces = [
                    evaluator.score(X[i : i + size], threads=threads)
                    for i in range(0, len(X) if size > 6 else 200, size)
                ]
                found = np.concatenate(pieces)
                assert np.array_equal(found, expected[: len(found)])


def test_many_columns_leave_the_stack_for_the_heap_and_change_nothing():
    rng = np.random.default_rng(5)
    draft = random_trees(rng, "sklearn", n_trees=300, depth=6, n_features=3000)
    program = seal(Draft(n_features=3000, base=0.5, parts=(draft,)))
    same_everywhere(program, trap_rows(program, rng, 64), plain_rows=64)


def test_no_rows_give_no_scores():
    program = seal(mixed_draft(np.random.default_rng(6)))
    for evaluator in both(program):
        assert evaluator.score(np.empty((0, 6))).shape == (0,)
        assert evaluator.reasons(np.empty((0, 6)))[1].shape == (0, 6)


def test_a_program_without_parts_scores_its_base():
    program = Program(n_features=2, scale_bits=3, base=-7, parts=())
    for evaluator in both(program):
        assert evaluator.score(np.zeros((3, 2))).tolist() == [-7] * 3
        base, reasons = evaluator.reasons(np.zeros((3, 2)))
        assert base == -7
        assert not reasons.any()


@pytest.mark.parametrize("sign", [1, -1])
def test_scores_saturate_at_two_to_the_53_less_one_and_reasons_still_add_up(sign):
    rng = np.random.default_rng(7)
    draft = random_trees(rng, "sklearn", n_trees=3, depth=3, n_features=4)
    sealed = seal(Draft(n_features=4, base=0.0, parts=(draft,)))
    program = Program(n_features=4, scale_bits=0, base=sign * (3 << 52), parts=sealed.parts)
    X = trap_rows(program, rng, 50)
    for evaluator in both(program):
        scores = evaluator.score(X)
        assert set(scores.tolist()) == {sign * ((1 << 53) - 1)}
        base, reasons = evaluator.reasons(X)
        assert (base + reasons.sum(axis=1) == scores).all()
    assert np.array_equal(both(program)[0].reasons(X)[1], both(program)[1].reasons(X)[1])


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((3, 5)),
        np.zeros(6),
        np.zeros((3, 6), np.float32),
        np.asfortranarray(np.zeros((3, 6))),
        np.zeros((3, 12))[:, ::2],
        [[0.0] * 6],
    ],
)
def test_rows_of_another_shape_type_or_layout_are_refused(rows):
    program = seal(mixed_draft(np.random.default_rng(8)))
    for evaluator in both(program):
        with pytest.raises(ValueError, match="expected C-contiguous float64 rows of 6 columns"):
            evaluator.score(rows)
        with pytest.raises(ValueError, match="expected C-contiguous"):
            evaluator.reasons(rows)


def test_less_than_one_thread_is_refused():
    for evaluator in both(seal(mixed_draft(np.random.default_rng(9)))):
        with pytest.raises(ValueError, match="at least one thread"):
            evaluator.score(np.zeros((1, 6)), threads=0)


def test_an_evaluator_pickles_as_its_program():
    program = seal(mixed_draft(np.random.default_rng(10)))
    X = trap_rows(program, np.random.default_rng(11), 20)
    for evaluator in both(program):
        copy = pickle.loads(pickle.dumps(evaluator))
        assert copy.kernel == evaluator.kernel
        assert np.array_equal(copy.score(X), evaluator.score(X))


def test_another_rounding_mode_is_set_aside_by_c_and_refused_by_numpy():
    program = seal(mixed_draft(np.random.default_rng(12)))
    X = trap_rows(program, np.random.default_rng(13), 2000)
    compiled, vectors = both(program)
    expected, (_, reasons) = compiled.score(X, threads=2), compiled.reasons(X[:50])
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    upward = {"x86_64": 0x800, "aarch64": 0x400000}.get(__import__("platform").machine())
    if upward is None:
        pytest.skip("this machine's rounding modes are not known to the test")
    try:
        assert libm.fesetround(upward) == 0
        found, (_, again) = compiled.score(X, threads=2), compiled.reasons(X[:50])
        kept = libm.fegetround()
        with pytest.raises(RuntimeError, match="floating-point environment"):
            vectors.score(X)
    finally:
        libm.fesetround(0)
    assert kept == upward
    assert np.array_equal(found, expected)
    assert np.array_equal(again, reasons)


_WITHOUT_KERNEL = """
import sys, warnings
sys.modules["baluarte.core.program._kernel"] = None
from baluarte.core.program.evaluate import Evaluator, SlowerWarning
from baluarte.core.program.model import Program
program = Program(n_features=1, scale_bits=0, base=1, parts=())
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert Evaluator(program).kernel == Evaluator(program).kernel == "numpy"
    assert Evaluator(program, kernel="numpy").kernel == "numpy"
assert [w.category for w in caught] == [SlowerWarning], caught
try:
    Evaluator(program, kernel="c")
except RuntimeError as error:
    assert "not built" in str(error)
else:
    raise SystemExit("c was not refused")
"""


def test_without_the_kernel_auto_warns_once_a_process_and_c_is_refused():
    subprocess.run([sys.executable, "-c", _WITHOUT_KERNEL], check=True)
