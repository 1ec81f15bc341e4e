"""Print what every guarantee promises, what ours does, and what the usual practice does.

    python benchmarks/guarantees.py [--short]

The full form takes some minutes on two cores; seeds are fixed, so the figures repeat.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from baluarte.methods.drift.e_detector import EDetector
from baluarte.methods.drift.ks import KolmogorovSmirnov
from baluarte.testing import guarantees
from baluarte.testing.guarantees import Shown


def shown(short: bool) -> list[Callable[[], Shown]]:
    def n(full: int) -> int:
        return full // 20 if short else full

    return [
        lambda: guarantees.budget(1, repetitions=n(100_000)),
        lambda: guarantees.resubmissions(2, repetitions=n(50_000)),
        lambda: guarantees.resubmissions(3, repetitions=n(50_000), truth=0.9499),
        lambda: guarantees.best_segments(4, repetitions=n(50_000)),
        lambda: guarantees.challenger(5, repetitions=n(20_000)),
        lambda: guarantees.audited_challenger(6, repetitions=n(4_000)),
        lambda: guarantees.quiet(EDetector(), KolmogorovSmirnov(), 7, events=n(2_000_000), arl=1e5),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a twentieth of the repetitions")
    short = parser.parse_args().short
    for run in shown(short):
        started = time.perf_counter()
        result = run()
        took = time.perf_counter() - started
        print(f"{result.name}   (n = {result.n:,}, {took:.0f} s)")
        print(f"    promised at most   {result.promised:g}")
        print(f"    Baluarte           {result.measured:g}")
        for practice, rate in result.usual.items():
            print(f"    usual practice     {rate:g}   {practice}")
        print()


if __name__ == "__main__":
    main()
