"""baluarte.methods.search.grid, and pruning in both searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from baluarte.core.search import SearchBudget, Trial
from baluarte.errors import ContractError
from baluarte.methods.search.grid import Grid
from baluarte.methods.search.optuna import Optuna
from baluarte.ports import Params, Search, Suggest


class Plane:
    """A model with a list, a range and an option."""

    needs_labels: ClassVar[bool] = True

    def __init__(self, name: str = "plane", *, listed: bool = True) -> None:
        self.name = name
        self.listed = listed

    def defaults(self) -> Params:
        return {"kind": "a", "n": 2, "x": 1.0, "way": "on"}

    def suggest(self, suggest: Suggest) -> Params:
        return {
            "kind": suggest.choice("kind", ["a", "b"]) if self.listed else "a",
            "n": suggest.choice("n", [2, 3, 4]) if self.listed else suggest.integer("n", 1, 9),
            "x": suggest.number("x", 0.01, 100.0, log=True),
            "way": suggest.option("way", ["on", "off"]),
        }

    def fit(self, *args: object, **kwargs: object) -> object:
        raise AssertionError("a search never fits by itself")


class Judge:
    """Values a parameter set in two folds, and breaks off where it is told to."""

    def __init__(self, worth: Callable[[Mapping[str, object]], float], stop_at: int = -1) -> None:
        self.worth, self.stop_at = worth, stop_at
        self.asked: list[Params] = []

    def __call__(
        self,
        model: object,
        params: Params,
        *,
        seed: int,
        behind: Callable[[int, float], bool] | None = None,
    ) -> tuple[float, dict[str, float]]:
        if len(self.asked) == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(params)
        value = self.worth(params)
        if behind is not None and behind(1, value):
            return value, {"folds": 1.0}
        return value, {"folds": 2.0}


def by_n(params: Mapping[str, object]) -> float:
    return -abs(float(str(params["n"])) - 3.0)


def run(search: Search, judge: Judge, *models: object, **budget: object) -> list[Trial]:
    limits = SearchBudget(**({"trials": 30, "seed": 1} | budget))  # type: ignore[arg-type]
    return search.run(models or [Plane()], budget=limits, evaluate=judge, key="rows")  # type: ignore[arg-type]


def test_every_combination_of_the_listed_values_is_tried_once_the_rest_stays() -> None:
    trials = run(Grid(), Judge(by_n))
    assert [(t.params["kind"], t.params["n"]) for t in trials] == [
        (kind, n) for kind in "ab" for n in (2, 3, 4)
    ]
    assert {(t.params["x"], t.params["way"]) for t in trials} == {(1.0, "on")}
    assert max(trials, key=lambda trial: trial.value).params["n"] == 3


def test_without_lists_one_parameter_at_a_time_leaves_the_defaults() -> None:
    trials = run(Grid(), Judge(by_n), Plane(listed=False))
    tried = [(t.params["n"], t.params["x"]) for t in trials]
    assert tried[0] == (2, 1.0)
    assert sorted(tried[1:]) == [(1, 1.0), (2, 0.01), (2, 100.0), (5, 1.0), (9, 1.0)]


def test_families_take_turns_and_the_longer_grid_ends_alone() -> None:
    trials = run(Grid(), Judge(by_n), Plane("a"), Plane("b", listed=False))
    assert [trial.model for trial in trials] == ["a", "b"] * 6
    assert Grid().size([Plane(), Plane("b")], budget=SearchBudget(trials=30, seed=1)) == 12  # type: ignore[list-item]


def test_a_grid_of_more_points_than_trials_is_refused_with_the_number() -> None:
    judge = Judge(by_n)
    with pytest.raises(ContractError, match=r"trials = 6"):
        run(Grid(), judge, trials=5)
    assert judge.asked == []


@pytest.mark.parametrize("stop_at", range(6))
def test_a_grid_that_broke_off_goes_on_where_it_was(tmp_path: Path, stop_at: int) -> None:
    journal = str(tmp_path / "trials.journal")
    with pytest.raises(KeyboardInterrupt):
        run(Grid(journal), Judge(by_n, stop_at))
    judge = Judge(by_n)
    trials = run(Grid(journal), judge)
    assert len(judge.asked) == 6 - stop_at
    assert [t.params for t in trials] == [t.params for t in run(Grid(), Judge(by_n))]


def test_the_clock_stops_a_grid_after_each_family_had_its_first_point() -> None:
    assert len(run(Grid(), Judge(by_n), Plane("a"), Plane("b"), max_minutes=1e-9)) == 2


@pytest.mark.parametrize("kind", [Grid, Optuna])
def test_trials_that_fall_behind_are_broken_off_kept_and_resumed(
    tmp_path: Path, kind: type[Grid | Optuna]
) -> None:
    whole = run(kind(), Judge(by_n), prune=True)
    pruned = [trial for trial in whole if trial.pruned]
    assert pruned
    assert not whole[0].pruned
    assert max(whole, key=lambda trial: trial.value).pruned is False
    for trial in whole:
        assert trial.figures["folds"] == (1.0 if trial.pruned else 2.0)
        assert trial.folds == (trial.value,)
    journal = str(tmp_path / "trials.journal")
    with pytest.raises(KeyboardInterrupt):
        run(kind(journal), Judge(by_n, stop_at=5), prune=True)
    again = run(kind(journal), Judge(by_n), prune=True)
    assert [(t.params, t.pruned) for t in again] == [(t.params, t.pruned) for t in whole]


@pytest.mark.parametrize("kind", [Grid, Optuna])
def test_nothing_is_broken_off_unless_it_was_asked_for(kind: type[Grid | Optuna]) -> None:
    assert not any(trial.pruned or trial.folds for trial in run(kind(), Judge(by_n)))
