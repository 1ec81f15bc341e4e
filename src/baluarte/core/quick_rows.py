"""JSON texts straight to records, for the rows that have nothing unusual about them.

A schema's Structs (msgspec) decode a text; compiled code brings the values to their record form
and counts the keys. Whatever is not plain - a key that no field reads or that is given twice, a
value of another type, a number out of range - is left to
:class:`baluarte.core.event_rows.RowReader`, which is the rule: what this reads, that reads to the
same records, and what that refuses, this leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from baluarte.core.event import Values
from baluarte.core.event_value import Convert, ValueRefusedError, converter
from baluarte.core.native import native
from baluarte.core.schema import Field, Schema

_IGNORED, _CONVERTED, _REQUIRED = 0, 5, 64
_KINDS = {"number": 1, "integer": 2, "category": 3, "text": 4}  #: as _rows.c numbers them
_Scalar = bool | int | float | str | UnsetType | None
#: all that msgspec raises at a text that it doesn't decode
_NOT_DECODED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)


NATIVE = native("_rows")  #: None where it was not built: all rows are read by the rule


class _Node:
    """One object of the schema's paths: a Struct of its scalars, and the objects in it."""

    def __init__(self, fields: list[tuple[tuple[str, ...], Field]], *, strict: bool) -> None:
        here = [(keys[0], field) for keys, field in fields if len(keys) == 1]
        below: dict[str, list[tuple[tuple[str, ...], Field]]] = {}
        for keys, field in fields:
            if len(keys) > 1:
                below.setdefault(keys[0], []).append((keys[1:], field))
        self.children = [_Node(inner, strict=strict) for inner in below.values()]
        self.n_scalars = len(here)
        self.fields = [field for _, field in here]
        self.fields += [field for child in self.children for field in child.fields]
        self.absent = (UNSET,) * len(self.fields)
        types: list[Any] = [Any if f.role == "ignored" else _Scalar for _, f in here]
        types += [child.struct | UnsetType | None for child in self.children]
        keys_here = [key for key, _ in here] + list(below)
        self.struct: Any = msgspec.defstruct(
            "Row",
            [(f"f{i}", kind, UNSET) for i, kind in enumerate(types)],
            rename={f"f{i}": key for i, key in enumerate(keys_here)},
            forbid_unknown_fields=strict,
            gc=False,
        )

    def values(self, row: msgspec.Struct) -> tuple[tuple[Any, ...], int]:
        """The scalars in the order of ``fields``, and how many keys lead to objects."""
        found = msgspec.structs.astuple(row)
        if not self.children:
            return found, 0
        out, n_keys = found[: self.n_scalars], 0
        for child, inner in zip(self.children, found[self.n_scalars :], strict=True):
            if inner is UNSET:
                out += child.absent
                continue
            n_keys += 1
            if inner is None:
                out += child.absent
                continue
            more, n_below = child.values(inner)
            out += more
            n_keys += n_below
        return out, n_keys


class QuickReader:
    """Reads texts of one schema; :func:`quick_reader` makes one where that is possible."""

    def __init__(self, schema: Schema, compiled: Any) -> None:
        given = [field for field in schema.fields if field.role != "derived"]
        self._root = _Node(
            sorted(((field.keys, field) for field in given), key=lambda pair: pair[1].name),
            strict=schema.unknown != "ignore",
        )
        fields = self._root.fields
        order = sorted(range(len(fields)), key=lambda i: fields[i].name)
        in_order = order == list(range(len(fields)))
        self._reorder: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None
        if not in_order:
            self._reorder = itemgetter(*order) if len(order) > 1 else tuple
        ordered = [fields[i] for i in order]
        self._names = tuple(field.name for field in ordered)
        self._kinds = bytes(kind_of(field) for field in ordered)
        self._converts: tuple[Convert, ...] = tuple(converter(field) for field in ordered)
        self._native = compiled
        row: Any = self._root.struct
        self._one = msgspec.json.Decoder(row)
        self._any = msgspec.json.Decoder(row | list.__class_getitem__(row))

    def read(self, text: bytes, *, max_depth: int) -> tuple[list[Values], bool] | None:
        """The records of one object or an array of them, and whether it is an array.

        The names of each record stand in ascending order.

        Args:
            max_depth: of objects and arrays within one another that every row keeps.

        Returns:
            None where something is unusual: the text must be read by the rule.
        """
        try:
            found = self._any.decode(text)
        except _NOT_DECODED:
            return None
        many = type(found) is list
        rows = self._records(found if many else [found], [text], max_depth)
        return None if rows is None else (rows, many)

    def read_each(
        self, texts: Sequence[bytes], *, max_depth: int
    ) -> list[tuple[list[Values], bool] | None]:
        """What :meth:`read` says of each text, sooner where each is one plain object."""
        decode = self._one.decode
        try:
            rows = [decode(text) for text in texts]
        except _NOT_DECODED:
            rows = []
        # No text has fewer keys than are kept of it: where all together have as many, each has.
        records = self._records(rows, texts, max_depth) if rows else None
        if records is None:
            return [self.read(text, max_depth=max_depth) for text in texts]
        return [([values], False) for values in records]

    def read_lines(self, lines: list[bytes], *, max_depth: int) -> list[Values] | None:
        """The records of lines, each one object; None as :meth:`read`."""
        decode = self._one.decode
        try:
            found = [decode(line) for line in lines]
        except _NOT_DECODED:
            return None
        return self._records(found, [b"\n".join(lines)], max_depth)

    def _records(
        self, found: list[msgspec.Struct], texts: Sequence[bytes], max_depth: int
    ) -> list[Values] | None:
        scan, n_keys = self._native.scan, 0
        for text in texts:
            mine, depth = scan(text)
            if depth >= max_depth:
                return None
            n_keys += mine
        node, reorder = self._root, self._reorder
        if node.children:
            rows = []
            for row in found:
                values, n_nested = node.values(row)
                n_keys -= n_nested
                rows.append(values)
        else:
            rows = [msgspec.structs.astuple(row) for row in found]
        if reorder is not None:
            rows = [reorder(values) for values in rows]
        try:
            records: list[Values] | None = self._native.records(
                self._names, self._kinds, self._converts, rows, UNSET, n_keys
            )
        except ValueRefusedError:
            return None
        return records


def quick_reader(schema: Schema) -> QuickReader | None:
    """A reader of the schema's texts; None where compiled code or a fitting Struct is missing."""
    if NATIVE is None:
        return None
    try:
        return QuickReader(schema, NATIVE)
    except ValueError:  # a key that needs escapes
        return None


def kind_of(field: Field) -> int:
    """A field's kind as compiled code numbers it."""
    kind = _IGNORED if field.role == "ignored" else _KINDS.get(field.type, _CONVERTED)
    return kind | (_REQUIRED if field.required else 0)
