"""What the sanitized kernel is put through; run by test_kernel_sanitized.py with its path.

Arguments: the folder of program_cases.py, the sanitized extension module, the number of rounds.
"""

from __future__ import annotations

import sys
import warnings

from extension import load

NAME = "baluarte.core.program._kernel"


def main(cases_folder, path, rounds):
    sys.path.insert(0, cases_folder)
    kernel = load(NAME, path)
    import numpy as np
    from dense_cases import KINDS, dense_draft
    from program_cases import RULES, damaged, mixed_draft, random_trees, trap_rows

    from baluarte.core.program.draft import Draft, seal
    from baluarte.core.program.evaluate import Evaluator
    from baluarte.core.program.format import dumps, loads
    from baluarte.core.program.reason_plan import plan_reasons, quadrature_tables
    from baluarte.errors import TrustError

    rng = np.random.default_rng(0)
    for i in range(rounds):  # sound programs: the sanitized bits are NumPy's
        if i % 4:
            program = seal(mixed_draft(rng, n_trees=3, depth=int(rng.integers(0, 9))))
        else:
            trees = random_trees(rng, RULES[i % 3], n_trees=4, depth=9, n_features=90)
            program = seal(Draft(n_features=90, base=0.0, parts=(trees,)))
        program = loads(dumps(program))
        X = trap_rows(program, rng, int(rng.integers(1, 200)))
        compiled, vectors = Evaluator(program, kernel="c"), Evaluator(program, kernel="numpy")
        assert np.array_equal(compiled.score(X, threads=1 + i % 3), vectors.score(X))
        assert np.array_equal(compiled.score(X[:1]), vectors.score(X[:1]))
        ours, theirs = compiled.reasons(X[:9], threads=1 + i % 3), vectors.reasons(X[:9])
        assert np.array_equal(ours[1], theirs[1])

    for i in range(rounds * 2):  # kernel machines, networks and stacks
        others = mixed_draft(rng, n_trees=1, depth=2).parts
        draft = dense_draft(rng, KINDS[i % 4], others=others)
        program = loads(dumps(seal(draft)))
        X = trap_rows(program, rng, int(rng.integers(1, 40)))
        compiled, vectors = Evaluator(program, kernel="c"), Evaluator(program, kernel="numpy")
        assert np.array_equal(compiled.score(X, threads=1 + i % 2), vectors.score(X))
        for _ in range(25):  # damaged, past every check but the kernel's own
            broken = damaged(program, rng)
            try:
                evaluator = Evaluator(broken, kernel="c")
            except (ValueError, OverflowError, TypeError):
                continue
            if broken.n_features < 1000:
                evaluator.score(rng.normal(size=(5, broken.n_features)))

    accepted = 0
    for _ in range(rounds * 100):  # damaged programs, past every check but the kernel's own
        program = damaged(seal(mixed_draft(rng, n_trees=2, depth=3)), rng)
        try:
            evaluator = Evaluator(program, kernel="c")
        except (ValueError, OverflowError):
            continue
        accepted += 1
        if program.n_features > 1000:
            continue
        X = rng.normal(size=(int(rng.integers(1, 20)), program.n_features))
        evaluator.score(X)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                evaluator.reasons(X)
        except (ValueError, IndexError):
            pass
    assert accepted > rounds

    for _ in range(rounds * 20):  # damaged bytes
        raw = bytearray(dumps(seal(mixed_draft(rng, n_trees=1, depth=3))))
        for at in rng.integers(0, len(raw), 3):
            raw[at] = int(rng.integers(256))
        try:
            program = loads(bytes(raw))
        except TrustError:
            continue
        evaluator = Evaluator(program, kernel="c")
        if program.n_features < 1000:
            evaluator.score(trap_rows(program, rng, 9))

    program = seal(mixed_draft(rng))
    plan = plan_reasons(program)
    tables = quadrature_tables(plan.max_order)
    for _ in range(rounds * 10):  # damaged plans
        parts = []
        for trees in plan.trees:
            arrays = [] if trees is None else [trees.before, trees.share, trees.merged, trees.order]
            arrays = [array.copy() for array in arrays]
            if arrays:
                victim = arrays[int(rng.integers(4))]
                victim[int(rng.integers(len(victim)))] = rng.choice([-5, -1, 0, 1, 7, 100, 1 << 30])
            parts.append(tuple(arrays))
        handle = Evaluator(program, kernel="c")._handle
        X = rng.normal(size=(4, 6))
        try:
            kernel.plan(handle, plan.base, plan.max_order, tables, tuple(parts))
        except ValueError:
            continue
        kernel.reasons(handle, X, np.empty((4, 6), np.int64), 1)

    handle = Evaluator(program, kernel="c")._handle
    X, out = np.zeros((5, 6)), np.zeros(5, np.int64)
    wrong = [
        (X[:, :5].copy(), out),
        (X, out[:4]),
        (X, np.zeros(6, np.int64)),
        (X.astype(np.float32), out),
        (X, out.astype(np.int32)),
        (X.T, out),
        (b"", out),
        (b"x" * 7, out),
        (X, b"x" * 40),
        (None, out),
    ]
    for x, o in wrong:
        for call in (kernel.score, kernel.reasons):
            try:
                call(handle, x, o, 1)
            except (ValueError, TypeError, BufferError):
                continue
            raise AssertionError(f"accepted {x!r}")
    for bad in (None, 5, object(), kernel):
        try:
            kernel.score(bad, X, out, 1)
        except (ValueError, TypeError):
            continue
        raise AssertionError("accepted a foreign handle")
    for arguments in ((0, 0, ()), (1, 0, (None,)), (1, 0, ((),)), (1, 0, ((1,) * 13,)), (1, 0, 3)):
        try:
            kernel.prepare(*arguments)
        except (ValueError, TypeError, IndexError, BufferError):
            continue
        raise AssertionError(f"accepted {arguments!r}")
    print("sanitized: clean")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
