"""Blocks of a CSV file whose every row is plain, read by Arrow at once.

Plain is what no two readers of CSV read differently: UTF-8 without NUL, every line one row of as
many cells as the header has, quotes only around whole cells and none inside. Whatever else a file
holds is left to the general reader, whose rules and words are the only ones. The same goes for the
columns: numbers are parsed here only where every cell is a plain decimal.

Imported where pyarrow is installed only.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from baluarte.adapters.cells import Cells, Rewrite
from baluarte.core.event import MAX_EXACT_INTEGER
from baluarte.core.event_columns import Cells as TypedCells
from baluarte.core.event_faults import Faults
from baluarte.core.event_value import UNITS_US, ValueRefusedError
from baluarte.core.schema import FLOAT32_MAX, Field
from baluarte.core.text_columns import CodedTexts, times_of_grid

_LF = ord("\n")
_LETTERS = np.ones(256, dtype=np.bool_)  #: which bytes no plain decimal has
_LETTERS[list(b"0123456789+-.eE")] = False

_MARK = "\ufeff".encode()  #: which Arrow would take for a byte order mark


def block_reader(
    *, width: int, separator: str, quote: str, comment: str, wanted: Sequence[int]
) -> BlockReader | None:
    """What reads the plain blocks of a file; None for a dialect that has none."""
    able = separator.isascii() and quote.isascii() and separator != quote and bool(wanted)
    able = able and not {separator, quote} & set("\n\r\0")
    if not able:
        return None
    return BlockReader(
        width=width, separator=separator, quote=quote, comment=comment, wanted=wanted
    )


class BlockReader:
    """Reads the plain blocks of one file.

    Args:
        width: cells of a row.
        quote: around cells; empty for none.
        comment: what lines begin with that are no rows; empty for none.
        wanted: numbers of the columns that are read.
    """

    def __init__(
        self, *, width: int, separator: str, quote: str, comment: str, wanted: Sequence[int]
    ) -> None:
        self._separator, self._quote = separator.encode(), quote.encode()
        self._comment = comment.encode()
        names = list(map(str, range(width)))
        kept = [names[at] for at in wanted]
        self._reading = pa_csv.ReadOptions(use_threads=False, column_names=names)
        self._parsing = pa_csv.ParseOptions(
            delimiter=separator,
            quote_char=quote or False,
            double_quote=False,
            escape_char=False,
            newlines_in_values=False,
            ignore_empty_lines=False,
        )
        self._converting = pa_csv.ConvertOptions(
            check_utf8=False,  # the whole block was
            column_types={name: pa.large_string() for name in kept},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            include_columns=kept,
        )

    def read(self, block: bytes) -> tuple[Any, ...] | None:
        """The wanted columns of whole lines, empty cells missing; None where they aren't plain."""
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        mark = self._comment
        if mark and (block.startswith(mark) or b"\n" + mark in block):
            return None
        characters = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero(characters == _LF)
        if not block.endswith(b"\n"):
            ends = np.append(ends, len(block))
        if not (_is_plain(block, ends) and self._around_cells(block, characters)):
            return None
        self._reading.block_size = len(block) + 1
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(block),
                read_options=self._reading,
                parse_options=self._parsing,
                convert_options=self._converting,
            )
        except pa.ArrowInvalid:  # a row of another number of cells
            return None
        if table.num_rows != len(ends):  # a cell of several lines
            return None
        return tuple(column.combine_chunks() for column in table.columns)

    def column(self, pieces: Sequence[Any], i: int, at: int) -> BlockColumn:
        """A wanted column of several pieces: blocks as :meth:`read` gives them, and lists of rows.

        Args:
            i: which of the wanted columns.
            at: its number in the file.
        """
        arrays = [
            piece[i]
            if isinstance(piece, tuple)
            else pa.array([row[at] or None for row in piece], pa.large_string())
            for piece in pieces
        ]
        return BlockColumn(arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays))

    def _around_cells(self, block: bytes, characters: NDArray[np.uint8]) -> bool:
        """Whether quotes, if there are any, open and close whole cells."""
        if not self._quote or self._quote not in block:
            return True
        at = np.flatnonzero(characters == self._quote[0])
        if len(at) % 2:
            return False
        opens, closes = at[0::2], at[1::2]
        around = np.zeros(256, dtype=np.bool_)
        around[[self._separator[0], _LF]] = True
        before = around[characters[np.maximum(opens - 1, 0)]] | (opens == 0)
        last = len(characters) - 1
        after = around[characters[np.minimum(closes + 1, last)]] | (closes == last)
        return bool(before.all() and after.all())


