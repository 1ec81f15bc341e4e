"""The page of a version's evidence: what was proved, on which rows, and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from baluarte import __version__
from baluarte.apps.adoption_words import doubts, likeness
from baluarte.apps.catalogue import Texts
from baluarte.apps.charts.rows import intervals
from baluarte.apps.charts.values import Tone
from baluarte.apps.decision_page import probability_chart
from baluarte.apps.gate_words import (
    TONES,
    amount,
    figure_name,
    gate_interval,
    gate_sentence,
    interval_text,
    outcome_name,
)
from baluarte.apps.html import Html, tag
from baluarte.apps.legacy_words import PREFIXES, legacy_lines, legacy_rows
from baluarte.apps.numerals import spoken_instant
from baluarte.apps.page import facts, figure, listing, notice, page, paragraph, section, table
from baluarte.core.bounds import look_alpha
from baluarte.core.bundle import SealedBundle
from baluarte.core.certificate import Certificate
from baluarte.core.contract import Budget
from baluarte.core.evidence import Evidence, Figure, Verdict
from baluarte.core.registry import Version

_LEADS: dict[Verdict, str] = {"pass": "lead_pass", "fail": "lead_fail",
                              "not_enough_data": "lead_open"}  # fmt: skip
_COMPARED = (
    "champion.",
    "discordant.",
    *PREFIXES,
)  #: figures that speak of a rival


def evidence_page(bundle: SealedBundle, version: Version, texts: Texts) -> Html:
    """The whole page."""
    name = f"{version.detector}@{version.version}"
    source = f"baluarte report evidence {name}"
    parts = (
        _gates(bundle, texts, source),
        _figures(bundle.evidence, texts),
        _legacy(bundle.evidence, texts),
        _comparison(bundle.evidence, texts),
        _thresholds(bundle, texts, source),
        _faithful(bundle.evidence, texts),
        _lineage(bundle, version, texts),
    )
    at = spoken_instant(bundle.evidence.at)
    return page(
        texts.get("evidence.title", detector=version.detector, version=version.version),
        language=texts.language,
        eyebrow=texts.get("evidence.eyebrow", detector=version.detector, version=version.version),
        lead=texts.get(f"evidence.{_LEADS[bundle.evidence.verdict]}"),
        sections=[part for part in parts if part is not None],
        footer=f"{name} · {bundle.digest} · {at} · Baluarte {__version__}",
    )


def method_name(texts: Texts, method: str) -> str:
    """A method of an interval, in the reader's language where it is one of ours."""
    key = "method." + re.sub(r"\W+", "_", method.lower()).strip("_")
    return texts.get(key) if key in texts else method


def _gates(bundle: SealedBundle, texts: Texts, source: str) -> Html:
    evidence = bundle.evidence
    n_proof = bundle.lineage.rows.get("proof")
    told = [(texts.get("evidence.verdict"), texts.get(f"verdict.{evidence.verdict}"))]
    if n_proof is not None:
        told.append((texts.get("evidence.n_proof"), texts.numerals.count(n_proof)))
    if evidence.look:
        told.append((texts.get("evidence.n_look"), texts.numerals.count(evidence.look)))
    confidence = texts.numerals.percent(bundle.contract.objective.confidence)
    told.append((texts.get("evidence.confidence"), confidence))
    chart = None
    if evidence.gates:
        chart = figure(
            intervals([gate_interval(texts, g) for g in evidence.gates], numerals=texts.numerals),
            caption=texts.get("evidence.gates_chart"),
            source=source,
        )
    else:
        chart = notice(TONES[evidence.verdict], texts.get("gate.blind"))
    sentences = [gate_sentence(texts, gate) for gate in evidence.gates]
    return section(
        texts.get("evidence.gates"),
        facts(told),
        chart,
        listing(sentences) if sentences else None,
        _look(bundle, texts),
    )


def _look(bundle: SealedBundle, texts: Texts) -> Html | None:
    look = bundle.evidence.look
    if not look:
        return None
    alpha = look_alpha(1 - bundle.contract.objective.confidence, look)
    return paragraph(texts.get("evidence.look", n=look, alpha=alpha))


