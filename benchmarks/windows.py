"""Fourteen window features: events a second beside pandas, Polars and river, and memory a key.

The features are the card-fraud handbook's: of each card's holder the number and mean of payments in
1, 7 and 30 days, of each terminal the number and share of frauds in as many days that ended a week
ago, a weekend and a night flag. Payments are the handbook's own (BALUARTE_DATA), or invented ones
of the same shape. Every contestant computes them for the same events in a process of its own, in
turns; CPU seconds are compared, and what differs from ours by more than 1e-9 is counted. pandas and
Polars see all events at once and have sorted columns: they have no stream. river goes event by
event, as we do; of both what is measured is an event in and its features out, in the record or in a
list, and not that they are copied into an array to be compared.

    python benchmarks/windows.py --events 400000 --peers /tmp/peers/bin/python

Args: --peers is a Python that has pandas, polars and river; a peer that is not there is named.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("BALUARTE_DATA", Path(__file__).parents[2] / "shared" / "data"))
DAY_US = 86_400_000_000
DAYS = (1, 7, 30)
WEEK = 7
OURS = ("stream", "stream-python", "replay")
PEERS = ("pandas", "polars", "river")
BLOCK = 1_024  #: events between two looks at the clock; what they gave is put by while it stands
RIVER_READS = ("customer", "terminal", "amount", "fraud")


# --- the events --------------------------------------------------------------------------------


def events(n: int) -> dict[str, np.ndarray]:
    """The first payments, in the order of time."""
    path = DATA / "card-fraud-simulated" / "transactions_2018-04-01_2018-09-30.parquet"
    if path.exists():
        import pyarrow.parquet as pq

        table = pq.read_table(path).slice(0, n)
        return {
            "id": table["TRANSACTION_ID"].to_numpy().astype(np.int64),
            "at": table["TX_DATETIME"].to_numpy().astype("datetime64[us]").astype(np.int64),
            "customer": table["CUSTOMER_ID"].to_numpy().astype(np.int64),
            "terminal": table["TERMINAL_ID"].to_numpy().astype(np.int64),
            "amount": table["TX_AMOUNT"].to_numpy(),
            "fraud": table["TX_FRAUD"].to_numpy().astype(np.int64),
        }
    rng = np.random.default_rng(11)
    at = np.sort(rng.integers(0, 183 * 86_400 * n // 1_754_155, n)) * 1_000_000
    return {
        "id": np.arange(n),
        "at": at + np.int64(1_522_540_800_000_000),
        "customer": rng.integers(0, 5_000, n),
        "terminal": rng.integers(0, 10_000, n),
        "amount": np.round(rng.lognormal(3.5, 0.8, n), 2),
        "fraud": (rng.random(n) < 0.008).astype(np.int64),
    }


def contract_text() -> str:
    """The fourteen features as a detector.toml declares them."""
    head = """
