"""Addresses of tables and queries: what to ask of which database.

``sqlite:FILE?table=NAME`` or ``postgresql://USER@HOST:PORT/DATABASE?query=FILE.sql&since=2026-01-01``:
the table's name, or a file with one SELECT whose parameters (``:since``) are the other keys. They
are bound, never pasted. A password never stands in an address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from baluarte.errors import ContractError, DataError

_IDENTIFIER = re.compile(r'[^"\x00.]{1,63}')
_KEY = re.compile(r"[A-Za-z_]\w{0,62}")
_OPTIONS = ("tls", "ca", "host")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlAddress:
    """One table or query of one database."""

    place: str  #: the address before its question mark
    table: str = ""  #: quoted
    statement: str  #: the SELECT
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: tls, ca (a file of authorities), host (of a socket); of a store also schema
    options: Mapping[str, str] = field(default_factory=dict)


def sql_address(address: str) -> SqlAddress:
    """The parts of an address.

    Raises:
        ContractError: it names no table and no query, or holds a password.
        DataError: there is no such file of a query.
    """
    place, keys = _parted(address, hint="at the detector")
    table, query = keys.pop("table", ""), keys.pop("query", "")
    options: dict[str, str] = {key: keys.pop(key) for key in _OPTIONS if key in keys}
    if bool(table) == bool(query):
        raise ContractError(
            "expected ?table=NAME or ?query=FILE.sql", where=address, hint="One of the two."
        )
    if table:
        return SqlAddress(
            place=place,
            table=(quoted := _quoted(table, address)),
            statement=f"SELECT * FROM {quoted}",  # noqa: S608 - quoted by the rules of SQL
            options=options,
        )
    if not all(_KEY.fullmatch(key) for key in keys):
        raise ContractError(
            f"expected parameters with names, found {', '.join(keys)}", where=address
        )
    return SqlAddress(
        place=place, statement=_statement(query, address), parameters=keys, options=options
    )


def server_address(address: str) -> SqlAddress:
    """The parts of the address of a database that is a store of ours, which names no table.

    Raises:
        ContractError: it holds a password, or a key that is no option.
    """
    place, options = _parted(address, hint="under [stores]")
    known = {*_OPTIONS, "schema"}
    unknown = sorted(options.keys() - known)
    if unknown:
        raise ContractError(
            f"expected one of {', '.join(sorted(known))}; found {unknown[0]!r}", where=address
        )
    return SqlAddress(place=place, statement="", options=options)


def _parted(address: str, *, hint: str) -> tuple[str, dict[str, str]]:
    """What stands before the question mark, and the keys after it."""
    place, _, asked = address.partition("?")
    user = place.partition("://")[2].rpartition("@")[0]
    if ":" in user:
        raise ContractError(
            "expected no password in an address",
            where=place.partition("://")[0] + "://…",
            hint=f'Write password = {{ env = "NAME" }} {hint} in workspace.toml.',
        )
    return place, dict(parse_qsl(asked, keep_blank_values=True))


def _quoted(name: str, address: str) -> str:
    parts = name.split(".")
    if not all(_IDENTIFIER.fullmatch(part) for part in parts):
        raise ContractError(f"expected a table's name, found {name!r}", where=address)
    return ".".join(f'"{part}"' for part in parts)


def _statement(file: str, address: str) -> str:
    try:
        text = Path(file).read_text("utf-8").strip().rstrip(";")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"expected a file with a query: {error}", where=address) from None
    if not re.match(r"(?is)\s*(--[^\n]*\n\s*)*(select|with|values|table)\b", text):
        raise ContractError("expected one SELECT", where=file)
    return text
