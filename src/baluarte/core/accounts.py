"""Accounts, API keys and sessions: what is kept of whoever may ask, and the rules about it.

Nothing here can be turned back into a secret: of a key and a session there is an HMAC, of a
password the Argon2id string.

Source: NIST SP 800-53 rev. 5, AC-2, AC-7 and IA-5; SP 800-63B section 5.1.1 (passwords).
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable, Mapping

import msgspec

from baluarte.core.policy import EVERY, ROLES, Grant, Kind, faults_of_grants
from baluarte.errors import ContractError, DataError, Fault

MIN_PASSWORD = 12  #: characters
MAX_PASSWORD = 1024
MAX_FAILURES = 5  #: failed sign-ins in a row before an account is locked
MAX_ADDRESS_FAILURES = 20  #: failed sign-ins of one address, of whatever accounts, before it waits
LOCK_US = 15 * 60_000_000  #: for how long, from the last failure on
SESSION_US = 8 * 3_600_000_000  #: how long a session holds at most
IDLE_US = 30 * 60_000_000  #: how long it holds unused
SECRET_BYTES = 32  #: 256 bits, of keys and sessions
_ID_BYTES = 6
KEY_ENTROPY = _ID_BYTES + SECRET_BYTES  #: random bytes that a key takes
_PREFIX = "blt"
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Who may ask: a person, or a program that acts for one.

    Attributes:
        owner: of a service account: the person who answers for it; of a person: themselves.
        hands: every person who made the account or ever set its credentials, for good.
        subject: ``issuer#subject`` of the identity provider that signs the person in, if one does.
    """

    name: str
    kind: Kind
    owner: str
    grants: tuple[Grant, ...]
    hands: frozenset[str]
    made_at: int
    made_by: str
    disabled_at: int | None = None
    subject: str | None = None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of an account: 256 random bits, of which only an HMAC under the pepper is kept."""

    id: str
    account: str
    note: str
    mac: bytes
    made_at: int
    made_by: str
    until: int  #: microseconds of UTC from which it holds no longer
    revoked_at: int | None = None
    rate_per_s: float | None = None  #: requests a second, over all workers; None: no limit
    burst: int | None = None  #: requests at once; None: one second's worth


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in person's session, by the HMAC of its secret."""

    mac: bytes
    account: str
    made_at: int
    until: int
    how: str  #: ``password`` or the identity provider's address
    seen_at: int  #: when it was used last, to a minute

    def holds(self, at: int, *, idle_us: int = IDLE_US) -> bool:
        """Whether it lets anybody in at that time."""
        return at < self.until and at < self.seen_at + idle_us


class Failures(msgspec.Struct, frozen=True, kw_only=True):
    """Failed sign-ins in a row."""

    count: int = 0
    last_at: int = 0

    def locked(self, at: int, *, most: int = MAX_FAILURES) -> bool:
        """Whether no password is taken at that time."""
        return self.count >= most and at < self.last_at + LOCK_US


def check_name(name: str) -> None:
    """Return if the text can be an account's or a tenant's name.

    Raises:
        DataError: it can't.
    """
    if not _NAME.fullmatch(name):
        raise DataError(
            f"expected lower-case letters, digits, . _ @ and - as a name, found {name[:80]!r}"
        )


def check_password(password: str, *, account: str) -> None:
    """Return if the text can be a password.

    Raises:
        DataError: too short, too long, or the account's name.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise DataError(
            f"expected a password of {MIN_PASSWORD} to {MAX_PASSWORD} characters, "
            f"found {len(password)}"
        )
    if len(set(password)) < 4 or account in password.lower():
        raise DataError(
            "expected a password that is neither a repetition nor holds the account's name"
        )


def check_grants(kind: Kind, grants: Iterable[Grant], *, where: str) -> None:
    """Return if one account can hold these grants together.

    Raises:
        DataError: it can't; every reason.
    """
    faults = faults_of_grants(kind, grants)
    if faults:
        raise DataError.of([Fault(fault, where) for fault in faults])


def parse_grant(text: str) -> Grant:
    """A grant as it is typed: ``role@tenant`` or ``role@tenant:detector,detector``.

    >>> parse_grant("analyst@cards:fraud")
    Grant(role='analyst', tenant='cards', detectors=('fraud',))

    Raises:
        DataError: it is none.
    """
    head, colon, names = text.partition(":")
    role, _, tenant = head.partition("@")
    detectors = tuple(sorted(filter(None, names.split(","))))
    try:
        grant = msgspec.convert(
            {"role": role, "tenant": tenant or "default", "detectors": detectors}, Grant
        )
    except msgspec.ValidationError:
        raise DataError(
            f"expected ROLE@TENANT[:DETECTOR,…] with a role of {', '.join(ROLES)}; found {text!r}"
        ) from None
    if colon and not detectors:
        raise DataError(f"expected detectors after the colon; found {text!r}")
    if grant.tenant != EVERY:
        check_name(grant.tenant)
    return grant


def format_grant(grant: Grant) -> str:
    """The text that :func:`parse_grant` reads."""
    tail = f":{','.join(grant.detectors)}" if grant.detectors else ""
    return f"{grant.role}@{grant.tenant}{tail}"


# --- secrets -----------------------------------------------------------------------------------


def key_text(entropy: bytes) -> tuple[str, str]:
    """(id, text) of a new key, from :data:`KEY_ENTROPY` random bytes."""
    if len(entropy) != KEY_ENTROPY:
        raise ValueError(f"expected {KEY_ENTROPY} random bytes, found {len(entropy)}")
    name = base64.b32encode(entropy[:_ID_BYTES]).decode().rstrip("=").lower()
    secret = base64.urlsafe_b64encode(entropy[_ID_BYTES:]).decode().rstrip("=")
    return name, f"{_PREFIX}_{name}_{secret}"


def id_of_key(text: str) -> str | None:
    """The id in a key's text, or None where it is no key."""
    prefix, _, rest = text.partition("_")
    name, mark, secret = rest.partition("_")
    return name if prefix == _PREFIX and mark and secret else None


def mac_of(pepper: bytes, secret: bytes) -> bytes:
    """32 bytes: what is kept of a key or a session."""
    return hmac.digest(pepper, secret, "sha256")


def read_pepper(text: str, *, where: str) -> bytes:
    """The pepper from the hexadecimal text of its secret.

    Raises:
        ContractError: fewer than 256 bits, or no hexadecimal digits.
    """
    try:
        pepper = bytes.fromhex(text.strip())
    except ValueError:
        pepper = b""
    if len(pepper) < SECRET_BYTES:
        raise ContractError(
            f"expected a pepper of at least {SECRET_BYTES} bytes in hexadecimal digits",
            where=where,
            hint="`baluarte users add` makes one where there is none.",
        )
    return pepper


def eyes_behind(names: Iterable[str], accounts: Mapping[str, Account]) -> frozenset[str]:
    """Every person behind these names: themselves, and whoever had the credentials of each.

    Names that are no account (of the machine's own users) stand for themselves.
    """
    eyes: set[str] = set()
    for name in filter(None, names):
        known = accounts.get(name)
        eyes |= {name} if known is None else {name, known.owner} | known.hands
    return frozenset(eyes)
