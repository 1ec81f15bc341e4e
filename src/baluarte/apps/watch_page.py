"""The page of the watch: what moved, is the promise kept, and what happened since the start."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from baluarte import __version__, wiring
from baluarte.adapters.disk import write_aside
from baluarte.apps.baseline_bins import FieldBins, as_rows, baseline_bins, compared, placed
from baluarte.apps.catalogue import Texts
from baluarte.apps.channel_words import channel_name
from baluarte.apps.charts.rows import bars, intervals
from baluarte.apps.charts.timeline import timeline
from baluarte.apps.charts.values import Axis, Bar, Interval, Moment, Span, Tone
from baluarte.apps.cli.watch import episode_line
from baluarte.apps.html import Html
from baluarte.apps.numerals import spoken_instant
from baluarte.apps.page import facts, figure, listing, notice, page, paragraph, section, table
from baluarte.apps.session import Session
from baluarte.apps.watched import Watched, watched_of
from baluarte.core.bundle import SealedBundle
from baluarte.core.drift import SCORE, Moved, ViewValue
from baluarte.core.episodes import Episode
from baluarte.stages.watch import AT_MOST, Kept, Promise, Seen

MOST_FIELDS = 4  #: with a chart of their own
MOST_MOVED = 8  #: bars of what moved
MOST_VIEWED = 12  #: rows of the views' table
MOST_FLAGS = 4  #: of one kind on the time line
VIEW_ROWS = 20_000  #: of the baseline, for the views
_TONES: dict[str, Tone] = {"kept": "kept", "open": "unsure", "broken": "broken"}
_PER = 1_000_000  #: events of which false alarms are counted


def write_watch_page(
    path: str, session: Session, detector: str, *, seen: Seen, said: Promise, texts: Texts
) -> None:
    """Write the page of the watch over one detector.

    Raises:
        OutsideError: the file can't be written.
    """
    content = watch_page(session, detector, seen=seen, said=said, texts=texts)
    write_aside(Path(path), content.encode())


def watch_page(session: Session, detector: str, *, seen: Seen, said: Promise, texts: Texts) -> Html:
    """The whole page."""
    watching = seen.watching
    bundle = session.bundle(watching.bundle) if watching.bundle else None
    watched = watched_of(session.reader, detector, watching.bundle, unsealer=session.unsealer)
    episodes = watching.own
    version = bundle.manifest.version if bundle is not None else "–"
    source = f"baluarte watch {detector} --once"
    parts = (
        _promise(said, texts, source),
        _moved(seen, episodes, bundle, texts, source),
        *_fields(episodes, bundle, watched, texts, source),
        _views(bundle, watched, texts),
        _timeline(seen, watched, detector, texts),
    )
    return page(
        texts.get("watch.title", detector=detector),
        language=texts.language,
        eyebrow=texts.get("watch.eyebrow", detector=detector, version=version),
        lead=lead(texts, armed=seen.armed, episodes=episodes, said=said),
        sections=[part for part in parts if part is not None],
        footer=f"{source} · {spoken_instant(session.clock.now_us())} · "
        f"{watching.bundle or '–'} · Baluarte {__version__}",
    )


def lead(texts: Texts, *, armed: bool, episodes: Sequence[Episode], said: Promise) -> str:
    """The sentence that matters first: the promise where it is broken, then the inputs."""
    if episodes:
        top = [channel for channel, _ in carried(episodes)[:3]]
        names = ", ".join(channel_name(texts, channel) for channel in top)
        inputs = texts.get("watch.lead_alarm", channels=names)
    else:
        inputs = texts.get("watch.lead_quiet" if armed else "watch.lead_not_armed")
    return f"{_promise_lead(texts, said)} {inputs}" if said.broken else (
        f"{inputs} {_promise_lead(texts, said)}"
    )  # fmt: skip


def _promise_lead(texts: Texts, said: Promise) -> str:
    if not said.figures:
        return texts.get("harm.no_labels")
    if said.broken:
        names = [texts.get(f"figure.{k.figure.name}") for k in said.figures if k.state == "broken"]
        return texts.get("watch.lead_broken", figures=f" {texts.get('word.and')} ".join(names))
    if all(kept.state == "kept" for kept in said.figures):
        return texts.get("harm.kept")
    return texts.get("watch.lead_open")


# --- words ---------------------------------------------------------------------------------------


def carried(episodes: Sequence[Episode]) -> list[tuple[str, float]]:
    """Each channel with its mean share of all alarms, the most first."""
    n = sum(episode.n for episode in episodes)
    shares: dict[str, float] = {}
    for episode in episodes:
        for channel, share in episode.shares.items():
            shares[channel] = shares.get(channel, 0.0) + share / n
    return sorted(shares.items(), key=lambda pair: -pair[1])


def direction_words(
    texts: Texts, moved: Moved, bundle: SealedBundle, edges: Sequence[float]
) -> str:
    """How a channel moved in an alarm, as a sentence.

    Args:
        edges: the channel's cuts in the baseline. A cut just below another one asks for values
            below that one.
    """
    value: str | float | None = moved.value
    key = f"watch.direction_{moved.direction}"
    if moved.value is not None and moved.direction in ("more", "less"):
        names = categories_of(bundle, moved.channel)
        code = int(moved.value)
        value = names[code] if code < len(names) else code
    elif moved.value is not None:
        above = math.nextafter(moved.value, math.inf)
        if above in edges:
            value, key = above, f"{key}_below"
        if moved.channel == SCORE:
            value = moved.value * 2.0**-bundle.program.scale_bits
    if value is None and moved.direction in ("more", "less"):
        key += "_other"
    said = "–" if value is None else value
    return texts.get(key, channel=channel_name(texts, moved.channel), value=said)


def categories_of(bundle: SealedBundle, column: str) -> tuple[str, ...]:
    """The names of a column's category codes."""
    field = next((c.field for c in bundle.encoder.columns if c.name == column), None)
    tables = {table.field: table.categories for table in bundle.encoder.tables.fields}
    return tables.get(field, ()) if field is not None else ()


