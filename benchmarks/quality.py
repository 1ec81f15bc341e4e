"""Our default training beside the libraries' own defaults, on the public sets' own splits.

    python benchmarks/quality.py [SET ...] [--trials N]

For each set: Baluarte's default training on the train rows (of which it holds some aside to set its
threshold and to prove it), and LightGBM and scikit-learn's random forest at their defaults,
refitted twice: on all train rows, and on those that ours was fitted on. The first says what a
detector with a proof costs beside a model without one, the second how well ours is fitted. Test
rows are only ever scored. A cell passes if ours is not below the better of the two by more than the
paired bootstrap allows: the one-sided 95 % bound on ours minus theirs reaches zero. With seeded
splits, cells are means over the splits.

Rows of one kind of attack are no independent evidence of what another test would show. Where a set
names kinds, the same bound is printed beside it with whole kinds drawn instead of rows; it passes
nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from quality_sets import FAMILY, NAMES, Split, Table, splits

from baluarte.core.bounds import chosen_alpha, look_alpha
from baluarte.core.contract import (
    Band,
    Budget,
    Contract,
    Gate,
    Label,
    Learner,
    Objective,
    Points,
)
from baluarte.core.encode import fit_encoder
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.shares import solve_shares
from baluarte.core.split import Part
from baluarte.errors import DataError
from baluarte.methods.gates.false_alarms import FalseAlarms
from baluarte.methods.models.lightgbm import LightGBM
from baluarte.methods.models.logistic import Logistic
from baluarte.methods.models.random_forest import RandomForest
from baluarte.methods.search.optuna import Optuna
from baluarte.stages.train import Provenance, TrainingTools, train

DATA = Path(os.environ.get("BALUARTE_DATA", Path(__file__).parents[2] / "shared" / "data"))
MODELS = {model.name: model for model in (LightGBM(), RandomForest(), Logistic())}
ROWS = ("all train rows", "the rows that ours was fitted on")
METRICS = ("ROC-AUC", "AP", "recall@1%")
MAX_SECONDS = 120.0
REPETITIONS = 1_000
Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One split's test scores of each contestant, as ranks."""

    y: NDArray[np.int8]
    rows: NDArray[np.int64]  #: number of each test row in its set
    kinds: NDArray[np.str_] | None  #: (n,) kind of each row; None where the set names none
    ranks: dict[str, NDArray[np.int64]]


def contract_for(split: Split, trials: int) -> Contract:
    """The usual budget, or a looser one where the rows can't certify it, as ``init`` picks it."""
    for max_fpr in (0.01, 0.05, 0.1):
        contract = _contract(split, trials, max_fpr)
        if _certifies(contract, split.train.y, max_fpr):
            break
    return contract


def _contract(split: Split, trials: int, max_fpr: float) -> Contract:
    budget = Budget(kind="max_fpr", value=max_fpr)
    return Contract(
        name="quality",
        purpose="benchmark",
        owner="benchmark",
        events=split.train.schema,
        label=Label(
            field="attack",
            positive=("1",),
            family=FAMILY if FAMILY in split.train.schema else None,
        ),
        objective=Objective(budget=budget),
        bands=(Band(name="pass"), Band(name="alert", budget=budget)),
        points=Points(),
        learner=Learner(trials=trials),
        gates=(Gate(name="false_alarms"),),
    )


def _certifies(contract: Contract, y: NDArray[np.int8], max_fpr: float) -> bool:
    positives = int(y.sum())
    shares = solve_shares(contract, n_negatives=len(y) - positives, n_positives=positives)
    rows = {share.part: int(share.share * (len(y) - positives)) for share in shares}
    try:
        chosen = chosen_alpha(
            max_fpr=max_fpr,
            n_cal=rows["threshold"],
            n_proof=rows["proof"],
            confidence=0.95,
            alpha_gate=look_alpha(0.05, 1),
        )
    except DataError:
        return False
    return chosen is not None


