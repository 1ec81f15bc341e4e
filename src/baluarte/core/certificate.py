"""A certificate of likeness: the sealed program and the adopted model, on the user's own rows."""

from __future__ import annotations

from typing import Literal

import msgspec

LIKENESS = 1e-9  #: of the larger of 1 and Σ|terms|: between the program and the model's output

Reference = Literal["library", "leaves", "reader"]


class ChangedDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A row that the model's own output would have put in another band."""

    row: int  #: number of the row among those compared
    program: str  #: outcome by the sealed program
    model: str  #: outcome by the model's own output
    tie: bool  #: whether the threshold is within the bound of the output


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """How like the sealed program and the adopted model are on the user's own rows.

    Attributes:
        reference: what the program was compared with: the ``library``'s float64 output, the float64
            sum of the ``leaves`` that the library reaches, or the ``reader``'s own evaluation of
            the file in float64, where the library isn't installed or says float32 only.
        n: rows that were compared: all that were given.
        largest_difference: between program and reference, on the scale of the score.
        largest_ratio: of a row's difference to its bound; at most 1 where it is kept.
        bound: a row's bound is this times the larger of 1 and Σ|terms| of the row.
        kept: whether every row keeps its bound.
        changed: decisions that the reference would have made otherwise: the first of them.
        n_changed: how many there are.
        n_ties: how many of them are ties.
        library: that was asked; empty where it wasn't there.
        single_difference: largest difference from the library's float32 output, where it has one.
        single_ratio: of that difference to what rounding to float32 may make of the row's sum.
        single_changed: decisions that the library's float32 output would have made otherwise.
        model: digest of the model's file.
        rows: digest of the rows.
        read_as: format that the file was read as.
        unpickled: how the child process was confined that unpickled it; empty where none was.
    """

    reference: Reference
    n: int
    largest_difference: float
    largest_ratio: float
    bound: float
    kept: bool
    changed: tuple[ChangedDecision, ...]
    n_changed: int
    n_ties: int
    library: str
    version: str
    model: str
    rows: str
    read_as: str
    single_difference: float | None = None
    single_ratio: float | None = None
    single_changed: int | None = None
    unpickled: str = ""
    format: Literal["baluarte-certificate/1"] = "baluarte-certificate/1"
