"""The page of the watch: what moved, the promise, and the baseline's bins that it is drawn from."""

from __future__ import annotations

import argparse
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from workspace_ground import Ground, armed_parts

from baluarte.apps.baseline_bins import (
    MOST_BINS,
    FieldBins,
    as_rows,
    baseline_bins,
    compared,
    placed,
)
from baluarte.apps.catalogue import LANGUAGES, Texts
from baluarte.apps.channel_words import channel_name
from baluarte.apps.labelling import take_labels
from baluarte.apps.place import find_workspace
from baluarte.apps.watch_page import carried, lead, view_values, watch_page, write_watch_page
from baluarte.apps.watched import watched_of
from baluarte.apps.watching import Watch
from baluarte.core.drift import Alarm, Moved
from baluarte.core.episodes import Episode, fold
from baluarte.core.event import Values
from baluarte.core.registry import LabelRow, Version
from baluarte.methods.drift.e_detector import EDetector
from baluarte.stages.watch import Promise
from baluarte.testing.bundles import sample_contract, sample_events, sample_parts

EN = Texts("en")
ORDER = np.random.default_rng(1).permutation(6_000)
QUIET: list[Values] = list(np.array(sample_events(6_000), dtype=object)[ORDER[:600]])
MOVED: list[Values] = [event | {"failures": 40, "service": "ssh"} for event in QUIET]
NOTHING = Promise(n_labelled=0, n_attacks=0, figures=())


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path / "w")


@pytest.fixture
def version(ground: Ground) -> Version:
    found = ground.seal(armed_parts())
    ground.promote(found)
    return found


def watched_page(ground: Ground, language: str = "en") -> str:
    with ground.session() as session:
        watch = Watch(session, "flows")
        seen = watch.step()
        said = watch.promise(sample_contract())
        texts = Texts(language)  # type: ignore[arg-type]
        return unescape(watch_page(session, "flows", seen=seen, said=said, texts=texts))


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_moved_is_named_and_drawn_against_the_baseline(
    ground: Ground, version: Version, language: str
) -> None:
    ground.decide(version, MOVED, reasons="none")
    html = watched_page(ground, language)
    texts = Texts(language)  # type: ignore[arg-type]
    assert "failures" in html
    assert texts.get("watch.fields") in html
    assert texts.get("drift.meaning") in html
    assert texts.get("drift.view_note", test="KS") in html
    assert texts.get("harm.no_labels") in html
    assert "ssh" in html


def test_a_quiet_watch_says_so_and_draws_no_field(ground: Ground, version: Version) -> None:
    ground.decide(version, QUIET, reasons="none")
    html = watched_page(ground)
    assert EN.get("watch.lead_quiet") in html
    assert EN.get("watch.fields") not in html
    assert EN.get("watch.views") in html


def test_a_version_without_a_baseline_is_not_called_quiet(ground: Ground) -> None:
    version = ground.seal(sample_parts())
    ground.promote(version)
    ground.decide(version, QUIET, reasons="none")
    html = watched_page(ground)
    assert EN.get("watch.lead_not_armed") in html
    assert EN.get("watch.lead_quiet") not in html


def test_nothing_decided_yet_is_a_page_too(ground: Ground) -> None:
    assert EN.get("watch.lead_not_armed") in watched_page(ground)


def test_a_broken_promise_comes_first_with_its_interval(ground: Ground, version: Version) -> None:
    ground.decide(version, QUIET, reasons="none")
    with ground.session() as session:
        rows = [LabelRow(event_id=str(event["id"]), label=0, at=1, source="soc") for event in QUIET]
        take_labels(session, "flows", rows, source="soc")
    html = watched_page(ground)
    assert f"The promise is broken: {EN.get('figure.false_alarm_rate')}." in html
    assert f"✗ {EN.get('watch.broken')}" in html
    assert "600 labels" in html


def test_a_retry_is_no_further_event_of_the_promise(ground: Ground, version: Version) -> None:
    for _ in range(3):
        ground.decide(version, QUIET[:50], reasons="none")
    with ground.session() as session:
        rows = [
            LabelRow(event_id=str(event["id"]), label=0, at=1, source="soc") for event in QUIET[:50]
        ]
        take_labels(session, "flows", rows, source="soc")
        watch = Watch(session, "flows")
        watch.step()
        assert watch.promise(sample_contract()).n_labelled == 50


