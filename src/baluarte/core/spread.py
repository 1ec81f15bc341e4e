"""Where a detector's columns stood when it was sealed: what is usual, and what was ever seen.

Two questions are answered from here: what is usual of a value that a reason names, and how far a
counterfactual moves a field, on which grid, within which range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.encode import ColumnInfo
from baluarte.errors import TrustError

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)  #: shares of the usual rows at or below each quantile
MAX_DECIMALS = 6  #: digits after the point that are looked for
_MAX_FLOAT = float(np.finfo(np.float64).max)


class ColumnSpread(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One encoded column over the rows that the detector was fitted on.

    Attributes:
        missing: share of the usual rows without a value.
        low: least value of all rows, attacks too; None where there was none.
        high: greatest value, likewise.
        quantiles: of the usual rows at :data:`LEVELS`; empty where none has a value, and of
            categories.
        decimals: digits after the point that are enough for every value; None: more than
            :data:`MAX_DECIMALS`.
        shares: of each category code among the usual rows; codes beyond the last are 0.
    """

    column: str
    missing: float
    low: float | None = None
    high: float | None = None
    quantiles: tuple[float, ...] = ()
    decimals: int | None = None
    shares: tuple[float, ...] = ()

    @property
    def scale(self) -> float:
        """What one step of this column is: the middle half of its usual values.

        Where that is empty, the middle nine tenths; where they are, the whole range; 0 for a
        constant.
        """
        widths = [0.0]
        if self.quantiles:
            at = dict(zip(LEVELS, self.quantiles, strict=True))
            widths += [at[0.75] - at[0.25], at[0.95] - at[0.05]]
        if self.low is not None and self.high is not None:
            widths.append(self.high - self.low)
        return next((width for width in widths if width > 0), 0.0)

    @property
    def usual(self) -> tuple[float, float] | None:
        """Between which values nine tenths of the usual rows are."""
        return (self.quantiles[0], self.quantiles[-1]) if self.quantiles else None


class Spread(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All columns of an encoder, in its order.

    Attributes:
        rows: that the detector was fitted on.
        usual: how many of them are not known to be attacks.
    """

    columns: tuple[ColumnSpread, ...]
    rows: int
    usual: int
    format: Literal["baluarte-spread/1"] = "baluarte-spread/1"


def fit_spread(
    X: NDArray[np.float64], labels: NDArray[np.int8], columns: Sequence[ColumnInfo]
) -> Spread:
    """The spread of (n, d) encoded rows.

    Args:
        labels: (n,) 1 attack, 0 not, -1 unknown; usual is whatever is no attack.
    """
    usual = labels != 1
    return Spread(
        columns=tuple(_column(X[:, j], usual, info) for j, info in enumerate(columns)),
        rows=len(X),
        usual=int(usual.sum()),
    )


def dumps(spread: Spread) -> bytes:
    """The sealed bytes: JSON with sorted keys."""
    return msgspec.json.encode(spread, order="sorted")


def loads(data: bytes, columns: Sequence[ColumnInfo], *, where: str = "spread.json") -> Spread:
    """A spread from its sealed bytes, checked against the columns it speaks of.

    Raises:
        TrustError: not what :func:`dumps` makes, or of other columns.
    """
    try:
        spread = msgspec.json.decode(data, type=Spread)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise TrustError(f"expected a spread, found: {error}", where=where) from error
    if [one.column for one in spread.columns] != [info.name for info in columns]:
        raise TrustError("expected the encoder's columns, found others", where=where)
    if dumps(spread) != data or not all(_sound(one) for one in spread.columns):
        raise TrustError("the spread breaks a rule of its format", where=where)
    return spread


def _column(x: NDArray[np.float64], usual: NDArray[np.bool_], info: ColumnInfo) -> ColumnSpread:
    known = ~np.isnan(x)
    n_usual = max(int(usual.sum()), 1)
    missing = float((usual & ~known).sum() / n_usual)
    all_values, usual_values = x[known], x[usual & known]
    if info.categorical:
        counts = np.bincount(usual_values.astype(np.int64), minlength=info.n_codes)
        shares = (counts[: info.n_codes] / n_usual).tolist()
        while shares and shares[-1] == 0.0:
            shares.pop()
        return ColumnSpread(column=info.name, missing=missing, shares=tuple(shares))
    if not len(all_values):
        return ColumnSpread(column=info.name, missing=missing)
    quantiles: tuple[float, ...] = ()
    if len(usual_values):
        found = np.quantile(usual_values, LEVELS, method="inverted_cdf")
        quantiles = tuple((found + 0.0).tolist())
    return ColumnSpread(
        column=info.name,
        missing=missing,
        low=float(all_values.min()) + 0.0,
        high=float(all_values.max()) + 0.0,
        quantiles=quantiles,
        decimals=_decimals(np.unique(all_values)),
    )


def _decimals(values: NDArray[np.float64]) -> int | None:
    """The fewest digits after the point that write every value; None where too many."""
    for digits in range(MAX_DECIMALS + 1):
        ten = 10.0**digits
        with np.errstate(over="ignore"):
            whole = np.rint(values * ten)
        if bool((np.abs(whole) < 2.0**53).all() and (whole / ten == values).all()):
            return digits
    return None


def _sound(one: ColumnSpread) -> bool:
    ends = (one.low, one.high)
    if (one.low is None) != (one.high is None):
        return False
    numbers = [x for x in ends if x is not None] + list(one.quantiles)
    return (
        all(abs(x) <= _MAX_FLOAT for x in numbers)
        and (one.low is None or one.high is None or one.low <= one.high)
        and len(one.quantiles) in (0, len(LEVELS))
        and list(one.quantiles) == sorted(one.quantiles)
        and (one.decimals is None or 0 <= one.decimals <= MAX_DECIMALS)
        and all(0 <= share <= 1 for share in (one.missing, *one.shares))
    )
