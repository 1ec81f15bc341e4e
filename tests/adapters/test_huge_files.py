"""Files that would fill the memory: refused, or read in the memory of a batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GIB = 1 << 30

_READ = """
import sys
from pathlib import Path
from baluarte import wiring
from baluarte.core.schema import Field, Schema
from baluarte.errors import BaluarteError
kind = Field(name="amount", type="number"), Field(name="country", type="category")
try:
    source, schema = wiring.source_for(sys.argv[1]), Schema(fields=kind)
    n = sum(e.n for e in source.read(sys.argv[1], schema, batch_rows=1000))
except BaluarteError as error:
    print(type(error).__name__, error)
else:
    print(n)
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def reads(path: Path) -> tuple[str, float]:
    """What came of reading a file, and the peak of memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", _READ, path], capture_output=True, text=True, check=True
    )
    *said, peak = done.stdout.splitlines()
    return "\n".join(said), int(peak) / 1024


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("zeros.csv", b"amount,country\n1,ES\n"),
        ("zeros.ndjson", b'{"amount":1}\n'),
        ("open-quote.csv", b'amount,country\n1,"'),
        ("zeros.parquet", b"PAR1"),
        ("zeros.arrow", b"ARROW1\0\0"),
        ("utf-16.csv", b"\xff\xfea\0,\0"),
        ("utf-32.ndjson", b"\xff\xfe\0\0{\0\0\0"),
    ],
)
def test_a_line_of_ten_gigabytes_is_refused_in_bounded_memory(
    name: str, head: bytes, tmp_path: Path
) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(head)
        file.truncate(10 * GIB)  # sparse: it takes no room
    said, peak = reads(path)
    assert said.startswith("DataError")
    assert str(path) in said
    assert peak < 400


@pytest.mark.soak
def test_memory_stays_flat_over_ten_times_as_many_rows(tmp_path: Path) -> None:
    peaks = []
    for rows in (200_000, 2_000_000):
        path = tmp_path / f"{rows}.csv"
        with path.open("w") as file:
            file.write("amount,country\n")
            for _ in range(rows // 1_000):
                file.write("".join(f"{i}.25,ES\n" for i in range(1_000)))
        said, peak = reads(path)
        assert int(said) == rows
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 8
