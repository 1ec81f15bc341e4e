"""Two versions side by side: what they were made of, and what they decide on the same events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from msgspec import UnsetType
from numpy.typing import NDArray

from baluarte.core.binomial import binomial_cdf
from baluarte.core.bounds import clopper_pearson_high, clopper_pearson_low
from baluarte.core.bundle import SealedBundle
from baluarte.core.contract_diff import ContractChange, contract_changes
from baluarte.core.event import Value, Values
from baluarte.core.evidence import Figure
from baluarte.core.paired import share_difference
from baluarte.stages.score import Decisions, Kernel, Scorer

CONFIDENCE = 0.95
MOST_SEGMENTS = 12  #: values of a field that are told apart; the others together
MOVERS = 5  #: events whose reasons are told
_BATCH = 4_096


class PartChange(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the data that each version was made of; null where it had none."""

    part: str
    same: bool
    rows: tuple[int | None, int | None]
    digests: tuple[str | None, str | None]
    spans: tuple[tuple[int, int] | None, tuple[int, int] | None]  #: microseconds of UTC


class FeatureChange(msgspec.Struct, frozen=True, kw_only=True):
    """One feature that is encoded otherwise.

    Attributes:
        gained: categories that only the newer version knows, by falling frequency; likewise lost.
    """

    field: str
    kind: Literal["added", "removed", "type", "cleaning", "categories"]
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class FigurePair(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of both versions, each on its own proof rows."""

    name: str
    old: Figure | None
    new: Figure | None


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Events with one value of a field: how many, and how many are decided otherwise."""

    field: str
    value: Value | None  #: null where it is missing; the text ``…`` for the rarer values together
    n: int
    changed: int


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """Where only one of the two versions is right, on the labelled events of one kind.

    Attributes:
        difference: share by which the newer one is right more often, with the score interval of a
            paired difference and the exact two-sided test.

    Source: McNemar, Psychometrika 12(2), 1947; Tango, Statistics in Medicine 17(8), 1998.
    """

    kind: Literal["attacks", "others"]
    n: int
    only_old: int
    only_new: int
    difference: float
    low: float
    high: float
    p_value: float


class MovedReason(msgspec.Struct, frozen=True, kw_only=True):
    """What one field says in each version, on the margin; null where a version doesn't read it."""

    field: str
    value: Value | None
    old: float | None
    new: float | None


class Mover(msgspec.Struct, frozen=True, kw_only=True):
    """One event whose points moved far."""

    event_id: str
    points: tuple[int, int]
    outcomes: tuple[str, str]
    reasons: tuple[MovedReason, ...]  #: those that moved most


class SameEvents(msgspec.Struct, frozen=True, kw_only=True):
    """What both versions decide on the same events.

    Attributes:
        moves: (outcome of the older, outcome of the newer, events), all pairs that occur.
        low, high: exact interval of the share that is decided otherwise.
        absent: version and feature where no event has a value of it.
    """

    n: int
    changed: int
    low: float
    high: float
    moves: tuple[tuple[str, str, int], ...]
    segments: tuple[Segment, ...]
    paired: tuple[Paired, ...]
    movers: tuple[Mover, ...]
    absent: tuple[str, ...] = ()
    confidence: float = CONFIDENCE


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All that differs between two versions."""

    old: str
    new: str
    contract: tuple[ContractChange, ...]
    data: tuple[PartChange, ...]
    features: tuple[FeatureChange, ...]
    figures: tuple[FigurePair, ...]
    events: SameEvents | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The same events, as each of the two versions reads them."""

    old: Sequence[Values]
    new: Sequence[Values]
    labels: NDArray[np.int8]  #: (n,) 1 attack, 0 not, -1 unknown
    segments: Sequence[str]  #: fields to tell apart by


def compare(
    old: SealedBundle, new: SealedBundle, shared: Shared | None, *, kernel: Kernel = "auto"
) -> Comparison:
    """Put two versions side by side; what they decide needs events."""
    return Comparison(
        old=_label(old),
        new=_label(new),
        contract=contract_changes(old.contract, new.contract),
        data=_data(old, new),
        features=_features(old, new),
        figures=_figures(old, new),
        events=None
        if shared is None or not shared.new
        else _same_events(Scorer(old, kernel=kernel), Scorer(new, kernel=kernel), shared),
    )


def _label(bundle: SealedBundle) -> str:
    return f"{bundle.manifest.name}@{bundle.manifest.version}"


def _data(old: SealedBundle, new: SealedBundle) -> tuple[PartChange, ...]:
    before, after = old.lineage, new.lineage
    spans = [{} if isinstance(b.spans, UnsetType) else b.spans for b in (before, after)]
    return tuple(
        PartChange(
            part=part,
            same=before.data.get(part) == after.data.get(part),
            rows=(before.rows.get(part), after.rows.get(part)),
            digests=(before.data.get(part), after.data.get(part)),
            spans=(spans[0].get(part), spans[1].get(part)),
        )
        for part in dict.fromkeys([*before.data, *after.data])
    )


def _features(old: SealedBundle, new: SealedBundle) -> tuple[FeatureChange, ...]:
    before = {table.field: table for table in old.encoder.tables.fields}
    after = {table.field: table for table in new.encoder.tables.fields}
    found: list[FeatureChange] = []
    for field in dict.fromkeys([*before, *after]):
        if field not in after or field not in before:
            kind: Literal["added", "removed"] = "added" if field in after else "removed"
            found.append(FeatureChange(field=field, kind=kind))
            continue
        a, b = before[field], after[field]
        if a.type != b.type:
            found.append(FeatureChange(field=field, kind="type"))
        if a.steps != b.steps:
            found.append(FeatureChange(field=field, kind="cleaning"))
        gained = tuple(c for c in b.categories if c not in set(a.categories))
        lost = tuple(c for c in a.categories if c not in set(b.categories))
        if gained or lost:
            found.append(FeatureChange(field=field, kind="categories", gained=gained, lost=lost))
    return tuple(found)


def _figures(old: SealedBundle, new: SealedBundle) -> tuple[FigurePair, ...]:
    before = {figure.name: figure for figure in old.evidence.figures}
    after = {figure.name: figure for figure in new.evidence.figures}
    return tuple(
        FigurePair(name=name, old=before.get(name), new=after.get(name))
        for name in dict.fromkeys([*before, *after])
        if not name.startswith(("champion.", "discordant."))
    )


# --- the same events -----------------------------------------------------------------------------


def _same_events(old: Scorer, new: Scorer, shared: Shared) -> SameEvents:
    before, after = _decide(old, shared.old), _decide(new, shared.new)
    names = [
        [decided.outcomes[band] for band in decided.bands.tolist()] for decided in (before, after)
    ]
    changed = np.array([a != b for a, b in zip(*names, strict=True)], np.bool_)
    n, k, alpha = len(changed), int(changed.sum()), 1 - CONFIDENCE
    pairs = Counter(zip(*names, strict=True))
    return SameEvents(
        n=n,
        changed=k,
        low=clopper_pearson_low(k, n, alpha / 2),
        high=clopper_pearson_high(k, n, alpha / 2),
        moves=tuple((a, b, count) for (a, b), count in pairs.most_common()),
        segments=tuple(
            segment for field in shared.segments for segment in _segments(field, shared, changed)
        ),
        paired=_paired(before.bands > 0, after.bands > 0, shared.labels),
        movers=_movers(old, new, shared, (before, after)),
        absent=tuple(
            f"{scorer.detector}@{scorer.version} {field}"
            for scorer, events in ((old, shared.old), (new, shared.new))
            for field in scorer.fields
            if not any(field in event for event in events)
        ),
    )


def _decide(scorer: Scorer, events: Sequence[Values]) -> Decisions:
    """All events at once, in batches that bound memory."""
    parts = [
        scorer.decide_records(events[start : start + _BATCH], reasons="none")
        for start in range(0, len(events), _BATCH)
    ]
    first = parts[0]
    return Decisions(
        n=len(events),
        features=np.concatenate([part.features for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        points=np.concatenate([part.points for part in parts]),
        probability=np.concatenate([part.probability for part in parts]),
        bands=np.concatenate([part.bands for part in parts]),
        outcomes=first.outcomes,
        fields=first.fields,
        base=first.base,
        explained=first.explained,
        phi=first.phi,
    )


def _segments(field: str, shared: Shared, changed: NDArray[np.bool_]) -> list[Segment]:
    values = [
        new.get(field, old.get(field)) for old, new in zip(shared.old, shared.new, strict=True)
    ]
    named = {value for value, _ in Counter(values).most_common(MOST_SEGMENTS)}
    rows: dict[Value | None, list[bool]] = {}
    for value, moved in zip(values, changed.tolist(), strict=True):
        rows.setdefault(value if value in named else "…", []).append(moved)
    ordered = sorted(rows.items(), key=lambda item: (-sum(item[1]), -len(item[1]), str(item[0])))
    return [
        Segment(field=field, value=value, n=len(moved), changed=sum(moved))
        for value, moved in ordered
    ]


def _paired(
    before: NDArray[np.bool_], after: NDArray[np.bool_], labels: NDArray[np.int8]
) -> tuple[Paired, ...]:
    found: list[Paired] = []
    kinds: tuple[tuple[Literal["attacks", "others"], int], ...] = (("attacks", 1), ("others", 0))
    for kind, label in kinds:
        mine = labels == label
        n = int(mine.sum())
        if n:
            right = [(alert[mine] == (label == 1)) for alert in (before, after)]
            only_old = int((right[0] & ~right[1]).sum())
            only_new = int((right[1] & ~right[0]).sum())
            found.append(paired(kind, n, only_old, only_new))
    return tuple(found)


def paired(kind: Literal["attacks", "others"], n: int, only_old: int, only_new: int) -> Paired:
    """The comparison of two versions on ``n`` events, from where only one is right."""
    m, p_value = only_old + only_new, 1.0
    low, high = share_difference(only_new, only_old, n, confidence=CONFIDENCE)
    if m:
        p_value = min(1.0, 2 * binomial_cdf(min(only_old, only_new), m, 0.5))
    return Paired(
        kind=kind,
        n=n,
        only_old=only_old,
        only_new=only_new,
        difference=(only_new - only_old) / n,
        low=low,
        high=high,
        p_value=p_value,
    )


def _movers(
    old: Scorer, new: Scorer, shared: Shared, decided: tuple[Decisions, Decisions]
) -> tuple[Mover, ...]:
    """The events whose points moved furthest, with what moved them."""
    before, after = decided
    far = np.abs(after.points - before.points)
    rows = [row for row in np.argsort(-far, kind="stable")[:MOVERS].tolist() if far[row]]
    out: list[Mover] = []
    for row in rows:
        event = shared.old[row] | shared.new[row]
        out.append(
            Mover(
                event_id=new.identify(shared.new[row], ordinal=row, arrival_us=0).event_id,
                points=(int(before.points[row]), int(after.points[row])),
                outcomes=(
                    before.outcomes[int(before.bands[row])],
                    after.outcomes[int(after.bands[row])],
                ),
                reasons=_moved(
                    _margins(old, shared.old[row]), _margins(new, shared.new[row]), event
                ),
            )
        )
    return tuple(out)


def _margins(scorer: Scorer, event: Values) -> dict[str, float]:
    decided = scorer.decide_records([event], reasons="all")
    scale = 2.0**-scorer.evaluator.program.scale_bits
    return {
        field: units * scale
        for field, units in zip(decided.fields, decided.phi[0].tolist(), strict=True)
    }


def _moved(
    before: dict[str, float], after: dict[str, float], event: Values
) -> tuple[MovedReason, ...]:
    fields = sorted(
        dict.fromkeys([*before, *after]),
        key=lambda field: -abs(after.get(field, 0.0) - before.get(field, 0.0)),
    )
    return tuple(
        MovedReason(
            field=field, value=event.get(field), old=before.get(field), new=after.get(field)
        )
        for field in fields[:MOVERS]
        if before.get(field, 0.0) != after.get(field, 0.0)
    )
