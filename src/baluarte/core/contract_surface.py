"""What may be written in ``detector.toml``: every key with its type, range and meaning.

The surface is what a person writes, short; the contract (:mod:`baluarte.core.contract`) is the
normal form of it that is sealed. The JSON Schema for editors is generated from here.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from baluarte.core.contract import Calibration, Combine, Param, SplitBy, WindowOp
from baluarte.core.schema import FieldType, GivenRole, Monotone, Mutable, TimeUnit

NAME_PATTERN = "^[a-z][a-z0-9_-]{0,62}$"  #: detectors, bands, windows: safe in addresses and files
FIELD_PATTERN = r"^[^\x00-\x1f\x7f]{1,256}$"
ATTACK_PATTERN = r"^T\d{4}(\.\d{3})?$"  #: MITRE ATT&CK technique and sub-technique ids

Name = Annotated[
    str,
    Meta(
        pattern=NAME_PATTERN,
        extra={"expected": "a name: a lower-case letter, then at most 62 of a-z, 0-9, - and _"},
    ),
]
FieldName = Annotated[
    str,
    Meta(
        pattern=FIELD_PATTERN, extra={"expected": "a field's name: 1 to 256 printable characters"}
    ),
]
Technique = Annotated[
    str,
    Meta(
        pattern=ATTACK_PATTERN,
        extra={"expected": "an ATT&CK technique id, such as T1059 or T1059.001"},
    ),
]
Kind = Annotated[FieldType, Meta(extra={"expected": "one of " + ", ".join(get_args(FieldType))})]
Said = Annotated[str, Meta(min_length=1)]
Rate = Annotated[float, Meta(gt=0, lt=1)]
Positive = Annotated[float, Meta(gt=0)]
Value = str | int | bool  #: of a label; brought to canonical text
Cost = Positive | FieldName
Told = Param | Annotated[tuple[Param, ...], Meta(min_length=1)]


class EventsTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which field has which role, by name."""

    label: (
        Annotated[FieldName, Meta(description="the field that says attack or not")] | UnsetType
    ) = UNSET
    positive: Annotated[
        tuple[Value, ...], Meta(description="label values that mean attack; or give negative")
    ] = ()
    negative: Annotated[
        tuple[Value, ...],
        Meta(description="label values that mean no attack; all others mean attack"),
    ] = ()
    family: (
        Annotated[
            FieldName, Meta(description="the field that names the attack family; never a feature")
        ]
        | UnsetType
    ) = UNSET
    distrusted: Annotated[
        dict[FieldName, Annotated[tuple[Value, ...], Meta(min_length=1)]],
        Meta(
            description="by field: values of those whose labels count for nothing; "
            "of @source: who gave them to baluarte label"
        ),
    ] = {}
    id: Annotated[FieldName, Meta(description="the event's id")] | UnsetType = UNSET
    time: (
        Annotated[FieldName, Meta(description="the event's time; the split goes by it")] | UnsetType
    ) = UNSET
    entity: (
        Annotated[
            FieldName, Meta(description="who or what the event is about; never on both sides")
        ]
        | UnsetType
    ) = UNSET
    keys: Annotated[
        tuple[FieldName, ...],
        Meta(description="fields that only name whose history a window reads; never features"),
    ] = ()
    legacy_score: (
        Annotated[FieldName, Meta(description="the score of the detector in use today")] | UnsetType
    ) = UNSET
    ignored: Annotated[tuple[FieldName, ...], Meta(description="fields that are read past")] = ()
    unknown: Annotated[
        Literal["refuse", "ignore"],
        Meta(description="what becomes of a request's keys that are no field"),
    ] = "refuse"
    sensitive: Annotated[
        tuple[FieldName, ...], Meta(description="fields for fairness figures only; never features")
    ] = ()
    personal: Annotated[
        tuple[FieldName, ...],
        Meta(description="fields about a person: sealed in records, erased with the subject"),
    ] = ()
    subject: (
        Annotated[
            FieldName,
            Meta(description="the field that names the person (default: the entity)"),
        ]
        | UnsetType
    ) = UNSET


class TypesTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The short form of fields: every name listed is a field of that type."""

    number: tuple[FieldName, ...] = ()
    integer: tuple[FieldName, ...] = ()
    category: tuple[FieldName, ...] = ()
    text: tuple[FieldName, ...] = ()
    time: tuple[FieldName, ...] = ()
    ip: tuple[FieldName, ...] = ()
    boolean: tuple[FieldName, ...] = ()


class FieldTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The long form of one field."""

    type: Kind | UnsetType = UNSET
    path: (
        Annotated[str, Meta(min_length=1, description="keys to the value, by dots: flow.bytes")]
        | UnsetType
    ) = UNSET
    role: GivenRole | UnsetType = UNSET
    available: Annotated[
        Literal["at_decision", "after"],
        Meta(description="whether the value is known when the decision is made"),
    ] = "at_decision"
    mutable: Annotated[
        Mutable, Meta(description="what an attacker can do to the value: no, up, down, any")
    ] = "any"
    monotone: (
        Annotated[Monotone, Meta(description="a higher value never lowers, or raises, the score")]
        | UnsetType
    ) = UNSET
    required: bool = False
    allow_infinite: bool = False
    unit: Annotated[TimeUnit, Meta(description="of numeric times")] | UnsetType = UNSET
    clean: Annotated[
        tuple[Said, ...],
        Meta(description='cleaning steps in their order, such as "clip 0 1e4", "log", "trim"'),
    ] = ()
    pseudonym: Annotated[
        bool, Meta(description="whether a keyed pseudonym stands for the value, from the reader on")
    ] = False
    personal: Annotated[
        bool, Meta(description="whether it is about a person: as in events.personal")
    ] = False


class WindowTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One feature derived from the events before, of the same entity."""

    op: Annotated[
        WindowOp,
        Meta(
            description="what is computed; flag: whether the event itself meets the condition",
            extra={"expected": "one of " + ", ".join(get_args(WindowOp))},
        ),
    ]
    by: Annotated[
        FieldName | tuple[FieldName, ...],
        Meta(description="the field, or fields, that name the entity"),
    ] = ()
    field: (
        Annotated[FieldName, Meta(description="whose values are added up, compared or counted")]
        | UnsetType
    ) = UNSET
    window_s: (
        Annotated[Positive, Meta(description="the window is (t - window - lag, t - lag]")]
        | UnsetType
    ) = UNSET
    lag_s: Annotated[float, Meta(ge=0, description="how long what counts is unknown")] = 0.0
    where: (
        Annotated[
            Said,
            Meta(description='only events that meet it count: amount > 100 and channel == "web"'),
        ]
        | UnsetType
    ) = UNSET
    decimals: (
        Annotated[
            int,
            Meta(ge=0, le=9, description="sums are whole numbers of 10^-decimals: 2 for cents"),
        ]
        | UnsetType
    ) = UNSET
    itself: Annotated[bool, Meta(description="whether the event itself counts")] = True
    empty: (
        Annotated[float, Meta(description="the value of an empty window; else missing")] | UnsetType
    ) = UNSET


class HistoryTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is remembered for the window features."""

    late_s: Annotated[
        float, Meta(ge=0, description="an event later than this is not remembered")
    ] = 86_400.0
    ahead_s: Annotated[
        float, Meta(ge=0, description="nor one that is ahead of its arrival by more than this")
    ] = 3_600.0
    repeat_s: Annotated[
        float, Meta(ge=0, description="time within which an event's id counts once")
    ] = 3_600.0
    max_events: Annotated[
        int, Meta(ge=64, le=65_536, description="of an entity, remembered one by one")
    ] = 4_096
    max_entities: Annotated[
        int, Meta(ge=1, description="of each by; the longest idle are forgotten")
    ] = 1_000_000


class BudgetKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The four ways to limit alerts."""

    max_fpr: (
        Annotated[Rate, Meta(description="share of non-attacks that may alert")] | UnsetType
    ) = UNSET
    max_alerts_per_day: Positive | UnsetType = UNSET
    min_precision: (
        Annotated[Rate, Meta(description="share of alerts that are attacks")] | UnsetType
    ) = UNSET
    max_cost: Annotated[Positive, Meta(description="expected cost of one event")] | UnsetType = (
        UNSET
    )


class ObjectiveTable(BudgetKeys, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the detector promises: recall under exactly one budget."""

    min_recall: (
        Annotated[Rate, Meta(description="share of attacks that must alert")] | UnsetType
    ) = UNSET
    confidence: Annotated[float, Meta(gt=0.5, lt=1)] = 0.95
    events_per_day: Positive | UnsetType = UNSET
    cost_missed: Cost = 1.0
    cost_false_alarm: Cost = 1.0
    max_event_cost: Positive | UnsetType = UNSET
    max_latency_ms: (
        Annotated[Positive, Meta(description="p99 of scoring one event")] | UnsetType
    ) = UNSET
    label_delay_days: Annotated[float, Meta(ge=0)] = 0.0


