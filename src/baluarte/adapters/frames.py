"""Tables in memory - pandas, polars, Arrow and whatever speaks Arrow's C stream - as columns.

None of those libraries is imported for it: with pyarrow installed every table comes through the
Arrow PyCapsule interface, without it through the table's own ``to_dict``.

Source: the Arrow PyCapsule interface (``__arrow_c_stream__``).
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from baluarte.adapters.profile import profile_values
from baluarte.core.event_columns import Cells, Plain
from baluarte.core.raw_column import RawColumn
from baluarte.core.schema import Schema
from baluarte.errors import DataError


def is_table(value: object) -> bool:
    """Whether a value is a table that this module can take columns from."""
    return hasattr(value, "__arrow_c_stream__") or (
        hasattr(value, "columns") and hasattr(value, "to_dict")
    )


def columns_of(table: Any, schema: Schema) -> dict[str, Cells]:
    """The table's columns that the schema has, by path, as the column road takes them.

    Raises:
        DataError: it is no table.
    """
    fields = {".".join(field.keys): field for field in schema.fields}
    arrow = _arrow_arrays(table)
    if arrow is not None:
        from baluarte.adapters import arrow_tables  # noqa: PLC0415 - only where pyarrow is

        return {
            name: arrow_tables.to_cells(array, fields[name])
            for name, array in arrow.items()
            if name in fields
        }
    return {name: cells for name, cells in _plain_columns(table).items() if name in fields}


def profile_of(table: Any) -> list[RawColumn]:
    """The table's columns as they stand, before any schema.

    Raises:
        DataError: it is no table.
    """
    arrow = _arrow_arrays(table)
    if arrow is not None:
        from baluarte.adapters import arrow_tables  # noqa: PLC0415 - only where pyarrow is

        return [
            arrow_tables.profile_array(name, array)
            for name, array in arrow.items()
            if arrow_tables.is_plain(array.type)
        ]
    out = []
    for name, cells in _plain_columns(table).items():
        values = cells.tolist() if isinstance(cells, np.ndarray) else cells
        counts = Counter(value for value in values if not _is_missing(value))
        out.append(profile_values(name, counts, n=len(values)))
    return out


def _arrow_arrays(table: Any) -> dict[str, Any] | None:
    """Arrow arrays by path, structs flattened; None without pyarrow or without a C stream."""
    if not hasattr(table, "__arrow_c_stream__") or importlib.util.find_spec("pyarrow") is None:
        return None
    import pyarrow as pa  # noqa: PLC0415 - optional; only who brings a table pays

    try:
        found = pa.table(table)
    except pa.ArrowException:  # a column of mixed values, which only Python can hold
        return None
    while any(pa.types.is_struct(field.type) for field in found.schema):
        found = found.flatten()
    return {
        name: pa.concat_arrays(found[name].chunks) if found[name].num_chunks else pa.array([])
        for name in found.column_names
        if not name.startswith("__index_level_")
    }


def _plain_columns(table: Any) -> dict[str, Plain]:
    """Lists by name from a mapping, a pandas or a polars table."""
    if isinstance(table, Mapping):
        found: Mapping[str, Any] = table
    elif hasattr(table, "to_dict"):
        try:
            found = table.to_dict(orient="list")  # pandas
        except TypeError:
            found = table.to_dict(as_series=False)  # polars
    else:
        raise DataError(
            f"expected a table, found a {type(table).__name__}",
            hint="Bring a pandas, polars or Arrow table, or a dict of columns.",
        )
    return {
        str(name): cells
        if isinstance(cells, np.ndarray) and cells.dtype != object
        else [None if _is_missing(value) else value for value in cells]
        for name, cells in found.items()
    }


def _is_missing(value: object) -> bool:
    """Whether a table means "nothing" by this value: None, NaN, pandas' NA and NaT."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value  # noqa: PLR0124 - NaN
