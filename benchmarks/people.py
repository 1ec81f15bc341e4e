"""What sealing personal values costs: records with and without, and what people usually do beside.

The peer is Fernet, the recipe of the `cryptography` package, over the same event's JSON, one call a
record. Rounds are interleaved and medians of CPU time compared. A second part times the erasure of
a thousand people whose keys stand among many.

    python benchmarks/people.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography.fernet import Fernet

from baluarte.adapters.keystores.sqlite import SqliteKeys
from baluarte.adapters.sealing import MasterKeys, new_master
from baluarte.core.envelope import person
from baluarte.core.event import Values
from baluarte.core.ids import format_ids
from baluarte.stages.fetch import open_version
from baluarte.stages.score import Scorer
from baluarte.stages.seal import seal
from baluarte.testing.bundles import SCHEMA, personal_schema, sample_events, sample_parts
from baluarte.testing.clock import FixedClock
from baluarte.testing.keystores import sample_erasure
from baluarte.testing.signers import MemorySigner, MemoryVerifier
from baluarte.testing.stores import MemoryBundles, MemoryLedger, MemoryRegistry

N, PEOPLE, ROUNDS = 4_096, 500, 9
ERASED, STORED = 1_000, 20_000


def scorer(*, personal: bool) -> Scorer:
    signer, clock, bundles = MemorySigner(), FixedClock(), MemoryBundles()
    verifier = MemoryVerifier(signer.key)
    version = seal(
        sample_parts(schema=personal_schema() if personal else SCHEMA), actor="bench",
        signer=signer, verifier=verifier, bundles=bundles, registry=MemoryRegistry(),
        ledger=MemoryLedger().open_shard(), clock=clock,
    )  # fmt: skip
    return Scorer(open_version(version, bundles=bundles, verifier=verifier, at_us=clock.now_us()))


def events() -> list[Values]:
    found = sample_events(N)
    for i, event in enumerate(found):
        event["user"] = f"user-{i % PEOPLE}"
        event["full_name"] = f"Somebody {i % PEOPLE}"
    return found


def recording(by: Scorer, rows: list[Values], keys: SqliteKeys) -> tuple[Callable[[], int], int]:
    """Identify and record decided events; what is timed, and a record's bytes."""
    decisions = by.decide_records(rows, reasons="none")
    ids = format_ids(1_700_000_000_000, "00beef", 0, len(rows))

    def record() -> int:
        subjects = by.subjects(rows, lambda: "lone")
        found = None if subjects is None else keys.keys(subjects)
        who = by.identify_all(
            rows, ordinals=range(len(rows)), arrival_us=5, subjects=subjects, keys=found
        )
        answers = by.answers(decisions, who, ids)
        records = by.records(decisions, answers, who, decided_at=6)
        return sum(map(len, records)) // len(rows)

    return record, record()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        master = MasterKeys(new_master(), where="here")
        with SqliteKeys(Path(folder) / "people.sqlite", master) as keys:
            rows = events()
            plain, plain_bytes = recording(scorer(personal=False), rows, keys)
            sealed, sealed_bytes = recording(scorer(personal=True), rows, keys)
            fernets = [Fernet(Fernet.generate_key()) for _ in range(PEOPLE)]
            encode = msgspec.json.encode

            def peer() -> None:
                plain()
                for i, row in enumerate(rows):
                    fernets[i % PEOPLE].encrypt(encode(row))

            times: dict[str, list[float]] = {"in the clear": [], "sealed": [], "Fernet beside": []}
            for _ in range(ROUNDS):
                for name, work in zip(times, (plain, sealed, peer), strict=True):
                    started = time.process_time()
                    work()
                    times[name].append((time.process_time() - started) / N * 1e6)
            median = {name: statistics.median(found) for name, found in times.items()}
            print(f"{N} records of {PEOPLE} people, median of {ROUNDS} interleaved rounds")
            for name, found in median.items():
                print(f"  {name:<14} {found:7.1f} CPU µs a record, {1e6 / found:9,.0f} records/s")
            print(f"  sealed / in the clear: {median['sealed'] / median['in the clear']:.2f}")
            print(f"  Fernet / sealed:       {median['Fernet beside'] / median['sealed']:.2f}")
            print(f"  bytes a record: {plain_bytes} in the clear, {sealed_bytes} sealed")

            subjects = [person("card", f"c{i}") for i in range(STORED)]
            started = time.perf_counter()
            keys.keys(subjects)
            made = time.perf_counter() - started
            started = time.perf_counter()
            keys.destroy(subjects[: -1 : STORED // ERASED], erasure=sample_erasure("e" * 32))
            gone = time.perf_counter() - started
            print(f"{STORED:,} keys made in {made:.1f} s; {ERASED:,} destroyed in {gone:.2f} s")


if __name__ == "__main__":
    main()
