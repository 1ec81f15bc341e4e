"""Sources whose labels contradict the others' on like events: careless, or poisoned.

What an event looks like is told by a small model of the other fields, each half of the rows by the
other half: the sum of the log odds of their values (naive Bayes). Events are compared within tenths
of it, and within the tenths of what is left at its top, where attacks are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import ALPHA, by_chance, chance_figure, share_figure
from baluarte.core.column_names import plain, tokens
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Finding, Picture
from baluarte.core.labels import LABEL_SOURCE, attacks
from baluarte.core.telling import bins_of

SOURCE_NAMES = frozenset({
    "source", "feed", "analyst", "annotator", "labeler", "labeller", "labelled_by", "labeled_by",
    "reporter", "reported_by", "reviewer", "reviewed_by", "provider", "vendor", "partner", "tenant",
    "investigator", "fuente", "analista", "proveedor",
})  # fmt: skip
MOST_SOURCES = 1_000
MOST_UNNAMED = 50  #: values of a field that may be a source though its name doesn't say so
FEWEST = 30  #: labelled events of a source
NOTES = 0.02  #: share of a source's labels too many, or too few
WARNS = 0.05
ALIKE = 0.02  #: how far the other values of an unnamed field may be from one another
SURE = 0.1  #: how far from 0 or 1 the others' share of attacks is where the look decides
BREAKS = 0.2  #: share of a source's labels that go against a look that decides
FEWEST_SURE = 20  #: of its events that look so
STRATA = 10
MAX_SHOWN = 10
_Counts = tuple[list[str], NDArray[np.int64], NDArray[np.int64]]
_ROLES = ("feature", "entity", "key", "sensitive")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One source's labels against those of the others on like events."""

    observed: float
    expected: float
    n: int
    chance: float
    breaks: float  #: share against the others where these agree; 0 where they never do

    @property
    def difference(self) -> float:
        return abs(self.observed - self.expected)


class SourcesDisagree:
    """Warns where a twentieth of a source's labels are too many or too few, notes a fiftieth.

    Looked at are categories whose name says that they tell who labelled or delivered the event.
    Any other category of at most 50 values is taken for a source only where all but a few of its
    values agree with each other on like events, as honest sources do and honest properties don't,
    and the few go against the others where these all but agree on what an event is.
    """

    name: ClassVar[str] = "sources_disagree"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a source, the worst first."""
        look = _Look(contract, events)
        if not look.is_enough:
            return []
        found: list[tuple[float, Finding]] = []
        for field in contract.events.fields:
            if field.type != "category" or field.role not in _ROLES:
                continue
            if field.name not in events.columns:
                continue
            named = bool({plain(field.name), *tokens(field.name)} & SOURCE_NAMES)
            told = look.sources(field.name, MOST_SOURCES if named else MOST_UNNAMED)
            if named:
                few = told = _honest_apart(look, field.name, told)
            else:
                few = _few(look, field.name, told)
            found += _findings("sources_disagree", field.name, few, told)
        return [finding for _, finding in sorted(found, key=lambda entry: -entry[0])]

    def of_labels(self, contract: Contract, events: Events) -> list[Finding]:
        """The same of those who gave the labels of events that were decided, the worst first.

        Args:
            events: with the column :data:`baluarte.core.labels.LABEL_SOURCE`.
        """
        look = _Look(contract, events)
        if not look.is_enough or LABEL_SOURCE not in events.columns:
            return []
        told = _honest_apart(look, LABEL_SOURCE, look.sources(LABEL_SOURCE, MOST_SOURCES))
        found = _findings("sources_disagree.labels", None, told, told)
        return [finding for _, finding in sorted(found, key=lambda entry: -entry[0])]


class _Look:
    """What the labelled events look like, and what each source says of like ones."""

    def __init__(self, contract: Contract, events: Events) -> None:
        labels = attacks(contract, events)
        self._events = events
        self._rows = np.flatnonzero(labels >= 0)
        self._hit = labels[self._rows] == 1
        hits = int(self._hit.sum())
        self.is_enough = min(hits, len(self._hit) - hits) >= FEWEST
        self._features = {f.name for f in contract.events.features if f.name in events.columns}
        self._score: NDArray[np.float64] | None = None
        self._asked: dict[str, _Counts] = {}

    def sources(
        self, name: str, most: int, *, without: frozenset[str] = frozenset()
    ) -> dict[str, _Source]:
        """What each value of a column says; none where it has one value, or more than ``most``.

        Args:
            without: values whose events are left out.
        """
        names, n, k = self._counts(name, most)
        kept = np.array([text not in without for text in names], dtype=bool)
        rows, hits = n[kept].sum(axis=0), k[kept].sum(axis=0)
        return {
            text: _against(n[at], k[at], rows, hits)
            for at, text in enumerate(names)
            if kept[at] and FEWEST <= n[at].sum() < rows.sum()
        }

    def _counts(self, name: str, most: int) -> _Counts:
        """The values of a column, and the events and attacks of each in each stratum."""
        if name in self._asked:
            return self._asked[name]
        texts = np.array([str(v) for v in self._events.columns[name][self._rows].tolist()])
        names, source = np.unique(texts, return_inverse=True)
        counted: _Counts = ([], np.zeros((0, 1), np.int64), np.zeros((0, 1), np.int64))
        if 2 <= len(names) <= most:
            stratum = self._strata(name)
            n_strata = int(stratum.max()) + 1
            cell, shape = source * n_strata + stratum, (len(names), n_strata)
            n = np.bincount(cell, minlength=shape[0] * shape[1])
            k = np.bincount(cell[self._hit], minlength=shape[0] * shape[1])
            counted = (names.tolist(), n.reshape(shape), k.reshape(shape))
        self._asked[name] = counted
        return counted

    def _strata(self, left_out: str) -> NDArray[np.int64]:
        """(rows,) what each row is like by its other fields: a tenth, the top one in tenths."""
        if self._score is None:
            parts = (self._odds(name) for name in sorted(self._features))
            self._score = sum(parts, np.zeros(len(self._rows)))
        score = self._score - self._odds(left_out) if left_out in self._features else self._score
        tenths = np.linspace(0, 1, STRATA + 1)[1:-1]
        edges = np.quantile(score, tenths)
        top = score[score >= edges[-1]]
        finer = np.quantile(top, tenths) if len(top) else top
        return np.searchsorted(np.unique(np.r_[edges, finer]), score, side="right").astype(np.int64)

    def _odds(self, name: str) -> NDArray[np.float64]:
        """(rows,) the log odds of each row's value, counted on the other half of the rows."""
        column: Column = self._events.columns[name][self._rows]
        bins, half = bins_of(column), np.arange(len(self._rows)) % 2 == 0
        n_bins = int(bins.max()) + 1
        odds = np.zeros(len(self._rows))
        for judged, counted in ((half, ~half), (~half, half)):
            hits = np.bincount(bins[counted & self._hit], minlength=n_bins) + 0.5
            rest = np.bincount(bins[counted & ~self._hit], minlength=n_bins) + 0.5
            each = np.log(hits / hits.sum()) - np.log(rest / rest.sum())
            odds[judged] = each[bins[judged]]
        return odds


