"""One PostgreSQL session, opened with care. Extra ``sql``.

TLS 1.3 with a verified certificate is used for every host but this machine, unless ``tls=off``
stands in the address; ``ca=FILE`` names the authorities that are believed instead of the system's.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from baluarte.adapters.outward import outward_tls
from baluarte.adapters.sql_address import SqlAddress
from baluarte.adapters.sql_source import Password
from baluarte.errors import ContractError, DataError, OutsideError

_TIMEOUT_S = 30
_HERE = ("", "localhost", "127.0.0.1", "::1")


@contextmanager
def session(address: SqlAddress, shown: str, password: Password | None) -> Iterator[Any]:
    """An open session.

    Raises:
        DataError: the database refused what it was asked.
        OutsideError: it can't be reached, refused the password, or pg8000 isn't installed.
    """
    driver = driver_of_postgres(shown)
    try:
        with closing(connected(driver, address, password)) as opened:
            yield opened
    except driver.DatabaseError as error:
        raise DataError(f"the database refused: {reason(error)}", where=shown) from error
    except (driver.InterfaceError, OSError) as error:
        raise away(error, shown) from error


def driver_of_postgres(shown: str) -> Any:
    """The library that speaks to PostgreSQL.

    Raises:
        OutsideError: pg8000 isn't installed.
    """
    try:
        import pg8000.native  # noqa: PLC0415 - only who uses PostgreSQL pays
    except ImportError as error:
        raise OutsideError(
            "PostgreSQL needs pg8000, which isn't installed",
            where=shown,
            hint="pip install 'baluarte[sql]'",
        ) from error
    return pg8000.native


def away(error: Exception, shown: str) -> OutsideError:
    """What to say of a database that does not answer."""
    return OutsideError(
        f"the database can't be reached: {error}",
        where=shown,
        hint="Check its address, its password and whether it runs.",
        retryable=True,
    )


def connected(driver: Any, address: SqlAddress, password: Password | None) -> Any:
    """An open connection, which the caller closes."""
    try:
        parts = urlsplit(address.place)
        host, port = unquote(parts.hostname or ""), parts.port or 5432
    except ValueError as error:
        raise ContractError(f"expected an address: {error}", where=address.place) from None
    said = password() if password is not None else None
    folder = address.options.get("host", "")
    encrypted = not folder and host not in _HERE and address.options.get("tls") != "off"
    named = unquote(parts.username or "")
    return driver.Connection(
        user=named or os.environ.get("PGUSER") or os.environ.get("USER", ""),
        host=host or "localhost",
        port=port,
        database=unquote(parts.path.lstrip("/")) or None,
        password=said or os.environ.get("PGPASSWORD"),
        unix_sock=f"{folder}/.s.PGSQL.{port}" if folder else None,
        ssl_context=_tls(address) if encrypted else None,
        timeout=_TIMEOUT_S,
        application_name="baluarte",
    )


def _tls(address: SqlAddress) -> ssl.SSLContext:
    return outward_tls(address.options.get("ca"), where=f"{address.place}?ca=")


def reason(error: Exception) -> str:
    """What PostgreSQL said of a refusal."""
    told = error.args[0] if error.args else {}
    return str(told.get("M", told)) if isinstance(told, dict) else str(told)


@contextmanager
def rolled_back(opened: Any) -> Iterator[None]:
    """One read-only transaction on one state of the data; it leaves nothing."""
    opened.run("START TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield
    finally:
        with suppress(Exception):
            opened.run("ROLLBACK")
