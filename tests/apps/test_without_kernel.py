"""Without the compiled kernel everything goes on, and says so."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import pytest
from workspace_ground import Ground, Shell

from baluarte.apps.cli import serve
from baluarte.apps.cli.screen import Screen
from baluarte.apps.demo import stage_set
from baluarte.apps.demo.checks import TONES, Checked
from baluarte.apps.demo.events import DemoEvents
from baluarte.apps.place import open_place
from baluarte.apps.scoring.reach import make_token
from baluarte.apps.scoring.reports import Readiness
from baluarte.apps.scoring.server import Serving
from baluarte.core.program import evaluate
from baluarte.testing.bundles import sample_events


@pytest.fixture
def unbuilt(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A workspace that moved to where no C compiler was."""
    for module in (evaluate, stage_set):
        monkeypatch.setattr(module, "native", lambda *_: None)
    evaluate._warn_slow.cache_clear()
    return shell


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    ground = Ground(tmp_path / "w", settings='language = "es"\n')
    version = ground.seal()
    ground.promote(version)
    ground.decide(version, sample_events(40))
    return Shell(ground.root, capsys)


def test_bits_that_cannot_be_compared_are_told_with_what_to_do(unbuilt: Shell) -> None:
    status, said = unbuilt.text("verify", "flows@1", "--bits")
    assert status == 5
    assert "nothing to compare NumPy with. Reinstall baluarte where a C compiler is." in said


def test_that_numpy_scores_is_told_once_in_the_readers_language(unbuilt: Shell) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        status, said = unbuilt.text("replay", "--sample", "5")
        assert status == 0
        assert said.count("puntúa NumPy, con los mismos bits") == 1
        assert "puntúa NumPy" not in unbuilt.text("replay", "--sample", "5")[1]


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize(
    ("by", "asked", "told"),
    [("numpy", "auto", True), ("numpy", "numpy", False), ("c", "auto", False)],
)
def test_who_serves_is_told_that_numpy_scores_where_nobody_asked_for_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    by: Literal["c", "numpy"],
    asked: str,
    told: bool,
) -> None:
    monkeypatch.setenv("BALUARTE_KERNEL", asked)
    readiness = Readiness(
        status="ready",
        detectors={"flows": 1},
        without_champion=[],
        kernel=by,
        ledger="writable",
        registry="followed",
    )
    serving = Serving(url="http://127.0.0.1:1", workers=1, seconds=0.1, readiness=readiness)
    place = open_place(tmp_path / "w" / "workspace.toml", overrides=[])
    capsys.readouterr()
    serve._tell(Screen(as_json=False), serving, make_token(now_us=0), place, language="es")
    assert ("puntúa NumPy" in " ".join(capsys.readouterr().out.split())) == told


@pytest.mark.parametrize(
    ("held", "rows", "state"),
    [(True, 0, "not_compared"), (True, 9, "held"), (False, 9, "not_held")],
)
def test_bits_that_were_not_compared_are_neither_held_nor_broken(
    *, held: bool, rows: int, state: str
) -> None:
    check = Checked(key="same_bits", command="baluarte verify", held=held, figures={"rows": rows})
    assert check.state == state
    assert (TONES[check.state] == "unsure") == (state == "not_compared")


@pytest.mark.parametrize("built", [True, False])
def test_the_demo_lets_reasons_wait_only_where_numpy_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, built: bool
) -> None:
    monkeypatch.delenv("BALUARTE_KERNEL", raising=False)
    monkeypatch.setattr(stage_set, "native", lambda *_: object() if built else None)
    file = tmp_path / "e.csv"
    events = DemoEvents(key="flows", origin="simulated", train=file, later=file)
    place = stage_set.prepare(tmp_path, events, workers=2)
    assert place.workspace.serve.reasons_above == (20_000 if built else 24)
