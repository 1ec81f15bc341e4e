"""What is said and answered, as types: JSON, its checks and the description are made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from baluarte.apps.console.problem import Refused
from baluarte.apps.scoring.problem import ProblemFault
from baluarte.core.evidence import Evidence
from baluarte.core.policy import Kind, Via

Text = Annotated[str, Meta(max_length=2_000)]
Short = Annotated[str, Meta(max_length=200)]
Name = Annotated[str, Meta(min_length=1, max_length=63)]


# --- asked ---------------------------------------------------------------------------------------


class _Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body: what isn't named here is refused."""


class SignIn(_Asked, frozen=True, kw_only=True):
    """A person's name and password."""

    name: Name
    password: Annotated[str, Meta(max_length=1_024)]


class Reason(_Asked, frozen=True, kw_only=True):
    """Why something is done; the ledger keeps it."""

    reason: Text = ""


class Why(_Asked, frozen=True, kw_only=True):
    """Why something is done, where it has to be said."""

    reason: Annotated[str, Meta(min_length=1, max_length=2_000)]


class Back(_Asked, frozen=True, kw_only=True):
    """Back to which version; without one to the last that decided before."""

    version: Annotated[int, Meta(ge=1)] | None = None
    reason: Text = ""


class MyPassword(_Asked, frozen=True, kw_only=True):
    """A new password of one's own; sessions end with it."""

    current: Annotated[str, Meta(max_length=1_024)]
    password: Annotated[str, Meta(max_length=1_024)]


class NewAccount(_Asked, frozen=True, kw_only=True):
    """An account to make: a person gets a password or a subject, a program neither."""

    name: Name
    kind: Kind
    grants: Annotated[tuple[Short, ...], Meta(max_length=64)]
    owner: Name | None = None  #: of a program's account: who answers for it
    subject: Short | None = None  #: ``ISSUER#SUBJECT`` of the provider that signs the person in
    password: Annotated[str, Meta(max_length=1_024)] | None = None
    reason: Text = ""


class NewGrants(_Asked, frozen=True, kw_only=True):
    """Roles in the place of those that an account has."""

    grants: Annotated[tuple[Short, ...], Meta(max_length=64)]
    reason: Text = ""


class NewPassword(_Asked, frozen=True, kw_only=True):
    """A password for somebody; who sets it has a hand in the account for good."""

    password: Annotated[str, Meta(max_length=1_024)]
    reason: Text = ""


class NewKey(_Asked, frozen=True, kw_only=True):
    """A key to issue."""

    note: Short = ""
    days: Annotated[int, Meta(ge=1, le=3_650)] = 365
    rate_per_s: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    burst: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    reason: Text = ""


T = TypeVar("T")


def read(body: dict[str, Any], kind: type[T]) -> T:
    """The body as a type.

    Raises:
        Refused: 400, with the path of what is wrong.
    """
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        fault = ProblemFault(path=path.strip("`") or "$", message=message)
        raise Refused("wrong_shape", faults=[fault]) from None


# --- answered ------------------------------------------------------------------------------------


class ProviderRow(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs people in."""

    name: str
    issuer: str
    start: str  #: where to begin


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """The ways to sign in."""

    passwords: bool
    providers: tuple[ProviderRow, ...]


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks.

    Attributes:
        token: what a session repeats with every change, in the header ``x-baluarte-token``; empty
            for a key.
    """

    name: str
    kind: Kind
    via: Via
    grants: tuple[str, ...]
    token: str


class DetectorRow(msgspec.Struct, frozen=True, kw_only=True):
    """A detector, the version that decides and those that wait."""

    name: str
    tenant: str
    champion: int | None
    newest: int | None
    waiting: tuple[int, ...]  #: later than the one that decides, neither provisional nor declined


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said of a version."""

    by: str
    at: int  #: microseconds of UTC
    reason: str


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed version and what was said of it.

    Attributes:
        lacks: approvals that a promotion still needs.
        yours: whether the caller may approve or decline it: it is another person's.
    """

    detector: str
    tenant: str
    version: int
    bundle: str
    sealed_at: int
    sealed_by: str
    trained_by: str
    provisional: bool
    decides: bool
    approvals: tuple[Word, ...]
    declines: tuple[Word, ...]
    lacks: int
    yours: bool


class VersionPage(msgspec.Struct, frozen=True, kw_only=True):
    """A version with the evidence that its seal covers."""

    version: VersionRow
    purpose: str
    evidence: Evidence


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """Which version decides now.

    Attributes:
        workers: of the data plane that live.
        not_yet: host and process of those that still decide by another one, after ten seconds.
    """

    detector: str
    version: int
    workers: int
    not_yet: tuple[str, ...]


class AccountRow(msgspec.Struct, frozen=True, kw_only=True):
    """An account; of its roles those that the caller may know."""

    name: str
    kind: Kind
    owner: str
    state: Literal["active", "disabled"]
    grants: tuple[str, ...]
    made_at: int
    made_by: str
    subject: str | None


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    id: str
    account: str
    note: str
    state: Literal["holds", "withdrawn", "expired", "disabled"]
    made_at: int
    made_by: str
    until: int
    rate_per_s: float | None
    burst: int | None


class KeyIssued(msgspec.Struct, frozen=True, kw_only=True):
    """A new key, shown this once."""

    id: str
    key: str
    until: int


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It is done, and in the ledger."""

    done: Literal[True] = True
