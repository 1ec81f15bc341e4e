"""Compute past decisions again from their records, bit for bit, or name the difference."""

from __future__ import annotations

import ipaddress
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from baluarte.core.bundle import SealedBundle
from baluarte.core.decision import DecisionRecord
from baluarte.core.envelope import KEYED_DIGEST
from baluarte.core.event import Values, event_digest
from baluarte.errors import BaluarteError, TrustError
from baluarte.stages.score import Decisions, Scorer
from baluarte.stages.unseal import Unsealer

_BATCH = 4096

Component = Literal[
    "bundle", "event", "features", "score", "points", "band", "outcome", "threshold", "reasons"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first thing that came out otherwise, in the order in which a decision is computed."""

    component: Component
    field: str | None  #: the schema field, of an event's value, a feature or a reason
    recorded: str
    computed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One decision computed again; identical where there is no difference and nothing is erased."""

    id: str
    difference: Difference | None
    n_reasons: int  #: reasons that were recorded and came out the same
    erased: bool = False  #: its personal values are gone for good, so nothing could be computed


OpenAt = Callable[[str, int], SealedBundle]  #: (digest, decided at) to a checked bundle


def replay(
    records: Sequence[DecisionRecord],
    open_bundle: OpenAt,
    *,
    kernel: Literal["auto", "c", "numpy"] = "auto",
    unsealer: Unsealer | None = None,
) -> list[Replayed]:
    """Replay decisions, in the order given; records of one bundle are scored together.

    Nothing but the recorded event is used: features, score, points, band, threshold and reasons are
    all computed again by the bundle that the record names.

    Args:
        open_bundle: gives the sealed bundle with a digest, checked as of the decision's time. A
            bundle that can't be opened is a difference of its decisions, named ``bundle``.
        unsealer: opens records that are still sealed; values that can't be opened are a difference
            of the event. Without it a sealed record counts as erased.
    """
    found: dict[int, Replayed] = {}
    records = _unsealed(records, unsealer, found)
    groups: dict[str, list[int]] = defaultdict(list)
    for i, record in enumerate(records):
        if i not in found:
            groups[record.bundle].append(i)
    for members in groups.values():
        scorer, lost = _open(records, members, open_bundle, kernel)
        for i, difference in lost.items():
            found[i] = Replayed(id=records[i].id, difference=difference, n_reasons=0)
        kept = [i for i in members if i not in lost]
        for start in range(0, len(kept), _BATCH):
            some = kept[start : start + _BATCH]
            if scorer is not None:
                again = _replay_batch(scorer, [records[i] for i in some])
                found.update(zip(some, again, strict=True))
    return [found[i] for i in range(len(records))]


def _unsealed(
    records: Sequence[DecisionRecord], unsealer: Unsealer | None, found: dict[int, Replayed]
) -> list[DecisionRecord]:
    """The records opened; those that can't be computed again are found already."""
    out: list[DecisionRecord] = []
    for start in range(0, len(records), _BATCH):
        some = records[start : start + _BATCH]
        opened = some if unsealer is None else unsealer.each(some)
        for i, (record, result) in enumerate(zip(some, opened, strict=True), start):
            if isinstance(result, TrustError):
                fault = _differs("event", None, "sealed values", result)
                found[i] = Replayed(id=record.id, difference=fault, n_reasons=0)
            elif result.is_sealed:
                found[i] = Replayed(id=record.id, difference=None, n_reasons=0, erased=True)
            out.append(record if isinstance(result, TrustError) else result)
    return out


def _open(
    records: Sequence[DecisionRecord],
    members: Sequence[int],
    open_bundle: OpenAt,
    kernel: Literal["auto", "c", "numpy"],
) -> tuple[Scorer | None, dict[int, Difference]]:
    """A scorer for the records of one bundle, and those whose bundle didn't hold at their time."""
    digest = records[members[0]].bundle
    try:
        latest = max(records[i].decided_at for i in members)
        return Scorer(open_bundle(digest, latest), kernel=kernel), {}
    except BaluarteError:  # not at the latest time: each decision by its own
        scorer: Scorer | None = None
        lost: dict[int, Difference] = {}
        for i in members:
            try:
                bundle = open_bundle(digest, records[i].decided_at)
                scorer = scorer or Scorer(bundle, kernel=kernel)
            except BaluarteError as error:
                lost[i] = _differs("bundle", None, digest, error)
        return scorer, lost


def _replay_batch(scorer: Scorer, records: Sequence[DecisionRecord]) -> list[Replayed]:
    broken = [_event_difference(scorer, record) for record in records]
    sound = [i for i, difference in enumerate(broken) if difference is None]
    decisions = scorer.decide_records([records[i].event for i in sound], reasons="all")
    out = [
        Replayed(id=record.id, difference=difference, n_reasons=0)
        for record, difference in zip(records, broken, strict=True)
    ]
    features = decisions.features.tolist()
    phi = decisions.phi.tolist()
    for row, i in enumerate(sound):
        difference = _compare(
            scorer, records[i], decisions, row, features=features[row], phi=phi[row]
        )
        n_reasons = 0 if difference else len(records[i].reasons or ())
        out[i] = Replayed(id=records[i].id, difference=difference, n_reasons=n_reasons)
    return out


def _event_difference(scorer: Scorer, record: DecisionRecord) -> Difference | None:
    """Whether the recorded event is whole, and of the kinds that the schema says."""
    if not record.event_digest.startswith(KEYED_DIGEST):  # that one held when it was opened
        digest = event_digest(record.event)
        if digest != record.event_digest:
            return _differs("event", None, record.event_digest, digest)
    wrong = _wrong_kind(scorer, record.event)
    if wrong is not None:
        return _differs("event", wrong, record.event[wrong], "a value of another kind")
    return None


def _wrong_kind(scorer: Scorer, event: Values) -> str | None:
    for f in scorer.contract.events.features:
        value = event.get(f.name)
        if value is None:
            continue
        textual = f.type in ("category", "text", "ip")
        infinite = f.allow_infinite and value in ("Infinity", "-Infinity")
        if isinstance(value, str) != textual and not infinite:
            return f.name
        if f.type == "ip" and not _is_address(value):
            return f.name
    return None


def _is_address(value: object) -> bool:
    try:
        ipaddress.ip_address(str(value))
    except ValueError:
        return False
    return True


def _compare(
    scorer: Scorer,
    record: DecisionRecord,
    decisions: Decisions,
    row: int,
    *,
    features: list[float],
    phi: list[int],
) -> Difference | None:
    """The first difference, from the encoder to the reasons."""
    if len(record.features) != len(features):
        return _differs("features", None, len(record.features), len(features))
    for said, computed, info in zip(record.features, features, scorer.encoder.columns, strict=True):
        if not _same_float(said, computed):
            return _differs("features", info.name, said, computed)
    band = int(decisions.bands[row])
    pairs: tuple[tuple[Component, object, object], ...] = (
        ("score", record.score, int(decisions.scores[row])),
        ("points", record.points, int(decisions.points[row])),
        ("band", record.band, band),
        ("outcome", record.outcome, decisions.outcomes[band]),
        ("threshold", record.threshold, scorer.thresholds[band]),
    )
    for component, said_value, computed_value in pairs:
        if said_value != computed_value:
            return _differs(component, None, said_value, computed_value)
    return _compare_reasons(record, decisions, phi)


def _compare_reasons(
    record: DecisionRecord, decisions: Decisions, phi: list[int]
) -> Difference | None:
    if record.reasons is None:
        return None
    if record.base != decisions.base:
        return _differs("reasons", "base", record.base, decisions.base)
    if len(record.reasons) != len(phi):
        return _differs("reasons", None, len(record.reasons), len(phi))
    for said, computed, name in zip(record.reasons, phi, decisions.fields, strict=True):
        if said != computed:
            return _differs("reasons", name, said, computed)
    return None


def _same_float(said: float | None, computed: float) -> bool:
    """Equal to the bit, where every missing value is the same."""
    if said is None or said != said:  # noqa: PLR0124 - NaN is the one value unlike itself
        return math.isnan(computed)
    return said == computed and math.copysign(1.0, said) == math.copysign(1.0, computed)


def _differs(
    component: Component, field: str | None, recorded: object, computed: object
) -> Difference:
    return Difference(
        component=component, field=field, recorded=str(recorded), computed=str(computed)
    )
