"""The event schema: which fields an event has, what each is for, who can change it."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

FieldType = Literal["number", "integer", "category", "text", "time", "ip", "boolean"]
GivenRole = Literal[
    "feature", "id", "time", "entity", "key", "label", "sensitive", "ignored", "legacy_score"
]
Role = GivenRole | Literal["derived"]
Mutable = Literal["no", "up", "down", "any"]
Monotone = Literal["up", "down"]
TimeUnit = Literal["s", "ms", "us"]
Operation = Literal["trim", "lower", "upper", "missing", "unit", "clip", "log", "impute", "scale"]
Learnt = Literal["median", "mean", "most_frequent", "standard", "robust", "range"]

FLOAT32_MAX = (
    3.4028234663852886e38  #: largest finite float32 (IEEE 754), the schema's bound on numbers
)
MAX_PATH_DEPTH = 8  #: nested objects a path may cross


class Cleaning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One cleaning step of a field; :mod:`baluarte.core.cleaning` says what each does.

    A contract has what was declared; a sealed encoder also what was learnt of the fit rows:
    ``value`` where ``how`` says which, ``centre`` and ``spread``.
    """

    op: Operation
    factor: float | UnsetType = UNSET
    low: float | UnsetType = UNSET
    high: float | UnsetType = UNSET
    how: Learnt | UnsetType = UNSET
    value: float | str | UnsetType = UNSET
    centre: float | UnsetType = UNSET
    spread: float | UnsetType = UNSET


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field of an event.

    ``path`` reaches into nested objects by dots (``flow.bytes_toserver``); it is the name itself
    when not given. ``available`` says whether the value is known when the decision is made; a field
    that is only known after is never a feature. ``mutable`` says what an attacker can do to it:
    nothing, push it up, push it down, or set it freely. ``monotone`` promises that a higher value,
    all else equal, never lowers (``up``) or never raises (``down``) the score; a missing value is
    neither. ``pseudonym`` says that the value is personal, and that a keyed pseudonym stands for it
    from the reader on. ``personal`` says that it is about a person: a record keeps it sealed under
    the key of the schema's subject (:mod:`baluarte.core.envelope`). What isn't given of these three
    is left out of the sealed bytes. A field of the role ``key`` names whose history a window reads,
    and is no feature itself. A field of the role ``derived`` is not in an event as it comes: it is
    computed over a window (:mod:`baluarte.core.windows`).
    """

    name: str
    type: FieldType
    role: Role = "feature"
    path: str = ""
    available: Literal["at_decision", "after"] = "at_decision"
    mutable: Mutable = "any"
    required: bool = False
    allow_infinite: bool = False
    unit: TimeUnit = "s"
    clean: tuple[Cleaning, ...] | UnsetType = UNSET  #: absent without steps: old bytes stay equal
    pseudonym: bool | UnsetType = UNSET
    personal: bool | UnsetType = UNSET  #: a record keeps it sealed under its subject's key
    monotone: Monotone | UnsetType = UNSET

    @property
    def steps(self) -> tuple[Cleaning, ...]:
        """The cleaning steps, in their order."""
        return () if isinstance(self.clean, UnsetType) else self.clean

    @property
    def is_pseudonym(self) -> bool:
        """Whether a keyed pseudonym stands for the value."""
        return self.pseudonym is True

    @property
    def is_personal(self) -> bool:
        """Whether it is about a person, and sealed in a record."""
        return self.personal is True

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys from the event's root to the value."""
        return tuple((self.path or self.name).split("."))

    @property
    def is_feature(self) -> bool:
        """Whether a learner may see it."""
        return self.role in ("feature", "derived") and self.available == "at_decision"

    @property
    def is_given(self) -> bool:
        """Whether it is read from an event as it comes."""
        return self.role not in ("ignored", "derived")


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All fields of an event, in the order of the contract."""

    fields: tuple[Field, ...]
    #: of keys that are no field; refused where nothing is said, so that old bytes stay equal
    unknown: Literal["ignore"] | UnsetType = UNSET
    #: the field that names the person whom personal fields are about; only where there are some
    subject: str | UnsetType = UNSET

    @property
    def subject_field(self) -> Field | None:
        """The field that names the person; None where personal values have a key a record."""
        return None if isinstance(self.subject, UnsetType) else self[self.subject]

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        return any(field.name == name for field in self.fields)

    def by_role(self, role: Role) -> Field | None:
        """The first field with this role, or None."""
        return next((field for field in self.fields if field.role == role), None)

    @property
    def features(self) -> tuple[Field, ...]:
        """The fields that a learner may see, in order."""
        return tuple(field for field in self.fields if field.is_feature)

    @property
    def is_monotone(self) -> bool:
        """Whether some field is promised to be monotone."""
        return any(field.monotone in ("up", "down") for field in self.fields)

    @property
    def given_names(self) -> list[str]:
        """Names of the fields that are not derived: what an event says by itself, in order."""
        return [field.name for field in self.fields if field.role != "derived"]
