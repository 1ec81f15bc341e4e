"""Fields that hold personal data: identifiers by their check digits, and names that say so."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.binomial import binomial_tail
from baluarte.core.chance import ALPHA, count_figure, share_figure
from baluarte.core.column_names import plain, tokens
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import as_text
from baluarte.core.national import national_phones, national_tax_numbers
from baluarte.core.personal import CHANCE, KINDS, Kind, personal_in
from baluarte.core.schema import Field
from baluarte.core.telling import missing_in

MAX_VALUES = 2_000  #: different values of a field looked at, evenly spaced
FEWEST = 3  #: values with an identifier
SHARE = 0.002
FEWEST_TEXTS = 20  #: different values from which a name alone is believed
NAMES = {
    "email": ("email", "e_mail", "mail_address", "correo"),
    "phone": ("phone", "telephone", "tel", "fono", "telemovel", "telefon", "handynummer",
              "phone_number", "mobile", "cellphone", "telefono", "telefone", "movil",
              "celular", "msisdn"),
    "name": ("first_name", "last_name", "full_name", "surname", "apellido", "apellidos", "nombre",
             "sobrenome", "holder_name", "cardholder", "customer_name"),
    "address": ("street", "home_address", "postal_address", "direccion", "endereco", "domicilio"),
    "birth": ("birth", "birthdate", "birthday", "dob", "nacimiento", "nascimento"),
    "document": ("ssn", "passport", "pasaporte", "dni", "nie", "nif", "cpf", "cnpj", "curp", "rfc",
                 "national_id", "tax_id", "driving_licence", "licence_number"),
    "account": ("iban", "card_number", "pan", "account_number", "ccnum", "cc_number"),
}  # fmt: skip


#: of fields that hold tax numbers
TAX_NAMES = ("nif", "nipc", "contribuinte", "tax_id", "tax_number", "vat", "fiscal")


class PersonalData:
    """Warns of values, notes names; the cure is a keyed pseudonym, or to leave the field out.

    At most 2,000 different values of a field are looked at. A kind of number that random digits
    pass for (one in twenty of some length is a card's) counts only if more pass than would by
    chance. National numbers (:mod:`baluarte.core.national`) count where the whole column is of
    them.
    """

    name: ClassVar[str] = "personal_data"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one a field: features, id, entity and sensitive fields; values first."""
        found = []
        for field in contract.events.fields:
            looked_at = field.role in ("feature", "id", "entity", "key", "sensitive")
            if not looked_at or field.name not in events.columns or field.is_pseudonym:
                continue
            column = events.columns[field.name]
            finding = _by_values(field, column) or _by_name(field, column)
            if finding is not None:
                found.append(finding)
        return sorted(found, key=lambda finding: finding.level == "note")


def _by_values(field: Field, column: Column) -> Finding | None:
    if field.type not in ("category", "text", "integer", "ip"):
        return None
    texts = _different(field, column)
    counts = dict.fromkeys(KINDS, 0)
    for text in texts:
        for kind in {found.kind for found in personal_in(text)}:
            counts[kind] += 1
    kind = max(KINDS, key=lambda each: counts[each])
    n = counts[kind]
    if n < max(FEWEST, SHARE * len(texts)) or _is_chance(kind, n, len(texts)):
        kind, n = _national(field.name, texts)
        if n == 0:
            return None
    return Finding(
        check="personal_data.values",
        # An address of the network is what a security event is about.
        level="note" if field.type == "ip" else "warn",
        field=field.name,
        values={"field": field.name, "what": kind, "share": n / len(texts)},
        fix=_cure(field, identifies=True),
        evidence=(share_figure("personal", n, len(texts)),),
    )


def _is_chance(kind: Kind, n: int, of: int) -> bool:
    """Whether as many of these numbers would pass for identifiers if they were random."""
    chance = CHANCE.get(kind, 0.0)
    return bool(chance) and binomial_tail(n, of, chance) > ALPHA / len(KINDS)


def _national(name: str, texts: list[str]) -> tuple[Kind, int]:
    """Numbers as one country writes them, and how many; none unless the column is full of them."""
    words, whole = tokens(name), plain(name)
    phones = national_phones(texts, named=_says(NAMES["phone"], words, whole))
    if phones:
        return "phone", phones
    taxed = _says(TAX_NAMES, words, whole)
    return "nif", national_tax_numbers(texts) if taxed else 0


def _by_name(field: Field, column: Column) -> Finding | None:
    words, whole = tokens(field.name), plain(field.name)
    kind = next((k for k, names in NAMES.items() if _says(names, words, whole)), None)
    if kind is None or field.type == "boolean":
        return None
    different = _different(field, column)
    if len(different) < FEWEST_TEXTS:
        return None
    return Finding(
        check="personal_data.name",
        level="note",
        field=field.name,
        values={"field": field.name, "what": kind},
        fix=_cure(field, identifies=False),
        evidence=(count_figure("different", len(different), int((~missing_in(column)).sum())),),
    )


def _says(names: tuple[str, ...], words: set[str], whole: str) -> bool:
    return any(name in words or ("_" in name and name in whole) for name in names)


def _different(field: Field, column: Column) -> list[str]:
    if column.dtype != object:
        column = np.unique(column[~np.isnan(column)])
    texts = sorted({text for text in as_text(column, field.type) if text is not None})
    if len(texts) <= MAX_VALUES:
        return texts
    return [texts[i] for i in np.linspace(0, len(texts) - 1, MAX_VALUES).astype(int).tolist()]


def _cure(field: Field, *, identifies: bool) -> str | None:
    """A keyed pseudonym, or that the field is left out.

    Args:
        identifies: whether its values are known to be identifiers; a whole number becomes a
            category then, as one that counts or measures must not.
    """
    feature = field.role == "feature"
    if field.type == "integer" and identifies:
        return f"pseudonym:{field.name}"
    if field.type == "category" or (field.type == "text" and not feature):
        return f"pseudonym:{field.name}"
    return field.name if feature else None  # of a text's pseudonym nothing is learnt