def _figures(evidence: Evidence, texts: Texts) -> Html | None:
    shown = [f for f in evidence.figures or evidence.rehearsal if not _compared(f)]
    if not shown:
        return None
    rehearsed = {f.name: f for f in evidence.rehearsal}
    heads = [
        texts.get("evidence.figure"),
        texts.get("word.value"),
        texts.get("evidence.interval"),
        texts.get("evidence.sample"),
        texts.get("evidence.method"),
    ]
    if evidence.figures:
        heads.insert(4, texts.get("evidence.rehearsed"))
    rows = []
    for one in shown:
        row = [
            figure_name(texts, one.name),
            amount(texts, one.name, one.value),
            interval_text(texts, one),
            texts.numerals.count(one.n),
            method_name(texts, one.method),
        ]
        if evidence.figures:
            free = rehearsed.get(one.name)
            row.insert(4, "" if free is None else amount(texts, one.name, free.value))
        rows.append(row)
    confidence = shown[0].confidence or 0.0
    return section(
        texts.get("evidence.figures"),
        paragraph(
            texts.get("evidence.figures_text"),
            " ",
            texts.get("evidence.each_at", confidence=confidence),
            " ",
            texts.get("evidence.rehearsed_text" if evidence.figures else "evidence.only_rehearsed"),
        ),
        table(heads, rows, numeric=[1, 2, 3, *([4] if evidence.figures else [])]),
    )


def _compared(one: Figure) -> bool:
    return one.name.startswith(_COMPARED)


def _legacy(evidence: Evidence, texts: Texts) -> Html | None:
    """The score of the system before, on the same rows."""
    figures = evidence.figures or evidence.rehearsal
    rows = legacy_rows(texts, figures)
    if not rows:
        return None
    keys = ("evidence.figure", "evidence.this_version", "legacy.score", "legacy.gain")
    heads = [*(texts.get(key) for key in keys), texts.get("evidence.interval")]
    confidence = next(one.confidence for one in figures if one.name == "gain.roc_auc") or 0.0
    where = "legacy.on_proof" if evidence.figures else "legacy.on_tuning"
    return section(
        texts.get("legacy.title"),
        paragraph(*(part for line in legacy_lines(texts, figures) for part in (line, " "))),
        table(heads, rows, numeric=[1, 2, 3, 4]),
        paragraph(texts.get(where), " ", texts.get("evidence.each_at", confidence=confidence)),
    )


def _comparison(evidence: Evidence, texts: Texts) -> Html | None:
    """The version that decided, on the same proof rows."""
    found = {f.name: f for f in evidence.figures if _compared(f)}
    own = {f.name: f for f in evidence.figures}
    rows = []
    for name in ("recall", "false_alarm_rate"):
        theirs = found.get(f"champion.{name}")
        if theirs is not None and name in own:
            rows.append(
                [
                    figure_name(texts, name),
                    amount(texts, name, own[name].value),
                    amount(texts, name, theirs.value),
                ]
            )
    wins, losses = found.get("discordant.wins"), found.get("discordant.losses")
    if not rows or wins is None or losses is None:
        return None
    heads = [
        texts.get("evidence.figure"),
        texts.get("evidence.this_version"),
        texts.get("evidence.champion"),
    ]
    return section(
        texts.get("evidence.comparison"),
        table(heads, rows, numeric=[1, 2]),
        paragraph(texts.get("evidence.pairs", wins=int(wins.value), losses=int(losses.value))),
    )


def _thresholds(bundle: SealedBundle, texts: Texts, source: str) -> Html:
    bands, contract = bundle.bands, bundle.contract
    scale = 2.0**-bundle.program.scale_bits
    heads = [
        texts.get("evidence.outcome"),
        texts.get("evidence.above"),
        texts.get("decision.units"),
        texts.get("decision.x_probability"),
        texts.get("evidence.promised"),
    ]
    rows = []
    for band, cut in zip(contract.bands[1:], bands.thresholds, strict=True):
        rows.append(
            [
                outcome_name(texts, band.name),
                texts.numerals.number(cut * scale),
                texts.numerals.count(cut),
                texts.numerals.percent(bands.decide_one(cut)[2]),
                budget_text(texts, band.budget or contract.objective.budget),
            ]
        )
    chart = probability_chart(bundle, texts)
    return section(
        texts.get("evidence.thresholds"),
        table(heads, rows, numeric=[1, 2, 3]),
        None
        if chart is None
        else figure(chart, caption=texts.get("evidence.table_chart"), source=source),
    )


def budget_text(texts: Texts, budget: Budget) -> str:
    """What a band promises."""
    said = (
        texts.numerals.percent(budget.value)
        if budget.kind in ("max_fpr", "min_precision")
        else texts.numerals.number(budget.value)
    )
    return texts.get(f"budget.{budget.kind}", value=said)


