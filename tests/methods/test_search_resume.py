"""baluarte.methods.search.optuna: the same trials whatever happens, also after kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from baluarte.core.search import SearchBudget, Trial
from baluarte.errors import OutsideError
from baluarte.methods.search.optuna import Optuna
from baluarte.ports import Model, Params, Suggest

ROOT = Path(__file__).parents[2]


class Bowl:
    """A model of which only the parameters matter here."""

    needs_labels: ClassVar[bool] = True

    def __init__(self, name: str = "bowl", best: float = 0.7) -> None:
        self.name = name  # type: ignore[misc]
        self.best = best

    def defaults(self) -> Params:
        return {"x": 0.5, "n": 4, "kind": "round"}

    def suggest(self, suggest: Suggest) -> Params:
        return {
            "x": suggest.number("x", 0.0, 1.0),
            "n": suggest.integer("n", 1, 64, log=True),
            "kind": suggest.choice("kind", ["round", "square"]),
        }

    def fit(self, *args: object, **kwargs: object) -> object:
        raise AssertionError("a search never fits by itself")


class Judge:
    """Values a parameter set, and breaks off when told to."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.asked: list[Params] = []
        self.stop_at = stop_at

    def __call__(
        self, model: Model, params: Params, *, seed: int
    ) -> tuple[float, dict[str, float]]:
        if len(self.asked) == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(params)
        value = 1.0 - abs(float(params["x"]) - model.best)  # type: ignore[attr-defined]
        return value, {"x": float(params["x"])}


BUDGET = SearchBudget(trials=14, seed=3)


def run(
    judge: Judge,
    journal: Path | None = None,
    models: Sequence[Model] | None = None,
    budget: SearchBudget = BUDGET,
    key: str = "rows",
) -> list[Trial]:
    search = Optuna(None if journal is None else str(journal))
    return search.run(models or [Bowl("a"), Bowl("b", 0.2)], budget=budget, evaluate=judge, key=key)  # type: ignore[list-item]


def essence(trials: list[Trial]) -> list[tuple[object, ...]]:
    return [(t.number, t.model, tuple(sorted(t.params.items())), t.value) for t in trials]


def test_two_searches_try_the_same() -> None:
    assert essence(run(Judge())) == essence(run(Judge()))


def test_another_seed_tries_other_parameters() -> None:
    other = run(Judge(), budget=SearchBudget(trials=14, seed=4))
    assert essence(other) != essence(run(Judge()))


def test_every_family_begins_with_its_defaults_and_families_take_turns() -> None:
    trials = run(Judge())
    assert [trial.model for trial in trials[:6]] == ["a", "b"] * 3
    assert trials[0].params == trials[1].params == Bowl().defaults()


@pytest.mark.parametrize("stop_at", range(14))
def test_a_search_that_broke_off_anywhere_goes_on_as_if_it_had_not(
    tmp_path: Path, stop_at: int
) -> None:
    journal = tmp_path / "trials.journal"
    with pytest.raises(KeyboardInterrupt):
        run(Judge(stop_at), journal)
    judge = Judge()
    assert essence(run(judge, journal)) == essence(run(Judge()))
    assert len(judge.asked) == 14 - stop_at
    again = Judge()
    run(again, journal)
    assert again.asked == []


def test_trials_on_other_rows_are_not_taken_over(tmp_path: Path) -> None:
    journal = tmp_path / "trials.journal"
    run(Judge(), journal)
    judge = Judge()
    run(judge, journal, key="other rows")
    assert len(judge.asked) == 14


def test_the_search_learns_from_its_trials() -> None:
    long = SearchBudget(trials=40, seed=0)
    trials = run(Judge(), models=[Bowl("a")], budget=long)  # type: ignore[list-item]
    late = [trial.value for trial in trials[20:]]
    assert max(late) > 0.97
    assert sum(late) / len(late) > sum(t.value for t in trials[1:10]) / 9


def test_the_clock_stops_it_after_each_family_had_its_first_trial() -> None:
    trials = run(Judge(), budget=SearchBudget(trials=14, seed=3, max_minutes=1e-9))
    assert essence(trials) == essence(run(Judge()))[:2]


def test_a_damaged_journal_is_an_error_of_the_outside(tmp_path: Path) -> None:
    journal = tmp_path / "trials.journal"
    journal.write_text("not json\nat all\n")
    with pytest.raises(OutsideError, match="journal"):
        run(Judge(), journal)


TRAIN = """
import sys
sys.path[:0] = [{ground!r}]
import hashlib
from training_ground import contract, events, tools
from baluarte.core.candidate import candidate_files
from baluarte.stages.train import Provenance, train
of = contract(families=("lightgbm",), trials=5)
made = train(of, events(900), tools=tools(of, {journal!r}), provenance=Provenance())
files = candidate_files(made)
print(*(hashlib.sha256(files[name]).hexdigest() for name in ("program.bin", "bands.json")))
"""


def train(journal: Path) -> subprocess.Popen[str]:
    code = TRAIN.format(ground=str(ROOT / "tests" / "stages"), journal=str(journal))
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )


def trials_in(journal: Path) -> int:
    return journal.read_text("utf-8").count('"trial"') if journal.exists() else 0


def test_training_killed_in_the_middle_and_resumed_gives_the_same_program(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole.journal", tmp_path / "killed.journal"
    expected, _ = train(whole).communicate()
    with train(killed) as process:
        while trials_in(killed) < 2 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it was still running"
    assert 2 <= trials_in(killed) < 5
    found, _ = train(killed).communicate()
    assert found == expected != ""