def test_a_second_version_is_watched_on_its_own_baseline(ground: Ground, version: Version) -> None:
    ground.decide(version, MOVED, reasons="none")
    second = ground.seal(armed_parts())
    ground.promote(second)
    ground.decide(second, QUIET, reasons="none")
    html = watched_page(ground)
    assert EN.get("watch.lead_quiet") in html
    assert ">flows@1<" in html
    assert ">flows@2<" in html


def test_the_page_is_written_whole(ground: Ground, version: Version, tmp_path: Path) -> None:
    ground.decide(version, QUIET[:10])
    path = tmp_path / "w.html"
    with ground.session() as session:
        seen = Watch(session, "flows").step()
        write_watch_page(str(path), session, "flows", seen=seen, said=NOTHING, texts=EN)
    html = path.read_text("utf-8")
    assert html.startswith("<!doctype html>")
    assert "<script" not in html


# --- words and figures ---------------------------------------------------------------------------


def alarm(*moved: tuple[str, float]) -> Alarm:
    return Alarm(
        at=128,
        evidence=2e6,
        limit=1e6,
        arl=1e6,
        moved=tuple(
            Moved(channel=c, share=s, direction="up", value=1.0, low=0.1, high=0.2)
            for c, s in moved
        ),
    )


def episode(raised: Alarm) -> Episode:
    (began,), _ = fold((), raised, place=raised.at, bundle="sha256:1")
    return began


def test_shares_are_averaged_over_the_alarms() -> None:
    found = carried([episode(alarm(("a", 0.8), ("b", 0.2))), episode(alarm(("b", 1.0)))])
    assert [channel for channel, _ in found] == ["b", "a"]
    assert [share for _, share in found] == pytest.approx([0.6, 0.4])


def test_the_lead_names_channels_that_are_no_field_in_words() -> None:
    moved = episode(alarm(("novelty.residual", 0.7), ("x", 0.3)))
    said = lead(EN, armed=True, episodes=[moved], said=NOTHING)
    assert said.startswith("The inputs moved: one number unlike the others, x.")
    assert channel_name(EN, "score") == "the score"


def test_the_ledger_is_read_into_places_by_time(ground: Ground, version: Version) -> None:
    ground.decide(version, QUIET[:30], reasons="none")
    with ground.session() as session:
        rows = [LabelRow(event_id="e1", label=1, at=1, source="soc")]
        take_labels(session, "flows", rows, source="soc")
    ground.decide(version, QUIET[:12], reasons="none")
    with ground.session() as session:
        found = watched_of(session.reader, "flows", version.digest, unsealer=session.unsealer)
    assert (found.n, found.versions, found.labels) == (42, ((0, 1),), ((30, 1),))
    assert found.X.shape == (42, 3)
    with ground.session() as session:
        assert (
            watched_of(session.reader, "others", version.digest, unsealer=session.unsealer).n == 0
        )


def test_the_ground_is_a_workspace_like_any_other(ground: Ground) -> None:
    place = find_workspace(
        argparse.Namespace(workspace=str(ground.root / "workspace.toml"), set=[])
    )
    assert place.detector(None).contract().name == "flows"


# --- the baseline's bins -------------------------------------------------------------------------


def sealed_bins(X: np.ndarray, categorical: list[bool]) -> dict[str, FieldBins]:
    names = [f"x{j}" for j in range(X.shape[1])]
    baseline = EDetector().arm(
        X, np.zeros(len(X), dtype=np.int64), names=names, categorical=categorical, arl=1e4
    )
    return baseline_bins(baseline)[0]


def columns(n: int) -> np.ndarray:
    """A heavy tail with missing values, a count full of ties, a category."""
    rng = np.random.default_rng(3)
    tail = np.where(rng.random(n) < 0.05, np.nan, rng.pareto(1.5, n))
    ties = np.where(rng.random(n) < 0.7, 0.0, rng.integers(1, 6, n))
    return np.stack([tail, ties, np.minimum(rng.geometric(0.3, n), 9) - 1.0], axis=1)


def test_the_bins_tell_the_baseline_within_its_own_uncertainty() -> None:
    X = columns(20_000)
    for j, one in enumerate(sealed_bins(X, [False, False, True]).values()):
        if j == 3:
            break
        assert one.shares.sum() == pytest.approx(1.0)
        assert np.abs(one.shares - one.count(X[:, j])).max() < 0.02


