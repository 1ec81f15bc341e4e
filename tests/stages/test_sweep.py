"""baluarte.stages.sweep: what is due goes, is accounted for, and no proof changes."""

from __future__ import annotations

import msgspec
import pytest

from baluarte.core.decision import ActRecord
from baluarte.core.merkle import inclusion_proof, leaf_hash, verify_inclusion
from baluarte.core.retention import DAY_US, Dropped, Retention, require_floor, stamp_of
from baluarte.errors import ContractError, DataError
from baluarte.stages.checkpoint import checkpoint
from baluarte.stages.sweep import SweepReport, sweep
from baluarte.stages.verify import LedgerReport, verify_ledger
from baluarte.testing.clock import START_US, FixedClock
from baluarte.testing.signers import MemorySigner, MemoryVerifier
from baluarte.testing.stores import MemoryLedger


def act(day: int, kind: str = "label") -> bytes:
    return msgspec.json.encode(
        ActRecord(at=START_US + day * DAY_US, act=kind, actor="ada", detector="flows")
    )


class Place:
    """40 labels, one a day, with a promotion every ten days, signed at the end."""

    def __init__(self) -> None:
        self.ledger, self.clock, self.signer = MemoryLedger(), FixedClock(), MemorySigner()
        self.verifier = MemoryVerifier(self.signer.key)
        with_acts = [act(d, "promote" if d % 10 == 5 else "label") for d in range(40)]
        shard = self.ledger.open_shard()
        shard.append(with_acts)
        shard.close()
        self.tag = shard.tag
        self.records = with_acts
        self.clock.advance(200 * DAY_US)
        self.sign()

    def sign(self) -> None:
        checkpoint(self.ledger, signer=self.signer, verifier=self.verifier, clock=self.clock)

    def sweep(self, **more: object) -> SweepReport:
        said = {
            "retention": Retention(label_days=183),
            "cold_after_days": 7,
            "clock": self.clock,
            "actor": "ada",
        }
        return sweep(
            self.ledger,
            self.ledger.keeper(),
            self.ledger.open_shard,
            **{**said, **more},  # type: ignore[arg-type]
        )

    def verify(self) -> LedgerReport:
        return verify_ledger(self.ledger, self.verifier)


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_sweep_drops_what_is_due_and_nothing_else_and_every_head_stays(place: Place) -> None:
    before = list(place.ledger.leaf_hashes(place.tag, 40))
    report = place.sweep()
    due = [d for d in range(40) if 200 - d > 183 and d % 10 != 5]
    assert report.dropped == {"label": len(due)}
    entries = list(place.ledger.entries(place.tag, 0, 40))
    assert [i for i, entry in enumerate(entries) if isinstance(entry, Dropped)] == due
    assert list(place.ledger.leaf_hashes(place.tag, 40)) == before
    found = place.verify()
    assert found.all_faults == ()
    assert sum(shard.dropped for shard in found.shards) == len(due)
    head = found.shards[0]
    leaves = place.ledger.leaf_hashes(place.tag)
    for index in (3, 16, 39):  # one that is gone, one that stays, one that is young
        proof = inclusion_proof(leaves, index, head.size)
        verify_inclusion(leaf_hash(place.records[index]), index, head.size, proof, head.root)
    place.sign()


def test_a_second_sweep_finds_nothing_to_do_until_more_is_due(place: Place) -> None:
    place.sweep()
    again = place.sweep()
    assert (again.dropped, again.cooled, again.rewritten) == ({}, 0, 0)
    place.clock.advance(5 * DAY_US)
    assert place.sweep().dropped == {"label": 5}
    assert place.verify().all_faults == ()


def test_a_dry_run_says_the_same_and_does_nothing(place: Place) -> None:
    said = place.sweep(dry_run=True)
    assert list(place.ledger.records(place.tag)) == place.records
    assert place.sweep().dropped == said.dropped


def test_a_record_that_is_gone_without_its_act_is_a_fault(place: Place) -> None:
    place.sweep()
    gone = place.ledger.dropped[place.tag]
    index = next(i for i in range(40) if i not in gone)
    sweep_id = next(iter(gone.values())).sweep
    gone[index] = Dropped(leaf_hash(place.records[index]), sweep_id)
    assert "no act accounts" in str(place.verify().all_faults[0])
    gone[index] = Dropped(leaf_hash(place.records[index]), "made up")
    assert "no act accounts" in str(place.verify().all_faults[0])
    del gone[index]
    assert place.verify().all_faults == ()
    gone.pop(next(iter(gone)))  # and one that came back: the sweep is not what was announced
    assert place.verify().all_faults


def test_an_announced_sweep_that_did_not_happen_is_no_fault(place: Place) -> None:
    keeper = place.ledger.keeper()

    def refuse(tag: str, first: int, drop: object) -> None:
        raise RuntimeError("the power went")

    keeper.cool = refuse  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="power"):
        sweep(
            place.ledger,
            keeper,
            place.ledger.open_shard,
            retention=Retention(label_days=183),
            cold_after_days=7,
            clock=place.clock,
            actor="ada",
        )
    assert place.verify().all_faults == ()
    assert place.sweep().dropped == {"label": 15}
    assert place.verify().all_faults == ()


def test_a_clock_that_can_not_be_right_drops_nothing(place: Place) -> None:
    place.clock.advance(400 * DAY_US)
    with pytest.raises(DataError, match="days old"):
        place.sweep()
    place.clock.advance(-700 * DAY_US)
    with pytest.raises(DataError, match="before the newest"):
        place.sweep()
    assert list(place.ledger.records(place.tag)) == place.records
    place.clock.advance(700 * DAY_US)
    assert place.sweep(idle=True).dropped == {"label": 36}


def test_less_than_six_months_is_refused_unless_accepted_by_name() -> None:
    short = Retention(decision_days=90)
    with pytest.raises(ContractError, match=r"183 days .six months., found 90"):
        require_floor(short, {}, where="workspace.toml")
    with pytest.raises(ContractError):
        require_floor(short, {"label_days": "other"}, where="workspace.toml")
    require_floor(short, {"decision_days": "the regulator asked for it"}, where="workspace.toml")
    require_floor(Retention(decision_days=183), {}, where="workspace.toml")


def test_what_accounts_for_gaps_and_sweeps_is_kept_for_ever() -> None:
    for kind in ("sweep", "gap", "erase"):
        assert stamp_of(act(0, kind)) == (None, START_US)
    assert stamp_of(act(0, "promote")) == ("act", START_US)
    assert stamp_of(act(0, "alarm")) == ("alarm", START_US)
    assert stamp_of(b"no record at all") == (None, 0)
