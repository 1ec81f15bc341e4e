"""Batches of columns on their way out: the same columns in each, plain Python values in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from baluarte.errors import DataError


def same_columns(
    batches: Iterator[Mapping[str, Sequence[object]]], address: str
) -> Iterator[dict[str, list[Any]]]:
    """Each batch with rows, as lists.

    Raises:
        DataError: no rows at all, unequal lengths, or other columns than in the first batch.
    """
    names: list[str] | None = None
    empty = True
    for batch in batches:
        columns = {name: _listed(values) for name, values in batch.items()}
        if names is None:
            names = list(columns)
        if list(columns) != names:
            raise DataError(
                f"expected the columns {', '.join(names)}; found {', '.join(columns)}",
                where=address,
            )
        lengths = {len(values) for values in columns.values()}
        if len(lengths) != 1:
            raise DataError(
                f"expected columns of one length, found {sorted(lengths)}", where=address
            )
        if lengths != {0}:
            empty = False
            yield columns
    if empty:
        raise DataError("expected rows to write, found none", where=address)


def _listed(values: Any) -> list[Any]:
    if isinstance(values, np.ndarray):
        plain: list[Any] = values.tolist()
        return plain
    return [value.item() if isinstance(value, np.generic) else value for value in values]
