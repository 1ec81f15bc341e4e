"""The simulators: repeatable, in time order, and later on there is what training never saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from baluarte.testing.simulate_flows import HARMLESS, KNOWN_CAMPAIGNS, LATER_CAMPAIGNS, flows
from baluarte.testing.simulate_payments import KNOWN_FRAUDS, LATER_FRAUDS, payments

N = 4_000
Simulate = Callable[..., dict[str, np.ndarray[Any, Any]]]
both = pytest.mark.parametrize("simulate", [flows, payments], ids=["flows", "payments"])


@both
def test_the_same_seed_gives_the_same_events_and_another_seed_others(simulate: Simulate) -> None:
    one, same, other = (simulate(N, later=True, seed=seed) for seed in (4, 4, 5))
    assert list(one) == list(same) == list(other)
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["ts"], other["ts"])


@both
@pytest.mark.parametrize("later", [False, True])
def test_events_come_in_time_order_whole_and_finite(simulate: Simulate, later: bool) -> None:
    columns = simulate(N, later=later, seed=1)
    assert {len(values) for values in columns.values()} == {N}
    assert np.all(np.diff(columns["ts"]) >= 0)
    for values in columns.values():
        if values.dtype == object:
            assert all(isinstance(value, str) for value in values)
        else:
            assert np.isfinite(values).all()


@both
def test_later_events_come_after_all_of_training(simulate: Simulate) -> None:
    assert (
        simulate(N, later=True, seed=1)["ts"].min() > simulate(N, later=False, seed=1)["ts"].max()
    )


@pytest.mark.parametrize(
    ("simulate", "quiet", "known", "new"),
    [
        (flows, "normal", KNOWN_CAMPAIGNS, LATER_CAMPAIGNS),
        (payments, "honest", KNOWN_FRAUDS, LATER_FRAUDS),
    ],
    ids=["flows", "payments"],
)
def test_attacks_that_training_never_saw_take_part_later_only(
    simulate: Simulate, quiet: str, known: Any, new: Any
) -> None:
    assert {*simulate(N, later=False, seed=2)["label"]} == {quiet, *known}
    assert {*simulate(N, later=True, seed=2)["label"]} == {quiet, *known, *new}


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_the_share_of_attacks_is_the_one_asked_for(share: float) -> None:
    found = np.mean(flows(20_000, later=False, seed=3, attack_share=share)["label"] != "normal")
    assert abs(found - share) < 4 * (share * (1 - share) / 20_000) ** 0.5
    honest = np.mean(payments(20_000, later=False, seed=3, fraud_share=share)["label"] == "honest")
    assert abs(1 - honest - share) < 4 * (share * (1 - share) / 20_000) ** 0.5


def test_harmless_newcomers_bring_a_service_that_training_never_saw() -> None:
    before = {service for profile in HARMLESS.values() for service in profile.service}
    columns = flows(N, later=True, seed=2)
    normal = columns["label"] == "normal"
    assert "rtmp_8443" not in before
    assert {*columns["service"][normal]} > before
