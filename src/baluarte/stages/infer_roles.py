"""Guess what each column is for: from its name, its values and how many of them there are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from baluarte.core.column_names import AFTER_TOKENS, PROTECTED_TOKENS, plain, tokens
from baluarte.core.raw_column import RawColumn
from baluarte.core.ready import ReadySchema
from baluarte.core.schema import FieldType, TimeUnit

MAX_CATEGORIES = 1_000  #: distinct texts up to which a column is a category
MIN_CODES = 4  #: distinct whole numbers from which a code is no yes, no or unknown
MIN_ENTITIES = 100  #: fewer can't be shared out between the sides of a split
MAX_LABELS = 200  #: distinct values up to which a column may be the label
LABEL_NAMES = (
    "label", "class", "target", "is_fraud", "fraud", "tx_fraud", "is_attack", "attack", "malicious",
    "is_malicious", "malware", "phishing", "anomaly", "is_anomaly", "intrusion", "result",
    "outcome", "y",
)  # fmt: skip
NOT_ATTACK = frozenset({
    "normal", "benign", "legit", "legitimate", "genuine", "goodware", "ham", "clean", "good", "ok",
    "none", "no", "n", "f", "false", "negative", "safe", "background", "valid",
})  # fmt: skip
ATTACK_WORDS = frozenset({
    "fraud", "attack", "malware", "malicious", "phishing", "spam", "anomaly", "intrusion", "bad",
    "yes", "y", "t", "true", "positive",
})  # fmt: skip
FAMILY_NAMES = re.compile(r"attack_?(cat|category|type|name|family)|family|scenario|threat_?type")
ID_NAMES = re.compile(r"(^|_)(id|uuid|guid|key|uid|number|no)$")
TIME_NAMES = re.compile(r"(^|_)(ts|time|timestamp|datetime|date)$|(_at|_time|_date)$")
ENTITY_NAMES = ("customer", "card", "account", "user", "client", "subscriber", "entity", "device",
                "terminal", "host", "src_ip", "source_ip", "saddr", "unit", "machine")  # fmt: skip
CODE_TOKENS = frozenset({
    "code", "type", "mcc", "zip", "postcode", "port", "proto", "protocol", "category", "country",
    "state", "channel", "currency", "browser", "os", "region",
})  # fmt: skip
ATTACKER_TOKENS = frozenset({"device", "email", "agent", "browser", "ip", "user_agent"})
#: what a doubt may ask, the least sure first; each has a text in the catalogue
QUESTIONS = (
    "label", "negative", "positive", "odd", "dates", "available", "entity", "memory", "type",
    "sensitive", "recall", "personal", "events_per_day", "mutable",
)  # fmt: skip
_DATE = re.compile(r"\d{1,4}[/.-]\d{1,2}[/.-]\d{2,4}([ T,].*)?", re.ASCII)
EPOCHS: tuple[tuple[TimeUnit, float], ...] = (("s", 1.0), ("ms", 1e3), ("us", 1e6))
EPOCH_RANGE_S = (6e8, 4.2e9)  #: 1989 to 2103


@dataclass(slots=True)
class Guess:
    """What the columns seem to be, and what is least sure; a doubt is (field, question)."""

    types: dict[str, FieldType]
    label: RawColumn | None = None
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    family: str | None = None
    id: str | None = None
    time: str | None = None
    time_unit: TimeUnit | None = None
    entity: str | None = None
    ignored: list[str] = field(default_factory=list)
    sensitive: list[str] = field(default_factory=list)
    doubts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def taken(self) -> set[str]:
        """Fields that have a role already."""
        roles = {self.family, self.id, self.time, self.entity, *self.ignored, *self.sensitive}
        if self.label is not None:
            roles.add(self.label.name)
        return {name for name in roles if name is not None}


def guess(columns: Sequence[RawColumn], *, label: str | None) -> Guess:
    """Roles and types of the columns.

    Args:
        label: the label's column where it is known; it must be among the columns.
    """
    result = Guess(types={column.name: _type(column) for column in columns})
    result.label = _label(columns, label)
    if result.label is not None:
        result.types[result.label.name] = "category"
        _label_values(result, result.label, given=label is not None)
        _family(result, columns)
    _time(result, columns)
    _id(result, columns)
    _entity(result, columns)
    for column in columns:
        if column.name not in result.taken:
            _doubt(result, column)
    for column in columns:
        _doubt_values(result, column)
    return result


def settle(result: Guess, columns: Sequence[RawColumn], ready: ReadySchema) -> list[RawColumn]:
    """Put what a ready schema knows in place of what was guessed; the columns that are fields.

    Of the guesses the label stays, which no ready schema can know.
    """
    known = ready.fields
    own = {result.label.name if result.label else None, result.family} - {None}
    kept = [column for column in columns if column.name in known or column.name in own]
    there = {column.name for column in kept}
    result.types = {c.name: result.types[c.name] if c.name in own else known[c.name] for c in kept}
    result.id = ready.id if ready.id in there else None
    result.time = ready.time if ready.time in there else None
    result.time_unit = ready.time_unit
    result.entity = ready.entity if ready.entity in there else None
    result.ignored, result.sensitive = [], []
    result.doubts = [doubt for doubt in result.doubts if doubt[0] in own]
    return kept


def _doubt_values(result: Guess, column: RawColumn) -> None:
    """What the values themselves leave unsure, whatever the column is for."""
    kind = result.types[column.name]
    if column.n_odd and kind not in ("category", "text"):
        result.doubts.append((column.name, "odd"))
    if kind == "ip":
        result.doubts.append((column.name, "personal"))
    if column.physical == "text" and column.examples and all(map(_DATE.fullmatch, column.examples)):
        result.doubts.append((column.name, "dates"))


def _type(column: RawColumn) -> FieldType:
    if column.physical == "text":
        return "category" if column.n_distinct <= _most_categories(column) else "text"
    coded = column.physical == "integer" and tokens(column.name) & CODE_TOKENS
    if coded and MIN_CODES <= column.n_distinct <= MAX_CATEGORIES:
        return "category"
    kinds: dict[str, FieldType] = {
        "float": "number", "integer": "integer", "boolean": "boolean", "time": "time", "ip": "ip",
    }  # fmt: skip
    return kinds[column.physical]


def _most_categories(column: RawColumn) -> float:
    known = column.n - column.n_missing
    return min(MAX_CATEGORIES, max(20.0, known / 2))


def _label(columns: Sequence[RawColumn], given: str | None) -> RawColumn | None:
    if given is not None:
        return next(column for column in columns if column.name == given)
    able = [c for c in columns if 2 <= c.n_distinct <= MAX_LABELS and c.physical != "float"]
    by_name = {plain(column.name): column for column in reversed(able)}
    for name in LABEL_NAMES:
        if name in by_name:
            return by_name[name]
    telling = [
        c for c in able if {v.lower() for v in c.examples} & ATTACK_WORDS and c.n_distinct == 2
    ]
    last = [c for c in able if c is columns[-1] and c.n_distinct == 2]
    return next(iter([*telling, *last]), None)


def _label_values(result: Guess, label: RawColumn, *, given: bool) -> None:
    """Which values mean attack: by their words, then 1 of 0 and 1, then the rarer one."""
    words = {value: value.lower().strip(" .") for value in label.examples}
    harmless = [value for value, word in words.items() if word in NOT_ATTACK]
    harmful = [value for value, word in words.items() if word in ATTACK_WORDS]
    if not given and plain(label.name) not in LABEL_NAMES:
        result.doubts.append((label.name, "label"))
    if label.n_distinct > 2:
        ground = harmless or [value for value in ("0",) if value in words] or [label.examples[0]]
        result.negative = tuple(ground)
        if not harmless:
            result.doubts.append((label.name, "negative"))
    elif len(harmful) == 1:
        result.positive = (harmful[0],)
    elif len(harmless) == 1:
        result.positive = tuple(value for value in label.examples if value not in harmless)
    elif set(label.examples) == {"0", "1"}:
        result.positive = ("1",)
    else:
        result.positive = (label.examples[-1],)
        result.doubts.append((label.name, "positive"))


def _family(result: Guess, columns: Sequence[RawColumn]) -> None:
    label = result.label
    if label is None:
        return
    if label.n_distinct > 2:
        result.family = label.name
        return
    for column in columns:
        able = column is not label and 2 <= column.n_distinct <= MAX_LABELS
        if able and FAMILY_NAMES.search(plain(column.name)):
            result.family = column.name
            result.types[column.name] = "category"
            return


def _time(result: Guess, columns: Sequence[RawColumn]) -> None:
    """The event's time: a column of times, or whole numbers that are seconds since 1970."""
    named = [c for c in columns if TIME_NAMES.search(plain(c.name)) and c.name not in result.taken]
    times = [c for c in named if c.physical == "time" and not tokens(c.name) & AFTER_TOKENS]
    others = [c for c in columns if c.physical == "time" and c not in named]
    for column in sorted([*times, *others], key=lambda c: c.n_missing):
        if column.n_missing == 0:
            result.time = column.name
            return
    for column in named:
        unit = _epoch_unit(column)
        if unit is not None and column.n_missing == 0:
            result.time, result.time_unit = column.name, unit
            result.types[column.name] = "time"
            return


