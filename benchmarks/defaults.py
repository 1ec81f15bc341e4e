"""How the defaults of training came about: rules compared on train rows alone.

    python benchmarks/defaults.py [PROBLEM ...] [--draws N] [--against RULE]

``quality.py`` measures the defaults on test rows, so nothing may be chosen by what it prints. The
choices are made here. Every problem is cut from rows that are train rows in all of that benchmark's
splits, or from a set that it doesn't have. As the test sets do, it asks more than training shows:
two fifths of the attack kinds are kept whole for judging, the week's last days judge its first, few
rows teach. A detector fits on 83 % of a problem's rows (the rest is what it would hold out) and
both libraries, at their defaults, on all of them. Each line is one rule: ROC-AUC, average precision
and recall about 1 % false positives (mean at .5, 1 and 2 %), minus the better library's.
ADR 13 tells what was chosen.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from quality_sets import FAMILY, Table, splits, table

from baluarte.core.contract import Band, Budget, Contract, Learner, Objective, Points
from baluarte.core.curves import average_precision, curve, recall_at, roc_auc
from baluarte.core.encode import fit_encoder
from baluarte.core.promise_value import TuningRows, promise_value
from baluarte.core.row_keys import mixed
from baluarte.core.schema import Schema
from baluarte.core.search import FitTask
from baluarte.core.split import folds_of
from baluarte.methods.models.extra_trees import ExtraTrees
from baluarte.methods.models.lightgbm import LightGBM
from baluarte.methods.models.logistic import Logistic
from baluarte.methods.models.random_forest import RandomForest
from baluarte.ports import Model, Params
from baluarte.stages.blend import best_weights

DATA = Path(os.environ.get("BALUARTE_DATA", Path(__file__).parents[2] / "shared" / "data"))
FITTED = 0.83  #: share of the rows that a detector fits on
FOLDS = 3
Scores = NDArray[np.float64]
Rows = NDArray[np.int64]

# --- problems ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Rows to learn from and rows to judge on; both are train rows of the quality benchmark."""

    name: str
    train: Table
    judge: Table
    max_fpr: float
    by_time: bool = False

    @property
    def group(self) -> str:
        """The set, whatever the draw."""
        return self.name.rpartition("-")[0]


def problems(draws: int = 2) -> Iterator[tuple[str, Callable[[], Problem]]]:
    """Names, and what makes each.

    Args:
        draws: of each set with kinds of attack; which ones are unseen moves figures the most.
    """
    for s in range(4):
        yield f"phishing-{s}", lambda s=s: _drawn(f"phishing-{s}", _in_every("phishing"), s, 690)
    for s in range(2):
        yield f"german-{s}", lambda s=s: _drawn(f"german-{s}", _german(), s, 700)
    for s in range(2):
        yield f"digits-{s}", lambda s=s: _drawn(f"digits-{s}", _digits(), s, 900)
    for s in range(2):
        yield f"adult-{s}", lambda s=s: _drawn(f"adult-{s}", _train("adult"), s, 4_000)
    for s in range(2):
        yield f"adult3-{s}", lambda s=s: _drawn(f"adult3-{s}", _train("adult"), 40 + s, 3_300)
    for s in range(draws):
        yield f"nsl-kdd-{s}", lambda s=s: _unseen_kinds(f"nsl-kdd-{s}", "nsl-kdd", s)
    for s in range(draws):
        yield f"kdd99-{s}", lambda s=s: _unseen_kinds(f"kdd99-{s}", "kdd99", s)
    yield "card-fraud-0", _later_days


def _train(name: str) -> Table:
    return next(iter(splits(DATA, name))).train


def _in_every(name: str) -> Table:
    """The rows that no seeded split tests."""
    every = list(splits(DATA, name))
    tested = np.unique(np.concatenate([split.test_rows for split in every]))
    first = every[0]
    rows = np.setdiff1d(np.arange(first.train.events.n + first.test.events.n), first.test_rows)
    return first.train.take(np.flatnonzero(~np.isin(rows, tested)))


def _german() -> Table:
    frame = pd.read_parquet(DATA / "german-credit" / "german.data.parquet")
    return table(frame.drop(columns=["class"]), frame["class"] == 2)


def _digits() -> Table:
    from sklearn.datasets import load_digits

    found = load_digits(as_frame=True)
    return table(found.data, pd.Series(np.isin(found.target, [1, 4, 7, 8])))