class BlockColumn:
    """The cells of a column as Arrow has them."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def typed(self, field: Field, plain: Cells, faults: Faults, first_row: int) -> TypedCells:
        """As the column road takes them with ``text_cells``; what is refused is a fault."""
        array, words, change = self._array, plain.missing, plain.of(field)
        if words:
            among = pc.is_in(array, value_set=pa.array(sorted(words), array.type))
            array = pc.if_else(among, None, array)
        if change is None:
            quick = _quick_cells(array, field)
        else:
            quick = _changed_cells(array, change, field)
        return plain.rewrite(field, _texts(array), faults, first_row) if quick is None else quick

    def counts(self) -> Counter[str]:
        """How often each cell occurs."""
        found = pc.value_counts(self._array)
        texts, counts = found.field("values").to_pylist(), found.field("counts").to_pylist()
        return Counter(dict(zip([text or "" for text in texts], counts, strict=True)))


def _is_plain(block: bytes, ends: NDArray[np.int64]) -> bool:
    """Whether a block is text that may be told by lines, none of them empty or very long."""
    if block.startswith(_MARK) or b"\r" in block or b"\0" in block:
        return False
    lengths = np.diff(ends, prepend=-1)
    if lengths.min() == 1 or lengths.max() > csv.field_size_limit():
        return False
    try:
        return block.isascii() or bool(block.decode())
    except UnicodeDecodeError:
        return False


def _texts(array: Any) -> list[str]:
    return [text or "" for text in array.to_pylist()]


def _changed_cells(array: Any, change: Rewrite, field: Field) -> TypedCells | None:
    """A column by its distinct cells, each changed; None for numbers, or where one is refused."""
    if field.type in ("number", "integer"):
        return None
    coded = _coded(array)
    try:
        return CodedTexts([text and change(text) for text in coded.texts], coded.codes)
    except ValueRefusedError:
        return None


def _coded(array: Any) -> CodedTexts:
    coded = array.dictionary_encode()
    texts = [*coded.dictionary.to_pylist(), None]
    return CodedTexts(texts, coded.indices.cast(pa.int64()).fill_null(len(texts) - 1).to_numpy())


def _quick_cells(array: Any, field: Field) -> TypedCells | None:
    """A column as the column road takes it quickly; None where it needs its texts."""
    if field.type in ("number", "integer"):
        return _numbers(array, whole=field.type == "integer")
    if field.type == "time":
        times = _times(array) if array.null_count == 0 else None
        times = _seconds(array, UNITS_US[field.unit]) if times is None else times
        if times is not None:
            return times
    return _coded(array)


def _characters(array: Any) -> NDArray[np.uint8]:
    """All characters of an array's texts, one after the other."""
    _, offsets, data = array.buffers()
    if data is None:
        return np.zeros(0, dtype=np.uint8)
    bounds = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, dtype=np.uint8)[bounds[0] : bounds[-1]]


def _numbers(array: Any, *, whole: bool) -> NDArray[np.float64] | None:
    """Plain decimals, correctly rounded; None where a cell is none, or may be refused."""
    characters = _characters(array)
    if _LETTERS[characters].any():
        array = pc.ascii_trim_whitespace(array)
        array = pc.if_else(pc.equal(array, ""), None, array)
        if _LETTERS[_characters(array)].any():
            return None
    try:
        column: NDArray[np.float64] = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    if (np.abs(column) > FLOAT32_MAX).any():
        return None
    if whole and ((column != np.trunc(column)) & ~np.isnan(column)).any():
        return None
    return column


def _times(array: Any) -> NDArray[Any] | None:
    """Microseconds of UTC of times that are all there, and written in one way."""
    characters = _characters(array)
    width = len(characters) // max(len(array), 1)
    if not width or (np.asarray(pc.binary_length(array)) != width).any():
        return None
    moments = times_of_grid(characters.reshape(len(array), width))
    return None if moments is None else moments.astype("datetime64[us]")


def _seconds(array: Any, unit_us: int) -> NDArray[Any] | None:
    """Times that are all numbers of a unit since 1970, rounded to microseconds."""
    numbers = _numbers(array, whole=False)
    if numbers is None:
        return None
    absent = np.isnan(numbers)
    us = np.rint(np.where(absent, 0.0, numbers) * unit_us)
    if (np.abs(us) >= MAX_EXACT_INTEGER).any():
        return None
    return np.where(absent, np.datetime64("NaT", "us"), us.astype("datetime64[us]"))
