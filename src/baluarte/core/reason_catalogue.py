"""The catalogue of reasons: which code and words each field has, and what customers never see.

The author writes it as a file that ``detector.toml`` names; it becomes part of the contract, so
that a letter of today can be written again in five years. A text may hold ``{value}`` and
``{usual}``, and nothing else of the event.
"""

from __future__ import annotations

import re
import string
from typing import Annotated

import msgspec
from msgspec import Meta

from baluarte.core.nearest import did_you_mean
from baluarte.core.schema import Schema
from baluarte.core.typed_tables import Report, parse_toml, to_struct

PLACEHOLDERS = ("value", "usual")
MOST = 4  #: reasons that a customer is given unless the file says otherwise


class FieldReason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said of one field.

    Attributes:
        code: the same in every language and version, such as ``R07``.
        internal: text for analysts by language; empty for the words of the product.
        customer: text for the person concerned by language.
        hidden: whether customers never see it, whatever it did to the score.
    """

    code: str = ""
    internal: dict[str, str] = {}
    customer: dict[str, str] = {}
    hidden: bool = False


class ReasonCatalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said of every field; of those that are not here, what the product says."""

    fields: dict[str, FieldReason] = {}
    most: int = MOST

    @property
    def hidden(self) -> frozenset[str]:
        """The fields that customers never see."""
        return frozenset(name for name, reason in self.fields.items() if reason.hidden)


Text = Annotated[str, Meta(min_length=1, max_length=1000)]


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text by language; in one that is left out the product's own words are used."""

    en: Text | None = None
    es: Text | None = None


class FieldReasonTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field in the file."""

    code: Annotated[str, Meta(max_length=32, description="stable code, such as R07")] = ""
    internal: Said | None = None
    customer: Said | None = None
    hidden: Annotated[bool, Meta(description="never shown to customers")] = False


class ReasonsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file that ``reasons`` in ``detector.toml`` names."""

    most: Annotated[int, Meta(ge=1, le=50, description="reasons that a customer is given")] = MOST
    fields: dict[str, FieldReasonTable] = {}


def parse_reasons(text: str, *, where: str, schema: Schema) -> ReasonCatalogue:
    """The catalogue that a file declares.

    Raises:
        ContractError: everything that is wrong with it, at once.
    """
    data, report = parse_toml(text, where=where)
    surface = to_struct(data, ReasonsFile, report)
    features = [field.name for field in schema.features]
    codes: dict[str, str] = {}
    hidden = [name for name, table in surface.fields.items() if table.hidden]
    for name, table in surface.fields.items():
        path = ("fields", name)
        if name not in features:
            report.fault(path, f"no feature {name}.", did_you_mean(name, features))
        if table.code and codes.setdefault(table.code, name) != name:
            report.fault((*path, "code"), f"{table.code} is {codes[table.code]}'s already")
        _check_texts(name, table, hidden, report)
    report.stop_if_faulty()
    return ReasonCatalogue(
        fields={
            name: FieldReason(
                code=table.code,
                internal=_by_language(table.internal),
                customer=_by_language(table.customer),
                hidden=table.hidden,
            )
            for name, table in surface.fields.items()
        },
        most=surface.most,
    )


def mentions(text: str, field: str) -> bool:
    """Whether a text names a field, as a word of its own and whatever its case."""
    return re.search(rf"(?<!\w){re.escape(field)}(?!\w)", text, re.IGNORECASE) is not None


def fill(text: str, *, value: str, usual: str) -> str:
    """A text of the catalogue with what it says of the event."""
    return text.replace("{value}", value).replace("{usual}", usual)


def _check_texts(name: str, table: FieldReasonTable, hidden: list[str], report: Report) -> None:
    for key in ("internal", "customer"):
        for language, text in _by_language(getattr(table, key)).items():
            path = ("fields", name, key)
            odd = _odd_placeholder(text)
            if odd is not None:
                report.fault(path, f"{{{odd}}} in {language}: expected only {{value}}, {{usual}}")
            told = [field for field in hidden if mentions(text, field)]
            if key == "customer" and told:
                report.fault(path, f"names {told[0]}, which is hidden from customers")
    if table.hidden and table.customer is not None:
        report.fault(("fields", name, "customer"), "the field is hidden; leave this text out")


def _odd_placeholder(text: str) -> str | None:
    """The first placeholder that is none of ours; braces that don't close are one."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError:
        return ""
    plain = text.replace("{value}", "").replace("{usual}", "")
    odd = [name for name in names if name not in PLACEHOLDERS]
    return odd[0] if odd else ("" if "{" in plain or "}" in plain else None)


def _by_language(said: Said | None) -> dict[str, str]:
    if said is None:
        return {}
    return {name: text for name in ("en", "es") if (text := getattr(said, name)) is not None}