name = "windows"
purpose = "benchmark"
owner = "benchmark"
[events]
label = "fraud"
positive = ["1"]
id = "id"
time = "at"
keys = ["customer", "terminal"]
[types]
integer = ["id", "customer", "terminal", "fraud"]
time = ["at"]
number = ["amount"]
[objective]
max_fpr = 0.01
label_delay_days = 7
[windows.weekend]
op = "flag"
where = "at.weekday >= 5"
[windows.night]
op = "flag"
where = "at.hour <= 6"
"""
    parts = [head]
    for days in DAYS:
        window = f'window_s = {days * 86_400}\nby = "customer"\n'
        parts.append(f'[windows.customer_n_{days}]\nop = "count"\n{window}')
        parts.append(
            f'[windows.customer_mean_{days}]\nop = "mean"\nfield = "amount"\ndecimals = 2\n{window}'
        )
    for days in DAYS:
        window = f'window_s = {days * 86_400}\nlag_s = {WEEK * 86_400}\nby = "terminal"\n'
        parts.append(f'[windows.terminal_n_{days}]\nop = "count"\n{window}')
        parts.append(
            f'[windows.terminal_risk_{days}]\nop = "mean"\nfield = "fraud"\nempty = 0\n{window}'
        )
    return "".join(parts)


# --- the contestants: each gives (n, 14) features and the seconds it took -----------------------


def ours(kind: str, rows: dict[str, np.ndarray]) -> tuple[np.ndarray, float, dict[str, float]]:
    """Ours: one event at a time through the state of a server, or all as training replays them."""
    from baluarte.adapters.states.memory import MemoryState
    from baluarte.core.contract_toml import parse_contract
    from baluarte.core.event import Events, records
    from baluarte.core.window_plan import compile_windows
    from baluarte.core.windows import Seen, Told
    from baluarte.stages.derive import derive_for_training

    contract = parse_contract(contract_text(), where="detector.toml")
    columns = {name: column.astype(np.float64) for name, column in rows.items() if name != "fraud"}
    if kind == "replay":
        labels = rows["fraud"].astype(np.float64)
        given = Events(n=len(labels), columns={**columns, "fraud": labels})
        started = time.process_time()
        found = derive_for_training(contract, given)
        spent = time.process_time() - started
        return np.stack([found.columns[w.name] for w in contract.windows], axis=1), spent, {}
    plan = compile_windows(contract, kernel="numpy" if kind == "stream-python" else "auto")
    assert plan is not None
    told = records(Events(n=len(rows["id"]), columns=columns))
    labels_by_row = rows["fraud"].tolist()
    names = [window.name for window in contract.windows]
    found = np.full((len(told), len(names)), np.nan)  # its memory is there before it is measured
    gc.freeze()
    before = resident()
    state = MemoryState(plan, detector="windows", folder=None)
    due, spent = 0, 0.0
    for start in range(0, len(told), BLOCK):
        block = told[start : start + BLOCK]
        written = []
        started = time.process_time()
        for given_record in block:
            record = dict(given_record)
            # Labels arrive when their week is over, as they would.
            horizon = record["at"] - WEEK * DAY_US
            while told[due]["at"] <= horizon:
                given_label = Told(
                    event_id=str(told[due]["id"]), record=told[due], label=labels_by_row[due]
                )
                state.learn([given_label])
                due += 1
            state.see([Seen(record=record, arrived_at=record["at"])])
            written.append(record)
        spent += time.process_time() - started
        found[start : start + len(block)] = [
            [record.get(name, np.nan) for name in names] for record in written
        ]
    held = resident() - before
    counts = state.count()
    return (
        found,
        spent,
        {
            "entities": counts.entities,
            "rss_bytes_a_key": held / counts.entities,
            "snapshot_bytes_a_key": len(state.snapshot({})) / counts.entities,
        },
    )


def flags(at: np.ndarray) -> list[np.ndarray]:
    """Weekend and night."""
    weekday = (at // DAY_US + 3) % 7
    return [(weekday >= 5).astype(float), (at % DAY_US // 3_600_000_000 <= 6).astype(float)]


def pandas_way(rows: dict[str, np.ndarray]) -> tuple[np.ndarray, float, dict[str, float]]:
    """Grouped rolling sums, as the handbook does it."""
    import pandas as pd

    frame = pd.DataFrame(rows).drop(columns="id")
    frame["when"] = pd.to_datetime(frame["at"], unit="us")
    started = time.process_time()
    out = flags(frame["at"].to_numpy())

    def rolled(by: str, days: int, column: str, how: str) -> np.ndarray:
        windows = frame.groupby(by).rolling(f"{days}D", on="when")[column]
        found = np.empty(len(frame))
        found[np.argsort(frame[by].to_numpy(), kind="stable")] = getattr(windows, how)()
        return found

    for days in DAYS:
        out.append(rolled("customer", days, "amount", "count"))
        out.append(rolled("customer", days, "amount", "mean"))
    n_week, frauds_week = (rolled("terminal", WEEK, "fraud", how) for how in ("count", "sum"))
    for days in DAYS:
        n = rolled("terminal", WEEK + days, "fraud", "count") - n_week
        frauds = rolled("terminal", WEEK + days, "fraud", "sum") - frauds_week
        out += [n, np.divide(frauds, n, out=np.zeros(len(n)), where=n > 0)]
    spent = time.process_time() - started
    return np.stack(out, axis=1), spent, {}


def polars_way(rows: dict[str, np.ndarray]) -> tuple[np.ndarray, float, dict[str, float]]:
    """Rolling sums by time over each group."""
    import polars as pl

    frame = pl.DataFrame(rows).with_columns(
        pl.from_epoch("at", time_unit="us").alias("when"), pl.lit(1).alias("one")
    )

    def rolled(by: str, days: int, column: str) -> pl.Expr:
        return pl.col(column).rolling_sum_by("when", window_size=f"{days}d").over(by)

    started = time.process_time()
    wanted = {}
    for days in DAYS:
        wanted[f"cn{days}"] = rolled("customer", days, "one")
        wanted[f"cs{days}"] = rolled("customer", days, "amount")
    for days in (WEEK, *(WEEK + d for d in DAYS)):
        wanted[f"tn{days}"] = rolled("terminal", days, "one")
        wanted[f"tf{days}"] = rolled("terminal", days, "fraud")
    table = frame.lazy().select(**wanted).collect()
    out = flags(rows["at"])
    for days in DAYS:
        n = table[f"cn{days}"].to_numpy().astype(float)
        out += [n, table[f"cs{days}"].to_numpy() / n]
    for days in DAYS:
        n = (table[f"tn{WEEK + days}"] - table[f"tn{WEEK}"]).to_numpy().astype(float)
        frauds = (table[f"tf{WEEK + days}"] - table[f"tf{WEEK}"]).to_numpy().astype(float)
        out += [n, np.divide(frauds, n, out=np.zeros(len(n)), where=n > 0)]
    spent = time.process_time() - started
    return np.stack(out, axis=1), spent, {}


def river_way(rows: dict[str, np.ndarray]) -> tuple[np.ndarray, float, dict[str, float]]:
    """Rolling means an entity; a delayed window is the difference of two. Labels are known at once.

    The means are floating-point running ones; n and sums are read from them.
    """
    import datetime as dt

    from river import stats, utils

    spans = [dt.timedelta(days=days) for days in (WEEK, *(WEEK + d for d in DAYS))]
    cards: dict[int, list] = {}
    terminals: dict[int, list] = {}
    lists = {name: column.tolist() for name, column in rows.items()}
    epoch = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - river compares with naive times
    times = [epoch + dt.timedelta(microseconds=at) for at in lists["at"]]
    out = np.full((len(times), 14), np.nan)
    rows_in = list(zip(times, *(lists[name] for name in RIVER_READS), strict=True))
    before, spent = resident(), 0.0
    for start in range(0, len(rows_in), BLOCK):
        written = []
        started = time.process_time()
        for when, card, terminal, amount, fraud in rows_in[start : start + BLOCK]:
            if card not in cards:
                cards[card] = [
                    utils.TimeRolling(stats.Mean(), period=dt.timedelta(days=days)) for days in DAYS
                ]
            if terminal not in terminals:
                terminals[terminal] = [
                    utils.TimeRolling(stats.Mean(), period=span) for span in spans
                ]
            row = [float(when.weekday() >= 5), float(when.hour <= 6)]
            for window in cards[card]:
                window.update(amount, t=when)
                row += [window.obj.n, window.obj.get()]
            seen = terminals[terminal]
            for window in seen:
                window.update(fraud, t=when)
            n_week = seen[0].obj.n
            frauds_week = round(seen[0].obj.get() * n_week)
            for window in seen[1:]:
                n = window.obj.n - n_week
                frauds = round(window.obj.get() * window.obj.n) - frauds_week
                row += [n, frauds / n if n else 0.0]
            written.append(row)
        spent += time.process_time() - started
        out[start : start + len(written)] = written
    keys = len(cards) + len(terminals)
    return out, spent, {"entities": keys, "rss_bytes_a_key": (resident() - before) / keys}


def resident() -> int:
    """Bytes of memory that this process holds now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- the run -----------------------------------------------------------------------------------


