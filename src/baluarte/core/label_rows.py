"""Labels as they are delivered: which event, what was said, when and by whom.

A delivery has the fields ``event_id`` and ``label``, and may have ``at`` (when it was said; else
its arrival) and ``source`` (who said it). A label is one of the contract's own values, or a plain
word: 1, true, yes and attack, or 0, false, no, normal and benign. Spaces around it and the case of
its letters say nothing, and a number is what it is worth: 1.0 is 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from baluarte.core.contract import Contract
from baluarte.core.event import MAX_EXACT_INTEGER, Value, Values
from baluarte.core.registry import LabelRow
from baluarte.core.schema import Field, Schema

LABEL_SCHEMA = Schema(
    fields=(
        Field(name="event_id", type="category", required=True),
        Field(name="label", type="category", required=True),
        Field(name="at", type="time", role="time"),
        Field(name="source", type="category", role="entity"),
    )
)
_BARE = {"1", "true", "yes", "0", "false", "no"}  #: say yes or no, and name no kind
_ATTACK, _NOT = {"1", "true", "yes", "attack"}, {"0", "false", "no", "normal", "benign"}


def label_of(said: str, contract: Contract) -> Literal[0, 1] | None:
    """1 for attack, 0 for not, None for what is no label: the contract's values, then plain words.

    Where the contract lists kinds of attack any other kind means none, as in training, and the
    other way round. Where it lists 1, 0 and the like alone, what says neither is no label.
    """
    rule, word = contract.label, _plain(said)
    positive = {_plain(value) for value in rule.positive} if rule is not None else set()
    negative = {_plain(value) for value in rule.negative} if rule is not None else set()
    if word in positive or (word in _ATTACK and word not in negative):
        return 1
    if word in negative or word in _NOT:
        return 0
    if not word or not (positive | negative) - _BARE:
        return None
    return 1 if negative else 0


def _plain(said: str) -> str:
    """A label without what says nothing: spaces around it, case, the form of a number.

    >>> _plain(" Fraud"), _plain("1.0"), _plain("-0"), _plain("1.5")
    ('fraud', '1', '0', '1.5')
    """
    word = said.strip().lower()
    try:
        worth = float(word)
    except ValueError:
        return word
    return str(int(worth)) if abs(worth) < MAX_EXACT_INTEGER and worth.is_integer() else word


def expected_labels(contract: Contract) -> str:
    """What a label may be, in words."""
    rule = contract.label
    own = ", ".join((*rule.positive, *rule.negative)) if rule is not None else ""
    return f"0, 1{f' or one of {own}' if own else ''}"


def label_row(values: Values, label: Literal[0, 1], *, source: str, taken_at: int) -> LabelRow:
    """One record of :data:`LABEL_SCHEMA` as the registry keeps it.

    Args:
        source: who says so where the record doesn't.
        taken_at: when it arrived, microseconds of UTC; also when it was said if the record is
            silent on that.
    """
    return LabelRow(
        event_id=str(values["event_id"]),
        label=label,
        at=int(_or(values.get("at"), taken_at)),
        source=str(_or(values.get("source"), source)),
        taken_at=taken_at,
    )


def delays_days(rows: Iterable[LabelRow], happened: Mapping[str, int]) -> list[float]:
    """Days from each event (by id, microseconds of UTC) to its label, ascending."""
    known = [(row.at, happened[row.event_id]) for row in rows if row.event_id in happened]
    return sorted((at - event_at) / 86_400e6 for at, event_at in known)


def _or(value: Value | None, other: Value) -> Value:
    return other if value is None else value
