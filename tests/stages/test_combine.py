"""baluarte.stages.combine, and training with every choice that [learner] has."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest
from training_ground import SCHEMA, contract, events, tools

from baluarte.core.candidate import candidate_files, candidate_from_files
from baluarte.core.contract import Contract, Sampling
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.model import LinearPart, StackPart, TreePart
from baluarte.core.promise_value import TuningRows, promise_value
from baluarte.errors import ContractError
from baluarte.methods.search.grid import Grid
from baluarte.stages.combine import combine
from baluarte.stages.train import Provenance, train

BOTH = ("lightgbm", "logistic")
FEW = {"lightgbm": {"rounds": 30}}


def trained(of: Contract, **changed: object):  # type: ignore[no-untyped-def]
    at_hand = dataclasses.replace(tools(of), **changed) if changed else tools(of)
    return train(of, events(2_000, separation=2.0), tools=at_hand, provenance=Provenance())


def rows(n: int = 3_000) -> tuple[TuningRows, dict[str, np.ndarray]]:
    rng = np.random.default_rng(2)
    y = (rng.random(n) < 0.3).astype(np.int8)
    margins = {
        "good": 2.0 * y + rng.normal(size=n),
        "other": 100.0 * (y + rng.normal(size=n)),
        "noise": rng.normal(size=n),
        "wrong": -1.0 * y + rng.normal(size=n),
    }
    ones = np.ones(n)
    return TuningRows(labels=y, weights=ones, cost_missed=ones, cost_false_alarm=ones), margins


def test_a_stack_weighs_families_by_what_they_add_and_never_turns_one_round() -> None:
    tuning, margins = rows()
    of = contract(combine="stack")
    found = combine(of, tuning, margins)
    assert "wrong" not in found.shares
    assert found.shares["good"].weight > 1.0
    assert 0.0 < found.shares["other"].weight < 0.02
    alone = promise_value(of, tuning, margins["good"])[0]
    assert found.value > alone


def test_half_is_shared_by_boosting_and_a_forest_where_kinds_of_attack_are_named() -> None:
    tuning, margins = rows()
    names = ("lightgbm", "extra_trees", "logistic", "random_forest")
    named = dict(zip(names, margins.values(), strict=True))
    spread = {name: float(margin.std()) for name, margin in named.items()}

    def in_spreads(of: Contract, chosen: dict[str, np.ndarray]) -> dict[str, float]:
        found = combine(of, tuning, chosen)
        total = np.sum([share(chosen[name]) for name, share in found.shares.items()], axis=0)
        assert found.value == promise_value(of, tuning, total)[0]
        return {name: share.weight * spread[name] for name, share in found.shares.items()}

    plain = contract()
    assert plain.label is not None
    kinds = msgspec.structs.replace(
        plain, label=msgspec.structs.replace(plain.label, family="service")
    )
    chose = in_spreads(plain, named)
    assert set(chose) == {"lightgbm", "extra_trees"}
    expected = {
        name: 0.5 * chose.get(name, 0.0) + 0.25 * (name in ("lightgbm", "random_forest"))
        for name in named
    }
    assert in_spreads(kinds, named) == pytest.approx({k: v for k, v in expected.items() if v})
    assert sum(expected.values()) == pytest.approx(1.0)

    fewer = {name: named[name] for name in ("lightgbm", "extra_trees", "logistic")}
    assert in_spreads(kinds, fewer) == in_spreads(plain, fewer), "there is no forest to share with"
    alone = msgspec.structs.replace(
        kinds, learner=msgspec.structs.replace(kinds.learner, blend=False)
    )
    assert len(combine(alone, tuning, named).shares) == 1


def test_a_vote_is_the_mean_of_probabilities_each_on_its_own_curve() -> None:
    tuning, margins = rows()
    found = combine(contract(combine="vote"), tuning, {k: margins[k] for k in ("good", "other")})
    total = sum(share(margins[name]) for name, share in found.shares.items())
    assert total.min() >= 0.0
    assert total.max() <= 1.0
    assert total.mean() == pytest.approx(0.3, abs=0.02), "each curve is calibrated"
    assert found.value > promise_value(contract(), tuning, margins["good"])[0]


@pytest.mark.parametrize(("how", "kinds"), [
    ("stack", {TreePart, LinearPart}),
    ("vote", {StackPart}),
])  # fmt: skip
def test_votes_and_stacks_are_trained_sealed_and_faithful(how: str, kinds: set[type]) -> None:
    made = trained(contract(families=BOTH, combine=how, params=FEW))
    assert {type(part) for part in made.program.parts} <= kinds
    assert made.training.faithfulness["largest_difference"] < 1e-9
    assert made.training.faithfulness["changed_decisions"] == 0
    again = candidate_from_files(candidate_files(made))
    assert again.training.members == made.training.members
    evaluator = Evaluator(made.program)
    X = made.encoder.encode(events(300, seed=5))
    score = evaluator.score(X)
    base, reasons = evaluator.reasons(X[:40])
    np.testing.assert_array_equal(base + reasons.sum(axis=1), score[:40])
    if how == "vote":
        assert all(isinstance(m.slope, float) for m in made.training.members)
        assert score.max() <= 2**made.program.scale_bits


@pytest.mark.parametrize("how", ["platt", "beta"])
def test_the_calibration_that_was_asked_for_is_in_the_bands(how: str) -> None:
    made = trained(contract(calibration=how))
    assert made.bands.calibration == how
    assert len(made.bands.knot_scores) > 10


def test_a_grid_of_told_values_is_searched_whole() -> None:
    values = {"c": (0.1, 1.0), "bins": (4, 12)}
    of = contract(trials=4, params={"logistic": values}, search="grid")
    made = trained(of, search=Grid())
    assert len({(t.params["c"], t.params["bins"]) for t in made.training.trials}) == 4
    assert not made.training.stopped_early


def test_a_monotone_field_is_held_on_the_sealed_program_and_in_the_evidence() -> None:
    fields = tuple(
        msgspec.structs.replace(field, monotone="up") if field.name == "bytes" else field
        for field in SCHEMA.fields
    )
    of = contract(families=("lightgbm",), params=FEW, trials=1)
    of = msgspec.structs.replace(of, events=msgspec.structs.replace(of.events, fields=fields))
    made = trained(of)
    assert made.training.faithfulness["monotone"] == "bytes up"
    X = np.repeat(made.encoder.encode(events(40, seed=9)), 30, axis=0)
    X[:, 0] = np.tile(np.linspace(-5, 5, 30), 40)
    assert (np.diff(Evaluator(made.program).score(X).reshape(40, 30)) >= 0).all()
    refused = msgspec.structs.replace(
        of, learner=msgspec.structs.replace(of.learner, families=("logistic",), params={})
    )
    with pytest.raises(ContractError, match="monotone"):
        trained(refused)


def test_the_sample_of_a_kernel_machine_is_in_the_lineage() -> None:
    of = contract(families=("svm_rbf",), trials=1, params={"svm_rbf": {"rows": 200}})
    made = trained(of)
    lineage = made.training.lineage.trials
    assert lineage["svm_rbf_sample_rows"] == 200
    assert str(lineage["svm_rbf_sample"]).startswith("sha256:")
    assert made.training.members[0].rows == 200


@pytest.mark.parametrize("how", ["under", "over"])
def test_sampling_moves_margins_and_leaves_the_promise_to_the_natural_mix(how: str) -> None:
    of = contract(families=("logistic",), trials=1, sampling=Sampling(how=how, share=0.6))  # type: ignore[arg-type]
    made, plain = trained(of), trained(contract(families=("logistic",), trials=1))
    assert made.training.split.counts == plain.training.split.counts
    X = made.encoder.encode(events(500, seed=3))
    means = [
        (Evaluator(m.program).score(X) * 2.0**-m.program.scale_bits).mean() for m in (made, plain)
    ]
    assert means[0] > means[1] + 0.5
    assert (
        made.training.lineage.trials["logistic_sample_rows"] != plain.training.lineage.rows["fit"]
    )


def test_what_xgboost_s_own_sum_in_float32_is_off_by_is_in_the_evidence() -> None:
    of = contract(families=("xgboost",), trials=1, params={"xgboost": {"rounds": 20}})
    made = trained(of)
    assert 0.0 < made.training.faithfulness["xgboost_float32_difference"] < 1e-4
    assert made.training.faithfulness["largest_difference"] < 1e-9
