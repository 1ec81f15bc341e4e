"""The sealed baseline as bins: what the drift detector asks of each field, ready to be compared.

The baseline keeps no event, only how often each question was answered yes; between two questions
lies a bin, and current values are counted in the same bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.apps.catalogue import Texts

Floats = NDArray[np.float64]
MOST_BINS = 9  #: that a chart shows of a field, beside missing values


class _Channel(msgspec.Struct):
    name: str
    categorical: bool
    cuts: tuple[float, ...] = ()
    codes: tuple[float, ...] = ()
    known: tuple[float, ...] = ()


class _Baseline(msgspec.Struct):
    channels: tuple[_Channel, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldBins:
    """One channel of the baseline: bins with the baseline's share of each.

    Of a number they are the steps between cuts and what lies above the last; of a category its
    frequent codes, other known ones and unseen ones. Missing values are the last bin of both.
    """

    name: str
    categorical: bool
    edges: tuple[float, ...]  #: cuts of a number, or codes of a category, ascending
    known: tuple[float, ...]  #: all codes of a category that the baseline had
    shares: Floats  #: (b,) of the baseline

    def place(self, x: Floats) -> NDArray[np.int64]:
        """(n,) the bin of each value."""
        missing = len(self.shares) - 1
        edges = np.array(self.edges)
        if not self.categorical:
            at = edges.searchsorted(x, side="left")
        else:
            other, unseen = len(edges), len(edges) + 1
            found = np.minimum(edges.searchsorted(x), max(len(edges) - 1, 0))
            named = edges[found] == x if len(edges) else np.zeros(len(x), dtype=np.bool_)
            at = np.where(named, found, np.where(np.isin(x, self.known), other, unseen))
        return np.where(np.isnan(x), missing, at).astype(np.int64)

    def count(self, x: Floats) -> Floats:
        """(b,) the share of (n,) current values in each bin."""
        counts = np.bincount(self.place(x), minlength=len(self.shares))
        shares: Floats = counts / max(len(x), 1)
        return shares


def baseline_bins(drift_json: bytes) -> tuple[dict[str, FieldBins], int]:
    """All channels by name, and the number of rows that the baseline was counted on."""
    baseline = msgspec.json.decode(drift_json, type=_Baseline)
    rates = [_rate(low, high) for low, high in zip(baseline.low, baseline.high, strict=True)]
    found, start = {}, 0
    for channel in baseline.channels:
        asked = channel.codes if channel.categorical else channel.cuts
        stop = start + len(asked) + (3 if channel.categorical else 1)
        answers = np.array(rates[start:stop])
        start = stop
        shares = answers if channel.categorical else _steps(answers)
        found[channel.name] = FieldBins(
            name=channel.name,
            categorical=channel.categorical,
            edges=asked,
            known=channel.known,
            shares=shares / max(shares.sum(), 1e-12),
        )
    return found, baseline.rows


def as_rows(bins: Sequence[FieldBins], n: int) -> Floats:
    """(n, d) rows of bin numbers that fill every bin as the baseline did; NaN is missing.

    Only a field's own shares are kept, so this is for views that look at one field at a time.
    """
    at = (np.arange(n) + 0.5) / n
    X = np.empty((n, len(bins)))
    for j, one in enumerate(bins):
        place = np.minimum(np.cumsum(one.shares).searchsorted(at), len(one.shares) - 1)
        X[:, j] = _with_nan(one, place)
    return X


def placed(bins: Sequence[FieldBins], X: Floats) -> Floats:
    """(n, d) current rows as bin numbers; NaN is missing."""
    columns = [_with_nan(one, one.place(X[:, j])) for j, one in enumerate(bins)]
    return np.stack(columns, axis=1) if columns else np.empty((len(X), 0))


def _with_nan(one: FieldBins, place: NDArray[np.int64]) -> Floats:
    return np.where(place == len(one.shares) - 1, np.nan, place.astype(np.float64))


def _rate(low: float, high: float) -> float:
    """The middle of a rate's interval; at the ends the end itself."""
    if low <= 0.0 or high >= 1.0:
        return 0.0 if low <= 0.0 else 1.0
    return (low + high) / 2


