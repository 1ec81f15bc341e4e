"""How quickly events are read, and that memory does not grow with their number.

Writes the same events in every format, reads each in a process of its own at a tenth of the rows
and at all of them, and prints rows a second of processor time and the peak of memory of both.
Beside it, in the same run, pandas reads the CSV, the NDJSON and the table of SQLite in chunks of
the same size; it checks nothing, where we refuse what does not conform.

    python benchmarks/sources.py --rows 20000000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq

from baluarte import wiring
from baluarte.core.schema import Field, Schema

BATCH = 65_536
SCHEMA = Schema(
    fields=(
        Field(name="id", type="category", role="id"),
        Field(name="at", type="time", role="time"),
        Field(name="amount", type="number"),
        Field(name="tries", type="integer"),
        Field(name="country", type="category"),
        Field(name="merchant", type="category"),
        Field(name="fraud", type="boolean", role="label"),
    )
)
FORMS = ("csv", "ndjson", "parquet", "arrow", "sqlite")
PEERS = ("pandas-csv", "pandas-ndjson", "pandas-sqlite")


def batches(rows: int) -> Iterator[pa.RecordBatch]:
    """Invented payments, the same for every format."""
    rng = np.random.default_rng(7)
    countries = np.array(["ES", "FR", "PT", "MX", "BR", "AR"])
    merchants = np.array([f"m{i:04d}" for i in range(800)])
    for start in range(0, rows, BATCH):
        n = min(BATCH, rows - start)
        number = np.arange(start, start + n)
        yield pa.RecordBatch.from_pydict(
            {
                "id": np.char.add("tx-", number.astype(str)),
                "at": np.datetime64("2026-01-01T00:00:00", "s") + number,
                "amount": np.round(rng.lognormal(3, 1, n), 2),
                "tries": rng.integers(0, 9, n),
                "country": countries[rng.integers(0, 6, n)],
                "merchant": merchants[rng.integers(0, 800, n)],
                "fraud": rng.random(n) < 0.01,
            }
        )


def write(form: str, folder: Path, rows: int) -> str:
    """One format's file; its address."""
    path = folder / f"{rows}.{form}"
    found = batches(rows)
    first = next(found)
    every = (batch for part in ([first], found) for batch in part)
    if form == "parquet":
        with pq.ParquetWriter(path, first.schema) as writer:
            for batch in every:
                writer.write_batch(batch)
    elif form == "arrow":
        with pa.ipc.new_file(path, first.schema) as writer:
            for batch in every:
                writer.write_batch(batch)
    else:
        stamped = (_stamped(batch) for batch in every)
        if form == "csv":
            with path.open("wb") as file:
                for i, batch in enumerate(stamped):
                    options = pyarrow.csv.WriteOptions(include_header=i == 0)
                    pyarrow.csv.write_csv(batch, file, options)
        elif form == "ndjson":
            wiring.sink_for(str(path)).write(str(path), (b.to_pydict() for b in stamped))
        else:
            address = f"sqlite:{path}?table=tx"
            wiring.sink_for(address).write(address, (b.to_pydict() for b in stamped))
            return address
    return str(path)


def _stamped(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times as the texts that files of text have."""
    texts = pa.array(np.datetime_as_string(batch["at"].to_numpy()).astype(str)).cast(pa.string())
    return batch.set_column(1, "at", pa.array([f"{text}Z" for text in texts.to_pylist()]))


def child(kind: str, address: str) -> None:
    """Read once; print seconds, rows and the peak of memory."""
    started = time.process_time()
    n = 0
    if kind == "pandas-csv":
        import pandas as pd

        for chunk in pd.read_csv(address, chunksize=BATCH, parse_dates=["at"]):
            n += len(chunk)
    elif kind == "pandas-ndjson":
        import pandas as pd

        with pd.read_json(address, lines=True, chunksize=BATCH) as chunks:
            for chunk in chunks:
                n += len(chunk)
    elif kind == "pandas-sqlite":
        import sqlite3

        import pandas as pd

        path = address.removeprefix("sqlite:").partition("?")[0]
        with sqlite3.connect(path) as database:
            for chunk in pd.read_sql("SELECT * FROM tx", database, chunksize=BATCH):
                n += len(chunk)
    else:
        for events in wiring.source_for(address).read(address, SCHEMA, batch_rows=BATCH):
            n += events.n
    # Unlike getrusage's, this peak is of the program alone, and not of what started it.
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print(json.dumps({"s": time.process_time() - started, "rows": n, "peak_mib": peak}))


def measured(kind: str, address: str) -> dict[str, float]:
    """One reading, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", kind, address],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=FORMS)
    parser.add_argument("--child", nargs=2)
    args = parser.parse_args()
    if args.child:
        child(*args.child)
        return
    few = max(args.rows // 10, 1)
    print(
        f"{'':<14}{'rows/s':>12}{f'MiB, {few:,} rows':>24}{f'MiB, {args.rows:,} rows':>24}  growth"
    )
    speeds: dict[str, float] = {}
    for form in args.forms:
        with tempfile.TemporaryDirectory() as folder:
            small, large = (write(form, Path(folder), n) for n in (few, args.rows))
            for kind in (form, *(peer for peer in PEERS if peer == f"pandas-{form}")):
                one, all_ = measured(kind, small), measured(kind, large)
                assert (one["rows"], all_["rows"]) == (few, args.rows)
                speeds[kind] = all_["rows"] / all_["s"]
                growth = all_["peak_mib"] - one["peak_mib"]
                print(
                    f"{kind:<14}{speeds[kind]:>12,.0f}{one['peak_mib']:>24.0f}"
                    f"{all_['peak_mib']:>24.0f}  {growth:+.0f} MiB",
                    flush=True,
                )
    for form in args.forms:
        peer = f"pandas-{form}"
        if peer in speeds:
            print(
                f"{form}: {speeds[form] / speeds[peer]:.2f} of pandas' speed, every value checked"
            )


if __name__ == "__main__":
    main()
