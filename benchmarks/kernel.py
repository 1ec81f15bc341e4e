"""Print how many times faster than LightGBM the sealed program scores and explains, one thread.

    python benchmarks/kernel.py [--rounds 9] [--trees 300]

Rounds are interleaved and ratios are medians, so that a busy machine slows both sides alike. The
model is 300 trees of 63 leaves over 41 columns, two of them categorical, with missing values.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import lightgbm
import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.methods.lightgbm_text import draft_of_text

N_COLUMNS = 41
N_BATCH = 20_000
N_EXPLAINED = 256


def made_rows(rng: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    X = rng.normal(size=(n, N_COLUMNS)).round(3)
    X[:, 3], X[:, 4] = rng.integers(0, 60, n), rng.integers(0, 10, n)
    X[rng.random(X.shape) < 0.02] = np.nan
    known = np.nan_to_num(X)
    margin = known[:, 5:15].sum(axis=1) * 0.3 + known[:, 5] * known[:, 6] + known[:, 3] % 7
    return X, (margin + rng.normal(size=n) > 4).astype(np.float64)


def trained(X: NDArray[np.float64], y: NDArray[np.float64], n_trees: int) -> lightgbm.Booster:
    params = {"objective": "binary", "num_leaves": 63, "learning_rate": 0.05, "verbose": -1}
    data = lightgbm.Dataset(X, y, categorical_feature=[3, 4], params={"verbose": -1})
    return lightgbm.train(params, data, n_trees)


def seconds(work: Callable[[], object], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - started) / times


def compare(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], *, rows: int, rounds: int
) -> None:
    """Time both sides in turn, about a tenth of a second each, and print medians."""
    ours()
    theirs()
    times = [max(1, int(0.1 / seconds(work, 1))) for work in (ours, theirs)]
    pairs = [(seconds(ours, times[0]), seconds(theirs, times[1])) for _ in range(rounds)]
    ratio = median(b / a for a, b in pairs)
    mine, other = (median(side) / rows * 1e6 for side in zip(*pairs, strict=True))
    print(f"{name:<26}{mine:>10.2f} µs a row{other:>12.2f} µs a row{ratio:>9.1f} ×")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--trees", type=int, default=300)
    arguments = parser.parse_args()
    X, y = made_rows(np.random.default_rng(0), 60_000)
    booster = trained(X, y, arguments.trees)
    program = seal(draft_of_text(booster.model_to_string()))
    ours = Evaluator(program)
    unit = 2.0**-program.scale_bits
    one, batch, explained = X[:1].copy(), X[:N_BATCH].copy(), X[:N_EXPLAINED].copy()

    def score(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(booster.predict(rows, raw_score=True, num_threads=1))

    def explain(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(booster.predict(rows, pred_contrib=True, num_threads=1))

    print(f"kernel {ours.kernel}, LightGBM {lightgbm.__version__}, {arguments.trees} trees\n")
    apart = np.abs(ours.score(batch) * unit - score(batch)).max()
    print(f"largest difference of a margin   {apart:.1e}")
    apart = np.abs(ours.reasons(explained)[1] * unit - explain(explained)[:, :-1]).max()
    print(f"largest difference of a reason   {apart:.1e}\n")
    print(f"{'':<26}{'Baluarte':>19}{'LightGBM':>21}")
    for name, rows, mine, other in (
        ("score, one row", one, ours.score, score),
        ("score, batch", batch, ours.score, score),
        ("reasons, one row", one, ours.reasons, explain),
        ("reasons, batch", explained, ours.reasons, explain),
    ):
        compare(
            name,
            lambda rows=rows, mine=mine: mine(rows),
            lambda rows=rows, other=other: other(rows),
            rows=len(rows),
            rounds=arguments.rounds,
        )


if __name__ == "__main__":
    main()