def ours(split: Split, trials: int) -> tuple[Scores, NDArray[np.int64], str]:
    """Test scores of the sealed program after the default training, its rows, and its choice."""
    contract = contract_for(split, trials)
    candidate = train(
        contract,
        split.train.events,
        tools=TrainingTools(
            models=[MODELS[family] for family in contract.learner.families],
            search=Optuna(),
            gates={"false_alarms": FalseAlarms()},
            rng=np.random.default_rng(0),
        ),
        provenance=Provenance(),
    )
    X = candidate.encoder.encode(split.test.events)
    scores = Evaluator(candidate.program).score(X, threads=2)
    members = candidate.training.members
    fit = sum(candidate.training.split.counts["fit"]) / split.train.events.n
    chose = " + ".join(f"{member.weight:.2g} {member.model}" for member in members)
    rows = np.flatnonzero(candidate.parts == Part.FIT)
    return scores.astype(np.float64), rows, f"{chose}; fitted on {fit:.0%} of the rows"


def peers(split: Split, train: Table) -> dict[str, Scores]:
    """Test scores of both libraries at their defaults, fitted on some train rows.

    They see the same encoded columns as ours; LightGBM is told which hold categories.
    """
    import lightgbm
    from sklearn.ensemble import RandomForestClassifier

    encoder = fit_encoder(train.schema, train.events)
    X, T = encoder.encode(train.events), encoder.encode(split.test.events)
    categories = [j for j, column in enumerate(encoder.columns) if column.categorical]
    boosted = lightgbm.LGBMClassifier(verbose=-1, n_jobs=2)
    boosted.fit(X, train.y, categorical_feature=categories)
    forest = RandomForestClassifier(random_state=0, n_jobs=2).fit(X, train.y)
    return {
        "lightgbm": boosted.booster_.predict(T, raw_score=True),
        "random forest": forest.predict_proba(T)[:, 1],
    }


def figures(y: NDArray[np.int8], ranks: NDArray[np.int64], weights: Scores) -> Scores:
    """ROC-AUC, average precision and recall at 1 % false positives of weighted rows.

    Args:
        ranks: (n,) of the scores, 0 the highest; equal scores have equal ranks.
        weights: (n,) how often each row was drawn.
    """
    k = int(ranks.max()) + 1
    hits = np.cumsum(np.bincount(ranks, weights=weights * y, minlength=k))
    false = np.cumsum(np.bincount(ranks, weights=weights * (1 - y), minlength=k))
    tpr, fpr = hits / hits[-1], false / false[-1]
    auc = float(np.sum(np.diff(fpr, prepend=0.0) * (tpr + np.append(0.0, tpr[:-1])) / 2))
    drawn = hits + false
    precision = np.divide(hits, drawn, out=np.zeros(k), where=drawn > 0)
    average = float(np.sum(np.diff(tpr, prepend=0.0) * precision))
    recall = float(np.max(tpr[fpr <= 0.01], initial=0.0))
    return np.array([auc, average, recall])


def compare(scored: list[Scored], seed: int = 0) -> int:
    """Print the set's table and return the number of cells that fall short."""
    rng = np.random.default_rng(seed)
    contestants = list(scored[0].ranks)
    point = np.mean(
        [[figures(s.y, s.ranks[c], np.ones(len(s.y))) for c in contestants] for s in scored], axis=0
    )
    drawn = _redrawn(scored, contestants, rng)
    by_kind = None if scored[0].kinds is None else _redrawn_kinds(scored[0], contestants, rng)
    short = 0
    for m, metric in enumerate(METRICS):
        rival = 1 + int(np.argmax(point[1:, m]))
        difference = point[0, m] - point[rival, m]
        bound = _bound(drawn, m, rival)
        passes = bound >= 0.0
        short += not passes
        kinds = "" if by_kind is None else f" ({_bound(by_kind, m, rival):+.4f} by kinds)"
        cells = "  ".join(f"{c} {point[i, m]:.4f}" for i, c in enumerate(contestants))
        print(
            f"  {metric:<10} {cells}   ours - {contestants[rival]} {difference:+.4f}, "
            f"at most {bound:+.4f}{kinds}   {'PASS' if passes else 'SHORT'}",
            flush=True,
        )
    return short


