"""What would another version have decided, over a ledger of a million events; and replay itself.

The model is 300 trees of 63 leaves over 41 columns, two of them categorical. What-if reads the
ledger's records, scores them by a second version, and adds up changes, costs, days and segments.
The peer does what is done without a ledger's reader: pandas reads the same records, exported as
lines of JSON, and LightGBM's own ``predict`` scores them by the same model; it adds nothing up.
Rounds over a part are interleaved, and the median of the ratios is printed; then the whole ledger,
with the resident memory at each quarter.

    python benchmarks/replay.py [--events 1000000] [--rounds 3] [--folder /tmp]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "apps"), str(ROOT / "benchmarks")]

from kernel import made_rows  # noqa: E402 - after the path that leads to it
from workspace_ground import Ground  # noqa: E402

from baluarte.apps.decided import Wanted, batches  # noqa: E402
from baluarte.apps.session import Session  # noqa: E402
from baluarte.core import bands as band_format  # noqa: E402
from baluarte.core.bands import Bands, point_cuts  # noqa: E402
from baluarte.core.bundle import BundleParts  # noqa: E402
from baluarte.core.calibration import Knots  # noqa: E402
from baluarte.core.contract import Points  # noqa: E402
from baluarte.core.contract_toml import parse_contract  # noqa: E402
from baluarte.core.encode import encoder_to_json, fit_encoder  # noqa: E402
from baluarte.core.event import Events, records  # noqa: E402
from baluarte.core.ids import format_ids  # noqa: E402
from baluarte.core.program import format as program_format  # noqa: E402
from baluarte.core.program.draft import seal as seal_draft  # noqa: E402
from baluarte.core.program.evaluate import Evaluator  # noqa: E402
from baluarte.core.registry import LabelRow  # noqa: E402
from baluarte.methods.lightgbm_text import draft_of_text  # noqa: E402
from baluarte.stages.replay import Replayer  # noqa: E402
from baluarte.stages.score import Scorer  # noqa: E402
from baluarte.stages.whatif import what_if  # noqa: E402
from baluarte.testing.bundles import sample_parts  # noqa: E402

CATEGORICAL = (3, 4)
CHUNK = 20_000
PART = 40_000  #: events of an interleaved round
START_US = 1_750_000_000_000_000
NAMES = [f"f{i}" for i in range(41)]
CONTRACT = f"""\
name = "flows"
purpose = "Find hostile flows."
owner = "security"
[events]
id = "id"
time = "time"
label = "attack"
positive = ["true"]
[types]
text = ["id"]
time = ["time"]
number = {json.dumps([n for i, n in enumerate(NAMES) if i not in CATEGORICAL])}
category = {json.dumps([NAMES[i] for i in CATEGORICAL])}
boolean = ["attack"]
[objective]
max_fpr = 0.01
cost_missed = 500
cost_false_alarm = 5
"""


class Bench:
    """A workspace with two versions, and a ledger that the first one decided."""

    def __init__(self, root: Path, *, n: int) -> None:
        self.ground = Ground(root)
        self.rng = np.random.default_rng(3)
        X, y, _ = made_rows(self.rng, 20_000)
        contract = parse_contract(CONTRACT, where="detector.toml")
        order = [NAMES.index(field.name) for field in contract.events.features]
        encoder = fit_encoder(contract.events, events_of(X, 0))
        E = encoder.encode(events_of(X, 0))
        places = [i for i, at in enumerate(order) if at in CATEGORICAL]
        self.boosters = [fitted(E[::2], y[::2], places, 300), fitted(E[1::2], y[1::2], places, 300)]
        like = sample_parts()
        self.versions = []
        for booster in self.boosters:
            program = seal_draft(draft_of_text(booster.model_to_string()))
            margins = np.sort(Evaluator(program).score(E))
            knots = Knots(
                scores=margins[[0, len(margins) // 2, -1]],
                probabilities=np.array([0.01, 0.3, 0.99]),
            )
            bands = Bands(
                names=("pass", "alert"), thresholds=(int(margins[int(0.97 * len(margins))]),),
                knot_scores=tuple(knots.scores.tolist()),
                knot_probabilities=tuple(knots.probabilities.tolist()),
                point_cuts=point_cuts(knots, Points()), calibration="isotonic",
            )  # fmt: skip
            parts = BundleParts(
                contract=contract, encoder_json=encoder_to_json(encoder),
                program=program_format.dumps(program), bands_json=band_format.dumps(bands),
                evidence=like.evidence, lineage=like.lineage,
            )  # fmt: skip
            self.versions.append(self.ground.seal(parts))
        self.encoder = encoder
        self._decide(n)

    def _decide(self, n: int) -> None:
        with self.ground.session() as session:
            scorer = Scorer(session.bundle(self.versions[0].digest))
            for start in range(0, n, CHUNK):
                X, y, _ = made_rows(self.rng, min(CHUNK, n - start))
                events = events_of(X, start)
                decided = scorer.decide(events)
                now, rows = session.clock.now_us(), records(events)
                who = scorer.identify_all(
                    rows, ordinals=range(start, start + len(rows)), arrival_us=now
                )
                ids = format_ids(now // 1000, session.shard.tag, session.shard.size, events.n)
                session.shard.append(scorer.records(decided, ids, who, decided_at=now))
                session.shard.commit()
                known = [
                    LabelRow(event_id=f"e{start + i}", label=1 if y[i] else 0, at=1, source="desk")
                    for i in np.flatnonzero(decided.bands > 0).tolist()
                ]
                session.registry.add_labels("flows", known)


def fitted(X: np.ndarray, y: np.ndarray, places: list[int], n: int) -> lightgbm.Booster:
    """A model of the encoded columns, the categories at these places."""
    params = {
        "objective": "binary",
        "num_leaves": 63,
        "learning_rate": 0.05,
        "verbose": -1,
        "num_threads": 1,
    }
    data = lightgbm.Dataset(X, y, categorical_feature=places, params={"verbose": -1})
    return lightgbm.train({**params, "num_threads": 1}, data, n)


def events_of(X: np.ndarray, first: int) -> Events:
    columns: dict[str, Any] = {}
    for i, name in enumerate(NAMES):
        columns[name] = X[:, i] + 0.0  # as a reader gives it: zero has no sign
        if i in CATEGORICAL:
            texts = [None if np.isnan(v) else f"c{int(v)}" for v in X[:, i].tolist()]
            columns[name] = np.array(texts, dtype=object)
    ids = np.empty(len(X), dtype=object)
    ids[:] = [f"e{first + i}" for i in range(len(X))]
    times = START_US + (first + np.arange(len(X))) * 2_592_000.0  # a month for a million
    return Events(n=len(X), columns={"id": ids, "time": times, **columns})


def resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


class Quarters:
    """Says how much memory is resident at each quarter."""

    def __init__(self, n: int) -> None:
        self._n, self._next = n, 1
        self.seen: list[float] = []

    def step(self, done: int, total: int, note: str = "") -> None:
        del total, note
        if done >= self._next * self._n / 4:
            self.seen.append(resident_mib())
            self._next += 1


def ours(session: Session, bench: Bench, *, most: int, progress: Any = None) -> tuple[int, float]:
    """Events decided again by the second version, and the seconds that took."""

    def some() -> Iterator[list[Any]]:
        done = 0
        for batch in batches(session, Wanted(detector="flows"), progress=progress):
            yield batch.records
            done += len(batch.records)
            if done >= most:
                return

    started = time.perf_counter()
    found = what_if(
        some(),
        session.bundle(bench.versions[1].digest),
        labels_of=lambda ids: session.registry.labels_of("flows", ids),
        open_bundle=session.bundle,
        fields=[NAMES[i] for i in CATEGORICAL],
    )
    return found.n, time.perf_counter() - started


def peer(exported: Path, bench: Bench) -> tuple[int, float]:
    """The same by pandas and LightGBM, in chunks."""
    names = [column.name for column in bench.encoder.columns]
    tables = {
        f.field: {c: i for i, c in enumerate(f.categories)} for f in bench.encoder.tables.fields
    }
    started, n = time.perf_counter(), 0
    with pd.read_json(exported, lines=True, chunksize=CHUNK) as chunks:
        for chunk in chunks:
            events = pd.DataFrame(chunk["event"].tolist(), columns=names)
            for i in CATEGORICAL:
                events[NAMES[i]] = events[NAMES[i]].map(tables[NAMES[i]])
            scores = bench.boosters[1].predict(
                events.to_numpy(float), raw_score=True, num_threads=1
            )
            n += len(scores)
    return n, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=None, help="where the ledger is made (default: /tmp)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as root:
        bench = Bench(Path(root) / "w", n=args.events)
        print(f"{args.events:,} decisions recorded")
        with bench.ground.session() as session:
            exported = Path(root) / "part.ndjson"
            with exported.open("wb") as out:
                n = 0
                records_of = session.reader.records(session.reader.shards()[0])
                for data in records_of:
                    if b'"decision"' in data[:20] and n < PART:
                        out.write(data + b"\n")
                        n += 1
            told = interleaved(session, bench, exported, rounds=args.rounds)
            print(f"what if, {PART:,} events a round: {told}")
            quarters = Quarters(args.events)
            n, took = ours(session, bench, most=args.events, progress=quarters)
            seen = ", ".join(f"{mib:,.0f}" for mib in quarters.seen)
            print(f"what if, all {n:,} events: {took:.1f} s, {n / took:,.0f} events/s")
            print(f"  resident MiB at each quarter: {seen}")
            print(f"replay with the reasons of alerts: {replayed(session)}")


def interleaved(session: Session, bench: Bench, exported: Path, *, rounds: int) -> str:
    """The rates of both sides, and the median of their ratios."""
    pairs = []
    for _ in range(rounds):
        (n, took), (m, other) = ours(session, bench, most=PART), peer(exported, bench)
        pairs.append((n / took, m / other))
    mine, others = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return f"{mine:,.0f} events/s; pandas and LightGBM {others:,.0f}: {ratio:.1f} times"


def replayed(session: Session) -> str:
    """How many decisions a second are computed again, and how many came out otherwise."""
    replayer, started, done, wrong = Replayer(session.bundle), time.perf_counter(), 0, 0
    for batch in batches(session, Wanted()):
        found = replayer.replay(batch.records)
        done += len(found)
        wrong += sum(one.difference is not None for one in found)
        if done >= 5 * PART:
            break
    rate = done / (time.perf_counter() - started)
    return f"{rate:,.0f} decisions/s, {wrong} of {done:,} different"


if __name__ == "__main__":
    main()
