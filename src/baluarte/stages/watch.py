"""Watch: have the inputs moved, and, where labels are in, is the promise kept?

Input drift is a reason to look; only harm, measured on labels, is a reason to act.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from baluarte.core.bounds import clopper_pearson_high, clopper_pearson_low, look_alpha
from baluarte.core.contract import Contract
from baluarte.core.cost_bound import mean_high, most_of, spent
from baluarte.core.decision import DecisionRecord, Record
from baluarte.core.drift import Alarm
from baluarte.core.episodes import Episode, fold
from baluarte.core.evidence import Figure
from baluarte.ports import DriftMonitor, LedgerReader
from baluarte.stages.unseal import Unsealer

OpenMonitor = Callable[[str, bytes | None], DriftMonitor | None]
"""A monitor of the bundle with this digest, from a state or the start; None where none is armed."""

State = Literal["kept", "open", "broken"]
AT_MOST = frozenset({"false_alarm_rate", "alert_rate", "mean_cost"})  #: promised to stay below


class Watching(msgspec.Struct, frozen=True, kw_only=True):
    """How far the watch over one detector has come; kept between runs.

    Attributes:
        cursors: the next record of each ledger shard.
        bundle: digest of the bundle whose baseline the events are held against.
        monitor: the drift monitor's own state.
        events: decisions seen since that bundle began to decide.
        total: decisions seen since the watch began.
        episodes: the changes of the inputs that raised alarms, oldest first.
        looks: how often the promise was looked at; each look spends from one error probability.
    """

    cursors: dict[str, int] = {}
    bundle: str = ""
    monitor: bytes | None = None
    events: int = 0
    total: int = 0
    episodes: tuple[Episode, ...] = ()
    looks: int = 0

    @property
    def lasting(self) -> tuple[Episode, ...]:
        """The changes that go on, as far as can be told."""
        return tuple(e for e in self.episodes if e.lasts(self.bundle, self.events))

    @property
    def own(self) -> tuple[Episode, ...]:
        """The changes from the baseline of the bundle that decides now."""
        start = self.total - self.events
        return tuple(e for e in self.episodes if e.bundle == self.bundle and e.place >= start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one step of the watch saw."""

    watching: Watching
    records: list[DecisionRecord]  #: the champion's further decisions, in the order they were made
    alarms: list[Alarm]  #: raised by them, repeats of a change that lasts left out
    armed: bool  #: whether the bundle that decides has a baseline to hold them against


def further_decisions(
    reader: LedgerReader, cursors: Mapping[str, int], detector: str
) -> tuple[list[DecisionRecord], dict[str, int]]:
    """The champion's decisions since the cursors, by time over all shards, and the new cursors."""
    ends = {tag: reader.size(tag) for tag in reader.shards()}
    decode = msgspec.json.Decoder(Record).decode

    def shard(tag: str) -> Iterator[DecisionRecord]:
        for data in reader.records(tag, cursors.get(tag, 0), ends[tag]):
            record = decode(data)
            if (
                isinstance(record, DecisionRecord)
                and record.detector == detector
                and record.role == "champion"
            ):
                yield record

    merged = heapq.merge(*(shard(tag) for tag in ends), key=lambda record: record.decided_at)
    return list(merged), {**cursors, **ends}


def step(
    watching: Watching,
    reader: LedgerReader,
    detector: str,
    open_monitor: OpenMonitor,
    *,
    unsealer: Unsealer,
) -> Seen:
    """Hold the decisions since the last step against their baselines.

    A decision about a person who was erased since counts, and is not held against anything.
    Where another bundle has begun to decide, the watch starts anew on its baseline.

    Raises:
        TrustError: a record is damaged, or a baseline isn't one.
    """
    sealed, cursors = further_decisions(reader, watching.cursors, detector)
    records = unsealer.all(sealed)
    bundle, events = watching.bundle, watching.events
    monitor = open_monitor(bundle, watching.monitor) if bundle else None
    alarms: list[Alarm] = []
    episodes, total = watching.episodes, watching.total
    for digest, group in _runs(records):
        if digest != bundle:
            bundle, events = digest, 0
            monitor = open_monitor(digest, None)
        if monitor is not None:
            held = [row for row in group if not row.is_sealed]
            # None becomes NaN
            X = np.array([row.features for row in held], dtype=np.float64)
            scores = np.array([row.score for row in held], dtype=np.int64)
            for alarm in monitor.update(X, scores) if held else []:
                place = total - events + alarm.at
                episodes, is_new = fold(episodes, alarm, place=place, bundle=bundle)
                alarms += [alarm] if is_new else []
        events += len(group)
        total += len(group)
    after = Watching(
        cursors=cursors,
        bundle=bundle,
        monitor=None if monitor is None else monitor.state(),
        events=events,
        total=total,
        episodes=episodes,
        looks=watching.looks,
    )
    return Seen(watching=after, records=records, alarms=alarms, armed=monitor is not None)


def _runs(
    records: Sequence[DecisionRecord],
) -> Iterator[tuple[str, list[DecisionRecord]]]:
    """Decisions in runs of one bundle, in order."""
    start = 0
    for i in range(1, len(records) + 1):
        if i == len(records) or records[i].bundle != records[start].bundle:
            yield records[start].bundle, list(records[start:i])
            start = i


