"""Who an identity provider says somebody is, and which roles that stands for.

Source: OpenID Connect Core 1.0, sections 2 and 5.7: only issuer and subject together name a person
for good; names and addresses may change hands, so an account is bound to these two.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from baluarte.core.policy import Grant
from baluarte.errors import TrustError

_MOST_GROUPS = 1_000


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A person, as the claims of a token that was verified say it.

    Attributes:
        name: what an account of theirs is called.
    """

    issuer: str
    subject: str
    name: str
    groups: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What an account is bound to."""
        return f"{self.issuer}#{self.subject}"


def identity_of(claims: Mapping[str, object], *, name: str, groups: str) -> Identity:
    """The person whom verified claims are about.

    Args:
        name: the claim that names an account.
        groups: the claim that lists groups; a token without it is of somebody in none.

    Raises:
        TrustError: a claim is missing, or isn't what it should be.
    """
    said = claims.get(name)
    if not isinstance(said, str) or not said:
        raise TrustError(f"expected a text in the claim {name!r} of the token")
    if name == "email" and claims.get("email_verified") is not True:
        raise TrustError("expected an address that the provider verified (email_verified)")
    listed = claims.get(groups, [])
    listed = [listed] if isinstance(listed, str) else listed
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise TrustError(f"expected a list of texts in the claim {groups!r} of the token")
    return Identity(
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        name=said.lower(),
        groups=tuple(listed[:_MOST_GROUPS]),
    )


def grants_of(identity: Identity, by_group: Mapping[str, tuple[Grant, ...]]) -> tuple[Grant, ...]:
    """What the person's groups stand for, all together."""
    found = {grant for group in identity.groups for grant in by_group.get(group, ())}
    return tuple(sorted(found))
