"""The page of a version's evidence, from its bundle alone."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from workspace_ground import Ground

from baluarte.apps.catalogue import LANGUAGES, Texts
from baluarte.apps.evidence_page import budget_text, evidence_page, method_name
from baluarte.apps.gate_words import amount, figure_name, gate_interval, gate_sentence
from baluarte.core.bundle import BundleParts
from baluarte.core.contract import BUDGETS, Budget
from baluarte.core.evidence import Evidence, Figure, GateResult
from baluarte.testing.bundles import sample_parts

EN = Texts("en")


def shown(root: Path, evidence: Evidence, language: str = "en") -> str:
    parts = sample_parts()
    ground = Ground(root)
    version = ground.seal(
        BundleParts(
            contract=parts.contract,
            encoder_json=parts.encoder_json,
            program=parts.program,
            bands_json=parts.bands_json,
            evidence=evidence,
            lineage=parts.lineage,
        )
    )
    with ground.session() as session:
        bundle = session.bundle(version.digest)
    return str(evidence_page(bundle, version, Texts(language)))  # type: ignore[arg-type]


def full() -> Evidence:
    """Every kind of figure, a second look, and a comparison."""
    return msgspec.structs.replace(
        sample_parts().evidence,
        figures=(
            Figure(name="recall", value=0.95, low=0.91, high=0.98, confidence=0.95, n=300,
                   method="clopper-pearson two-sided"),
            Figure(name="partial_auc.0.01", value=0.9712, n=900),
            Figure(name="champion.recall", value=0.8, n=300),
            Figure(name="discordant.wins", value=31.0, n=900),
            Figure(name="discordant.losses", value=4.0, n=900),
            Figure(name="discordant.log_e", value=3.1, low=2.99, n=35),
        ),
        rehearsal=(Figure(name="recall", value=0.9321, n=90),),
        faithfulness={"rows": 900, "largest_difference": 2e-11, "changed_decisions": 0,
                      "same_bits": "C = NumPy", "same_bits_rows": 900},
        look=2,
    )  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_that_was_measured_is_on_the_page(tmp_path: Path, language: str) -> None:
    texts = Texts(language)  # type: ignore[arg-type]
    html = shown(tmp_path, full(), language)
    for said in (
        texts.numerals.percent(0.9321),
        texts.numerals.number(0.9712),
        texts.get("evidence.pairs", wins=31, losses=4),
        texts.get("evidence.same_bits", n=900),
        gate_sentence(texts, full().gates[0]),
        "sha256:" + "1" * 64,
        "eve",
    ):
        assert said in html


def test_the_look_says_what_it_could_spend(tmp_path: Path) -> None:
    html = shown(tmp_path, full())
    assert "This was look 2" in html
    assert "0.76 %" in html  # .05 · 6 / (π² · 2²)


def test_after_anything_but_a_pass_the_page_is_as_blind_as_the_look(tmp_path: Path) -> None:
    evidence = Evidence(
        verdict="not_enough_data", look=1, rehearsal=(Figure(name="recall", value=0.9321, n=90),)
    )
    html = shown(tmp_path, evidence)
    assert EN.get("gate.blind") in html.replace("&#x27;", "'")
    assert "93.2 %" in html
    assert EN.get("evidence.only_rehearsed") in html


def test_a_changed_decision_is_not_shown_as_kept(tmp_path: Path) -> None:
    evidence = msgspec.structs.replace(
        full(), faithfulness={"rows": 900, "largest_difference": 1e-9, "changed_decisions": 1}
    )
    html = shown(tmp_path, evidence)
    assert "1 decision changed" in html
    assert 'class="notice unsure"' in html


def test_figures_are_written_in_their_own_unit() -> None:
    assert amount(EN, "recall.decline", 0.25) == "25 %"
    assert amount(EN, "latency_p99_ms", 0.0234) == "0.0234 ms"
    assert amount(EN, "roc_auc", 0.99991) == "0.9999"


def test_figures_are_named_with_their_band_or_limit() -> None:
    assert figure_name(EN, "recall.decline") == "recall (decline)"
    assert figure_name(EN, "partial_auc.0.01") == "partial ROC-AUC (false alarms ≤ 1 %)"
    assert figure_name(EN, "somebody_elses") == "somebody_elses"


def gate(**changes: object) -> GateResult:
    figure = Figure(name="false_alarm_rate", value=0.004, high=0.007, confidence=0.97, n=900)
    given = GateResult(gate="false_alarms", verdict="pass", limit=0.01, figure=figure, bound=0.007)
    return msgspec.structs.replace(given, **changes)


def test_a_gate_speaks_of_its_bound_on_the_side_that_it_keeps() -> None:
    said = gate_sentence(EN, gate())
    assert said == "false alarms 0.4 %, bound ≤ 0.7 % against ≤ 1 %: kept, with 97 % confidence."
    assert gate_interval(EN, gate()).keep == "below"
    assert "not shown to hold" in gate_sentence(EN, gate(verdict="fail"))
    assert "12 more" in gate_sentence(EN, gate(verdict="not_enough_data", needed=12))
    assert "in dns" in gate_sentence(EN, gate(segment="dns"))


@pytest.mark.parametrize("kind", BUDGETS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_budget_has_its_words(kind: str, language: str) -> None:
    budget = Budget(kind=kind, value=0.25)  # type: ignore[arg-type]
    assert "25" in budget_text(Texts(language), budget)  # type: ignore[arg-type]


def test_a_method_of_ours_is_translated_and_another_stays() -> None:
    assert method_name(Texts("es"), "empirical Bernstein") == "Bernstein empírico"
    assert method_name(Texts("es"), "their own") == "their own"
