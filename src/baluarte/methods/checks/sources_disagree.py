"""Sources whose labels contradict the others' on like events: careless, or poisoned.

What an event looks like is told by a small model of the other fields, each half of the rows by the
other half: the sum of the log odds of their values (naive Bayes). Events are compared within tenths
of it.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import ALPHA, by_chance, chance_figure, share_figure
from baluarte.core.column_names import plain, tokens
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding, Picture
from baluarte.core.labels import attacks
from baluarte.core.telling import bins_of

SOURCE_NAMES = frozenset({
    "source", "feed", "analyst", "annotator", "labeler", "labeller", "labelled_by", "labeled_by",
    "reporter", "reported_by", "reviewer", "reviewed_by", "provider", "vendor", "partner", "tenant",
    "investigator", "fuente", "analista", "proveedor",
})  # fmt: skip
MOST_SOURCES = 1_000
FEWEST = 30  #: labelled events of a source
NOTES = 0.02  #: share of a source's labels too many, or too few
WARNS = 0.05
STRATA = 10
MAX_SHOWN = 10


class SourcesDisagree:
    """Warns where a twentieth of a source's labels are too many or too few, notes a fiftieth.

    Looked at are categories whose name says that they tell who labelled or delivered the event.
    """

    name: ClassVar[str] = "sources_disagree"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a source, the worst first."""
        labels = attacks(contract, events)
        known = np.flatnonzero(labels >= 0)
        hit = labels[known] == 1
        if min(int(hit.sum()), int((~hit).sum())) < FEWEST:
            return []
        found: list[tuple[float, Finding]] = []
        for field in contract.events.fields:
            named = bool({plain(field.name), *tokens(field.name)} & SOURCE_NAMES)
            usable = field.type == "category" and field.role in (
                "feature",
                "entity",
                "key",
                "sensitive",
            )
            if not (named and usable and field.name in events.columns):
                continue
            texts = [str(v) for v in events.columns[field.name][known].tolist()]
            names, source = np.unique(np.array(texts), return_inverse=True)
            if 2 <= len(names) <= MOST_SOURCES:
                stratum = _strata(contract, events, field.name, known, hit)
                found += _of_sources(field.name, names, source, stratum, hit)
        return [finding for _, finding in sorted(found, key=lambda entry: -entry[0])]


def _of_sources(
    field: str,
    names: NDArray[np.str_],
    source: NDArray[np.int64],
    stratum: NDArray[np.int64],
    hit: NDArray[np.bool_],
) -> list[tuple[float, Finding]]:
    rows = np.bincount(stratum, minlength=STRATA)
    hits = np.bincount(stratum[hit], minlength=STRATA)
    seen: dict[str, tuple[float, float, int, float]] = {}
    for at, name in enumerate(names.tolist()):
        own = source == at
        n = np.bincount(stratum[own], minlength=STRATA)
        k = np.bincount(stratum[own & hit], minlength=STRATA)
        if n.sum() < FEWEST or n.sum() == rows.sum():
            continue
        used = (n > 0) & (rows > n)
        others = (hits[used] - k[used]) / (rows[used] - n[used])
        expected = float((n[used] * others).sum()) / float(n[used].sum())
        chance = by_chance(k[used], n[used], hits[used], rows[used])
        seen[name] = (float(k.sum() / n.sum()), expected, int(n.sum()), chance)
    found = []
    ranked = sorted(seen, key=lambda name: -abs(seen[name][0] - seen[name][1]))
    shown = ranked[:MAX_SHOWN]
    for name in ranked:
        observed, expected, count, chance = seen[name]
        difference = abs(observed - expected)
        if difference < NOTES or chance * len(seen) > ALPHA:
            continue
        finding = Finding(
            check="sources_disagree",
            level="warn" if difference >= WARNS else "note",
            field=field,
            values={
                "field": field, "source": name, "n": count, "observed": observed,
                "expected": expected,
            },
            evidence=(
                share_figure("attacks", round(observed * count), count),
                chance_figure(chance, len(seen)),
            ),
            picture=Picture(
                name="sources",
                labels=tuple(name[:40] for name in shown),
                values=tuple(seen[name][0] for name in shown),
                others=tuple(seen[name][1] for name in shown),
            ),
        )  # fmt: skip
        found.append((difference, finding))
    return found


def _strata(
    contract: Contract,
    events: Events,
    left_out: str,
    rows: NDArray[np.int64],
    hit: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """(rows,) the tenth of each row by what its other fields say."""
    score = np.zeros(len(rows))
    half = np.arange(len(rows)) % 2 == 0
    for field in contract.events.features:
        if field.name == left_out or field.name not in events.columns:
            continue
        bins = bins_of(events.columns[field.name][rows])
        n_bins = int(bins.max()) + 1
        for judged, counted in ((half, ~half), (~half, half)):
            hits = np.bincount(bins[counted & hit], minlength=n_bins) + 0.5
            rest = np.bincount(bins[counted & ~hit], minlength=n_bins) + 0.5
            odds = np.log(hits / hits.sum()) - np.log(rest / rest.sum())
            score[judged] += odds[bins[judged]]
    edges = np.quantile(score, np.linspace(0, 1, STRATA + 1)[1:-1])
    return np.searchsorted(edges, score, side="right").astype(np.int64)