def _epoch_unit(column: RawColumn) -> TimeUnit | None:
    if column.physical not in ("integer", "float") or column.low is None or column.high is None:
        return None
    low, high = EPOCH_RANGE_S
    units = [u for u, scale in EPOCHS if low * scale <= column.low <= column.high <= high * scale]
    return units[0] if units else None


def _id(result: Guess, columns: Sequence[RawColumn]) -> None:
    for column in columns:
        unique = column.n_distinct == column.n > 1 and column.n_missing == 0
        named = ID_NAMES.search(plain(column.name)) is not None
        if column.name in result.taken or not unique or column.physical not in ("text", "integer"):
            continue
        if named and result.id is None:
            result.id = column.name
            result.types[column.name] = _name_type(column)
        elif named or (column.physical == "text" and result.types[column.name] != "text"):
            result.ignored.append(column.name)


def _entity(result: Guess, columns: Sequence[RawColumn]) -> None:
    """Who or what the event is about: a named number or text that comes again and again."""
    able = [c for c in columns if c.name not in result.taken and _may_be_entity(c)]
    ranked = sorted(able, key=_entity_rank)
    for position, column in enumerate(ranked):
        result.types[column.name] = _name_type(column)
        if position == 0:
            result.entity = column.name
            result.doubts.append((column.name, "entity"))
        else:
            result.ignored.append(column.name)
            result.doubts.append((column.name, "memory"))