# --- sections ------------------------------------------------------------------------------------


def _promise(said: Promise, texts: Texts, source: str) -> Html:
    told = [
        (texts.get("watch.n_labelled"), texts.numerals.count(said.n_labelled)),
        (texts.get("watch.n_attacks"), texts.numerals.count(said.n_attacks)),
    ]
    if not said.figures:
        return section(
            texts.get("watch.promise"), notice("unsure", texts.get("harm.no_labels")), facts(told)
        )
    chart = intervals([_interval(kept, texts) for kept in said.figures], numerals=texts.numerals)
    confidence = said.figures[0].figure.confidence or 0.0
    return section(
        texts.get("watch.promise"),
        facts(told),
        figure(
            chart, caption=texts.get("watch.promise_chart", confidence=confidence), source=source
        ),
        paragraph(texts.get("watch.promise_text")),
    )


def _interval(kept: Kept, texts: Texts) -> Interval:
    name = kept.figure.name
    return Interval(
        label=texts.get(f"figure.{name}"),
        value=kept.figure.value,
        low=kept.figure.low,
        high=kept.figure.high,
        limit=kept.limit,
        keep="below" if name in AT_MOST else "above",
        tone=_TONES[kept.state],
        verdict=texts.get(f"watch.{kept.state}"),
        percent=name != "mean_cost",
    )


def _moved(
    seen: Seen,
    episodes: Sequence[Episode],
    bundle: SealedBundle | None,
    texts: Texts,
    source: str,
) -> Html:
    told = [
        (texts.get("watch.n_events"), texts.numerals.count(seen.watching.events)),
        (texts.get("watch.n_alarms"), texts.numerals.count(len(episodes))),
    ]
    if not episodes or bundle is None:
        tone: Tone = "kept" if seen.armed else "unsure"
        key = "watch.lead_quiet" if seen.armed else "watch.lead_not_armed"
        return section(texts.get("watch.moved"), facts(told), notice(tone, texts.get(key)))
    arl = episodes[0].first.arl
    told.append((texts.get("watch.arl"), f"≥ {texts.numerals.number(arl)}"))
    latest = max((episode.latest for episode in episodes), key=lambda alarm: alarm.at)
    bins, _ = baseline_bins(bundle.drift_json or b"")
    sentences = [
        direction_words(texts, moved, bundle, bins[moved.channel].edges) for moved in latest.moved
    ]
    chart = bars(
        [
            Bar(label=channel_name(texts, channel), value=share)
            for channel, share in carried(episodes)[:MOST_MOVED]
        ],
        x=Axis(label=texts.get("watch.x_share"), percent=True),
        numerals=texts.numerals,
    )
    return section(
        texts.get("watch.moved"),
        facts(told),
        notice(
            "broken",
            *(
                paragraph(episode_line(texts, episode, lasts=episode in seen.watching.lasting))
                for episode in episodes
            ),
            paragraph(texts.get("drift.meaning")),
        ),
        figure(
            chart,
            caption=texts.get("watch.moved_chart_of", n=sum(e.n for e in episodes)),
            source=source,
        ),
        paragraph(texts.get("watch.latest")),
        listing(sentences),
        paragraph(texts.get("drift.promise", n=_PER / arl)),
    )


