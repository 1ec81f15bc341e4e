"""What all readers of foreign models do with what a file says: categories, and damage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from baluarte.errors import DataError

#: what a parser of ours meets in a damaged file
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@contextmanager
def refuse_damaged(what: str, where: str) -> Iterator[None]:
    """Turn whatever a damaged file makes of a parser into one refusal.

    Raises:
        DataError: the file isn't what it should be.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except _DAMAGE as error:
        raise DataError(
            f"expected {what}, found what can't be read: {type(error).__name__}: {error!s:.200}",
            where=where,
            hint="The file is damaged, cut short, or of another format.",
        ) from error


def category_text(value: object, where: str) -> str:
    """A category's canonical text (the table in :mod:`baluarte.core.event`).

    >>> [category_text(value, "here") for value in ("http", 3, True, 2.0)]
    ['http', '3', 'true', '2']

    Raises:
        DataError: it is no text, whole number or truth value.
    """
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, str):
        return value
    raise DataError(
        f"expected categories that are texts or whole numbers, found {value!r:.60}", where=where
    )