def _faithful(evidence: Evidence, texts: Texts) -> Html | None:
    faithful = evidence.faithfulness
    if "rows" not in faithful:
        return None
    changed = int(faithful.get("changed_decisions", 0))
    rows = int(faithful["rows"])
    said = texts.get(
        "evidence.faithful_text",
        n=rows,
        difference=float(faithful.get("largest_difference", 0.0)),
        changed=changed,
    )
    bits = None
    if "same_bits_rows" in faithful:
        bits = notice("kept", texts.get("evidence.same_bits", n=int(faithful["same_bits_rows"])))
    tone: Tone = "unsure" if changed else "kept"
    monotone = None
    if "monotone" in faithful:
        shown = texts.get("evidence.monotone", fields=str(faithful["monotone"]))
        monotone = notice("kept", shown)
    single = None
    for name, off in faithful.items():
        if name.endswith("_float32_difference"):
            family = name.removesuffix("_float32_difference")
            single = paragraph(texts.get("evidence.single", family=family, off=float(off)))
    return section(
        texts.get("evidence.faithful"),
        notice(tone, said),
        single,
        *_certificate(evidence, texts),
        bits,
        monotone,
    )


def _certificate(evidence: Evidence, texts: Texts) -> list[Html]:
    """Of an adopted model: how like it the program is on all rows that were given."""
    certificate = evidence.certificate
    if not isinstance(certificate, Certificate):
        return []
    told = [
        (texts.get("adopt.read_as"), certificate.read_as),
        (texts.get("adopt.model_digest"), certificate.model),
        (texts.get("evidence.data_digest"), certificate.rows),
    ]
    if certificate.unpickled:
        told.append((texts.get("adopt.pickle"), certificate.unpickled))
    heads = [texts.get(f"adopt.{key}") for key in ("row", "by_program", "by_model", "tie")]
    changed = [
        [
            texts.numerals.count(one.row),
            outcome_name(texts, one.program),
            outcome_name(texts, one.model),
            texts.get("adopt.is_tie") if one.tie else "",
        ]
        for one in certificate.changed
    ]
    parts = [
        paragraph(texts.get("adopt.adopted"), " ", likeness(texts, certificate), "."),
        *(paragraph(line) for line in doubts(texts, certificate)),
        tag("dl", *_pairs(told), class_="pairs"),
    ]
    return [*parts, table(heads, changed, numeric=[0])] if changed else parts


def _lineage(bundle: SealedBundle, version: Version, texts: Texts) -> Html:
    lineage = bundle.lineage
    told: list[tuple[str, str]] = [
        (texts.get("evidence.purpose"), bundle.contract.purpose),
        (texts.get("evidence.owner"), bundle.contract.owner),
        (
            texts.get("evidence.trained"),
            f"{lineage.trained_by}, {spoken_instant(lineage.trained_at)}",
        ),
        (texts.get("evidence.sealed"), f"{version.sealed_by}, {spoken_instant(version.sealed_at)}"),
        (texts.get("evidence.model"), _model(bundle, texts)),
        (texts.get("evidence.seed"), str(lineage.seed)),
        (texts.get("evidence.code"), _environment(bundle)),
        (texts.get("evidence.key"), bundle.key_id),
        (texts.get("evidence.bundle_digest"), bundle.digest),
    ]
    if lineage.parent:
        told.append((texts.get("evidence.parent"), lineage.parent))
    parts = [
        [
            texts.get(f"part.{part}") if f"part.{part}" in texts else part,
            texts.numerals.count(lineage.rows[part]) if part in lineage.rows else "",
            tag("code", digest),
        ]
        for part, digest in _in_order(lineage.data)
    ]
    heads = [texts.get("plan.part"), texts.get("evidence.rows"), texts.get("evidence.data_digest")]
    return section(
        texts.get("evidence.lineage"),
        tag("dl", *_pairs(told), class_="pairs"),
        table(heads, parts, numeric=[1]) if parts else None,
    )


def _pairs(told: Sequence[tuple[str, str]]) -> list[Html]:
    return [part for name, value in told if value for part in (tag("dt", name), tag("dd", value))]


def _model(bundle: SealedBundle, texts: Texts) -> str:
    trials = bundle.lineage.trials
    chosen = str(trials.get("chosen") or "")
    completed = trials.get("completed")
    if not isinstance(completed, int) or not chosen:
        return chosen
    return texts.get("evidence.trials", n=completed, model=chosen)


def _environment(bundle: SealedBundle) -> str:
    lineage = bundle.lineage
    named = [f"Baluarte {lineage.code}"] if lineage.code else []
    return ", ".join(named + [f"{name} {which}" for name, which in lineage.environment.items()])


def _in_order(data: dict[str, str]) -> list[tuple[str, str]]:
    order = ["fit", "tune", "calibrate", "threshold", "proof"]
    known = [(part, data[part]) for part in order if part in data]
    return known + sorted((part, digest) for part, digest in data.items() if part not in order)
