"""Write simulated card payments to a Parquet file: python make_events.py FILE [ROWS]."""

from __future__ import annotations

import sys

import pyarrow as pa
import pyarrow.parquet as pq

from baluarte.testing.simulate_payments import payments


def main() -> None:
    """Simulate and write."""
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 60_000
    columns = payments(rows, later=False, seed=7)
    pq.write_table(pa.table({name: v.tolist() for name, v in columns.items()}), sys.argv[1])


if __name__ == "__main__":
    main()
