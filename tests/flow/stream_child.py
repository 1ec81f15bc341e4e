"""A stream with window features in a process that may be killed: run by test_windows_streamed.py.

Arguments: the folder of events and outcomes, the address of the state, this worker's number and how
many there are. Its events are those of its cards, in order. Each is seen by itself; its values are
recorded in the ledger, as a decision is, before anything counts as done.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from baluarte import wiring
from baluarte.adapters.states.memory import MemoryState
from baluarte.adapters.states.redis import RedisState
from baluarte.core.contract_toml import parse_contract
from baluarte.core.window_plan import compile_windows
from baluarte.core.windows import Seen
from baluarte.stages.remember import catch_up
from baluarte.stages.unseal import Unsealer

COMMIT_EVERY, SNAPSHOT_EVERY = 64, 4_096


def main(folder: Path, address: str, worker: int, workers: int) -> None:
    contract = parse_contract((folder / "detector.toml").read_text("utf-8"), where="detector.toml")
    plan = compile_windows(contract)
    assert plan is not None
    events: list[dict[str, Any]] = msgspec.msgpack.decode((folder / "events.msgpack").read_bytes())
    own = [event for event in events if event["card"] % workers == worker]
    with wiring.open_ledger_shard(folder / f"ledger-{worker}") as shard:
        reader = wiring.open_ledger_reader(folder / f"ledger-{worker}")
        if address == "memory:":
            state: Any = MemoryState(plan, detector="cards", folder=folder / "state")
            catch_up(
                state, plan, reader, detector="cards", mark=state.mark, unsealer=Unsealer(None)
            )
        else:
            state = RedisState(plan, detector="cards", url=address)
        for i in range(shard.committed, len(own)):
            record = dict(own[i])
            state.see([Seen(record=record, arrived_at=record["at"])])
            shard.append([as_decision(record)])
            if shard.size % COMMIT_EVERY == 0 or i == len(own) - 1:
                shard.commit()
            if address == "memory:" and shard.size % SNAPSHOT_EVERY == 0:
                state.keep(state.snapshot({shard.tag: shard.committed}))
        state.close()


def as_decision(record: dict[str, Any]) -> bytes:
    """What the windows need of a decision's record."""
    return msgspec.json.encode(
        {
            "kind": "decision", "event_id": record["id"], "event_at": record["at"],
            "decided_at": record["at"], "detector": "cards", "role": "champion", "event": record,
        }
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