def _fields(
    episodes: Sequence[Episode],
    bundle: SealedBundle | None,
    watched: Watched,
    texts: Texts,
    source: str,
) -> list[Html]:
    """Baseline against current of the channels that moved most."""
    if bundle is None or bundle.drift_json is None or not watched.n_recent or not episodes:
        return []
    bins, _ = baseline_bins(bundle.drift_json)
    columns = {column.name: j for j, column in enumerate(bundle.encoder.columns)}
    shown = [c for c, _ in carried(episodes) if c in columns or c == SCORE][:MOST_FIELDS]
    charts = []
    for channel in shown:
        score = channel == SCORE
        x = watched.scores.astype(np.float64) if score else watched.X[:, columns[channel]]
        rows = compared(
            bins[channel],
            bins[channel].count(x),
            texts,
            categories=categories_of(bundle, channel),
            scale=2.0**-bundle.program.scale_bits if score else 1.0,
        )
        chart = bars(
            [Bar(label=row.label, value=row.current, other=row.baseline) for row in rows],
            x=Axis(label=texts.get("evidence.y_share"), percent=True),
            names=(texts.get("word.current"), texts.get("word.baseline")),
            numerals=texts.numerals,
        )
        name = channel_name(texts, channel)
        charts.append(
            figure(chart, caption=texts.get("watch.field_chart", field=name), source=source)
        )
    said = texts.get("watch.fields_text", n=watched.n_recent)
    return [section(texts.get("watch.fields"), paragraph(said), *charts)]


def _views(bundle: SealedBundle | None, watched: Watched, texts: Texts) -> Html | None:
    """The familiar distances, as views: over the bins of the baseline, which keeps no row."""
    if bundle is None or bundle.drift_json is None or not watched.n_recent:
        return None
    by_name, rows = baseline_bins(bundle.drift_json)
    columns = bundle.encoder.columns
    bins = [by_name[column.name] for column in columns]
    found = view_values(bins, watched.X, n=min(rows, VIEW_ROWS))
    if not found:
        return None
    heads = [texts.get("word.field")]
    for name, values in found.items():
        heads.append(name.upper())
        if any(value.p is not None for value in values.values()):
            heads.append(texts.get("watch.view_p", name=name.upper()))
    last = next(reversed(found.values()))
    order = sorted((c.name for c in columns), key=lambda c: -last[c].value if c in last else 0.0)[
        :MOST_VIEWED
    ]
    body = []
    for channel in order:
        row = [channel]
        for values in found.values():
            value = values.get(channel)
            row.append("" if value is None else texts.numerals.number(value.value, 3))
            if any(v.p is not None for v in values.values()):
                row.append("" if value is None or value.p is None else _p(texts, value.p))
        body.append(row)
    with_p = [
        name.upper() for name, vs in found.items() if any(v.p is not None for v in vs.values())
    ]
    notes = [paragraph(texts.get("drift.view_note", test=name)) for name in with_p]
    return section(
        texts.get("watch.views"),
        paragraph(texts.get("watch.views_text"), " ", texts.get("watch.views_how")),
        table(heads, body, numeric=list(range(1, len(heads)))),
        *notes,
    )


def view_values(
    bins: Sequence[FieldBins], X: np.ndarray[tuple[int, int], np.dtype[np.float64]], *, n: int
) -> dict[str, dict[str, ViewValue]]:
    """Each registered view's values by channel."""
    found = {}
    for name in wiring.plugin_names("drift"):
        view = wiring.plugin("drift", name, where="drift")
        if view.kind != "view":
            continue
        values = view.values(
            as_rows(bins, n),
            placed(bins, X),
            names=[one.name for one in bins],
            categorical=[one.categorical for one in bins],
        )
        found[name] = {value.channel: value for value in values}
    return found


def _p(texts: Texts, p: float) -> str:
    return f"< {texts.numerals.number(0.001)}" if p < 0.001 else texts.numerals.number(p, 2)


def _timeline(seen: Seen, watched: Watched, detector: str, texts: Texts) -> Html | None:
    total = watched.n
    if not total:
        return None
    alarms = [float(episode.place) for episode in seen.watching.episodes]
    moments = _flags(
        alarms,
        [texts.get("watch.flag_alarm", n=n) for n in range(1, len(alarms) + 1)],
        "broken",
    )
    taken = np.cumsum([rows for _, rows in watched.labels]).tolist()
    moments += _flags(
        [float(at) for at, _ in watched.labels],
        [texts.get("watch.flag_labels", n=int(n)) for n in taken],
        "plain",
    )
    starts = [*(at for at, _ in watched.versions), total]
    spans = [
        Span(start=at, stop=starts[i + 1], label=f"{detector}@{version}")
        for i, (at, version) in enumerate(watched.versions)
    ]
    chart = timeline(
        sorted(moments, key=lambda moment: moment.at),
        spans,
        x=Axis(label=texts.get("watch.x_events"), low=0.0, high=float(total)),
        numerals=texts.numerals,
    )
    return section(
        texts.get("watch.timeline"),
        figure(chart, caption=texts.get("watch.timeline_chart"), source="baluarte ledger tail"),
    )


def _flags(places: Sequence[float], labels: Sequence[str], tone: Tone) -> list[Moment]:
    """A flag each; of many only the first and the last, whose labels count."""
    shown = range(len(places)) if len(places) <= MOST_FLAGS else (0, len(places) - 1)
    return [Moment(at=places[i], label=labels[i], tone=tone) for i in shown]