# --- the promise ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One promised figure on labelled decisions: its value, its bounds, and what they say."""

    figure: Figure
    limit: float
    state: State  #: broken and kept are shown by a bound; open is neither


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What labels say so far. Events without a label are never counted as harmless."""

    n_labelled: int
    n_attacks: int
    figures: tuple[Kept, ...]

    @property
    def broken(self) -> bool:
        """Whether a bound shows that something promised does not hold."""
        return any(kept.state == "broken" for kept in self.figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One decision that the promise is held against.

    Attributes:
        band: above 0 it is an alert.
        label: 1 attack, 0 not, None not known.
        cost_missed: of letting it pass if it is an attack; None where that can't be known any more.
        cost_false_alarm: likewise, of flagging it if it is none.
    """

    band: int
    label: Literal[0, 1] | None
    cost_missed: float | None = None
    cost_false_alarm: float | None = None


def promise(contract: Contract, decided: Sequence[Decided], *, look: int) -> Promise:
    """Hold the decisions against the contract's promises.

    ``max_alerts_per_day`` is a rate of all decisions; the others are figures of labelled ones.

    Args:
        look: number of this look, from 1; it spends α·6/(π²·look²), so that looking again and again
            shows a promise broken that holds in at most α of all histories.

    Raises:
        ContractError: ``max_cost`` and no largest cost of one event.
        DataError: an event costs more than the contract says that one can.

    Source: Clopper & Pearson, Biometrika 26(4), 1934; Maurer & Pontil, COLT 2009 (the mean cost).
    """
    alpha = look_alpha(1 - contract.objective.confidence, look)
    attacks = [one.band > 0 for one in decided if one.label == 1]
    rest = [one.band > 0 for one in decided if one.label == 0]
    figures = []
    objective = contract.objective
    if objective.min_recall is not None and attacks:
        figures.append(_at_least("recall", sum(attacks), len(attacks), objective.min_recall, alpha))
    budget = objective.budget
    if budget.kind == "max_fpr" and rest:
        figures.append(_at_most("false_alarm_rate", sum(rest), len(rest), budget.value, alpha))
    if budget.kind == "min_precision" and sum(attacks) + sum(rest):
        alerts = sum(attacks) + sum(rest)
        figures.append(_at_least("precision", sum(attacks), alerts, budget.value, alpha))
    if budget.kind == "max_alerts_per_day" and objective.events_per_day and decided:
        alerts = sum(one.band > 0 for one in decided)
        limit = min(budget.value / objective.events_per_day, 1.0)
        figures.append(_at_most("alert_rate", alerts, len(decided), limit, alpha))
    if budget.kind == "max_cost":
        figures += _mean_cost(contract, decided, alpha)
    n = len(attacks) + len(rest)
    return Promise(n_labelled=n, n_attacks=len(attacks), figures=tuple(figures))


def _mean_cost(contract: Contract, decided: Sequence[Decided], alpha: float) -> list[Kept]:
    known = [
        (one.label, one.band, one.cost_missed, one.cost_false_alarm)
        for one in decided
        if one.label is not None
        and one.cost_missed is not None
        and one.cost_false_alarm is not None
    ]
    if not known:
        return []
    labels, bands, missed, false_alarm = (np.array(column) for column in zip(*known, strict=True))
    most = most_of(contract)
    wrong = spent(labels, missed, false_alarm, most=most)
    cost = np.where((bands > 0) == (labels == 0), wrong, 0.0)
    figure = Figure(
        name="mean_cost",
        value=float(cost.mean()),
        low=max(most - mean_high(most - cost, most=most, alpha=alpha / 2), 0.0),
        high=min(mean_high(cost, most=most, alpha=alpha / 2), most),
        confidence=1 - alpha,
        method="empirical Bernstein two-sided, budgeted over looks",
        n=len(cost),
    )
    return [_below(figure, contract.objective.budget.value)]


def _figure(name: str, k: int, n: int, alpha: float) -> Figure:
    return Figure(
        name=name,
        value=k / n,
        low=clopper_pearson_low(k, n, alpha / 2),
        high=clopper_pearson_high(k, n, alpha / 2),
        confidence=1 - alpha,
        method="clopper-pearson two-sided, budgeted over looks",
        n=n,
    )


def _at_least(name: str, k: int, n: int, limit: float, alpha: float) -> Kept:
    figure = _figure(name, k, n, alpha)
    low, high = figure.low or 0.0, figure.high if figure.high is not None else 1.0
    state: State = "broken" if high < limit else "kept" if low >= limit else "open"
    return Kept(figure=figure, limit=limit, state=state)


def _at_most(name: str, k: int, n: int, limit: float, alpha: float) -> Kept:
    return _below(_figure(name, k, n, alpha), limit)


def _below(figure: Figure, limit: float) -> Kept:
    low, high = figure.low or 0.0, figure.high if figure.high is not None else math.inf
    state: State = "broken" if low > limit else "kept" if high <= limit else "open"
    return Kept(figure=figure, limit=limit, state=state)
