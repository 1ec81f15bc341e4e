"""The contract: what one ``detector.toml`` declares and the seal covers."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from baluarte.core.reason_catalogue import ReasonCatalogue
from baluarte.core.schema import Schema

BudgetKind = Literal["max_fpr", "max_alerts_per_day", "min_precision", "max_cost"]
WindowOp = Literal[
    "flag", "count", "share", "rate", "sum", "mean", "min", "max", "distinct", "since_last", "ratio"
]
Combine = Literal["sum", "vote", "stack"]
Calibration = Literal["isotonic", "platt", "beta"]
SplitBy = Literal["time", "entity", "stratum"]
Repeats = Literal["apart", "near", "once"]
Param = bool | int | float | str  #: of a learner
BUDGETS: tuple[BudgetKind, ...] = ("max_fpr", "max_alerts_per_day", "min_precision", "max_cost")


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which values of the label field mean an attack: exactly one list is given.

    Values are compared after the canonical text form of :mod:`baluarte.core.event`.
    """

    field: str
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    family: str | None = None  #: a field that names the attack family, for per-family figures
    #: by field: values of those whose labels count for nothing; not written where there are none
    distrusted: dict[str, tuple[str, ...]] | UnsetType = UNSET


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One limit on alerts; ``value`` is in the unit of ``kind``."""

    kind: BudgetKind
    value: float


class Objective(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the detector promises: recall under one budget, with confidence, in time.

    Rates are in (0, 1). ``cost_missed`` and ``cost_false_alarm`` are numbers or the names of fields
    (such as an amount); ``max_event_cost`` bounds the cost of one event, which the bound needs.
    """

    budget: Budget
    min_recall: float | None = None
    confidence: float = 0.95
    events_per_day: float | None = None
    cost_missed: float | str = 1.0
    cost_false_alarm: float | str = 1.0
    max_event_cost: float | None = None
    max_latency_ms: float | None = None  #: p99 of the processor's time to score one event
    label_delay_days: float = 0.0


class SplitRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the rows are shared out, where it is said; see :mod:`baluarte.core.split`.

    Attributes:
        by: what decides a row's part; time where there is one, if not said.
        repeats: what becomes of fit rows that repeat others; they stay where nothing is said.
            ``apart`` leaves out those that repeat a held-out row but for id, time and label,
            ``near`` also those that nearly do, ``once`` keeps one of such copies in fit, too.
    """

    by: SplitBy | UnsetType = UNSET
    repeats: Repeats | UnsetType = UNSET


class Band(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One outcome; an event is in the highest band whose threshold its score is strictly above."""

    name: str
    budget: Budget | None = None  #: None for the lowest band, which has no threshold


class Points(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What 0-999 points mean, in every version: odds double every ``double_odds`` points."""

    anchor: int = 500  #: points at even ``anchor_odds``
    anchor_odds: float = 1.0  #: odds (attack : not) at the anchor
    double_odds: float = 50.0  #: points that double the odds


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rows a family is fitted on, where attacks are rare.

    ``under`` leaves other events out, ``over`` repeats attacks, until attacks are ``share`` of the
    rows. All that is measured and promised keeps the natural mix.
    """

    how: Literal["under", "over"]
    share: float = 0.5


class Learner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How candidates are trained; every choice here is part of the seal.

    What is not said is left out of the sealed bytes, so that old ones stay equal.

    Attributes:
        class_weight: what one attack weighs against the rest: 1, as much as makes both classes
            weigh the same, or a stated number.
        blend: also try the weighted sum of the best of each family.
        threads: fixed, since some learners' sums depend on it.
        max_minutes: wall-clock stop of the search; when it acts, that is recorded.
        combine: how the best of each family become one score; a sum where not said. ``vote`` is the
            mean of their calibrated probabilities, ``stack`` a logistic regression over them.
        calibration: how scores become probabilities; isotonic where not said.
        search: the search plug-in; Optuna where not said.
        prune: whether trials that fall behind after their first folds are broken off.
        params: parameters of families that are not searched: one value, or those to try.
    """

    families: tuple[str, ...] = ("lightgbm", "random_forest", "logistic")
    trials: int = 24
    folds: int = 3
    seed: int = 0
    class_weight: Literal["none", "balanced"] | float = "none"
    blend: bool = True
    threads: int = 2
    max_minutes: float | None = None
    combine: Combine | UnsetType = UNSET
    calibration: Calibration | UnsetType = UNSET
    search: str | UnsetType = UNSET
    prune: Literal[True] | UnsetType = UNSET
    sampling: Sampling | UnsetType = UNSET
    params: dict[str, dict[str, Param | tuple[Param, ...]]] | UnsetType = UNSET


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One gate by plug-in name; what its parameters mean is the plug-in's documentation."""

    name: str
    min: float | None = None
    max: float | None = None
    by: str | None = None  #: a field: the gate must pass in every segment of it


class Accept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finding of ``plan`` that the author accepts, by name and with a reason."""

    finding: str
    reason: str


class WindowFeature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A feature derived from the events before, of the same entity: :mod:`baluarte.core.windows`.

    Attributes:
        by: fields whose values together name the entity; none for ``flag``.
        field: whose values are added up, compared or counted.
        window_s: the window is (t − window − lag, t − lag] for an event at t.
        where: only events that meet this condition count; see :mod:`baluarte.core.condition`.
        decimals: sums are whole numbers of 10^-decimals of the field's unit.
        itself: whether the event itself counts, where the window reaches up to it.
        empty: the value where nothing is in the window; missing if None.
    """

    name: str
    op: WindowOp
    by: tuple[str, ...] = ()
    field: str | None = None
    window_s: float | None = None
    lag_s: float = 0.0
    where: str | None = None
    decimals: int = 0
    itself: bool = True
    empty: float | None = None


class History(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of what is remembered for window features; values depend on them.

    Attributes:
        late_s: an event older than the newest of its entity by more than this is not remembered.
        ahead_s: nor is one that is ahead of its arrival by more than this.
        repeat_s: a second event with the same id within this time is not remembered.
        max_events: of one entity, remembered one by one; older ones are added up in buckets.
        max_entities: of each ``by``; beyond it the longest idle ones are forgotten.
    """

    late_s: float = 86_400.0
    ahead_s: float = 3_600.0
    repeat_s: float = 3_600.0
    max_events: int = 4_096
    max_entities: int = 1_000_000


class Contract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that ``detector.toml`` says, complete and in normal form; this is what is sealed."""

    name: str
    purpose: str
    owner: str
    events: Schema
    label: Label | None
    objective: Objective
    bands: tuple[Band, ...]
    points: Points
    learner: Learner
    gates: tuple[Gate, ...]
    accept: tuple[Accept, ...] = ()
    windows: tuple[WindowFeature, ...] = ()
    #: of the window features; not written where there are none
    history: History | UnsetType = UNSET
    split: SplitRules | UnsetType = UNSET  #: not written where nothing is said of it
    attack: tuple[str, ...] = ()  #: ATT&CK technique ids, such as T1059.001
    reasons: ReasonCatalogue | msgspec.UnsetType = msgspec.UNSET  #: sealed where there is one
    format: Literal["baluarte-contract/1"] = "baluarte-contract/1"


def canonical(contract: Contract) -> bytes:
    """The sealed bytes of a contract: JSON with sorted keys, every default written out."""
    return msgspec.json.encode(contract, order="sorted")


def decode_canonical(data: bytes) -> Contract:
    """A contract from its sealed bytes.

    Raises:
        msgspec.ValidationError: the bytes are no contract; the message carries the path.
    """
    return msgspec.json.decode(data, type=Contract)