class BandTable(BudgetKeys, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One outcome, lowest first. The lowest has no budget; the second has the objective's."""

    name: Name


class PointsTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What 0-999 points mean, in every version."""

    anchor: Annotated[int, Meta(ge=0, le=999)] = 500
    anchor_odds: Positive = 1.0
    double_odds: Positive = 50.0


class SamplingTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rows a family is fitted on, where attacks are rare."""

    how: Annotated[
        Literal["under", "over"],
        Meta(description="leave other events out, or repeat attacks"),
    ]
    share: Annotated[Rate, Meta(description="of attacks among the rows then")] = 0.5


class LearnerTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How candidates are trained."""

    families: Annotated[tuple[Said, ...], Meta(min_length=1)] | UnsetType = UNSET
    trials: Annotated[int, Meta(ge=1, le=100_000)] = 24
    folds: Annotated[int, Meta(ge=2, le=20)] = 3
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    class_weight: Annotated[
        Literal["none", "balanced"] | Positive,
        Meta(description="what an attack weighs: none, balanced, or how many times more"),
    ] = "none"
    sampling: SamplingTable | UnsetType = UNSET
    blend: bool = True
    combine: Annotated[
        Combine,
        Meta(description="a weighted sum, the mean of probabilities, or a regression over them"),
    ] = "sum"
    calibration: Annotated[Calibration, Meta(description="how scores become probabilities")] = (
        "isotonic"
    )
    search: Annotated[Said, Meta(description="optuna, or grid")] = "optuna"
    prune: Annotated[bool, Meta(description="whether trials that fall behind are broken off")] = (
        False
    )
    params: Annotated[
        dict[Name, dict[Said, Told]],
        Meta(description="by family: a parameter's value, or the list of those to try"),
    ] = {}
    threads: Annotated[int, Meta(ge=1, le=256)] = 2
    max_minutes: Positive | UnsetType = UNSET


class GateTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One gate by name; beside those that follow from the objective."""

    min: float | UnsetType = UNSET
    max: float | UnsetType = UNSET
    by: (
        Annotated[FieldName, Meta(description="the gate must pass in every segment")] | UnsetType
    ) = UNSET


class SplitTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the rows are shared out to fit, thresholds and proof."""

    by: (
        Annotated[
            SplitBy,
            Meta(
                description="time: the newest prove; entity: none on both sides; stratum: by class",
                extra={"expected": "one of " + ", ".join(get_args(SplitBy))},
            ),
        ]
        | UnsetType
    ) = UNSET
    repeats: Annotated[
        Literal["keep", "apart", "near", "once"],
        Meta(
            description="fit rows that repeat a held-out row: keep them, or leave them out (apart),"
            " with near copies (near), and keep one of each in fit (once)",
            extra={"expected": "one of keep, apart, near, once"},
        ),
    ] = "keep"


class PlanTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the author decides about the findings of ``baluarte plan``."""

    accept: Annotated[
        dict[str, Said], Meta(description="findings accepted by name, each with its reason")
    ] = {}


class DetectorFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One detector: only what is sealed. Where it runs stands in workspace.toml."""

    name: Name
    purpose: Annotated[Said, Meta(description="what it detects, for whom, in a sentence")]
    owner: Annotated[Said, Meta(description="who answers for it")]
    attack: Annotated[
        tuple[Technique, ...],
        Meta(description="ATT&CK technique ids that it is meant to see"),
    ] = ()
    reasons: (
        Annotated[Said, Meta(description="file beside this one: codes and texts of reasons")]
        | UnsetType
    ) = UNSET
    events: EventsTable = EventsTable()
    types: TypesTable = TypesTable()
    fields: dict[FieldName, FieldTable] = {}
    windows: dict[Name, WindowTable] = {}
    history: HistoryTable | UnsetType = UNSET
    objective: ObjectiveTable = ObjectiveTable()
    bands: tuple[BandTable, ...] = ()
    points: PointsTable = PointsTable()
    learner: LearnerTable = LearnerTable()
    gates: dict[Name, GateTable] = {}
    split: SplitTable = SplitTable()
    plan: PlanTable = PlanTable()