def _bound(drawn: Scores, metric: int, rival: int) -> float:
    return float(np.quantile(drawn[:, 0, metric] - drawn[:, rival, metric], 0.95))


def _redrawn(scored: list[Scored], contestants: list[str], rng: np.random.Generator) -> Scores:
    """(repetitions, contestants, figures) of test rows drawn with replacement."""
    drawn = np.zeros((REPETITIONS, len(contestants), len(METRICS)))
    known = {row: y for s in scored for row, y in zip(s.rows.tolist(), s.y.tolist(), strict=True)}
    label = np.full(max(known) + 1, -1)
    label[list(known)] = list(known.values())
    classes = [np.flatnonzero(label == value) for value in (0, 1)]
    for r in range(REPETITIONS):
        weights = np.zeros(len(label))
        for rows in classes:  # each class keeps its size: the test's mix is its protocol
            weights[rows] = _times_drawn(rng, len(rows))
        for s in scored:  # a row that several splits test is drawn as often in all of them
            drawn[r] += [figures(s.y, s.ranks[c], weights[s.rows]) for c in contestants]
    return drawn / len(scored)


def _redrawn_kinds(s: Scored, contestants: list[str], rng: np.random.Generator) -> Scores:
    """The same with whole kinds of attack drawn, and other rows one by one."""
    assert s.kinds is not None
    attack, harmless = np.flatnonzero(s.y == 1), np.flatnonzero(s.y == 0)
    names, kind = np.unique(s.kinds[attack], return_inverse=True)
    drawn = np.zeros((REPETITIONS, len(contestants), len(METRICS)))
    weights = np.zeros(len(s.y))
    for r in range(REPETITIONS):
        weights[attack] = _times_drawn(rng, len(names))[kind]
        weights[harmless] = _times_drawn(rng, len(harmless))
        drawn[r] = [figures(s.y, s.ranks[c], weights) for c in contestants]
    return drawn


def _times_drawn(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """(n,) how often each of n is drawn, in n draws with replacement."""
    return rng.multinomial(n, np.full(n, 1 / n))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(NAMES))
    parser.add_argument("--trials", type=int, default=Learner().trials)
    args = parser.parse_args()
    if unknown := set(args.sets) - set(NAMES):
        parser.error(f"no set {', '.join(sorted(unknown))}; expected {', '.join(NAMES)}")
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    warnings.filterwarnings("ignore", message="`sklearn.utils.parallel.delayed`")
    short = dict.fromkeys(ROWS, 0)
    for name in args.sets or NAMES:
        print(name, flush=True)
        scored: dict[str, list[Scored]] = {rows: [] for rows in ROWS}
        for split in splits(DATA, name):
            began, cpu = time.perf_counter(), _cpu_s()
            own, fit_rows, chose = ours(split, args.trials)
            seconds, used = time.perf_counter() - began, _cpu_s() - cpu
            late = "" if seconds <= MAX_SECONDS else f"   OVER {MAX_SECONDS:.0f} s"
            print(f"  {split.name}: {chose}; {seconds:.0f} s ({used:.0f} CPU s){late}", flush=True)
            named = split.test.events.columns.get(FAMILY)
            kinds = None if named is None else named.astype(str)
            for rows, train_rows in zip(
                ROWS, (split.train, split.train.take(fit_rows)), strict=True
            ):
                contestants = {"ours": own} | peers(split, train_rows)
                ranks = {c: np.unique(-s, return_inverse=True)[1] for c, s in contestants.items()}
                scored[rows].append(
                    Scored(y=split.test.y, rows=split.test_rows, kinds=kinds, ranks=ranks)
                )
        for rows in ROWS:
            print(f"  the libraries fitted on {rows}")
            short[rows] += compare(scored[rows])
    for rows, n in short.items():
        print(f"the libraries fitted on {rows}: {n or 'no'} cells short")
    return min(short[ROWS[0]], 1)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