def _steps(answers: Floats) -> Floats:
    """Shares between cuts, of shares at most each cut; the last answer is of missing values."""
    missing = float(answers[-1])
    at_most = np.maximum.accumulate(answers[:-1])
    above = max(1.0 - missing - (float(at_most[-1]) if len(at_most) else 0.0), 0.0)
    return np.concatenate([np.diff(at_most, prepend=0.0), [above, missing]])


# --- for a chart ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One bin of a chart."""

    label: str
    baseline: float
    current: float


def compared(
    one: FieldBins,
    current: Floats,
    texts: Texts,
    *,
    categories: Sequence[str] = (),
    scale: float = 1.0,
) -> list[Compared]:
    """A field's bins with the baseline's and the current shares, at most so many.

    Args:
        current: (b,) as :meth:`FieldBins.count` gives it.
        categories: names of a category's codes.
        scale: of a number's edges, such as that of score units.
    """
    rows = (
        _categories(one, current, texts, categories)
        if one.categorical
        else _numbers(one, current, texts, scale)
    )
    if one.shares[-1] > 0 or current[-1] > 0:
        missing = Compared(
            label=texts.get("word.missing"),
            baseline=float(one.shares[-1]),
            current=float(current[-1]),
        )
        rows.append(missing)
    return rows


def _categories(
    one: FieldBins, current: Floats, texts: Texts, categories: Sequence[str]
) -> list[Compared]:
    """The most frequent codes, in the baseline or now; then all others, then unseen ones."""
    n = len(one.edges)
    order = sorted(range(n), key=lambda i: -max(one.shares[i], current[i]))[: MOST_BINS - 2]
    rows = []
    for i in order:
        code = int(one.edges[i])
        name = categories[code] if code < len(categories) else texts.numerals.count(code)
        rows.append(Compared(label=name, baseline=float(one.shares[i]), current=float(current[i])))
    rest = [i for i in range(n + 1) if i not in order]
    others = Compared(
        label=texts.get("watch.others"),
        baseline=float(one.shares[rest].sum()),
        current=float(current[rest].sum()),
    )
    unseen = Compared(
        label=texts.get("watch.unseen"),
        baseline=float(one.shares[n + 1]),
        current=float(current[n + 1]),
    )
    return rows + [row for row in (others, unseen) if row.baseline > 0 or row.current > 0]


def _numbers(one: FieldBins, current: Floats, texts: Texts, scale: float) -> list[Compared]:
    """Neighbouring bins put together, the emptiest first, until few are left."""
    groups = [[i] for i in range(len(one.edges) + 1)]

    def weight(group: list[int]) -> float:
        return float(max(one.shares[group].sum(), current[group].sum()))

    while len(groups) > 1:
        emptiest = min(range(len(groups)), key=lambda i: weight(groups[i]))
        if len(groups) <= MOST_BINS and weight(groups[emptiest]) > 0:
            break
        beside = [i for i in (emptiest - 1, emptiest + 1) if 0 <= i < len(groups)]
        at = min(emptiest, min(beside, key=lambda i: weight(groups[i])))
        groups[at : at + 2] = [groups[at] + groups[at + 1]]
    return [
        Compared(
            label=_step_label(one.edges, group[0], group[-1], texts, scale),
            baseline=float(one.shares[group].sum()),
            current=float(current[group].sum()),
        )
        for group in groups
    ]


def _step_label(edges: tuple[float, ...], first: int, last: int, texts: Texts, scale: float) -> str:
    """The values of bins first to last: above the edge before, at most the edge of the last."""
    low = edges[first - 1] if first > 0 else None
    high = edges[last] if last < len(edges) else None

    def said(value: float) -> str:
        return texts.numerals.number(value * scale)

    from_edge = low is not None and first < len(edges) and _next(low) == edges[first]
    if low is not None and from_edge:  # the bin before ends just below this edge
        low = edges[first]
    if high is None:
        return "–" if low is None else f"{'≥' if from_edge else '>'} {said(low)}"
    if from_edge and low == high:
        return f"= {said(high)}"
    below = last + 1 < len(edges) and _next(high) == edges[last + 1]
    if below:  # this bin ends just below the next edge
        high = edges[last + 1]
    if low is None:
        return f"{'<' if below else '≤'} {said(high)}"
    return f"{said(low)} … {'< ' if below else ''}{said(high)}"


def _next(value: float) -> float:
    return math.nextafter(value, math.inf)
