"""The demo's report: one page that explains the run to someone who was not there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from baluarte import __version__
from baluarte.apps.catalogue import Texts
from baluarte.apps.charts.plot import plot
from baluarte.apps.charts.rows import bars, intervals
from baluarte.apps.charts.timeline import timeline
from baluarte.apps.charts.values import Axis, Bar, Interval, Line, Mark, Moment, Span, Tone
from baluarte.apps.demo.checks import TONES
from baluarte.apps.demo.run import Story
from baluarte.apps.html import Html
from baluarte.apps.page import (
    command,
    facts,
    figure,
    notice,
    page,
    paragraph,
    section,
    table,
)
from baluarte.core.evidence import GateResult
from baluarte.stages.prove import Proof
from baluarte.stages.watch import Promise

_WINDOW = 1_000
_SHOWN = 0.001  #: share of an alarm that is worth a bar
_TONES: dict[str, Tone] = {"pass": "kept", "fail": "broken", "not_enough_data": "unsure"}


def demo_page(story: Story, texts: Texts) -> Html:
    """The whole page."""
    second = _rates(story.second_promise)
    key = "demo.lead_fraud" if story.events.key == "payments" else "demo.lead"
    return page(
        texts.get("demo.title"),
        language=texts.language,
        eyebrow=texts.get("demo.eyebrow", data=_data(story, texts)),
        lead=texts.get(
            key,
            n=story.first_promise.n_labelled if story.first_promise else 0,
            recall=second.get("recall", 0.0),
            fpr=second.get("false_alarm_rate", 0.0),
        ),
        sections=[
            _happened(story, texts),
            _version(story, texts, 0, texts.get("demo.first_version")),
            _stream(story, texts),
            _alarm(story, texts),
            _version(story, texts, 1, texts.get("demo.second_version")),
            _promises(story, texts),
            section(texts.get("demo.how_to_read"), paragraph(texts.get("demo.how_to_read_text"))),
        ],
        footer=f"baluarte {__version__} · {_data(story, texts)}, {_origin(story, texts)}",
    )


def _data(story: Story, texts: Texts) -> str:
    return texts.get(f"demo.data_{story.events.key}")


def _origin(story: Story, texts: Texts) -> str:
    return texts.get(f"demo.origin_{story.events.origin}")


def _rates(said: Promise | None) -> dict[str, float]:
    return {} if said is None else {kept.figure.name: kept.figure.value for kept in said.figures}


def _label(story: Story, index: int) -> str:
    version = story.versions[index]
    return f"{version.detector}@{version.version}"


def _first_of(story: Story, index: int) -> int:
    """The first answer that a version gave."""
    number = story.versions[index].version
    return next((i for i, a in enumerate(story.answers) if a.version == number), len(story.answers))


def _happened(story: Story, texts: Texts) -> Html:
    count = texts.numerals.count
    trained = {f for f in story.later.families if f is not None}
    rate = len(story.answers) / max(story.sent_seconds, 1e-9)
    named = [
        (texts.get("demo.trained_on"), count(story.train_rows)),
        (texts.get("demo.replayed"), count(len(story.answers))),
        (texts.get("demo.rate"), count(round(rate))),
        (texts.get("demo.alarms"), count(len(story.alarms))),
    ]
    moments = [
        Moment(at=float(at), label=texts.get("demo.drift"), tone="broken")
        for at, _, _ in story.alarms[:1]
    ]
    if story.first_promise is not None:
        broken = story.first_promise.broken
        moments.append(
            Moment(
                at=float(story.first_promise.n_labelled),
                label=texts.get("demo.contract_broken" if broken else "demo.contract_kept"),
                tone="broken" if broken else "kept",
            )
        )
    swap = _first_of(story, 1)
    moments.append(Moment(at=float(swap), label=texts.get("demo.retrain"), tone="kept"))
    spans = [
        Span(start=0.0, stop=float(swap), label=_label(story, 0)),
        Span(start=float(swap), stop=float(len(story.answers)), label=_label(story, 1)),
    ]
    chart = timeline(
        moments,
        spans,
        x=Axis(label=texts.get("watch.x_events"), low=0.0, high=float(len(story.answers))),
        numerals=texts.numerals,
    )
    said = [texts.get("demo.story", data=_data(story, texts), source=_origin(story, texts))]
    if trained:
        said.append(texts.get("demo.kinds", n=len(trained)))
    return section(
        texts.get("demo.what_happened"),
        *(paragraph(text) for text in said),
        facts(named),
        figure(
            chart,
            caption=texts.get("demo.timeline_chart", n=len(story.answers)),
            source="baluarte ledger tail",
        ),
    )


def _version(story: Story, texts: Texts, index: int, title: str) -> Html:
    proof, candidate = story.proofs[index], story.candidates[index]
    version = story.versions[index]
    members = " + ".join(
        f"{texts.numerals.number(m.weight, 3)} · {m.model}" for m in candidate.training.members
    )
    rows = candidate.training.split.counts
    lines = [
        [texts.get("word.version"), _label(story, index)],
        [texts.get("evidence.bundle_digest"), version.digest],
        [texts.get("demo.model"), members],
        [
            texts.get("demo.rows"),
            " · ".join(
                f"{texts.get(f'part.{part}')} {texts.numerals.count(sum(counts))}"
                for part, counts in rows.items()
                if sum(counts)
            ),
        ],
        [
            texts.get("evidence.faithful"),
            texts.get(
                "evidence.faithful_text",
                n=int(candidate.training.faithfulness["rows"]),
                difference=float(candidate.training.faithfulness["largest_difference"]),
                changed=int(candidate.training.faithfulness["changed_decisions"]),
            ),
        ],
    ]
    content: list[Html] = [table([texts.get("word.field"), texts.get("word.value")], lines)]
    if proof.evidence.gates:
        content.append(_gates(proof, texts, _label(story, index)))
    if index == 1:
        content.append(_compare(story, texts))
    return section(title, *content)


def _gates(proof: Proof, texts: Texts, label: str) -> Html:
    rows = [_interval(gate, texts) for gate in proof.evidence.gates]
    return figure(
        intervals(rows, numerals=texts.numerals),
        caption=texts.get("evidence.gates_chart")
        + " "
        + texts.get("evidence.look", n=proof.cost.look, alpha=proof.cost.alpha),
        source=f"baluarte report evidence {label}",
    )


def _interval(gate: GateResult, texts: Texts) -> Interval:
    below = gate.gate in {"false_alarms", "latency"}
    return Interval(
        label=texts.get(f"figure.{gate.figure.name}"),
        value=gate.figure.value,
        low=gate.figure.low,
        high=gate.figure.high,
        limit=gate.limit,
        keep="below" if below else "above",
        tone=_TONES[gate.verdict],
        verdict=texts.get(f"verdict.{gate.verdict}"),
        percent=gate.gate != "latency",
        unit="ms" if gate.gate == "latency" else "",
    )


def _stream(story: Story, texts: Texts) -> Html:
    alerted = np.array([a.outcome != story.contract.bands[0].name for a in story.answers])
    labels = np.array(story.later.labels[: len(story.answers)])
    at, fpr, recall = _windows(alerted, labels)
    objective = story.contract.objective
    swap = _first_of(story, 1)
    marks = [Mark(at=float(swap), label=_label(story, 1), tone="kept")]
    x = Axis(label=texts.get("watch.x_events"), low=0.0, high=float(len(story.answers)))
    false_alarms = plot(
        [Line(name=texts.get("word.false_alarms"), x=at, y=fpr)],
        x=x,
        y=Axis(label=texts.get("word.false_alarms"), low=0.0, percent=True),
        marks=[
            *marks,
            Mark(
                at=objective.budget.value,
                axis="y",
                tone="broken",
                label=texts.get("evidence.budget", budget=objective.budget.value),
            ),
        ],
        numerals=texts.numerals,
    )
    kept = plot(
        [Line(name=texts.get("word.recall"), x=at, y=recall)],
        x=x,
        y=Axis(label=texts.get("word.recall"), low=0.0, high=1.0, percent=True),
        marks=[
            *marks,
            Mark(
                at=objective.min_recall or 0.0,
                axis="y",
                tone="broken",
                label=texts.get("demo.promised_recall", limit=objective.min_recall or 0.0),
            ),
        ],
        numerals=texts.numerals,
    )
    return section(
        texts.get("demo.stream"),
        figure(
            false_alarms,
            caption=texts.get("demo.false_alarms_chart", n=_WINDOW),
            source="baluarte watch --once",
        ),
        figure(
            kept,
            caption=texts.get("demo.recall_chart", n=_WINDOW),
            source="baluarte watch --once",
        ),
        _families(story, texts),
    )


def _windows(
    alerted: np.ndarray[tuple[int], np.dtype[np.bool_]],
    labels: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> tuple[list[float], list[float], list[float]]:
    at, fpr, recall = [], [], []
    for stop in range(_WINDOW, len(labels) + 1, _WINDOW // 2):
        window = slice(stop - _WINDOW, stop)
        attack = labels[window] == 1
        if 0 < attack.sum() < _WINDOW:
            at.append(float(stop))
            fpr.append(float(alerted[window][~attack].mean()))
            recall.append(float(alerted[window][attack].mean()))
    return at, fpr, recall


def _families(story: Story, texts: Texts) -> Html | None:
    """Recall by kind of attack, the first version beside the second."""
    swap = _first_of(story, 1)
    lowest = story.contract.bands[0].name
    counts: dict[str, list[list[bool]]] = {}
    for i, (answer, name) in enumerate(zip(story.answers, story.later.families, strict=False)):
        if name is not None and story.later.labels[i] == 1:
            sides = counts.setdefault(name, [[], []])
            sides[int(i >= swap)].append(answer.outcome != lowest)
    often = sorted(counts.items(), key=lambda kv: -sum(map(len, kv[1])))[:14]
    if len(often) < 2:
        return None
    items = [Bar(label=name, value=_mean(sides[1]), other=_mean(sides[0])) for name, sides in often]
    chart = bars(
        items,
        x=Axis(label=texts.get("word.recall"), low=0.0, high=1.0, percent=True),
        names=(_label(story, 1), _label(story, 0)),
        numerals=texts.numerals,
    )
    return figure(chart, caption=texts.get("demo.families_chart"), source="baluarte ledger export")


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0


def _alarm(story: Story, texts: Texts) -> Html:
    if not story.alarms:
        return section(texts.get("demo.drift_section"), paragraph(texts.get("demo.no_alarm")))
    _, alarm, line = story.alarms[0]
    channels = [
        Bar(label=moved.channel, value=moved.share, tone="broken")
        for moved in alarm.moved
        if moved.share >= _SHOWN
    ]
    chart = bars(
        channels,
        x=Axis(label=texts.get("watch.x_share"), low=0.0, high=1.0, percent=True),
        numerals=texts.numerals,
    )
    return section(
        texts.get("demo.drift_section"),
        notice("broken", line, paragraph(texts.get("drift.meaning"))),
        paragraph(texts.get("drift.promise", n=round(1_000_000 / alarm.arl))),
        figure(chart, caption=texts.get("watch.moved_chart"), source="baluarte watch --once"),
    )


def _compare(story: Story, texts: Texts) -> Html:
    rows = []
    for said, label in (
        (story.first_promise, _label(story, 0)),
        (story.second_promise, _label(story, 1)),
    ):
        if said is None:
            continue
        for kept in said.figures:
            below = kept.figure.name == "false_alarm_rate"
            states: dict[str, Tone] = {"kept": "kept", "open": "unsure", "broken": "broken"}
            rows.append(
                Interval(
                    label=f"{label} {texts.get(f'figure.{kept.figure.name}')}",
                    value=kept.figure.value,
                    low=kept.figure.low,
                    high=kept.figure.high,
                    limit=kept.limit,
                    keep="below" if below else "above",
                    tone=states[kept.state],
                    verdict=texts.get(f"demo.state_{kept.state}"),
                    percent=True,
                )
            )
    return figure(
        intervals(rows, numerals=texts.numerals),
        caption=texts.get("demo.on_stream_chart"),
        source="baluarte watch --once",
    )


def _promises(story: Story, texts: Texts) -> Html:
    blocks = []
    for check in story.checks:
        figures = texts.get(
            "promise.figures_no_bits"
            if check.state == "not_compared"
            else f"promise.figures_{check.key}",
            **check.figures,
        )
        blocks.append(
            notice(
                TONES[check.state],
                texts.get(f"promise.{check.key}"),
                paragraph(texts.get(f"promise.{check.key}_text")),
                paragraph(figures),
                command(check.command),
            )
        )
    held = sum(check.state == "held" for check in story.checks)
    return section(
        texts.get("promise.title"),
        paragraph(texts.get("promise.held", n=held, n_checked=len(story.checks))),
        *blocks,
    )
