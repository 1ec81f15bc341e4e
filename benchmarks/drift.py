"""Print how soon the e-detector notices changes, what a million events cost, and what KS does.

    python benchmarks/drift.py [--repetitions 9]

Streams are simulated (41 correlated columns, heavy tails, categories, missing values); with
BALUARTE_DATA also KDDTest+ after KDDTrain+. KS here is per column on windows of 1,000 events,
p < .05 over the number of columns, which on quiet streams alarms as the table shows.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baluarte.methods.drift.e_detector import EDetector
from baluarte.methods.drift.ks import KolmogorovSmirnov
from baluarte.testing.guarantees import Stream, delays

ARL = 1e6
WINDOW = 1_000


def ks_delay(stream: Stream, shift: float, family: float) -> float:
    """Events until some column's p is below .05 over the columns, in windows; from the change."""
    baseline, _ = stream.draw(5_000)
    for window in range(40):
        now, _ = stream.draw(WINDOW, shift=shift, family=family)
        values = KolmogorovSmirnov().values(
            baseline, now, names=stream.names, categorical=stream.categorical
        )
        if min(value.p for value in values if value.p is not None) < 0.05 / len(values):
            return float((window + 1) * WINDOW)
    return math.inf


def simulated(repetitions: int) -> None:
    shifts, families = (0.1, 0.25, 0.5), (0.02, 0.005)
    ours = delays(
        EDetector(), 1, arl=ARL, shifts=shifts, families=families, repetitions=repetitions
    )
    changes = [(s, 0.0) for s in shifts] + [(0.0, f) for f in families]
    print(f"events until the alarm, median of {repetitions}; one false alarm a million promised")
    print(f"{'change':24}{'e-detector':>12}{'KS, Bonferroni':>18}")
    for (name, found), (shift, family) in zip(ours.items(), changes, strict=True):
        theirs = np.median([ks_delay(Stream(seed, 41), shift, family) for seed in range(5)])
        print(f"{name:24}{found:12,.0f}{theirs:18,.0f}")
    quiet = [ks_delay(Stream(seed, 41), 0.0, 0.0) for seed in range(5)]
    print(f"{'nothing (false alarm)':24}{'':12}{np.median(quiet):18,.0f}")


def speed() -> None:
    stream = Stream(2, 41)
    X, scores = stream.draw(60_000)
    detector = EDetector()
    sealed = detector.arm(X, scores, names=stream.names, categorical=stream.categorical, arl=ARL)
    monitor = detector.open(sealed)
    rows = [stream.draw(50_000) for _ in range(4)]
    cpu = time.process_time()
    for now, now_scores in rows:
        monitor.update(now, now_scores)
    cost = (time.process_time() - cpu) / 0.2
    print(f"\n{cost:.2f} CPU s a million events, 44 channels; state {len(monitor.state()):,} bytes")


def coded(table: dict[str, list[object]], like: dict[str, list[object]]) -> NDArray[np.float64]:
    columns = []
    for name, values in table.items():
        if isinstance(like[name][0], str):
            codes = {value: code for code, value in enumerate(sorted(set(like[name])))}
            columns.append([float(codes.get(value, len(codes))) for value in values])
        else:
            columns.append([float(value) for value in values])
    return np.array(columns).T


def real(folder: Path) -> None:
    import pyarrow.parquet as pq

    train, test = (
        pq.read_table(folder / "nsl-kdd" / f"{name}.parquet").drop(["label", "difficulty"])
        for name in ("KDDTrain+", "KDDTest+")
    )
    baseline = train.to_pydict()
    X, now = coded(baseline, baseline), coded(test.to_pydict(), baseline)
    names = list(baseline)
    categorical = [isinstance(baseline[name][0], str) for name in names]
    detector, rng = EDetector(), np.random.default_rng(0)
    none = np.zeros(len(X), dtype=np.int64)
    sealed = detector.arm(X, none, names=names, categorical=categorical, arl=ARL)
    order = rng.permutation(len(now))
    alarms = detector.open(sealed).update(now[order], none[: len(now)])
    moved = ", ".join(f"{m.channel} {m.direction} {m.share:.0%}" for m in alarms[0].moved[:3])
    print(
        f"\nKDDTest+ in random order after KDDTrain+: alarm after {alarms[0].at} events ({moved})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=9)
    simulated(parser.parse_args().repetitions)
    speed()
    if "BALUARTE_DATA" in os.environ:
        real(Path(os.environ["BALUARTE_DATA"]))


if __name__ == "__main__":
    main()
