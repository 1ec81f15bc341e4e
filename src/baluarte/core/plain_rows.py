"""Plain objects straight to their records' JSON and their rows of columns, a batch at once.

Most requests are one object with nothing unusual about it. Compiled code reads such texts without a
Python object for most of their values. It leaves whatever it isn't sure of - a key that no field
reads or that is given twice, an escape, a value that a converter refuses - to
:mod:`baluarte.core.quick_rows` and :mod:`baluarte.core.event_rows`: what is read here, those read
to the same bytes and the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.encode import Encoder
from baluarte.core.event import Value
from baluarte.core.event_value import converter
from baluarte.core.quick_rows import NATIVE, kind_of
from baluarte.core.schema import Field, Schema

_ENCODE = msgspec.json.Encoder().encode
_Key = tuple[bytes, int]  #: of an object: its bytes, and the field or ~ the object that it leads to


class PlainRows(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Those of some texts that are plain objects, in their order."""

    which: list[int]  #: (k,) ascending numbers of the texts
    events: list[bytes]  #: (k,) JSON of each record, names in ascending order
    ids: list[Value | None]  #: (k,) of each event, where it has one of its own
    times: list[Value | None]  #: (k,) likewise
    features: NDArray[np.float64]  #: (k, d) encoded columns
    cells: bytes  #: the k·d columns as one JSON array, row by row; null where they are NaN


class PlainReader:
    """Reads texts of one schema for one encoder; :func:`plain_reader` makes one where it can."""

    def __init__(self, schema: Schema, encoder: Encoder, compiled: Any) -> None:
        given = sorted(
            (field for field in schema.fields if field.role != "derived"), key=lambda f: f.name
        )
        places = {field.name: i for i, field in enumerate(given)}
        id_field, time_field = schema.by_role("id"), schema.by_role("time")
        self._read = compiled.read
        self._n_columns = len(encoder.columns)
        self._depth = max(len(field.keys) for field in given)
        self._plan = compiled.plan(
            tuple((_ENCODE(f.name) + b":", kind_of(f), converter(f)) for f in given),
            _objects(given),
            tuple((places[name], part, width) for name, part, width in encoder.parts),
            _ENCODE,
            -1 if id_field is None else places[id_field.name],
            -1 if time_field is None else places[time_field.name],
        )

    def read(self, texts: list[bytes], *, max_depth: int) -> PlainRows:
        """Those of the texts that are one plain object each.

        Args:
            max_depth: of objects within one another that a text keeps.
        """
        X = np.empty((len(texts), self._n_columns))
        if self._depth >= max_depth:
            texts = []
            X = X[:0]
        which, events, ids, times, cells = self._read(self._plan, texts, X)
        return PlainRows(which, events, ids, times, X[: len(which)], cells)


def plain_reader(schema: Schema, encoder: Encoder) -> PlainReader | None:
    """A reader of the schema's texts; None where compiled code is missing, or a column's field is.

    What windows derive is not in a text.
    """
    given = {field.name for field in schema.fields if field.role != "derived"}
    if NATIVE is None or not encoder.columns or not {n for n, _, _ in encoder.parts} <= given:
        return None
    return PlainReader(schema, encoder, NATIVE)


def _objects(given: Sequence[Field]) -> tuple[tuple[_Key, ...], ...]:
    """The keys of the whole and of each object in it, by their bytes; inner ones come later."""
    objects: list[dict[str, int]] = [{}]
    for place, field in enumerate(given):
        at = 0
        for key in field.keys[:-1]:
            if key not in objects[at]:
                objects.append({})
                objects[at][key] = ~(len(objects) - 1)
            at = ~objects[at][key]
        objects[at][field.keys[-1]] = place
    return tuple(
        tuple(sorted((key.encode("utf-8", "surrogatepass"), to) for key, to in keys.items()))
        for keys in objects
    )
