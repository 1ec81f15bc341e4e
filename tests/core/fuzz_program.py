"""Fuzzing of the format: whatever the bytes are, they are refused or scored, in bounded memory.

    python tests/core/fuzz_program.py CORPUS -max_total_time=600 -rss_limit_mb=2048 -timeout=30

libFuzzer, through atheris, follows the branches of the reader and its checks. Half of the inputs
are bytes of sound programs, mutated; the other half are damaged by number and written anew, so that
all sizes fit and the damage is deep inside.
"""

from __future__ import annotations

import random
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["baluarte.core.program"], exclude=["baluarte.core.program.evaluate"]
):
    import baluarte.core.program.check
    import baluarte.core.program.check_dense
    import baluarte.core.program.format  # noqa: F401 - instrumented by being imported first

import numpy as np
from dense_cases import KINDS, dense_draft
from program_cases import KERNELS, damaged, mixed_draft

from baluarte.core.program.draft import seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.format import dumps, loads
from baluarte.errors import TrustError

MOST_CELLS = 1 << 16  #: of the rows that are scored: an input of many columns is only read


def seeds():
    """Small sound programs of every kind of part."""
    rng = np.random.default_rng(0)
    yield from (dumps(seal(mixed_draft(rng, n_trees=1, depth=depth))) for depth in (0, 2, 3))
    yield from (dumps(seal(dense_draft(rng, kind, n_rows=2))) for kind in KINDS)


def one_input(data):
    """Read, and if that goes, score and explain a few rows by every evaluator: the same bits."""
    try:
        program = loads(data)
    except TrustError:
        return
    assert dumps(program) == data
    n = max(1, min(3, MOST_CELLS // program.n_features))
    if n * program.n_features > MOST_CELLS:
        return
    X = np.random.default_rng(len(data)).normal(size=(n, program.n_features)).round(1)
    X[X > 1.5] = np.nan
    evaluators = [Evaluator(program, kernel=kernel) for kernel in KERNELS]
    scores = [evaluator.score(X) for evaluator in evaluators]
    assert np.array_equal(scores[0], scores[-1])
    base, reasons = evaluators[0].reasons(X[:1])
    assert (base + reasons.sum(axis=1) == scores[0][:1]).all() or not reasons.any()


def mutate(data, max_size, seed):
    """libFuzzer's own mutation, or a deep one."""
    chance = random.Random(seed)
    if chance.random() < 0.5:
        return atheris.Mutate(data, max_size)
    rng = np.random.default_rng(seed)
    try:
        program = loads(data)
    except TrustError:
        program = loads(chance.choice(list(SEEDS)))
    try:
        found = dumps(damaged(program, rng))
    except (ValueError, OverflowError):
        return atheris.Mutate(data, max_size)
    return found if len(found) <= max_size else data


SEEDS = tuple(seeds())

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    corpus = Path(sys.argv[1])
    corpus.mkdir(exist_ok=True, parents=True)
    for number, seed in enumerate(SEEDS):
        (corpus / f"sound-{number}").write_bytes(seed)
    atheris.Setup([*sys.argv, "-max_len=16384"], one_input, custom_mutator=mutate)
    atheris.Fuzz()
