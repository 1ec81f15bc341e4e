"""Pseudonyms at work: the workspace's key, and whether a version was made with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from baluarte.core.evidence import Lineage
from baluarte.core.pseudonym import Pseudonyms, needs_pseudonyms
from baluarte.core.schema import Schema
from baluarte.errors import ContractError, TrustError

if TYPE_CHECKING:
    from baluarte.apps.place import Place
    from baluarte.core.bundle import SealedBundle

PSEUDONYM_KEY = "pseudonym_key"  #: where a version's lineage says by which key


def pseudonyms_of(place: Place, schema: Schema) -> Pseudonyms | None:
    """What makes the schema's pseudonyms with the workspace's key; None where it has none.

    Raises:
        ContractError: there is no key, or one that is too short.
    """
    return made_with(place.pseudonym_key(), schema) if needs_pseudonyms(schema) else None


def made_with(key: str, schema: Schema) -> Pseudonyms | None:
    """What makes the schema's pseudonyms with a key; None where it has none.

    Raises:
        ContractError: the key is missing or too short.
    """
    if not needs_pseudonyms(schema):
        return None
    try:
        return Pseudonyms(schema, key)
    except ValueError as error:
        raise ContractError(
            str(error),
            where="workspace.toml: keys.pseudonyms",
            hint="Bring the key that the versions were trained with.",
        ) from None


def sealed_pseudonyms(key: str, bundle: SealedBundle) -> Pseudonyms | None:
    """The same for a sealed version, which says by which key its pseudonyms were made.

    Raises:
        ContractError: the key is missing or too short.
        TrustError: it is another one: every value would be one that training never saw.
    """
    pseudonyms = made_with(key, bundle.contract.events)
    if pseudonyms is not None:
        check_key(pseudonyms, bundle.lineage, where=bundle.contract.name)
    return pseudonyms


def check_key(pseudonyms: Pseudonyms, lineage: Lineage, *, where: str) -> None:
    """Refuse another key than the one that a version was trained with.

    Raises:
        TrustError: it is another one.
    """
    wanted = lineage.environment.get(PSEUDONYM_KEY)
    if wanted is not None and wanted != pseudonyms.key_id:
        raise TrustError(
            f"expected the pseudonym key {wanted}, found {pseudonyms.key_id}",
            where=where,
            hint="Put back the key that the version was trained with, or train again.",
        )
