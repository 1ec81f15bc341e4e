"""baluarte.stages.train: one candidate for equal inputs, and the proof rows' labels untouched."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from msgspec import UNSET
from training_ground import SCHEMA, contract, events, tools

from baluarte.core.candidate import (
    Candidate,
    candidate_digest,
    candidate_files,
    candidate_from_files,
)
from baluarte.core.contract import Contract, SplitRules
from baluarte.core.event import Events
from baluarte.core.program import format as program_format
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.schema import Field, Schema
from baluarte.core.split import Part
from baluarte.errors import ContractError, DataError, TrustError
from baluarte.methods.models.isolation_forest import IsolationForest
from baluarte.stages.train import Provenance, train, trained_families


def trained(of: Contract, rows: Events) -> Candidate:
    return train(of, rows, tools=tools(of), provenance=Provenance())


@pytest.fixture(scope="module")
def candidate() -> Candidate:
    return trained(contract(), events())


def test_equal_events_and_contract_give_the_same_program_and_bands(candidate: Candidate) -> None:
    again = candidate_files(trained(contract(), events()))
    first = candidate_files(candidate)
    assert {name for name in first if first[name] != again[name]} <= {"training.json"}  # seconds


def test_another_seed_gives_another_search_but_the_same_proof_rows(candidate: Candidate) -> None:
    other = trained(contract(seed=1), events())
    assert [t.params for t in other.training.trials] != [
        t.params for t in candidate.training.trials
    ]
    np.testing.assert_array_equal(other.parts, candidate.parts)
    assert other.holdout == candidate.holdout


def test_no_choice_looks_at_the_labels_of_the_proof_rows() -> None:
    of, rows = contract(timed=True), events()
    candidate = trained(of, rows)
    proof = candidate.rows(Part.PROOF, rows)
    kind = rows.columns["kind"].copy()
    attacks = np.flatnonzero(kind[proof] == "scan")
    normal = np.flatnonzero(kind[proof] == "normal")[: len(attacks)]
    # Swapped in pairs, so that the shares, which depend on the counts alone, stay; the split is by
    # time, so that labels have no say in it.
    kind[proof[attacks]], kind[proof[normal]] = "normal", "scan"
    swapped = Events(n=rows.n, columns=dict(rows.columns) | {"kind": kind})
    other = trained(of, swapped)
    assert candidate.training.split.how == "time"
    np.testing.assert_array_equal(other.parts, candidate.parts)
    assert program_format.dumps(other.program) == program_format.dumps(candidate.program)
    assert other.bands == candidate.bands


def test_the_program_is_the_librarys_output_on_all_proof_rows(candidate: Candidate) -> None:
    faithful = candidate.training.faithfulness
    assert faithful["rows"] == np.count_nonzero(candidate.parts == Part.PROOF)
    assert float(faithful["largest_difference"]) < 1e-9
    assert faithful["changed_decisions"] == len(candidate.training.changed) == 0


def test_the_rehearsal_answers_every_gate_on_tuning_rows(candidate: Candidate) -> None:
    rehearsed = candidate.training.rehearsal_gates
    assert [result.gate for result in rehearsed] == ["false_alarms", "recall"]
    tune = int(np.count_nonzero(candidate.parts == Part.TUNE))
    assert max(result.figure.n for result in rehearsed) <= tune
    assert {figure.name for figure in candidate.training.rehearsal} >= {"recall", "roc_auc"}


def test_every_trial_is_recorded_and_each_familys_first_is_its_defaults() -> None:
    two = contract(families=("lightgbm", "logistic"), trials=5)
    training = trained(two, events(2_500)).training
    assert [trial.number for trial in training.trials] == list(range(5))
    known = {model.name: model for model in tools(two).models}
    for family in two.learner.families:
        first = next(trial for trial in training.trials if trial.model == family)
        assert first.params == known[family].defaults()
    assert {member.model for member in training.members} <= set(two.learner.families)
    assert all(member.weight > 0 for member in training.members)


def test_attacks_score_above_the_rest_on_new_events(candidate: Candidate) -> None:
    new = events(1_000, seed=9)
    scores = Evaluator(candidate.program).score(candidate.encoder.encode(new))
    attack = new.columns["kind"] == "scan"
    assert np.median(scores[attack]) > np.quantile(scores[~attack], 0.95)


def test_a_candidate_is_its_files_and_nothing_else(candidate: Candidate) -> None:
    files = candidate_files(candidate)
    again = candidate_from_files(files)
    assert candidate_files(again) == files
    assert candidate_digest(files).startswith("sha256:")
    np.testing.assert_array_equal(again.parts, candidate.parts)
    new = candidate.encoder.encode(events(50, seed=3))
    np.testing.assert_array_equal(
        Evaluator(again.program).score(new), Evaluator(candidate.program).score(new)
    )


@pytest.mark.parametrize("name", ["program.bin", "bands.json", "training.json", "parts.bin"])
def test_a_damaged_or_missing_file_of_a_candidate_is_refused(
    candidate: Candidate, name: str
) -> None:
    files = candidate_files(candidate)
    with pytest.raises(TrustError):
        candidate_from_files({k: v for k, v in files.items() if k != name})
    with pytest.raises(TrustError):
        candidate_from_files(files | {name: b"\xff" * 40})


def test_a_candidate_knows_its_own_events_in_their_order_only_by_content(
    candidate: Candidate,
) -> None:
    with pytest.raises(DataError, match="4000 events"):
        candidate.rows(Part.PROOF, events(4_000, seed=1))


def test_without_labels_the_isolation_forest_learns_alone() -> None:
    unlabelled = contract(labelled=False)
    assert trained_families(unlabelled) == ("isolation_forest",)
    with_forest = replace(tools(unlabelled), models=[IsolationForest()])
    made = train(unlabelled, events(2_000), tools=with_forest, provenance=Provenance())
    assert [member.model for member in made.training.members] == ["isolation_forest"]
    assert made.bands.calibration == "quantile"
    assert float(made.training.faithfulness["largest_difference"]) < 1e-6
    with pytest.raises(ContractError, match="isolation_forest"):
        trained(unlabelled, events(500))


def test_too_few_attacks_are_said_so() -> None:
    rows = events(600)
    kind = np.full(600, "normal", dtype=object)
    kind[:1] = "scan"
    with pytest.raises(DataError, match="attacks"):
        trained(contract(), Events(n=600, columns=dict(rows.columns) | {"kind": kind}))


def test_unlabelled_rows_are_left_out() -> None:
    rows = events(3_000)
    kind = rows.columns["kind"].copy()
    kind[::3] = None
    made = trained(contract(), Events(n=3_000, columns=dict(rows.columns) | {"kind": kind}))
    assert made.training.split.counts["unused"][0] == 1_000
    assert (made.parts[::3] == Part.UNUSED).all()


def test_training_and_its_proof_rows_keep_to_the_split_that_the_contract_says() -> None:
    rows, of = events(3_000), contract(timed=True)
    who = np.array([f"c{x}" for x in np.random.default_rng(2).integers(0, 300, 3_000)], object)
    rows = Events(n=3_000, columns=dict(rows.columns) | {"who": who})
    fields = (*of.events.fields, Field(name="who", type="category", role="entity"))
    of = msgspec.structs.replace(
        of, events=Schema(fields=fields), split=SplitRules(by="entity", repeats="apart")
    )
    made = trained(of, rows)
    assert made.training.split.how == "entity"
    proof = made.rows(Part.PROOF, rows)
    assert len(proof) > 0
    assert not set(who[made.parts == Part.FIT].tolist()) & set(who[proof].tolist())
    assert made.training.split.left_out is not UNSET


def test_the_labels_of_a_distrusted_source_are_no_labels_in_training() -> None:
    rows, of = events(3_000), contract()
    assert of.label is not None
    label = msgspec.structs.replace(of.label, distrusted={"service": ("ssh",)})
    made = trained(msgspec.structs.replace(of, label=label), rows)
    theirs = rows.columns["service"] == "ssh"
    assert (made.parts[theirs] == Part.UNUSED).all()
    assert (made.parts[~theirs] != Part.UNUSED).all()


def test_the_wall_clock_only_stops_the_search_and_says_so() -> None:
    hurried = contract(trials=40, max_minutes=1e-9)
    training = trained(hurried, events(1_500)).training
    assert training.stopped_early
    assert len(training.trials) == 1


def test_the_lineage_names_the_rows_of_every_part(candidate: Candidate) -> None:
    lineage = candidate.training.lineage
    assert set(lineage.data) == {"fit", "tune", "calibrate", "threshold", "proof"}
    assert sum(lineage.rows.values()) == 4_000
    assert len(set(lineage.data.values())) == 5
    assert msgspec.json.decode(candidate_files(candidate)["contract.json"])["name"] == "flows"
    assert SCHEMA.features[0].name == candidate.encoder.columns[0].field
