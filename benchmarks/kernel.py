"""Print how many times faster than other engines the sealed program scores, one thread.

    python benchmarks/kernel.py [--rounds 9] [--trees 300] [--clock wall|cpu] [--no-forest]

300 LightGBM trees of 63 leaves over 41 columns, some categories, some missing values: made rows,
and with BALUARTE_DATA the events of NSL-KDD. Beside LightGBM's `predict` its fast call for one row,
ONNX Runtime and treelite, each in an environment of its own or left out by name. daal4py converts
no split on categories, and gives a tree all the places of its depth, which for those takes tens of
gigabytes: it stands beside us on trees of at most 8 levels, over the made rows with their
categories as numbers. Then a scikit-learn forest of 200 trees of depth 16. Rounds are interleaved
and ratios are medians, so that a busy machine slows all sides alike; `--clock cpu` counts processor
time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import lightgbm
import numpy as np
from engines import AwayError, Engine, Rows, Timed, compare, timed
from numpy.typing import NDArray

from baluarte.core.program.draft import seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.methods.lightgbm_text import draft_of_text

N_COLUMNS = 41
N_BATCH = 20_000
FOREST_BATCHES = (1, 8, 64, 512, 4_096, 65_536)

Labelled = tuple[Rows, NDArray[np.float64], list[int]]


def made_rows(rng: np.random.Generator, n: int) -> Labelled:
    """Rows, labels and which columns are categories."""
    X = rng.normal(size=(n, N_COLUMNS)).round(3)
    X[:, 3], X[:, 4] = rng.integers(0, 60, n), rng.integers(0, 10, n)
    X[rng.random(X.shape) < 0.02] = np.nan
    known = np.nan_to_num(X)
    margin = known[:, 5:15].sum(axis=1) * 0.3 + known[:, 5] * known[:, 6] + known[:, 3] % 7
    return X, (margin + rng.normal(size=n) > 4).astype(np.float64), [3, 4]


def intrusion_rows(folder: Path) -> Labelled:
    """NSL-KDD's training events, names as codes."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "nsl-kdd" / "KDDTrain+.parquet")
    y = np.array([label != "normal" for label in table["label"].to_pylist()], np.float64)
    table = table.drop(["label", "difficulty"])
    texts = [j for j, name in enumerate(table.column_names) if "string" in str(table[name].type)]
    columns = [
        np.unique(np.array(column.to_pylist()), return_inverse=True)[1] if j in texts
        else column.to_numpy()
        for j, column in enumerate(table.columns)
    ]  # fmt: skip
    return np.ascontiguousarray(np.stack(columns, axis=1).astype(np.float64)), y, texts


def sets() -> Iterator[tuple[str, Labelled]]:
    """What models are trained on, by name."""
    yield "made rows", made_rows(np.random.default_rng(0), 60_000)
    if "BALUARTE_DATA" in os.environ:
        yield "NSL-KDD", intrusion_rows(Path(os.environ["BALUARTE_DATA"]))


def trained(rows: Labelled, n_trees: int, *, levels: int = -1) -> lightgbm.Booster:
    """The model of design/speed.md; one thread, since more of them wait on a busy machine.

    Args:
        levels: of a tree at most; -1 for as many as its 63 leaves make.
    """
    X, y, categories = rows
    params = {"objective": "binary", "num_leaves": 63, "learning_rate": 0.05, "num_threads": 1}
    params["max_depth"] = levels
    data = lightgbm.Dataset(X, y, categorical_feature=categories, params={"verbose": -1})
    return lightgbm.train(params | {"verbose": -1}, data, n_trees)


def fast_single_row(booster: lightgbm.Booster, row: Rows) -> Callable[[], object]:
    """LightGBM's C call for one row after another, without what its Python does for each."""
    import ctypes

    library = ctypes.CDLL(lightgbm.basic._LIB._name)  # noqa: SLF001 - it publishes no other way to this call
    handle, out, n_out = ctypes.c_void_p(), (ctypes.c_double * 1)(), ctypes.c_int64()
    raw_score, float64 = 1, 1
    library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle, raw_score, 0, -1, float64, row.shape[1],  # noqa: SLF001 - likewise
        ctypes.c_char_p(b"num_threads=1"), ctypes.byref(handle),
    )  # fmt: skip
    data, length = row.ctypes.data_as(ctypes.c_void_p), ctypes.byref(n_out)
    call = library.LGBM_BoosterPredictForMatSingleRowFast
    return lambda: call(handle, data, length, out)


