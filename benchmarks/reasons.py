"""Print how many times faster than LightGBM and shap exact reasons come, one thread.

    python benchmarks/reasons.py [--rounds 9] [--trees 300] [--clock wall|cpu]

The models, rows and rounds of ``kernel.py``. LightGBM's are `predict(pred_contrib=True)`, shap's
those of its TreeExplainer, in an environment of its own or left out by name. All three are the same
values; ours are whole numbers that add up to the score.
"""

from __future__ import annotations

import argparse
from functools import partial

import lightgbm
import numpy as np
from engines import Rows, compare, timed
from kernel import engines, of_engine, sets, told, trained

from baluarte.core.program.draft import seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.methods.models.lightgbm import draft_of_text

N_EXPLAINED = 256


def explain(booster: lightgbm.Booster, rows: Rows) -> Rows:
    return np.asarray(booster.predict(rows, pred_contrib=True, num_threads=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    arguments = parser.parse_args()
    for title, rows in sets():
        booster = trained(rows, arguments.trees)
        program = seal(draft_of_text(booster.model_to_string()))
        ours = Evaluator(program)
        batch, one = rows[0][:N_EXPLAINED].copy(), rows[0][:1].copy()
        base, found = ours.reasons(batch)
        off = np.abs(found * 2.0**-program.scale_bits - explain(booster, batch)[:, :-1]).max()
        adding = bool((base + found.sum(axis=1) == ours.score(batch)).all())
        print(f"\n{title}: {arguments.trees} trees, kernel {ours.kernel}; at most {off:.1e} apart; "
              f"sums exact: {adding}")  # fmt: skip
        with engines(("shap",), booster, batch, arguments.clock) as others:
            for name, some in (("reasons, one row", one), ("reasons, batch", batch)):
                sides = {
                    "Baluarte": timed(partial(ours.reasons, some), arguments.clock),
                    "LightGBM": timed(partial(explain, booster, some), arguments.clock),
                }
                sides |= {other: of_engine(engine, len(some)) for other, engine in others.items()}
                told(name, compare(sides, rows=len(some), rounds=arguments.rounds))


if __name__ == "__main__":
    main()