def child(kind: str, source: str, out: str) -> None:
    rows = dict(np.load(source))
    ways: dict[str, Callable[..., tuple[np.ndarray, float, dict[str, float]]]] = {
        "pandas": pandas_way, "polars": polars_way, "river": river_way,
    }  # fmt: skip
    found, spent, more = ways[kind](rows) if kind in ways else ours(kind, rows)
    np.save(out, found)
    print(json.dumps({"s": spent, **more}))


def measured(python: str, kind: str, source: Path, out: Path) -> dict[str, float] | str:
    """One run in a process of its own; a text says why there is none."""
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, __file__, "--child", kind, str(source), str(out)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1]
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has the peers")
    parser.add_argument("--child", nargs=3)
    args = parser.parse_args()
    if args.child:
        child(*args.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "events.npz"
        rows = events(args.events)
        np.savez(source, **rows)
        n = len(rows["id"])
        runs: dict[str, list[dict[str, float]]] = {}
        missing: dict[str, str] = {}
        for _ in range(args.rounds):
            for kind in OURS + PEERS:
                if kind in missing:
                    continue
                python = args.peers if kind in PEERS else sys.executable
                said = measured(python, kind, source, Path(folder) / f"{kind}.npy")
                if isinstance(said, str):
                    missing[kind] = said
                else:
                    runs.setdefault(kind, []).append(said)
        tell(n, runs, missing, Path(folder), rows)


def tell(
    n: int,
    runs: dict[str, list[dict[str, float]]],
    missing: dict[str, str],
    folder: Path,
    rows: dict[str, np.ndarray],
) -> None:
    speed = {kind: n / statistics.median(run["s"] for run in own) for kind, own in runs.items()}
    print(
        f"{n:,} events, 14 features, one core, CPU seconds, median of {len(runs['stream'])} rounds"
    )
    print(f"  {'':14} {'events/s':>10} {'stream is':>10} {'bytes a key':>12}   other values")
    mine = np.load(folder / "stream.npy")
    for kind, rate in speed.items():
        theirs = np.load(folder / f"{kind}.npy")
        apart = ~(np.abs(theirs - mine) <= 1e-9) & ~(np.isnan(theirs) & np.isnan(mine))
        held = runs[kind][-1].get("rss_bytes_a_key")
        size = f"{held:12,.0f}" if held is not None else f"{'–':>12}"
        ratio = speed["stream"] / rate
        other = f"{int(apart.sum()):,} of {apart.size:,}"
        print(f"  {kind:14} {rate:10,.0f} {ratio:9.2f}x {size}   {other}")
    tied = int(tied_events(rows))
    print(f"  {tied:,} events share entity and instant with another: there pandas and river take")
    print("  those before, as we do, and Polars all of them.")
    last = runs["stream"][-1]
    print(f"  {last['entities']:,.0f} keys; a snapshot of them holds", end=" ")
    print(f"{last['snapshot_bytes_a_key']:,.0f} bytes a key. Memory has the ids and labels, too.")
    for kind, why in missing.items():
        print(f"  {kind} was not run: {why}")


def tied_events(rows: dict[str, np.ndarray]) -> int:
    """How many events share their time with another of the same card or terminal."""
    tied = np.zeros(len(rows["at"]), dtype=bool)
    for by in ("customer", "terminal"):
        pairs = rows[by] * np.int64(2**53) // 1 + rows["at"] // 1_000_000
        _, where, counts = np.unique(pairs, return_inverse=True, return_counts=True)
        tied |= counts[where] > 1
    return int(tied.sum())


if __name__ == "__main__":
    main()