def _name_type(column: RawColumn) -> FieldType:
    """The type of a column that names events or entities: only a category takes numbers too."""
    if column.physical == "ip":
        return "ip"
    return (
        "text" if column.physical == "text" and column.n_distinct > MAX_CATEGORIES else "category"
    )


def _may_be_entity(column: RawColumn) -> bool:
    called = plain(column.name)
    named = called.endswith("_id") or called in ENTITY_NAMES
    repeats = MIN_ENTITIES <= column.n_distinct < 0.9 * column.n
    return named and repeats and column.physical in ("text", "integer", "ip")


def _entity_rank(column: RawColumn) -> int:
    words = tokens(column.name) | {plain(column.name)}
    return next((at for at, name in enumerate(ENTITY_NAMES) if name in words), len(ENTITY_NAMES))


def _doubt(result: Guess, column: RawColumn) -> None:
    words = tokens(column.name)
    if words & PROTECTED_TOKENS:
        result.sensitive.append(column.name)
        result.doubts.append((column.name, "sensitive"))
    elif words & AFTER_TOKENS or column.physical == "time":
        result.doubts.append((column.name, "available"))
    elif column.physical == "integer" and result.types[column.name] == "category":
        result.doubts.append((column.name, "type"))
    elif words & ATTACKER_TOKENS:
        result.doubts.append((column.name, "mutable"))
