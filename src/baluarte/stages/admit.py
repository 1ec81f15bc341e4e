"""Let in whom an identity provider vouches for: to an account of theirs, by what is mapped.

An account is bound to issuer and subject. One that a person made keeps the roles it was given; one
that the provider's mapping made has those of the mapping, set anew at every sign-in. Nobody is let
in by a name alone, and where nothing is mapped no account is made.
"""

from __future__ import annotations

from collections.abc import Mapping

from baluarte.core.accounts import Account, check_name
from baluarte.core.identity import Identity, grants_of
from baluarte.core.policy import Grant, faults_of_grants
from baluarte.errors import DataError, TrustError
from baluarte.ports import Accounts
from baluarte.stages.access import Access


def provider_actor(name: str) -> str:
    """Who makes and changes accounts for a provider, as the ledger says it; no person's name."""
    return f"provider:{name}"


def admit(
    identity: Identity,
    *,
    provider: str,
    by_group: Mapping[str, tuple[Grant, ...]],
    accounts: Accounts,
    access: Access,
) -> Account:
    """The account of a person whom the provider vouches for, made or brought up to date.

    Args:
        provider: its name in the workspace.
        by_group: the grants that groups stand for; empty makes no accounts.
        access: changes accounts on behalf of :func:`provider_actor`.

    Raises:
        TrustError: nobody is to be let in: no account, a disabled one, or groups that stand for
            nothing.
        DataError: the groups' roles can't stand together, or the name is another's.
    """
    known = next((a for a in accounts.accounts() if a.subject == identity.key), None)
    if known is not None and known.disabled_at is not None:
        raise TrustError(f"{known.name} is disabled")
    if known is not None and known.made_by != provider_actor(provider):
        return known
    grants = grants_of(identity, by_group)
    faults = faults_of_grants("person", grants)
    if faults:
        raise DataError(f"the groups of {identity.name[:80]!r} don't fit: {'; '.join(faults)}")
    if known is not None:
        if known.grants != grants:
            known = access.grant(known.name, grants, reason=f"groups at {provider}")
        if not grants:
            raise TrustError(f"the groups of {known.name} stand for no role any more")
        return known
    if not grants:
        who = identity.key[:200]
        raise TrustError(f"nobody made an account for {who!r}, and no group of theirs maps to one")
    check_name(identity.name)
    return access.add(
        identity.name, kind="person", grants=grants, subject=identity.key,
        reason=f"first sign-in by {provider}",
    )  # fmt: skip
