"""Adopted models: what a model that people already have is fed, and how like it the program is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from baluarte.core.certificate import LIKENESS, Certificate, ChangedDecision, Reference
from baluarte.core.program.draft import (
    Draft,
    DraftLinear,
    DraftPart,
    DraftStack,
    DraftTrees,
    seal,
)
from baluarte.core.program.model import Program
from baluarte.core.program.shape import shape_of

MAX_LISTED = 1_000  #: changed decisions that are listed one by one
_OF_NODES = ("feature", "threshold", "left", "right", "flags", "set_index", "node_cover")
_FLOAT32 = 2.0**-24  #: largest relative error of one rounding to float32

Scale = Literal["log-odds", "probability", "raw"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """One input of a foreign model: a number, or a category by its text.

    Rows for the model hold in a category's column the place of its text in ``categories``, their
    number for a text that isn't among them, and NaN where it is missing.
    """

    name: str | None  #: None where the model doesn't name its inputs
    categories: tuple[str, ...] | None = None  #: None: a number
    whole: bool = False  #: the model only makes sense of whole numbers here
    missing: bool = True  #: the model takes missing values here


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryOutput:
    """What the model's own library says of (n,) rows, on the scale of the draft.

    Attributes:
        margin: float64; None where the library has none.
        single: what a library says that sums in float32; None where it doesn't.
        leaves: ``margin`` is the float64 sum of the library's leaves, at those it says it reaches.
    """

    library: str
    version: str
    margin: NDArray[np.float64] | None = None
    single: NDArray[np.float64] | None = None
    leaves: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a certificate is made from; arrays of (n,) rows."""

    scores: NDArray[np.int64]
    scale_bits: int
    own: NDArray[np.float64]  #: the reader's evaluation in float64
    size: NDArray[np.float64]  #: Σ|terms| of each row
    n_terms: int  #: of a row's sum
    output: LibraryOutput | None
    thresholds: tuple[int, ...]
    outcomes: tuple[str, ...]


def certify(
    seen: Compared, *, model: str, rows: str, read_as: str, unpickled: str = ""
) -> Certificate:
    """Compare the program with the best reference there is."""
    output = seen.output
    reference: Reference = "reader"
    margin = seen.own
    if output is not None and output.margin is not None:
        reference = "leaves" if output.leaves else "library"
        margin = output.margin
    score = seen.scores * 2.0**-seen.scale_bits
    limit = LIKENESS * np.maximum(1.0, seen.size)
    difference = _distance(score, margin)
    changed, ties = _changed(seen, margin, limit)
    single_difference = single_ratio = single_changed = None
    if output is not None and output.single is not None:
        off = _distance(score, output.single)
        # One rounding of each term and of each sum, and a few of the output itself.
        allowed = (seen.n_terms + 8) * _FLOAT32 * np.maximum(1.0, seen.size)
        single_difference = float(off.max(initial=0.0))
        single_ratio = float((off / allowed).max(initial=0.0))
        single_changed = len(_changed(seen, output.single, allowed)[0])
    return Certificate(
        reference=reference,
        n=len(score),
        largest_difference=float(difference.max(initial=0.0)),
        largest_ratio=float((difference / limit).max(initial=0.0)),
        bound=LIKENESS,
        kept=bool((difference <= limit).all()),
        changed=tuple(changed[:MAX_LISTED]),
        n_changed=len(changed),
        n_ties=ties,
        library="" if output is None else output.library,
        version="" if output is None else output.version,
        model=model,
        rows=rows,
        read_as=read_as,
        single_difference=single_difference,
        single_ratio=single_ratio,
        single_changed=single_changed,
        unpickled=unpickled,
    )


def on_columns(draft: Draft, columns: Sequence[int], *, n_features: int) -> Draft:
    """A draft over a model's inputs, as one over the encoder's columns.

    Args:
        columns: (inputs,) column of each input.

    Raises:
        ValueError: the draft reads an input that there isn't.
    """
    place = np.array(columns, dtype=np.int32)

    def moved(read: NDArray[np.int32]) -> NDArray[np.int32]:
        if read.size and not (int(read.min()) >= 0 and int(read.max()) < len(place)):
            raise ValueError(f"expected inputs in [0, {len(place)}), found others")
        return place[read]

    def spread(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        wide = np.full((len(rows), n_features), np.nan)
        wide[:, place] = rows
        return wide

    def moved_part(part: DraftPart) -> DraftPart:
        if isinstance(part, DraftTrees):
            return replace(part, feature=moved(part.feature))
        if isinstance(part, DraftLinear):
            read = moved(part.column)
            return replace(part, column=read, table_column=moved(part.table_column))
        if isinstance(part, DraftStack):
            members = [
                replace(member, draft=on_columns(member.draft, columns, n_features=n_features))
                for member in part.members
            ]
            return replace(part, members=tuple(members), background=spread(part.background))
        inputs = replace(
            part.inputs,
            column=moved(part.inputs.column),
            flag_column=moved(part.inputs.flag_column),
        )
        return replace(part, inputs=inputs, background=spread(part.background))

    parts = tuple(moved_part(part) for part in draft.parts)
    return Draft(n_features=n_features, base=draft.base, parts=parts)


def sealed(draft: Draft) -> Program:
    """The program of a draft that came from a file: nothing in it is taken for granted.

    Raises:
        ValueError: it can't be a program; says why.
    """
    for part in draft.parts:
        if not isinstance(part, DraftTrees):
            continue
        nodes = {len(getattr(part, name)) for name in _OF_NODES}
        if len(nodes) != 1 or len(part.leaf) != len(part.leaf_cover):
            raise ValueError("the trees' arrays differ in length")
        shape_of(part.root, part.left, part.right, len(part.leaf))
        if not np.isfinite(part.leaf).all():
            raise ValueError("a leaf holds no finite number")
    return seal(draft)


def _distance(score: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """|score − other|; what is no number is infinitely far."""
    with np.errstate(invalid="ignore"):
        off = np.abs(score - other).astype(np.float64)
    off[np.isnan(off)] = np.inf
    return off


def _changed(
    seen: Compared, margin: NDArray[np.float64], limit: NDArray[np.float64]
) -> tuple[list[ChangedDecision], int]:
    cuts = np.array(seen.thresholds, dtype=np.float64) * 2.0**-seen.scale_bits
    theirs = cuts.searchsorted(margin, side="left")
    own = np.array(seen.thresholds, dtype=np.int64).searchsorted(seen.scores, side="left")
    found = []
    for row in np.flatnonzero(theirs != own).tolist():
        nearest = float(np.abs(cuts - margin[row]).min())
        found.append(
            ChangedDecision(
                row=row,
                program=seen.outcomes[int(own[row])],
                model=seen.outcomes[int(theirs[row])],
                tie=nearest <= float(limit[row]),
            )
        )
    return found, sum(one.tie for one in found)
