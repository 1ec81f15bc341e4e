"""How soon a server answers: `baluarte serve` on a small workspace, beside what it loads of others.

    python benchmarks/start.py [--rounds 10] [--workers 1] [--against FOLDER_OF_ANOTHER_SOURCE]

Rounds are interleaved, medians printed. The floor is a Python process that only imports numpy,
msgspec, cryptography, asyncio and uvloop: no worker can be ready before that. `--help` is measured
beside it. Times are from the start of the process; memory is resident, of the largest worker and of
its parent.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "apps")]

from workspace_ground import Ground  # noqa: E402 - after the path that leads to it

READY_S, RSS_MB, HELP_S = 0.5, 80.0, 0.15  #: what is wanted
_FLOOR = "import numpy, msgspec, asyncio, uvloop, cryptography.hazmat.primitives.asymmetric.ed25519"
_SETTLE_S = 0.3  #: from ready to the look at its memory


class Start(NamedTuple):
    """One start of a server."""

    ready_s: float
    worker_mb: float
    parent_mb: float
    cpu_s: float  #: of parent and largest worker


def environment(source: Path) -> dict[str, str]:
    """Of a user's: compiled modules are kept."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(source)}


def start(source: Path, workspace: Path, *, workers: int) -> Start:
    """Start a server, look at it, stop it."""
    words = ["serve", "--json", "--port", "0", "--workers", str(workers)]
    words += ["--set", "serve.spare=false", "--workspace", str(workspace)]
    began = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "baluarte.apps.cli.main", *words],
        stdout=subprocess.PIPE,
        env=environment(source),
    )
    try:
        assert server.stdout is not None
        json.loads(server.stdout.readline())
        ready = time.perf_counter() - began
        time.sleep(_SETTLE_S)
        largest = max(_workers(server.pid), key=_resident_mb)
        return Start(
            ready_s=ready,
            worker_mb=_resident_mb(largest),
            parent_mb=_resident_mb(server.pid),
            cpu_s=_cpu_s(server.pid) + _cpu_s(largest),
        )
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def _workers(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if "resource_tracker" not in _called(pid)]


def _called(pid: str) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(source: Path, *words: str) -> float:
    """Seconds that a Python process takes."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *words], env=environment(source), check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--against", type=Path, help="another src folder, measured in turn")
    args = parser.parse_args()
    own = ROOT / "src"
    sources = [own, *([args.against] if args.against else [])]
    starts: dict[Path, list[Start]] = {source: [] for source in sources}
    floors: list[float] = []
    helps: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground(Path(folder) / "w")
        ground.promote(ground.seal())
        for turn in range(args.rounds + 1):
            floors.append(timed(own, "-c", _FLOOR))
            helps.append(timed(own, "-m", "baluarte.apps.cli.main", "--help"))
            for source in sources if turn % 2 else reversed(sources):
                workspace = ground.root / "workspace.toml"
                starts[source].append(start(source, workspace, workers=args.workers))
    floor = statistics.median(floors[1:])  # the first compiles
    print(f"floor     {floor:.2f} s")
    print(f"--help    {statistics.median(helps[1:]):.2f} s (wanted {HELP_S})")
    for source, found in starts.items():
        ready, worker, parent, cpu = map(statistics.median, zip(*found[1:], strict=True))
        print(
            f"{'this' if source == own else source}: ready in {ready:.2f} s, {ready / floor:.1f} × "
            f"the floor (wanted {READY_S} s); worker {worker:.0f} MB (wanted {RSS_MB:.0f}), "
            f"parent {parent:.0f} MB; processor {cpu:.2f} s"
        )


if __name__ == "__main__":
    main()
