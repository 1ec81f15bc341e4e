"""baluarte.apps.scoring.recorder: an answer waits for its record, and no room is no record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from scoring_ground import CountsKept

from baluarte.apps.scoring.recorder import Recorder
from baluarte.errors import OutsideError
from baluarte.testing.stores import MemoryLedger

Outcome = asyncio.Future[OutsideError | None]


def run(
    body: Callable[[Recorder], Coroutine[None, None, None]],
    ledger: MemoryLedger,
    durability: str = "commit",
    counts: CountsKept | None = None,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        recorder = Recorder(
            ledger.open_shard,
            loop=loop,
            durability=durability,  # type: ignore[arg-type]
            interval_s=0.01,
            counts=counts or CountsKept(),
        )
        try:
            await asyncio.wait_for(body(recorder), 10)
        finally:
            await loop.run_in_executor(None, recorder.close)

    asyncio.run(main())


def put(recorder: Recorder, *records: bytes) -> Outcome:
    outcome: Outcome = asyncio.get_running_loop().create_future()
    recorder.append(records, outcome.set_result)
    return outcome


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def test_done_is_called_when_the_records_are_kept_and_in_their_order() -> None:
    ledger = MemoryLedger()

    async def body(recorder: Recorder) -> None:
        for i in range(200):
            outcome = put(recorder, f"a{i}".encode(), f"b{i}".encode())
            if i % 10 == 0:
                assert await outcome is None
                (kept,) = ledger.kept.values()
                assert len(kept) == 2 * i + 2

    run(body, ledger)
    (kept,) = ledger.kept.values()
    assert kept == [f"{c}{i}".encode() for i in range(200) for c in "ab"]


def test_with_an_interval_done_comes_at_once_and_close_keeps_everything() -> None:
    ledger = MemoryLedger()

    async def body(recorder: Recorder) -> None:
        assert put(recorder, b"one").result() is None

    run(body, ledger, durability="interval")
    assert list(ledger.kept.values()) == [[b"one"]]


def test_no_room_refuses_who_waits_and_who_comes_until_there_is_room_again() -> None:
    ledger, counts = MemoryLedger(), CountsKept()

    async def body(recorder: Recorder) -> None:
        assert await put(recorder, b"one") is None
        ledger.full = True
        waiting = [put(recorder, b"two"), put(recorder, b"three")]
        assert all([isinstance(await outcome, OutsideError) for outcome in waiting])
        await until(lambda: recorder.shard is None or ledger.full)
        try:
            late = put(recorder, b"four")
        except OutsideError:
            pass
        else:
            assert isinstance(await late, OutsideError)
        ledger.full = False
        await until(lambda: recorder.shard is not None and recorder.failure is None)
        assert await put(recorder, b"five") is None

    run(body, ledger, counts=counts)
    assert sorted(record for kept in ledger.kept.values() for record in kept) == [b"five", b"one"]
    assert False in counts.writable


def test_a_ledger_that_can_not_be_opened_refuses_from_the_start() -> None:
    tries: list[int] = []

    def shut() -> MemoryLedger:
        tries.append(1)
        raise OutsideError("no folder")

    ledger = MemoryLedger()
    ledger.open_shard = shut  # type: ignore[method-assign,assignment]

    async def body(recorder: Recorder) -> None:
        assert recorder.shard is None
        assert recorder.failure is not None
        await until(lambda: len(tries) > 1)

    run(body, ledger)
