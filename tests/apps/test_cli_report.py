"""baluarte report: evidence of a version, and every guarantee simulated."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import msgspec
import pytest
from workspace_ground import Ground, Shell

from baluarte.apps import guarantees
from baluarte.apps.catalogue import LANGUAGES, Texts
from baluarte.apps.cli.main import main
from baluarte.apps.guarantee_page import guarantee_page
from baluarte.apps.guarantees import SIMULATIONS, judged, simulate, usual_words
from baluarte.testing.bundles import sample_parts
from baluarte.testing.guarantees import Shown


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path / "w")


@pytest.fixture
def shell(ground: Ground, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(ground.root, capsys)


def test_without_a_word_it_says_which_reports_there_are(shell: Shell) -> None:
    status, said = shell.text("report")
    assert status == 0
    for name in ("evidence", "guarantee", "explain", "plan", "watch"):
        assert name in said


def test_the_evidence_of_the_champion_is_shown_with_its_bound(ground: Ground, shell: Shell) -> None:
    ground.promote(ground.seal())
    ground.seal()
    status, said = shell.json("report", "evidence", "flows")
    assert (status, said["version"]) == (0, "flows@1")
    assert said["evidence"]["gates"][0]["bound"] == 0.91
    assert "bound ≥ 91 % against ≥ 90 %" in shell.text("report", "evidence", "flows@2")[1]


def test_evidence_that_is_no_pass_exits_with_one_and_shows_no_figure(
    ground: Ground, shell: Shell
) -> None:
    parts = sample_parts(verdict="not_enough_data")
    blind = msgspec.structs.replace(parts.evidence, gates=(), figures=())
    ground.seal(
        type(parts)(
            contract=parts.contract,
            encoder_json=parts.encoder_json,
            program=parts.program,
            bands_json=parts.bands_json,
            evidence=blind,
            lineage=parts.lineage,
        )
    )
    status, said = shell.text("report", "evidence", "flows")
    assert status == 1
    assert "91 %" not in said
    assert "stays sealed" in said


def test_an_unknown_version_is_an_error_that_names_those_there_are(
    ground: Ground, shell: Shell
) -> None:
    ground.seal()
    status, said = shell.text("report", "evidence", "flows@9")
    assert status == 3
    assert "flows@1" in said


def test_the_page_of_evidence_is_written_where_asked(
    ground: Ground, shell: Shell, tmp_path: Path
) -> None:
    ground.seal()
    assert shell.text("report", "evidence", "flows", "--page", str(tmp_path / "e.html"))[0] == 0
    assert "<!doctype html>" in (tmp_path / "e.html").read_text("utf-8")


def few(monkeypatch: pytest.MonkeyPatch, *measured: float) -> None:
    """Replace the simulations by worlds that were counted before."""
    found = [
        ("budget", Shown(name="", promised=0.05, measured=m, usual={"quantile": 0.6}, n=2_000))
        for m in measured
    ]
    runs = tuple((key, lambda _, shown=shown: shown) for key, shown in found)
    monkeypatch.setattr(guarantees, "SIMULATIONS", runs)


def test_a_bound_that_is_not_kept_exits_with_one(
    monkeypatch: pytest.MonkeyPatch, shell: Shell
) -> None:
    few(monkeypatch, 0.04, 0.071)
    status, said = shell.json("report", "guarantee")
    assert status == 1
    assert [one["kept"] for one in said["guarantees"]] == [True, False]
    assert "Only 1 of 2 bounds" in shell.text("report", "guarantee")[1]


def test_a_simulation_may_lie_three_standard_errors_above_its_promise() -> None:
    error = (0.05 * 0.95 / 2_000) ** 0.5

    def kept(measured: float) -> bool:
        shown = Shown(name="", promised=0.05, measured=measured, usual={}, n=2_000)
        return judged("budget", 1, shown).kept

    assert kept(0.05 + 2.9 * error)
    assert not kept(0.05 + 3.1 * error)


def test_numbers_of_alarms_are_judged_as_numbers() -> None:
    shown = Shown(name="", promised=4.0, measured=10, usual={}, n=100_000)
    guarantee = judged("drift", 1, shown)
    assert guarantee.counted
    assert guarantee.allowed == 10.0
    assert guarantee.kept


def test_every_guarantee_holds_as_the_command_runs_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no workspace: guarantees need none
    assert main(["report", "guarantee", "--page", "g.html"]) == 0
    said = capsys.readouterr().out
    assert said.count("✓") == len(SIMULATIONS)
    assert max(map(len, said.splitlines())) <= 100
    assert f"{len(SIMULATIONS)} of {len(SIMULATIONS)}" in Path("g.html").read_text("utf-8")


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 1_000, 100))
def test_and_with_other_seeds(seed: int) -> None:
    assert all(guarantee.kept for guarantee in simulate(seed))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_guarantee_and_practice_has_its_words(
    language: str, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = Texts(language)  # type: ignore[arg-type]
    practices = {"looks": 2, "drift": 2}
    found = [
        judged(
            key,
            1,
            Shown(
                name="",
                promised=4.0 if key == "drift" else 0.05,
                measured=0.0,
                usual=dict.fromkeys(map(str, range(practices.get(key, 1))), 0.5),
                n=100_000,
            ),
        )
        for key, _ in SIMULATIONS
    ]
    html = unescape(guarantee_page(found, texts))
    for guarantee in found:
        assert all(name in html for name, _ in usual_words(texts, guarantee))
    few(monkeypatch, 0.04)
    said = shell.text("report", "guarantee", "--lang", language)[1]
    assert max(map(len, said.splitlines())) <= 100


def test_a_seed_below_zero_is_refused(shell: Shell) -> None:
    assert shell.text("report", "guarantee", "--seed", "-1")[0] == 3
