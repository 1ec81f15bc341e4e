"""What a record keeps of a person: which values are personal, and how they stand sealed.

A record of the second form has no personal value in the clear. Fields that the contract calls
personal are left out of its ``event``, columns made of them are null in its ``features``, and where
any of them is a feature all reasons are left out: a Shapley value of one field depends on the
others. All of it stands in one envelope: JSON under AES-256-GCM with the key of its subject.

``base`` and ``score`` stay, so what the reasons add up to can always be checked. The event's digest
is keyed by the same key: without it nothing in the record tells whether a guess was right.

Source: NIST SP 800-38D (GCM, random 96-bit nonces).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from baluarte.core.event import Values
from baluarte.core.schema import Schema

KEYED_DIGEST = "hmac-sha256:"  #: how a digest under a subject's key begins
_CONTEXT = "baluarte-personal/1"
_LONE, _PERSON = "event/", "subject/"


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """Personal values as a record keeps them.

    Attributes:
        key: id of the data key, 32 hex digits; it is random, and says nothing of the subject.
        sealed: base64 of nonce (12 bytes), ciphertext and tag (16 bytes).
    """

    key: str
    sealed: str


class PersonalValues(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is within an envelope.

    Attributes:
        columns: which of the record's ``features`` are personal, ascending.
        features: their values, in that order; null is NaN.
        reasons: of all fields, if the record has any and a personal field is a feature.
    """

    event: Values
    columns: tuple[int, ...] = ()
    features: tuple[float | None, ...] = ()
    reasons: tuple[int, ...] | None = None


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a key is for: a person, or one event that names nobody.

    Attributes:
        space: what kind of name it is: two detectors that call the subject alike share keys.
        name: in the canonical form of its field.
    """

    space: str
    name: str

    @property
    def is_event(self) -> bool:
        """Whether it is one event, not a person."""
        return self.space.startswith(_LONE)


def person(field: str, name: str) -> Subject:
    """The person whom ``field`` names."""
    return Subject(space=f"{_PERSON}{field}", name=name)


def names_by_field(subjects: Sequence[Subject]) -> dict[str, set[str]]:
    """People's names by the field that names them."""
    found: dict[str, set[str]] = {}
    for subject in subjects:
        if subject.space.startswith(_PERSON):
            found.setdefault(subject.space.removeprefix(_PERSON), set()).add(subject.name)
    return found


def lone_event(detector: str, event_id: str) -> Subject:
    """One event of a detector that names no subject."""
    return Subject(space=f"{_LONE}{detector}", name=event_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalPlan:
    """Which parts of a detector's records are personal; made once a version."""

    detector: str
    fields: tuple[str, ...]  #: that are personal, sorted
    others: tuple[str, ...]  #: that are not, sorted
    columns: tuple[int, ...]  #: of the encoder, made of personal fields
    before_columns: bytes  #: what stands before their values in an envelope; nothing without any
    seals_reasons: bool
    subject: str | None  #: the field that names the person
    space: str  #: of the subjects
    id_field: str | None

    def subject_of(self, values: Mapping[str, object], token: Callable[[], str]) -> Subject:
        """Whose values these are: the subject's, or else the event's own.

        Args:
            token: a fresh name for an event that has neither subject nor id.
        """
        name = values.get(self.subject) if self.subject is not None else None
        if name is not None:
            return Subject(space=self.space, name=str(name))
        own = values.get(self.id_field) if self.id_field is not None else None
        return lone_event(self.detector, token() if own is None else str(own))

    def split(self, values: Values) -> tuple[Values, Values]:
        """The values that stay in the clear, and the personal ones; both by name in order."""
        clear = {name: values[name] for name in self.others if name in values}
        return clear, {name: values[name] for name in self.fields if name in values}


def plan_personal(
    detector: str, schema: Schema, column_fields: Sequence[str]
) -> PersonalPlan | None:
    """The plan of a schema; None where nothing is personal.

    Args:
        column_fields: the field that each of the encoder's columns is made of.
    """
    fields = tuple(sorted(field.name for field in schema.fields if field.is_personal))
    if not fields:
        return None
    subject, own = schema.subject_field, schema.by_role("id")
    columns = tuple(i for i, name in enumerate(column_fields) if name in fields)
    return PersonalPlan(
        detector=detector,
        fields=fields,
        others=tuple(sorted(field.name for field in schema.fields if not field.is_personal)),
        columns=columns,
        before_columns=b',"columns":%b,"features":' % msgspec.json.encode(columns)
        if columns
        else b"",
        seals_reasons=any(field.is_feature for field in schema.fields if field.is_personal),
        subject=subject.name if subject else None,
        space=person(subject.name, "").space if subject else "",
        id_field=own.name if own else None,
    )


def context_of(decision_id: str, detector: str, version: int) -> bytes:
    """What an envelope is bound to: it opens in no other record."""
    return contexts_of([decision_id], detector, version)[0]


def contexts_of(decision_ids: Sequence[str], detector: str, version: int) -> list[bytes]:
    """As :func:`context_of`, of several decisions of one version."""
    head, tail = context_around(detector, version)
    return [head + decision_id.encode() + tail for decision_id in decision_ids]


def context_around(detector: str, version: int) -> tuple[bytes, bytes]:
    """What stands before and after the decision's id in :func:`context_of`."""
    return f"{_CONTEXT}\n".encode(), f"\n{detector}@{version}".encode()


def envelope_of(key_id: str, sealed: bytes) -> Envelope:
    """The envelope around sealed bytes."""
    return Envelope(key=key_id, sealed=binascii.b2a_base64(sealed, newline=False).decode("ascii"))


def sealed_bytes(envelope: Envelope) -> bytes:
    """The sealed bytes of an envelope.

    Raises:
        ValueError: they are no base64.
    """
    return base64.b64decode(envelope.sealed, validate=True)


def digested(clear: bytes, personal: bytes) -> bytes:
    """What the keyed digest of an event is over: the JSON of both parts, keys sorted.

    JSON has no line break outside of its texts' escapes, so no two pairs give the same bytes.
    """
    return clear + b"\n" + personal
