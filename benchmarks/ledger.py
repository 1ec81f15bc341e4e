"""Acknowledged decisions a second: our ledger beside SQLite in WAL mode with full sync.

Callers in this process each encode a decision's record, hand it over, and wait until it is durable;
then the next. The peer gets the same records from the same callers by the same recorder, and makes
all that wait durable in one transaction, so what differs is the store. Rounds are interleaved; the
median of the ratios is printed, and beside it what this disk needs for one fdatasync of as many
bytes. Then: how long a ledger of a million records that was killed takes until it accepts again,
and what share of a server's throughput recording costs, against one that records nothing.

    python benchmarks/ledger.py [--seconds 3] [--rounds 3] [--callers 512] [--folder .]
                                [--records 1000000] [--no-server]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "apps"), str(ROOT / "benchmarks")]

from scoring_ground import CountsKept, Server, Workplace  # noqa: E402 - after the path

from baluarte.adapters.keystores.sqlite import SqliteKeys  # noqa: E402
from baluarte.adapters.sealing import MasterKeys, new_master  # noqa: E402
from baluarte.adapters.stores.segments import open_shard  # noqa: E402
from baluarte.apps.scoring.recorder import Recorder  # noqa: E402
from baluarte.core.bundle import BundleParts, open_bundle  # noqa: E402
from baluarte.core.ids import format_ids  # noqa: E402
from baluarte.core.leaves import Records  # noqa: E402
from baluarte.core.merkle import NATIVE  # noqa: E402
from baluarte.ports import LedgerShard, Room, SubjectKeys  # noqa: E402
from baluarte.stages.score import Scorer  # noqa: E402
from baluarte.testing.bundles import personal_schema, sample_events, sample_parts  # noqa: E402

BATCH = 256
GROUP_ROWS = 256  #: encoded and handed over together, so that the disk works meanwhile


class Sqlite:
    """The peer as a shard: rows in one table, a transaction a commit."""

    tag = "5a11fe"

    def __init__(self, path: Path) -> None:
        self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._base.execute("PRAGMA journal_mode=WAL")
        self._base.execute("PRAGMA synchronous=FULL")
        self._base.execute("CREATE TABLE records (n INTEGER PRIMARY KEY, record BLOB NOT NULL)")
        self._queue: list[bytes] = []
        self._queueing = threading.Lock()
        self.size = 0

    def append(self, records: Sequence[bytes]) -> int:
        with self._queueing:
            self._queue.extend(records)
            self.size += len(records)
        return self.size

    def commit(self) -> None:
        with self._queueing:
            batch, self._queue = self._queue, []
        if batch:
            self._base.execute("BEGIN IMMEDIATE")
            insert = "INSERT INTO records (record) VALUES (?)"
            self._base.executemany(insert, [(record,) for record in batch])
            self._base.execute("COMMIT")

    def root(self) -> bytes:
        return b""

    def room(self) -> Room:
        return Room(1 << 40, 1 << 24, next_is_reserved=True)

    def close(self) -> None:
        self.commit()
        self._base.close()


class Decided:
    """Decided rows that are encoded again and again, as a plane encodes those that wait."""

    def __init__(self, scorer: Scorer, n_rows: int, people: SubjectKeys | None = None) -> None:
        rows = sample_events(n_rows)
        if people is not None:
            rows = [row | {"user": f"u{i}", "full_name": "Ada L."} for i, row in enumerate(rows)]
        self.scorer = scorer
        self.decisions = scorer.decide_records(rows)
        subjects = scorer.subjects(rows, lambda: "nobody")
        keys = people.keys(subjects) if people is not None and subjects is not None else None
        self.identities = scorer.identify_all(
            rows, ordinals=range(len(rows)), arrival_us=0, subjects=subjects, keys=keys
        )

    def records(self, shard: LedgerShard, n: int) -> Records:
        """The records of ``n`` decisions that follow one another in the shard."""
        ids = format_ids(1_700_000_000_000, shard.tag, shard.size, n)
        all_of = self.decisions
        some = msgspec.structs.replace(
            all_of,
            n=n,
            features=all_of.features[:n],
            scores=all_of.scores[:n],
            points=all_of.points[:n],
            probability=all_of.probability[:n],
            bands=all_of.bands[:n],
            explained=all_of.explained[:0],
            phi=all_of.phi[:0],
        )
        who = self.identities[:n]
        return self.scorer.records(some, ids, who, decided_at=0)


def sample_scorer(folder: Path, parts: BundleParts | None = None) -> Scorer:
    place = Workplace(folder)
    version = place.seal(parts)
    stores = place.stores()
    files, now = stores["bundles"].get(version.digest), stores["clock"].now_us()
    return Scorer(open_bundle(files, stores["verifier"], at_us=now))


class Desk:
    """Takes decisions as a plane does: what has come when the loop turns is encoded together."""

    def __init__(self, recorder: Recorder, decided: Decided, n_rows: int) -> None:
        self._recorder, self._decided, self._n_rows = recorder, decided, n_rows
        self._loop = asyncio.get_running_loop()
        self._waiting: list[asyncio.Future[None]] = []
        self.commits: list[int] = []

    def take(self) -> asyncio.Future[None]:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        durable: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(durable)
        return durable

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        a_group = max(1, GROUP_ROWS // self._n_rows)
        for start in range(0, len(waiting), a_group):
            self._record(waiting[start : start + a_group])

    def _record(self, group: list[asyncio.Future[None]]) -> None:
        shard = self._recorder.shard
        assert shard is not None

        def done(failure: object) -> None:
            assert failure is None
            for durable in group:
                durable.set_result(None)

        records = self._decided.records(shard, len(group) * self._n_rows)
        self._recorder.append(records, done)
        self.commits.append(len(records.data))


def run(
    open_one: Callable[[], LedgerShard],
    decided: Decided,
    *,
    n_rows: int,
    callers: int,
    seconds: float,
) -> tuple[float, float, float, float, float]:
    """Decisions a second, times' median and 99th percentile in ms, bytes of a commit, CPU in us."""
    times: list[float] = []

    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        recorder = Recorder(
            open_one, loop=loop, durability="commit", interval_s=0.0, counts=CountsKept()
        )
        desk = Desk(recorder, decided, n_rows)
        stop = time.perf_counter() + seconds

        async def caller() -> None:
            while (start := time.perf_counter()) < stop:
                await desk.take()
                times.append(time.perf_counter() - start)

        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        took = time.perf_counter() - began
        await loop.run_in_executor(None, recorder.close)
        return took, statistics.mean(desk.commits)

    cpu_s = time.process_time()
    took, n_bytes = asyncio.run(main())
    cpu_s = time.process_time() - cpu_s
    times.sort()
    return (
        len(times) * n_rows / took,
        1e3 * times[len(times) // 2],
        1e3 * times[int(len(times) * 0.99)],
        n_bytes,
        1e6 * cpu_s / (len(times) * n_rows),
    )


def disk(folder: Path, n_bytes: int, n: int = 200) -> tuple[float, float]:
    """Milliseconds of an fdatasync after a write of so many bytes into reserved room: p50, p99."""
    path = folder / "probe"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.posix_fallocate(descriptor, 0, n_bytes * n)
    os.fsync(descriptor)
    data, times = os.urandom(n_bytes), []
    for i in range(n):
        os.pwrite(descriptor, data, i * n_bytes)
        start = time.perf_counter()
        os.fdatasync(descriptor)
        times.append(time.perf_counter() - start)
    os.close(descriptor)
    path.unlink()
    times.sort()
    return 1e3 * times[n // 2], 1e3 * times[int(n * 0.99)]


def compare(
    folder: Path,
    decided: Decided,
    *,
    kind: str = "",
    n_rows: int,
    callers: int,
    seconds: float,
    rounds: int,
) -> None:
    ratios, said = [], ""
    for number in range(rounds):
        ours = run(
            lambda n=number: open_shard(folder / f"ledger{kind}-{n_rows}-{n}"),
            decided,
            n_rows=n_rows,
            callers=callers,
            seconds=seconds,
        )
        peer = run(
            lambda n=number: Sqlite(folder / f"{kind}{n_rows}-{n}.sqlite"),
            decided,
            n_rows=n_rows,
            callers=callers,
            seconds=seconds,
        )
        p50, p99 = disk(folder, max(4096, round(ours[3])))
        ratios.append(ours[0] / peer[0])
        said = f"fdatasync of {ours[3] / 1e3:,.0f} KB: p50 {p50:.1f} ms, p99 {p99:.1f} ms"
        for name, found in (("ledger", ours), ("SQLite", peer)):
            print(
                f"  {name}  {found[0]:>9,.0f} decisions/s   p50 {found[1]:5.1f} ms   "
                f"p99 {found[2]:5.1f} ms   CPU {found[4]:4.1f} us a decision"
            )
    print(f"  ratio {statistics.median(ratios):.1f} (median of {rounds})   {said}")


_KILLED = """
import os, signal, sys
from pathlib import Path
from baluarte.adapters.keystores.sqlite import SqliteKeys  # noqa: E402
from baluarte.adapters.sealing import MasterKeys, new_master  # noqa: E402
from baluarte.adapters.stores.segments import open_shard
shard, n = open_shard(Path(sys.argv[1])), int(sys.argv[2])
body = b'{"kind":"act","v":1,"at":1,"act":"label","actor":"benchmark","detector":"d","pad":"%s"}'
for start in range(0, n, 5000):
    shard.append([body % (b"%07d" % i + b"." * 280) for i in range(start, start + 5000)])
    shard.commit()
os.kill(os.getpid(), signal.SIGKILL)
"""


def ready_after(folder: Path, n_records: int) -> None:
    """How long a ledger that was killed takes until it accepts again."""
    import subprocess

    root = folder / "million"
    subprocess.run([sys.executable, "-c", _KILLED, str(root), str(n_records)], check=False)
    start = time.perf_counter()
    with open_shard(root) as shard:
        took = time.perf_counter() - start
        assert shard.size == n_records, shard.size
        print(f"  ready in {took:.2f} s after {shard.size:,} records and kill -9")


def recording_costs(folder: Path, *, seconds: float, rounds: int) -> None:
    """A server beside one that does all but encode and record."""
    from serve_quick import load, requests_for

    shares: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for number in range(rounds):
        for durability, connections in (("interval", 32), ("commit", 256)):
            found = []
            for code in ({}, {"code": _UNRECORDED})[:: 1 if number % 2 else -1]:
                place = Workplace(_fresh(folder / f"server-{number}-{durability}-{len(found)}"))
                place.promote(place.seal())
                with Server(place, durability=durability, **code) as server:
                    requests = requests_for(server.token, "/v1/detectors/flows/decisions")
                    load(server.port, requests, connections=connections, seconds=0.5)
                    before = _cpu_s(server)
                    rate, _ = load(server.port, requests, connections=connections, seconds=seconds)
                    found.append((rate, 1e6 * (_cpu_s(server) - before) / (rate * seconds)))
            recorded, not_recorded = found if number % 2 else found[::-1]
            costs = shares.setdefault((durability, connections), [])
            costs.append((1 - recorded[0] / not_recorded[0], 1 - not_recorded[1] / recorded[1]))
            print(
                f"  {durability:<8} {connections} connections   {recorded[0]:,.0f} requests/s and "
                f"{recorded[1]:.0f} us of CPU each recorded, {not_recorded[0]:,.0f} and "
                f"{not_recorded[1]:.0f} not"
            )
    for (durability, connections), costs in shares.items():
        of_rate, of_cpu = (statistics.median(each) for each in zip(*costs, strict=True))
        print(
            f"  recording costs {of_rate:.0%} of the throughput, {of_cpu:.0%} of the CPU with "
            f"{durability} at {connections} connections"
        )


def _cpu_s(server: Server) -> float:
    """CPU seconds of the workers so far."""
    ticks = 0
    for pid in server.workers():
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


_UNRECORDED = """
import sys, msgspec
from baluarte.apps.scoring import recorder, server, worker
from baluarte.apps.scoring.settings import ServeSettings
from baluarte.ports import LedgerShard, Room, SubjectKeys  # noqa: E402
from baluarte.stages.score import Scorer
recorder.Recorder.append = lambda self, records, done, **_: self._loop.call_soon(done, None)
Scorer.records = lambda self, *args, **more: []

def load(settings):
    return worker.load(settings)

if __name__ == "__main__":
    server.load = load
    said = msgspec.json.decode(sys.argv[1], type=ServeSettings)
    server.serve(said, ready=lambda s: print(msgspec.json.encode(s).decode(), flush=True))
"""


def _fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--callers", type=int, default=512)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="on the disk to measure")
    parser.add_argument("--no-server", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder, prefix=".ledger-") as name:
        folder = Path(name)
        scorer = sample_scorer(_fresh(folder / "place"))
        compiled = "compiled" if NATIVE is not None else "Python's"
        decided = Decided(scorer, GROUP_ROWS)
        with contextlib.closing(open_shard(folder / "size")) as shard:
            length = len(decided.records(shard, 1)[0])
        print(f"Records of {length:,} bytes, {compiled} hashes, {os.cpu_count()} cores")
        print(f"Single decisions, {args.callers} callers, each acknowledged after fdatasync")
        timed = {"seconds": args.seconds, "rounds": args.rounds}
        compare(folder, decided, n_rows=1, callers=args.callers, **timed)
        print(f"Batches of {BATCH}, 16 callers")
        compare(folder, decided, n_rows=BATCH, callers=16, **timed)
        people = SqliteKeys(folder / "people.sqlite", MasterKeys(new_master(), where="benchmark"))
        named = sample_scorer(_fresh(folder / "named"), sample_parts(schema=personal_schema()))
        sealed = Decided(named, GROUP_ROWS, people)
        print("Single decisions with personal fields, each sealed under its subject's key")
        compare(folder, sealed, kind="p", n_rows=1, callers=args.callers, **timed)
        print(f"Batches of {BATCH} with personal fields, 16 callers")
        compare(folder, sealed, kind="p", n_rows=BATCH, callers=16, **timed)
        people.close()
        print(f"Opening after {args.records:,} records")
        ready_after(folder, args.records)
        if not args.no_server:
            print("The share of a server's throughput that recording costs")
            recording_costs(folder, seconds=args.seconds, rounds=args.rounds)


if __name__ == "__main__":
    main()