def score(booster: lightgbm.Booster, rows: Rows) -> Rows:
    return np.asarray(booster.predict(rows, raw_score=True, num_threads=1))


@contextlib.contextmanager
def engines(
    names: tuple[str, ...], booster: lightgbm.Booster, X: Rows, clock: str
) -> Iterator[dict[str, Engine]]:
    """Those that are here, with the model and the rows."""
    found: dict[str, Engine] = {}
    with tempfile.TemporaryDirectory() as folder:
        model, rows = Path(folder) / "model.txt", Path(folder) / "rows.npy"
        booster.save_model(model)
        np.save(rows, X)
        for name in names:
            try:
                found[name] = Engine(name, model, rows, clock=clock)
            except AwayError as away:
                print(away)
        try:
            yield found
        finally:
            for engine in found.values():
                engine.close()


def of_engine(engine: Engine, n_rows: int) -> Timed:
    """An engine's time over the first rows."""
    return lambda times: engine.seconds(n_rows, times)


def told(name: str, found: dict[str, float]) -> None:
    """A line of ratios."""
    (_, us), *others = found.items()
    ratios = "   ".join(f"{other} {ratio:.1f} ×" for other, ratio in others)
    print(f"  {name:<22}{us:>9.2f} µs a row   {ratios}")


def boosted(rounds: int, n_trees: int, clock: str) -> None:
    """LightGBM's model by every engine, one row and in batch."""
    X, y, _ = made_rows(np.random.default_rng(0), 60_000)
    shallow = ("made rows, categories as numbers, 8 levels", (X, y, []))
    for title, rows in (*sets(), shallow):
        with_daal4py = not rows[2]
        booster = trained(rows, n_trees, levels=8 if with_daal4py else -1)
        names = ("onnxruntime", "treelite", *(["daal4py"] if with_daal4py else []))
        program = seal(draft_of_text(booster.model_to_string()))
        ours = Evaluator(program)
        batch, one = rows[0][:N_BATCH].copy(), rows[0][:1].copy()
        apart = np.abs(ours.score(batch) * 2.0**-program.scale_bits - score(booster, batch)).max()
        print(f"\n{title}: {n_trees} trees, kernel {ours.kernel}; at most {apart:.1e} apart")
        with engines(names, booster, batch, clock) as others:
            versions = ", ".join(f"{engine.name} {engine.version}" for engine in others.values())
            print(f"  beside LightGBM {lightgbm.__version__}, {versions}")
            for name, some in (("score, one row", one), ("score, batch", batch)):
                sides = {
                    "Baluarte": timed(partial(ours.score, some), clock),
                    "LightGBM": timed(partial(score, booster, some), clock),
                }
                if len(some) == 1:
                    sides["LightGBM's fast call"] = timed(fast_single_row(booster, some), clock)
                sides |= {other: of_engine(engine, len(some)) for other, engine in others.items()}
                told(name, compare(sides, rows=len(some), rounds=rounds))


def forest(rounds: int, clock: str) -> None:
    """scikit-learn's forest of 200 trees of depth 16, at every batch size."""
    import sklearn
    from sklearn.ensemble import RandomForestClassifier

    from baluarte.methods.sklearn_trees import draft_of_forest

    X, y, _ = made_rows(np.random.default_rng(0), 40_000)
    model = RandomForestClassifier(200, max_depth=16, random_state=0).fit(np.nan_to_num(X), y)
    ours = Evaluator(seal(draft_of_forest(model)))
    new = np.nan_to_num(made_rows(np.random.default_rng(1), max(FOREST_BATCHES))[0])
    nodes = sum(tree.tree_.node_count for tree in model.estimators_)
    print(f"\nforest of 200 × depth 16, {nodes:,} nodes, beside scikit-learn {sklearn.__version__}")
    for n in FOREST_BATCHES:
        rows = new[:n].copy()
        sides = {
            "Baluarte": timed(partial(ours.score, rows), clock),
            "scikit-learn": timed(partial(model.predict_proba, rows), clock),
        }
        told(f"{n} rows", compare(sides, rows=n, rounds=rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--no-forest", action="store_true")
    arguments = parser.parse_args()
    boosted(arguments.rounds, arguments.trees, arguments.clock)
    if not arguments.no_forest:
        forest(arguments.rounds, arguments.clock)


if __name__ == "__main__":
    main()