def _against(
    n: NDArray[np.int64], k: NDArray[np.int64], rows: NDArray[np.int64], hits: NDArray[np.int64]
) -> _Source:
    """One source's events and attacks of each stratum against all."""
    used = (n > 0) & (rows > n)
    n, k, rows, hits = n[used], k[used], rows[used], hits[used]
    others = (hits - k) / (rows - n)
    total = max(int(n.sum()), 1)
    sides = ((others >= 1 - SURE, n - k), (others <= SURE, k))
    breaks = [
        float(against[sure].sum() / n[sure].sum())
        for sure, against in sides
        if n[sure].sum() >= FEWEST_SURE
    ]
    return _Source(
        observed=float(k.sum() / total),
        expected=float((n * others).sum()) / total,
        n=int(n.sum()),
        chance=by_chance(k, n, hits, rows) if len(n) else 1.0,
        breaks=max(breaks, default=0.0),
    )


def _honest_apart(look: _Look, name: str, told: dict[str, _Source]) -> dict[str, _Source]:
    """The sources, each judged by those that agree with each other.

    The one that is farthest from the others is set apart, and the others are judged without it, as
    long as one is far; if half or more would have to go, nobody can say who is right.
    """
    odd: list[str] = []
    kept = told
    while kept:
        worst = max(kept, key=lambda text: kept[text].difference)
        if kept[worst].difference < WARNS:
            break
        odd.append(worst)
        if 2 * len(odd) >= len(told):
            return told
        kept = look.sources(name, MOST_SOURCES, without=frozenset(odd))
    judged = dict(kept)
    for text in odd:
        others = frozenset(other for other in odd if other != text)
        judged[text] = look.sources(name, MOST_SOURCES, without=others)[text]
    return judged


def _few(look: _Look, name: str, told: dict[str, _Source]) -> dict[str, _Source]:
    """The values that go against the others, where the others agree; else none."""
    odd = {t: s for t, s in told.items() if s.difference >= NOTES and s.breaks >= BREAKS}
    if not odd or 2 * len(odd) > len(told) - len(odd):
        return {}
    others = look.sources(name, MOST_UNNAMED, without=frozenset(odd))
    agree = len(others) > 1 and all(each.difference <= ALIKE for each in others.values())
    return odd if agree else {}


def _findings(
    check: str, field: str | None, judged: dict[str, _Source], told: dict[str, _Source]
) -> list[tuple[float, Finding]]:
    ranked = sorted(told, key=lambda name: -told[name].difference)
    shown = ranked[:MAX_SHOWN]
    picture = Picture(
        name="sources",
        labels=tuple(name[:40] for name in shown),
        values=tuple(told[name].observed for name in shown),
        others=tuple(told[name].expected for name in shown),
    )
    found = []
    for name in ranked:
        source = told[name]
        if name not in judged or source.difference < NOTES or source.chance * len(told) > ALPHA:
            continue
        values: dict[str, str | int | float] = {
            "field": field or LABEL_SOURCE, "source": name, "n": source.n,
            "observed": source.observed, "expected": source.expected,
        }  # fmt: skip
        finding = Finding(
            check=check,
            level="warn" if source.difference >= WARNS else "note",
            field=field,
            values=values,
            fix=f"distrust:{field or LABEL_SOURCE}={name}",
            evidence=(
                share_figure("attacks", round(source.observed * source.n), source.n),
                chance_figure(source.chance, len(told)),
            ),
            picture=picture,
        )
        found.append((source.difference, finding))
    return found
