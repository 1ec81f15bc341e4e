"""Quick ways for whole columns of text: taken where they give what the row road's rules give.

Each returns None where a value needs a closer look; then every value goes by the rules themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DAY_US = 86_400_000_000
_MIN_YEAR, _MAX_YEAR = 1700, 2200  # well within what any time may be
_SEPARATORS = {4: b"-", 7: b"-", 13: b":", 16: b":"}
#: length of a time without its zone to its digits after the point
_FRACTIONS = {19: 0, 23: 3, 26: 6}


@dataclass(frozen=True, slots=True, eq=False)
class CodedTexts:
    """A column of ``n`` texts as its distinct ones and where they stand."""

    texts: list[str | None]  #: None is missing
    codes: NDArray[np.int64]  #: (n,) places in ``texts``

    def __len__(self) -> int:
        return len(self.codes)

    def listed(self) -> list[str | None]:
        """The texts of all rows."""
        texts = self.texts
        return [texts[code] for code in self.codes.tolist()]


def plain_texts(values: Sequence[str | None], *, max_chars: int) -> list[str | None] | None:
    """Texts that can all be kept as they are; an empty one is missing."""
    distinct = set(values)
    known = [value for value in distinct if value]
    joined = "".join(known)
    if "\0" in joined or (known and max(map(len, known)) > max_chars):
        return None
    if not joined.isascii():
        try:
            joined.encode()
        except UnicodeEncodeError:
            return None
    return [value or None for value in values] if "" in distinct else list(values)


def parsed_times(cells: Sequence[str | None]) -> NDArray[np.float64] | None:
    """(n,) microseconds of UTC of times that are all written in one way; NaN where empty.

    The ways are ``2026-07-31T12:00:00``, with three or six digits after the point, and with a Z.
    """
    known = [cell for cell in cells if cell]
    if not known:
        return None
    joined = "".join(known)
    width = len(known[0])
    if not joined.isascii() or len(joined) != width * len(known) or set(map(len, known)) != {width}:
        return None
    moments = times_of_grid(
        np.frombuffer(joined.encode(), dtype=np.uint8).reshape(len(known), width)
    )
    if moments is None or len(known) == len(cells):
        return moments
    column = np.full(len(cells), math.nan)
    column[[bool(cell) for cell in cells]] = moments
    return column


def times_of_grid(grid: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """(n,) microseconds of UTC of rows of characters, as :func:`parsed_times` reads them.

    Args:
        grid: (n, characters of a time) bytes, n at least 1.
    """
    if grid.shape[1] and (grid[:, -1] == ord("Z")).all():
        grid = grid[:, :-1]
    n_fraction = _FRACTIONS.get(grid.shape[1])
    if n_fraction is None:
        return None
    marks = all((grid[:, at] == ord(mark)).all() for at, mark in _SEPARATORS.items())
    between = grid[:, 10]
    if not marks or not ((between == ord("T")) | (between == ord(" "))).all():
        return None
    if n_fraction and not (grid[:, 19] == ord(".")).all():
        return None
    digits = np.delete(grid, [*_SEPARATORS, 10, 19][: 6 if n_fraction else 5], axis=1).astype(
        np.int64
    ) - ord("0")
    if ((digits < 0) | (digits > 9)).any():
        return None

    def number(start: int, stop: int) -> NDArray[np.int64]:
        found = np.zeros(len(digits), dtype=np.int64)
        for at in range(start, stop):
            found = found * 10 + digits[:, at]
        return found

    year, month, day = number(0, 4), number(4, 6), number(6, 8)
    hour, minute, second = number(8, 10), number(10, 12), number(12, 14)
    fraction = number(14, 14 + n_fraction) * 10 ** (6 - n_fraction)
    months = (year - 1970) * 12 + month - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    after = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    right = (
        (year >= _MIN_YEAR) & (year <= _MAX_YEAR) & (month >= 1) & (month <= 12) & (day >= 1)
        & (day <= after - first) & (hour < 24) & (minute < 60) & (second < 60)
    )  # fmt: skip
    if not right.all():
        return None
    seconds = hour * 3600 + minute * 60 + second
    total: NDArray[np.int64] = (first + day - 1) * _DAY_US + seconds * 1_000_000 + fraction
    return total.astype(np.float64)