def test_rows_made_from_the_bins_have_their_shares_and_views_find_nothing() -> None:
    X = columns(20_000)
    bins = [one for name, one in sealed_bins(X, [False, False, True]).items() if name[0] == "x"]
    rows = as_rows(bins, 5_000)
    assert np.isnan(rows[:, 0]).mean() == pytest.approx(bins[0].shares[-1], abs=1e-3)
    values = view_values(bins, columns(20_000), n=5_000)
    assert all(value.value < 0.05 for found in values.values() for value in found.values())


def test_views_over_bins_see_what_moved() -> None:
    X = columns(20_000)
    bins = [one for name, one in sealed_bins(X, [False, False, True]).items() if name[0] == "x"]
    moved = columns(2_000)
    moved[:, 1] += 2
    values = view_values(bins, moved, n=5_000)
    assert values["ks"]["x1"].value == pytest.approx(0.7, abs=0.05)
    assert values["psi"]["x1"].value > 1
    assert values["ks"].keys() == {"x0", "x1"}  # a category has no order
    assert values["psi"].keys() == {"x0", "x1", "x2"}


NUMBERS = FieldBins(
    name="n",
    categorical=False,
    edges=(np.nextafter(0.0, -np.inf), 0.0, 2.0, 7.0),
    known=(),
    shares=np.array([0.0, 0.5, 0.2, 0.2, 0.1, 0.0]),
)
CODES = FieldBins(
    name="c",
    categorical=True,
    edges=(0.0, 2.0),
    known=(0.0, 1.0, 2.0),
    shares=np.array([0.6, 0.3, 0.1, 0.0, 0.0]),
)


def test_a_value_falls_into_the_step_whose_upper_edge_it_reaches() -> None:
    x = np.array([-1.0, -0.0, 0.0, 5e-324, 2.0, 2.1, 7.0, 9.0, np.nan])
    assert NUMBERS.place(x).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 5]


def test_a_code_is_itself_another_known_one_unseen_or_missing() -> None:
    assert CODES.place(np.array([0.0, 1.0, 2.0, 3.0, np.nan])).tolist() == [0, 2, 1, 3, 4]


def test_steps_are_labelled_by_their_edges() -> None:
    rows = compared(NUMBERS, np.array([0.1, 0.2, 0.2, 0.2, 0.2, 0.1]), EN)
    labels = [row.label for row in rows]
    assert labels == ["< 0", "= 0", "0 … 2", "2 … 7", "> 7", "(missing)"]


def test_an_empty_step_joins_its_neighbour_and_missing_is_left_out_where_it_never_was() -> None:
    rows = compared(NUMBERS, np.array([0.0, 0.4, 0.2, 0.2, 0.2, 0.0]), EN)
    assert [row.label for row in rows] == ["≤ 0", "0 … 2", "2 … 7", "> 7"]


def test_categories_have_their_names_and_unseen_ones_a_row_of_their_own() -> None:
    rows = compared(
        CODES, np.array([0.2, 0.2, 0.1, 0.5, 0.0]), EN, categories=("http", "dns", "ssh")
    )
    said = {row.label: (row.baseline, row.current) for row in rows}
    assert said["http"] == (0.6, 0.2)
    assert said["never seen before"] == (0.0, 0.5)
    assert said["all others"] == (0.1, 0.1)


@given(
    cuts=st.lists(st.floats(-1e6, 1e6), min_size=0, max_size=30, unique=True),
    data=st.data(),
)
def test_any_bins_become_few_rows_that_lose_nothing(cuts: list[float], data: st.DataObject) -> None:
    n = len(cuts) + 2
    weights = data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    shares = np.array(weights, dtype=np.float64) / max(sum(weights), 1)
    one = FieldBins(name="n", categorical=False, edges=tuple(sorted(cuts)), known=(), shares=shares)
    current = np.roll(shares, 1)
    rows = compared(one, current, EN)
    assert len(rows) <= MOST_BINS + 1
    assert sum(row.baseline for row in rows) == pytest.approx(shares.sum())
    assert sum(row.current for row in rows) == pytest.approx(current.sum())
    X = np.array([[0.0], [np.nan], [1e9]])
    assert np.isnan(placed([one], X))[:, 0].tolist() == [False, True, False]
