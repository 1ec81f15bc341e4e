"""The sealed program as values. ``docs/concepts/program.md`` specifies every rule.

A program is a sum: ``score = clamp(base + Σ terms)``, every term an int64 in units of
``2**-scale_bits`` of the margin. Integer sums have no order, so batch size, threads and language
can't change the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Rule = Literal["lightgbm", "sklearn", "xgboost"]

MISSING_LEFT = 1  #: flag: a missing value goes left
MISSING_ZERO = 2  #: flag (lightgbm): abs(x) <= 1e-35 and NaN are missing
MISSING_NAN = 4  #: flag (lightgbm): NaN is missing; with neither flag NaN is compared as 0.0
CATEGORICAL = 8  #: flag (lightgbm, xgboost): membership in ``set_bits`` decides, not the threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePart:
    """An ensemble of binary trees: N inner nodes, L leaves, T trees, all in flat arrays.

    A reference ``r >= 0`` is an inner node, ``r < 0`` the leaf ``~r``. A node's children come
    after it
    (``child > node``), each node and leaf has exactly one parent or is one root: no cycles, no
    sharing.
    """

    rule: Rule
    root: NDArray[np.int32]  #: (T,) references
    feature: NDArray[np.int32]  #: (N,) column of the encoder's matrix
    threshold: NDArray[np.float64]  #: (N,) not NaN; 0.0 for categorical nodes
    left: NDArray[np.int32]  #: (N,) references
    right: NDArray[np.int32]  #: (N,) references
    flags: NDArray[np.uint8]  #: (N,) the flags above
    set_index: NDArray[np.int32]  #: (N,) category set of the node, -1 where not categorical
    set_start: NDArray[np.int32]  #: (S + 1,) first word of each set in set_bits
    set_bits: NDArray[np.uint32]  #: bit c of a set: code c goes left (lightgbm) or right (xgboost)
    leaf: NDArray[np.int64]  #: (L,) fixed-point values
    node_cover: NDArray[np.float64]  #: (N,) training weight that reached the node, > 0
    leaf_cover: NDArray[np.float64]  #: (L,) likewise; for exact path-dependent reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearPart:
    """A sum of one term a column, each rounded once to fixed point.

    Numeric terms: ``rint(((min(max(x, low), high) - center) / scale) * weight)`` with ``weight``
    already multiplied by ``2**scale_bits``; NaN gives ``missing``. M terms.

    Table terms: ``value[start + k]`` where k is the category code, or for a term with cuts the
    number of cuts <= x; NaN gives ``table_missing``; a code that is not in the table gives
    ``table_other``. K terms.
    """

    column: NDArray[np.int32]  #: (M,)
    center: NDArray[np.float64]  #: (M,) finite
    scale: NDArray[np.float64]  #: (M,) finite, > 0
    low: NDArray[np.float64]  #: (M,) not NaN, low <= high
    high: NDArray[np.float64]  #: (M,)
    weight: NDArray[np.float64]  #: (M,) finite
    missing: NDArray[np.int64]  #: (M,)
    mean: NDArray[np.int64]  #: (M,) the term's mean over the fit rows: the reasons' baseline
    table_column: NDArray[np.int32]  #: (K,)
    table_start: NDArray[np.int32]  #: (K + 1,) into table_value
    table_value: NDArray[np.int64]
    cut_start: NDArray[np.int32]  #: (K + 1,) into cut; an empty range means category codes
    cut: NDArray[np.float64]  #: ascending within a term, finite
    table_missing: NDArray[np.int64]  #: (K,)
    table_other: NDArray[np.int64]  #: (K,)
    table_mean: NDArray[np.int64]  #: (K,)


RBF, POLYNOMIAL = 0, 1  #: kernels
IDENTITY, RELU, TANH, LOGISTIC = 0, 1, 2, 3  #: activations; a stack links by 0 or 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The numbers that a kernel machine or a network sees of a row: M numeric, then K flags.

    Numeric: ``(min(max(x, low), high) - center) / scale``; NaN gives ``missing``. A flag is ``on``
    where x equals its code (code -1: where x is NaN), else ``off``.
    """

    column: NDArray[np.int32]  #: (M,)
    center: NDArray[np.float64]  #: (M,) finite
    scale: NDArray[np.float64]  #: (M,) finite, > 0
    low: NDArray[np.float64]  #: (M,) finite, low <= high
    high: NDArray[np.float64]  #: (M,)
    missing: NDArray[np.float64]  #: (M,) finite
    flag_column: NDArray[np.int32]  #: (K,)
    code: NDArray[np.int32]  #: (K,) -1: missing
    on: NDArray[np.float64]  #: (K,) finite
    off: NDArray[np.float64]  #: (K,) finite

    @property
    def n_inputs(self) -> int:
        """Numbers that are seen of a row."""
        return len(self.column) + len(self.flag_column)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared(Inputs):
    """Inputs, and what reasons are estimated against: background rows, pairs of permutations."""

    sampling: NDArray[np.int32]  #: (2,) B, and the pairs for each background row
    background: NDArray[np.float64]  #: (B * columns read,) rows of the columns read, ascending


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelPart(Prepared):
    """A kernel machine: the sum over S support vectors of ``rint(K(z, v) * weight)``.

    The sum is in units of ``2**-(scale_bits + shift)``, and is rounded once, half to even.
    """

    kernel: NDArray[np.int32]  #: (3,) RBF or POLYNOMIAL, degree, shift
    coefficient: NDArray[np.float64]  #: (2,) gamma, coef0
    vector: NDArray[np.float64]  #: (S * n_inputs,) support vectors, one after another
    weight: NDArray[np.float64]  #: (S,) already multiplied by 2**(scale_bits + shift)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPart(Prepared):
    """A dense network with one last unit; its value times ``output`` is rounded once."""

    size: NDArray[np.int32]  #: (layers,) units of each layer; the last is 1
    activation: NDArray[np.int32]  #: (layers,) IDENTITY, RELU, TANH or LOGISTIC
    layer_weight: NDArray[np.float64]  #: of each layer (inputs, units), rows one after another
    bias: NDArray[np.float64]  #: of each layer (units,)
    output: NDArray[np.float64]  #: (1,) factor, already multiplied by 2**scale_bits


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPart:
    """A sum over programs of the same columns: ``rint(link(margin) * weight)`` each."""

    link: NDArray[np.int32]  #: (members,) IDENTITY or LOGISTIC of a member's margin
    weight: NDArray[np.float64]  #: (members,) already multiplied by 2**scale_bits
    sampling: NDArray[np.int32]  #: (2,) as of a prepared part
    background: NDArray[np.float64]
    members: tuple[Program, ...]


DensePart = KernelPart | NetworkPart | StackPart  #: whose reasons are estimated
Part = TreePart | LinearPart | DensePart


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The only thing that scores in production."""

    n_features: int  #: columns of the encoder's matrix
    scale_bits: int  #: a score unit is 2**-scale_bits of the margin, 0..52
    base: int  #: constant term, in score units
    parts: tuple[Part, ...]


def columns_read(part: Part) -> NDArray[np.int64]:
    """The columns that some split, term, input or member reads, ascending."""
    if isinstance(part, TreePart):
        read = part.feature
    elif isinstance(part, LinearPart):
        read = np.concatenate([part.column, part.table_column])
    elif isinstance(part, StackPart):
        inner = [columns_read(own) for member in part.members for own in member.parts]
        read = np.concatenate([np.zeros(0, np.int64), *inner])
    else:
        read = np.concatenate([part.column, part.flag_column])
    return distinct(read)


def distinct(columns: NDArray[np.integer]) -> NDArray[np.int64]:
    """Every one of these columns once, ascending; np.unique would load numpy.ma for it."""
    return np.flatnonzero(np.bincount(columns))
