"""A stretch of time as a person types it: ``--since 30d``, ``--until 2026-11-01``."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime

from baluarte.errors import DataError

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def add_period(parser: argparse.ArgumentParser) -> None:
    """The arguments ``--since`` and ``--until``."""
    parser.add_argument(
        "--since", metavar="WHEN", help="only what was decided from then on: 2026-11-01, 30d, 12h"
    )
    parser.add_argument("--until", metavar="WHEN", help="only what was decided before then")


def period_of(args: argparse.Namespace, *, now_us: int) -> tuple[int | None, int | None]:
    """Since and until, microseconds of UTC; None where nothing was said.

    Raises:
        DataError: it is no time, or the stretch ends before it begins.
    """
    since = None if args.since is None else instant_us(args.since, now_us=now_us, where="--since")
    until = None if args.until is None else instant_us(args.until, now_us=now_us, where="--until")
    if since is not None and until is not None and until <= since:
        raise DataError(f"expected a time after {args.since}; found {args.until}", where="--until")
    return since, until


def instant_us(text: str, *, now_us: int, where: str) -> int:
    """A date, a time of RFC 3339, or how long ago; without a zone it is UTC.

    >>> instant_us("1970-01-02", now_us=0, where="--since")
    86400000000
    >>> instant_us("2h", now_us=7_200_000_000, where="--since")
    0

    Raises:
        DataError: it is none of these.
    """
    ago = _AGO.fullmatch(text)
    if ago:
        return now_us - int(ago[1]) * _UNIT_S[ago[2]] * 1_000_000
    try:
        moment = datetime.fromisoformat(text.upper().replace(" ", "T"))
    except ValueError:
        raise DataError(
            f"expected a time such as 2026-11-01, 2026-11-01T09:30Z, 30d or 12h; found {text!r}",
            where=where,
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
