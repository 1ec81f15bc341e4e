"""baluarte.stages.legacy: today's score is a rival on the same rows, by the same rules."""

from __future__ import annotations

import msgspec
import numpy as np
from training_ground import contract, events, tools

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Figure
from baluarte.core.schema import Field, Schema
from baluarte.stages.legacy import legacy_ranks
from baluarte.stages.train import Provenance, train

N = 6_000


def with_legacy() -> Contract:
    of = contract()
    field = Field(name="old", type="number", role="legacy_score")
    return msgspec.structs.replace(of, events=Schema(fields=(*of.events.fields, field)))


def scored(rows: Events, *, noise: float, missing: float = 0.1) -> Events:
    rng = np.random.default_rng(4)
    attack = rows.columns["kind"] == "scan"
    old = attack + noise * rng.normal(size=rows.n)
    old[rng.random(rows.n) < missing] = np.nan
    return Events(n=rows.n, columns=dict(rows.columns) | {"old": old})


def rehearsed(rows: Events) -> dict[str, Figure]:
    of = with_legacy()
    candidate = train(of, rows, tools=tools(of), provenance=Provenance())
    assert "old" not in [column.name for column in candidate.encoder.columns]
    return {figure.name: figure for figure in candidate.training.rehearsal}


def test_a_weak_legacy_score_loses_by_more_than_chance() -> None:
    figures = rehearsed(scored(events(N), noise=3.0))
    gain = figures["gain.recall"]
    assert gain.value == figures["recall"].value - figures["legacy.recall"].value
    assert gain.low is not None
    assert gain.low > 0.0
    for name in ("roc_auc", "average_precision"):
        assert figures[f"gain.{name}"].value > 0.0
    assert figures["legacy.wins"].value > figures["legacy.losses"].value
    assert 0.03 < figures["legacy.missing"].value < 0.2


def test_a_perfect_legacy_score_is_not_beaten() -> None:
    figures = rehearsed(scored(events(N, separation=0.5), noise=0.01, missing=0.0))
    assert figures["gain.roc_auc"].value < 0.0
    assert figures["gain.recall"].value < 0.0


def test_its_threshold_keeps_the_budget_that_the_candidate_keeps() -> None:
    figures = rehearsed(scored(events(N), noise=1.0))
    low = figures["legacy.false_alarm_rate"].low
    assert low is not None
    assert low <= 0.1


def test_without_the_field_or_with_it_always_missing_nothing_is_said() -> None:
    rows = scored(events(200), noise=1.0, missing=1.1)
    assert legacy_ranks(with_legacy(), rows) is None
    assert legacy_ranks(contract(), rows) is None
    assert legacy_ranks(with_legacy(), events(200)) is None


def test_ranks_keep_the_order_and_put_missing_scores_last() -> None:
    rows = events(4)
    columns = dict(rows.columns) | {"old": np.array([0.5, np.nan, -3.0, 0.5])}
    ranks = legacy_ranks(with_legacy(), Events(n=4, columns=columns))
    assert ranks is not None
    assert ranks.tolist() == [2, 0, 1, 2]