def _drawn(name: str, whole: Table, seed: int, n_train: int) -> Problem:
    order = np.random.default_rng(2_000 + seed).permutation(whole.events.n)
    judge = order[n_train : n_train + 8_000]
    small = n_train < 1_000
    return Problem(
        name=name,
        train=whole.take(order[:n_train]),
        judge=whole.take(judge),
        max_fpr=0.05 if small else 0.01,  # what so few rows can certify, as in quality.py
    )


def _unseen_kinds(name: str, of: str, seed: int, n: int = 5_000) -> Problem:
    """Two fifths of the kinds of attack only judge; so do other rows of the kinds that teach."""
    whole = _train(of)
    kinds = np.array(whole.events.columns[FAMILY].astype(str))
    rng = np.random.default_rng(1_000 + seed)
    rows = _distinct(whole)
    attack = whole.y[rows] == 1
    shuffled = rng.permutation(np.unique(kinds[rows][attack]))
    unseen = np.isin(kinds, shuffled[: len(shuffled) * 2 // 5])
    harmless = rng.permutation(rows[~attack])
    seen = rng.permutation(rows[attack & ~unseen[rows]])
    new = rng.permutation(rows[unseen[rows]])[: (n + 1_000) // 4]
    half, judging = n // 2, (n + 1_000) // 2
    judge = [harmless[half : half + judging], seen[half : half + judging - len(new)], new]
    return Problem(
        name=name,
        train=whole.take(np.concatenate([harmless[:half], seen[:half]])),
        judge=whole.take(np.concatenate(judge)),
        max_fpr=0.01,
    )


def _distinct(whole: Table) -> Rows:
    X = fit_encoder(whole.schema, whole.events).encode(whole.events)
    told = np.nan_to_num(np.column_stack([X, whole.y]), nan=-7e9)
    return np.sort(np.unique(told, axis=0, return_index=True)[1])


def _later_days() -> Problem:
    whole = _train("card-fraud")
    n = whole.events.n
    first, stop = int(0.3 * n), int(0.6 * n)
    return Problem(
        name="card-fraud-0",
        train=whole.take(np.arange(first, stop)),
        judge=whole.take(np.arange(stop, n)),
        max_fpr=0.01,
        by_time=True,
    )


# --- parts: what rules are made of ----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Part:
    """One fitted family: out-of-fold margins of the rows it learnt from, and those that judge."""

    own: Scores
    judged: Scores


def _settings() -> dict[str, tuple[Model, Params, int]]:
    """By name: the family, its parameters, how often it is fitted for a mean."""
    usual = LightGBM().defaults()
    longer = {**usual, "rounds": 800, "num_leaves": 24, "feature_fraction": 0.3,
              "bagging_fraction": 0.8}  # fmt: skip
    forest = RandomForest()
    return {
        "boosting": (LightGBM(), usual, 1),
        "boosting x2": (LightGBM(), usual, 2),
        "boosting x3": (LightGBM(), usual, 3),
        "boosting x6": (LightGBM(), usual, 6),
        "longer": (LightGBM(), longer, 1),
        "longer x2": (LightGBM(), longer, 2),
        "forest": (forest, forest.defaults(), 1),
        "forest, leaves of 1": (forest, {"max_features": 0.15, "min_samples_leaf": 1}, 1),
        "extra trees": (ExtraTrees(), {"max_features": 0.2, "min_samples_leaf": 1}, 1),
        "logistic": (Logistic(), Logistic().defaults(), 1),
    }


@dataclass(frozen=True, kw_only=True)
class Laid:
    """A problem with its parts fitted, and what the libraries reach on it."""

    problem: Problem
    y: NDArray[np.int8]  #: (n,) of the rows that parts learnt from
    parts: dict[str, Part]
    peers: Scores  #: (figures,) the better library in each


def lay_out(problem: Problem) -> Laid:
    """Fit everything that the rules choose among."""
    train, judge = problem.train, problem.judge
    n = train.events.n
    if problem.by_time:
        own = np.arange(int(FITTED * n))
    else:
        own = np.sort(np.random.default_rng(5).permutation(n)[: int(FITTED * n)])
    rows = train.take(own)
    encoder = fit_encoder(rows.schema, rows.events)
    X, T = encoder.encode(rows.events), encoder.encode(judge.events)
    categorical = tuple(column.categorical for column in encoder.columns)
    folds = _folds(rows)
    parts = {}
    for name, (model, params, repeats) in _settings().items():
        task = FitTask(
            categorical=categorical,
            monotone=(0,) * len(categorical),
            seed=0,
            threads=1,
            class_weight="none",
            repeats=repeats,
        )
        margins = np.zeros(len(X))
        for fold in range(FOLDS):
            out = folds == fold
            fitted = model.fit(X[~out], rows.y[~out], params=params, task=task)
            margins[out] = fitted.margin(X[out])
        whole = model.fit(X, rows.y, params=params, task=task)
        parts[name] = Part(own=margins, judged=whole.margin(T))
    return Laid(problem=problem, y=rows.y, parts=parts, peers=_peers(train, judge))


def _folds(rows: Table) -> Rows:
    """As training's own: the rarest kinds of attack, up to a third of the attacks, stay whole."""
    keys = mixed(np.arange(rows.events.n, dtype=np.uint64))
    if FAMILY in rows.events.columns:
        attacks = np.flatnonzero(rows.y == 1)
        kinds = rows.events.columns[FAMILY].astype(str)[attacks]
        _, kind, sizes = np.unique(kinds, return_inverse=True, return_counts=True)
        rarest = np.argsort(sizes, kind="stable")
        whole = np.zeros(len(sizes), dtype=bool)
        whole[rarest[np.cumsum(sizes[rarest]) <= len(attacks) / 3]] = True
        held = whole[kind]
        keys[attacks[held]] = mixed(kind[held].astype(np.uint64) + np.uint64(77))
    return folds_of(keys, rows.y == 1, FOLDS)


def _peers(train: Table, judge: Table) -> Scores:
    import lightgbm
    from sklearn.ensemble import RandomForestClassifier

    encoder = fit_encoder(train.schema, train.events)
    X, T = encoder.encode(train.events), encoder.encode(judge.events)
    categories = [j for j, column in enumerate(encoder.columns) if column.categorical]
    boosted = lightgbm.LGBMClassifier(verbose=-1, n_jobs=1)
    boosted.fit(X, train.y, categorical_feature=categories)
    forest = RandomForestClassifier(random_state=0, n_jobs=1).fit(X, train.y)
    said = [boosted.booster_.predict(T, raw_score=True), forest.predict_proba(T)[:, 1]]
    return np.max([figures(judge.y, scores) for scores in said], axis=0)


def figures(y: NDArray[np.int8], scores: Any) -> Scores:
    """ROC-AUC, average precision, recall about 1 % false positives."""
    drawn = curve(scores, y)
    about = [recall_at(drawn, fpr) for fpr in (0.005, 0.01, 0.02)]
    return np.array([roc_auc(drawn), average_precision(drawn), np.mean(about)])


# --- rules ---------------------------------------------------------------------------------------

Rule = Callable[[Laid], dict[str, float]]  #: weights of parts, in units of each one's spread


def _alone(*names: str) -> Rule:
    return lambda _: dict.fromkeys(names, 1.0)


def _fixed(**quarters: int) -> Rule:
    """Weights that nothing chooses, in quarters; an underscore stands for a space."""
    return lambda _: {name.replace("_", " "): share / 4 for name, share in quarters.items()}


def _blended(families: tuple[tuple[str, ...], ...], errors: float) -> Rule:
    """The best of each family by its out-of-fold value, and training's own weights on them."""

    def rule(laid: Laid) -> dict[str, float]:
        contract, n = _contract(laid.problem.max_fpr), len(laid.y)
        ones = np.ones(n)
        rows = TuningRows(labels=laid.y, weights=ones, cost_missed=ones, cost_false_alarm=ones)

        def value(name: str) -> float:
            return promise_value(contract, rows, laid.parts[name].own)[0]

        best = [max(names, key=value) for names in families]
        margins = {name: laid.parts[name].own for name in best}
        weights, _ = best_weights(contract, rows, margins, blend=True, errors=errors)
        return {name: w * _spread(laid.parts[name]) for name, w in weights.items()}

    return rule


def _half_kept(rule: Rule, kept: Rule) -> Rule:
    """Half of the whole as one rule says, half as the other."""

    def both(laid: Laid) -> dict[str, float]:
        found: dict[str, float] = {}
        for part in (rule(laid), kept(laid)):
            for name, weight in part.items():
                found[name] = found.get(name, 0.0) + 0.5 * weight / sum(part.values())
        return found

    return both


def _contract(max_fpr: float) -> Contract:
    budget = Budget(kind="max_fpr", value=max_fpr)
    return Contract(
        name="defaults",
        purpose="benchmark",
        owner="benchmark",
        events=Schema(fields=()),
        label=None,
        objective=Objective(budget=budget),
        bands=(Band(name="pass"), Band(name="alert", budget=budget)),
        points=Points(),
        learner=Learner(),
        gates=(),
    )


def _spread(part: Part) -> float:
    return float(part.own.std()) or 1.0


_FOREST, _LINEAR = ("forest", "forest, leaves of 1"), ("logistic",)
_ONE, _MANY = ("boosting", "longer"), ("boosting x3", "longer x2")
RULES: dict[str, Rule] = {
    "boosting": _alone("boosting"),
    "boosting x2": _alone("boosting x2"),
    "boosting x3": _alone("boosting x3"),
    "boosting x6": _alone("boosting x6"),
    "x3 and longer x2": _alone("boosting x3", "longer x2"),
    "longer": _alone("longer"),
    "longer x2": _alone("longer x2"),
    "blend, 0 errors": _blended((_ONE, _FOREST, _LINEAR), 0.0),
    "blend, .25": _blended((_ONE, _FOREST, _LINEAR), 0.25),
    "blend, .5": _blended((_ONE, _FOREST, _LINEAR), 0.5),
    "blend, 1": _blended((_ONE, _FOREST, _LINEAR), 1.0),
    "blend, 2": _blended((_ONE, _FOREST, _LINEAR), 2.0),
    "blend, 1, extra": _blended((_ONE, _FOREST, ("extra trees",), _LINEAR), 1.0),
    "means, .5": _blended((_MANY, _FOREST, _LINEAR), 0.5),
    "means, 1": _blended((_MANY, _FOREST, _LINEAR), 1.0),
    "means, 2": _blended((_MANY, _FOREST, _LINEAR), 2.0),
    "halves": _fixed(boosting_x3=2, forest=2),
    "half, two quarters": _fixed(boosting_x3=2, forest=1, extra_trees=1),
    "means, 1, + halves": _half_kept(
        _blended((_MANY, _FOREST, _LINEAR), 1.0), _fixed(boosting_x3=2, forest=2)
    ),
    "means, 1, + quarters": _half_kept(
        _blended((_MANY, _FOREST, _LINEAR), 1.0), _fixed(boosting_x3=2, forest=1, extra_trees=1)
    ),
}


def judged(laid: Laid, rule: Rule) -> Scores:
    """The figures of a rule's detector, minus the better library's."""
    weights = rule(laid)
    total = np.sum(
        [w / _spread(laid.parts[p]) * laid.parts[p].judged for p, w in weights.items()], axis=0
    )
    return figures(laid.problem.judge.y, total) - laid.peers


def compared(found: dict[str, dict[str, list[Scores]]], against: str) -> Iterator[str]:
    """A line for each rule and set: what it adds to another rule, and in how many draws it does."""
    for name, group in found.items():
        for rule in RULES:
            if rule != against:
                more = np.array(group[rule]) - np.array(group[against])
                n = len(more)
                error = more.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(3, np.nan)
                told = "  ".join(
                    f"{x:+.4f} ± {e:.4f}" for x, e in zip(more.mean(axis=0), error, strict=True)
                )
                higher = int(np.sum(more.mean(axis=1) > 0.0))
                yield f"{name} {rule:<20} {told}   mean of three higher in {higher} of {n} draws"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help="beginnings of names")
    parser.add_argument("--draws", type=int, default=2, help="of nsl-kdd and kdd99")
    parser.add_argument("--against", choices=RULES, help="tell what each rule adds to this one")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    warnings.filterwarnings("ignore", message="`sklearn.utils.parallel.delayed`")
    chosen = tuple(args.problems) or ("",)
    found: dict[str, dict[str, list[Scores]]] = {}
    for name, make in problems(args.draws):
        if name.startswith(chosen):
            laid = lay_out(make())
            group = found.setdefault(laid.problem.group, {})
            for rule, of in RULES.items():
                group.setdefault(rule, []).append(judged(laid, of))
            print(f"  {name}: {len(laid.y)} rows teach, {laid.problem.judge.events.n} judge",
                  flush=True)  # fmt: skip
    for rule in RULES:
        means = [np.mean(group[rule], axis=0) for group in found.values()]
        told = "   ".join(
            f"{name} " + " ".join(f"{x:+.4f}" for x in mean)
            for name, mean in zip(found, means, strict=True)
        )
        print(f"{rule:<20} {told}   mean " + " ".join(f"{x:+.4f}" for x in np.mean(means, axis=0)))
    if args.against:
        print(*compared(found, args.against), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
