"""A draft program: the compiled model before its one rounding to fixed point.

Learners compile to drafts; drafts add up (that is what a blend is); :func:`seal` rounds each term
once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.model import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftTrees:
    """As :class:`~baluarte.core.program.model.TreePart`, with float64 leaves of shape (L,)."""

    rule: Rule
    root: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    flags: NDArray[np.uint8]
    set_index: NDArray[np.int32]
    set_start: NDArray[np.int32]
    set_bits: NDArray[np.uint32]
    leaf: NDArray[np.float64]
    node_cover: NDArray[np.float64]
    leaf_cover: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftLinear:
    """As :class:`~baluarte.core.program.model.LinearPart`, values float64 on the margin's scale."""

    column: NDArray[np.int32]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    weight: NDArray[np.float64]
    missing: NDArray[np.float64]
    mean: NDArray[np.float64]
    table_column: NDArray[np.int32]
    table_start: NDArray[np.int32]
    table_value: NDArray[np.float64]
    cut_start: NDArray[np.int32]
    cut: NDArray[np.float64]
    table_missing: NDArray[np.float64]
    table_other: NDArray[np.float64]
    table_mean: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A sum of parts plus a constant, on the margin's scale, over ``n_features`` columns."""

    n_features: int
    base: float
    parts: tuple[DraftTrees | DraftLinear, ...]
