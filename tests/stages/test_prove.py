"""baluarte.stages.prove: a look is spent first, and a failed one tells one bit."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
from training_ground import contract, events, tools

from baluarte.core.candidate import Candidate
from baluarte.core.decision import ActRecord
from baluarte.core.event import Events
from baluarte.core.program.evaluate import Evaluator
from baluarte.errors import DataError, OutsideError
from baluarte.methods.gates.false_alarms import FalseAlarms
from baluarte.methods.gates.recall import Recall
from baluarte.ports import Matrix
from baluarte.stages.prove import Champion, Proof, ProvingTools, look_cost, prove
from baluarte.stages.train import Provenance, train
from baluarte.testing.clock import FixedClock
from baluarte.testing.stores import MemoryLedger, MemoryRegistry


@dataclass
class Court:
    """Where proofs happen, in memory."""

    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    def __post_init__(self) -> None:
        self.shard = self.ledger.open_shard()

    def prove(self, candidate: Candidate, rows: Events, champion: Champion | None = None) -> Proof:
        return prove(
            candidate,
            rows,
            digest="sha256:c",
            actor="ada",
            champion=champion,
            tools=ProvingTools(
                gates={"false_alarms": FalseAlarms(), "recall": Recall()},
                registry=self.registry,
                ledger=self.shard,
                clock=FixedClock(),
                time_events=no_times,
                rng=np.random.default_rng(0),
            ),
        )

    def acts(self) -> list[ActRecord]:
        records = self.ledger.records(self.shard.tag)
        return [msgspec.json.decode(record, type=ActRecord) for record in records]


def no_times(evaluator: Evaluator, X: Matrix) -> np.ndarray:
    return np.empty(0)


@pytest.fixture
def court() -> Court:
    return Court()


ROWS = 12_000


@pytest.fixture(scope="module")
def good() -> Candidate:
    of = contract()
    return train(of, events(ROWS), tools=tools(of), provenance=Provenance())


@pytest.fixture(scope="module")
def bad() -> Candidate:
    """Asked for more recall than its attacks, half hidden among the rest, can give."""
    of = contract(min_recall=0.9)
    rows = events(ROWS, separation=0.5)
    return train(of, rows, tools=tools(of), provenance=Provenance())


def test_a_good_candidate_passes_on_bounds_with_all_figures(court: Court, good: Candidate) -> None:
    proof = court.prove(good, events(ROWS))
    assert proof.verdict == "pass"
    assert {result.gate for result in proof.evidence.gates} == {"false_alarms", "recall"}
    for result in proof.evidence.gates:
        assert result.bound is not None
    assert proof.evidence.figures
    assert proof.evidence.look == 1
    assert proof.evidence.faithfulness["same_bits"] in (
        "C = NumPy",
        "no compiled kernel here to compare with",
    )


def test_a_failed_look_gives_the_verdict_and_no_figure(court: Court, bad: Candidate) -> None:
    proof = court.prove(bad, events(ROWS, separation=0.5))
    assert proof.verdict == "fail"
    assert proof.evidence.gates == ()
    assert proof.evidence.figures == ()
    said = msgspec.to_builtins(proof.evidence)
    assert {key for key, value in said.items() if value} <= {
        "verdict", "rehearsal", "faithfulness", "look", "holdout", "at", "format"
    }  # fmt: skip


def test_every_look_costs_more_of_the_same_budget_and_is_told_before(
    court: Court, good: Candidate
) -> None:
    costs = []
    for number in (1, 2, 3):
        told = look_cost(good, court.registry)
        proof = court.prove(good, events(ROWS))
        assert proof.cost == told
        assert told.look == number
        costs.append(told)
    assert costs[0].alpha > costs[1].alpha > costs[2].alpha
    assert costs[2].spent == pytest.approx(costs[0].alpha + costs[1].alpha)
    assert costs[2].spent + costs[2].alpha < costs[0].total == pytest.approx(0.05)
    assert [act.details["look"] for act in court.acts()] == [1, 2, 3]


def test_other_candidates_of_the_same_events_spend_the_same_budget(
    court: Court, good: Candidate
) -> None:
    court.prove(good, events(ROWS))
    of = contract(seed=5)
    other = train(of, events(ROWS), tools=tools(of), provenance=Provenance())
    assert look_cost(other, court.registry).look == 2


def test_the_look_is_on_record_even_if_the_proof_breaks_off(court: Court, good: Candidate) -> None:
    def power_cut(evaluator: Evaluator, X: Matrix) -> np.ndarray:
        raise OutsideError("power cut")

    broken = ProvingTools(
        gates={},
        registry=court.registry,
        ledger=court.shard,
        clock=FixedClock(),
        time_events=power_cut,
        rng=np.random.default_rng(0),
    )
    with pytest.raises(OutsideError):
        prove(good, events(ROWS), digest="sha256:c", actor="ada", tools=broken)
    assert look_cost(good, court.registry).look == 2
    assert [act.act for act in court.acts()] == ["look"]


def test_other_events_are_refused_before_a_look_is_spent(court: Court, good: Candidate) -> None:
    with pytest.raises(DataError):
        court.prove(good, events(ROWS, seed=4))
    assert look_cost(good, court.registry).look == 1


def test_too_few_rows_are_a_third_verdict(court: Court) -> None:
    of = contract(min_recall=0.97)
    few = train(of, events(1_500), tools=tools(of), provenance=Provenance())
    proof = court.prove(few, events(1_500))
    assert proof.verdict == "not_enough_data"
    assert proof.needed > 0
    assert proof.evidence.gates == ()


def test_the_champion_is_compared_on_the_same_rows_after_a_pass_only(
    court: Court, good: Candidate, bad: Candidate
) -> None:
    champion = Champion(encoder=good.encoder, program=good.program, bands=good.bands)
    figures = {f.name: f for f in court.prove(good, events(ROWS), champion).evidence.figures}
    assert figures["discordant.wins"].value == figures["discordant.losses"].value == 0.0
    assert figures["champion.recall"].value == figures["recall"].value
    proof = court.prove(bad, events(ROWS, separation=0.5), champion)
    assert not any("champion" in figure.name for figure in proof.evidence.figures)
