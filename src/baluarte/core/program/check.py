"""Whether a program may be evaluated: ``docs/concepts/program.md``, all faults at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program import model
from baluarte.core.program.check_dense import (
    background_faults,
    kernel_sum,
    network_size,
    prepared_faults,
    work,
)
from baluarte.core.program.limits import (
    MAX_COLUMN_PASSES,
    MAX_COVER,
    MAX_ESTIMATE_WORK,
    MAX_ESTIMATED,
    MAX_FEATURES,
    MAX_ITEMS,
    MAX_MEMBERS,
    MAX_NESTING,
    MAX_PARTS,
    MAX_ROW_WORK,
    MAX_SCALE_BITS,
    MAX_SCORE,
    MAX_SUM,
    MAX_TOTALS,
    MAX_TREE_WORK,
    MAX_WORK,
)
from baluarte.core.program.model import (
    IDENTITY,
    LOGISTIC,
    DensePart,
    KernelPart,
    LinearPart,
    NetworkPart,
    Part,
    Program,
    StackPart,
    TreePart,
    columns_read,
)
from baluarte.core.program.shape import Shape, shape_of
from baluarte.errors import Fault

_FLAGS = {
    "lightgbm": {
        model.MISSING_LEFT | model.MISSING_ZERO,
        model.MISSING_LEFT | model.MISSING_NAN,
        model.MISSING_LEFT,
        model.MISSING_ZERO,
        model.MISSING_NAN,
        0,
        model.CATEGORICAL,
    },
    "sklearn": {0, model.MISSING_LEFT},
    "xgboost": {
        0,
        model.MISSING_LEFT,
        model.CATEGORICAL,
        model.CATEGORICAL | model.MISSING_LEFT,
    },
}


def faults(program: Program, *, where: str = "program", nesting: int = 0) -> list[Fault]:
    """Everything that is wrong with a program; empty if it may be evaluated.

    Args:
        where: the program's name in what is found.
        nesting: how many stacks the program is in.
    """
    found: list[Fault] = []
    if not 1 <= program.n_features <= MAX_FEATURES:
        found.append(
            Fault(f"expected 1 to {MAX_FEATURES} features, found {program.n_features}", where)
        )
    if not 0 <= program.scale_bits <= MAX_SCALE_BITS:
        found.append(
            Fault(f"expected scale_bits 0..{MAX_SCALE_BITS}, found {program.scale_bits}", where)
        )
    if len(program.parts) > MAX_PARTS:
        found.append(
            Fault(f"expected at most {MAX_PARTS} parts, found {len(program.parts)}", where)
        )
    if found:
        return found
    for i, part in enumerate(program.parts):
        found += _faults_of_part(part, program, f"{where}.parts[{i}]", nesting)
    if not found:
        found += [Fault(text, where) for text in _sum_faults(program)]
    return found


def _faults_of_part(part: Part, program: Program, where: str, nesting: int) -> list[Fault]:
    found: list[Fault] = []
    try:
        if isinstance(part, StackPart):
            found += _member_faults(part, program, where, nesting)
        if not found:
            found += [Fault(text, where) for text in _part_faults(part, program.n_features)]
    except ValueError as error:
        found.append(Fault(str(error), where))
    return found


def _member_faults(part: StackPart, program: Program, where: str, nesting: int) -> Iterator[Fault]:
    if nesting == MAX_NESTING:
        raise ValueError(f"expected stacks at most {MAX_NESTING} deep")
    if not 1 <= len(part.members) <= MAX_MEMBERS:
        raise ValueError(f"expected 1 to {MAX_MEMBERS} members, found {len(part.members)}")
    for j, member in enumerate(part.members):
        name = f"{where}.members[{j}]"
        if member.n_features != program.n_features:
            yield Fault(f"expected {program.n_features} features as its stack has", name)
        yield from faults(member, where=name, nesting=nesting + 1)


def _sum_faults(program: Program) -> Iterator[str]:
    if program.n_features * _count_parts(program) > MAX_COLUMN_PASSES:
        yield f"expected columns x parts up to {MAX_COLUMN_PASSES}, members' parts among them"
    total = largest_score(program)
    if total > MAX_SUM:
        yield f"expected a sum of largest terms up to {MAX_SUM}, found {total}"
    dense = [part for part in program.parts if isinstance(part, DensePart)]
    if dense and sum(work(part) for part in program.parts) > MAX_ROW_WORK:
        yield f"expected at most {MAX_ROW_WORK} operations a row"
    paths = [2 * int(part.sampling.prod()) * (len(columns_read(part)) + 1) for part in dense]
    if sum(n * work(part) for n, part in zip(paths, dense, strict=True)) > MAX_ESTIMATE_WORK:
        yield f"expected at most {MAX_ESTIMATE_WORK} operations for a row's reasons"
    if any(largest(part) > MAX_ESTIMATED for part in dense):
        yield f"expected parts whose reasons are estimated to stay within {MAX_ESTIMATED}"


def _count_parts(program: Program) -> int:
    stacks = (part for part in program.parts if isinstance(part, StackPart))
    inner = sum(_count_parts(member) for stack in stacks for member in stack.members)
    return len(program.parts) + inner


def largest_score(program: Program) -> int:
    """The largest absolute sum of a checked program, before it is clamped."""
    return abs(program.base) + sum(largest(part) for part in program.parts)


def largest(part: Part) -> int:
    """The largest absolute sum that the terms of a checked part can reach."""
    if isinstance(part, KernelPart):
        return kernel_sum(part)
    if isinstance(part, NetworkPart):
        return int(network_size(part)) + 1
    if isinstance(part, StackPart):
        return sum(int(term) + 1 for term in stack_terms(part))
    if isinstance(part, TreePart):
        if not len(part.root):
            return 0
        # In canonical order the leaves of a tree are contiguous.
        inner = part.root >= 0
        sizes = np.ones(len(part.root), np.int64)
        starts = np.append(part.root[inner], len(part.left))
        sizes[inner] += np.diff(starts)
        first = np.cumsum(sizes) - sizes
        return sum(np.maximum.reduceat(np.abs(part.leaf), first).tolist())
    total = 0
    low, high = _numeric_ends(part)
    numeric = np.maximum(np.maximum(np.abs(low), np.abs(high)), np.abs(part.missing))
    total += sum(int(value) for value in np.maximum(numeric, np.abs(part.mean)).tolist())
    for k in range(len(part.table_column)):
        values = part.table_value[part.table_start[k] : part.table_start[k + 1]]
        total += max(
            abs(int(part.table_missing[k])),
            abs(int(part.table_other[k])),
            abs(int(part.table_mean[k])),
            int(np.abs(values).max(initial=0)),
        )
    return total


def stack_terms(part: StackPart) -> list[float]:
    """The largest absolute term of each member, not rounded."""
    terms = []
    for link, weight, member in zip(
        part.link.tolist(), part.weight.tolist(), part.members, strict=True
    ):
        score = min(MAX_SCORE, largest_score(member))
        reach = 1.0 if link == LOGISTIC else float(score) * 2.0**-member.scale_bits
        terms.append(abs(reach * weight))
    return terms


def _stack_faults(part: StackPart, n_features: int) -> Iterator[str]:  # noqa: ARG001 - as the others
    if not len(part.link) == len(part.weight) == len(part.members):
        raise ValueError(f"expected a link and a weight for each of {len(part.members)} members")
    if not np.isin(part.link, (IDENTITY, LOGISTIC)).all():
        raise ValueError(f"link: expected {IDENTITY} or {LOGISTIC}")
    if not np.isfinite(part.weight).all() or not max(stack_terms(part)) <= MAX_SUM:
        raise ValueError(f"weight: expected finite numbers and terms within {MAX_SUM}")
    yield from background_faults(part)


def _numeric_ends(part: LinearPart) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with np.errstate(all="ignore"):
        ends = [
            np.rint(((x - part.center) / part.scale) * part.weight) for x in (part.low, part.high)
        ]
    return ends[0], ends[1]


def _part_faults(part: Part, n_features: int) -> Iterator[str]:
    """Raises ValueError where nothing further can be said."""
    for field in fields(part):
        array = getattr(part, field.name)
        if isinstance(array, np.ndarray) and array.size > MAX_ITEMS:
            raise ValueError(
                f"{field.name}: expected at most {MAX_ITEMS} items, found {array.size}"
            )
    yield from _CHECKS[type(part)](part, n_features)


def _same_length(part: TreePart | LinearPart, names: tuple[str, ...]) -> None:
    lengths = {name: len(getattr(part, name)) for name in names}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"expected arrays of one length, found {lengths}")


def _ranges(name: str, starts: NDArray[np.int32], n_ranges: int, n_items: int) -> None:
    if len(starts) != n_ranges + 1:
        raise ValueError(f"{name}: expected {n_ranges + 1} starts, found {len(starts)}")
    if starts[0] != 0 or starts[-1] != n_items or (np.diff(starts.astype(np.int64)) < 0).any():
        raise ValueError(f"{name}: expected starts ascending from 0 to {n_items}")


def _too_large(values: NDArray[np.int64]) -> bool:
    return bool(((values > MAX_SUM) | (values < -MAX_SUM)).any())


def _tree_faults(part: TreePart, n_features: int) -> Iterator[str]:
    if part.rule not in _FLAGS:
        raise ValueError(f"rule: expected one of {sorted(_FLAGS)}, found {part.rule!r}")
    _same_length(
        part, ("feature", "threshold", "left", "right", "flags", "set_index", "node_cover")
    )
    _same_length(part, ("leaf", "leaf_cover"))
    _ranges("set_start", part.set_start, max(len(part.set_start) - 1, 0), len(part.set_bits))
    shape = shape_of(part.root, part.left, part.right, len(part.leaf))
    if (shape.node_at != np.arange(len(part.left))).any():
        raise ValueError("nodes are not in canonical order (parent, left subtree, right subtree)")
    if (shape.leaf_at != np.arange(len(part.leaf))).any():
        raise ValueError("leaves are not in canonical order (left to right)")
    yield from _work_faults(shape, n_features)
    yield from _node_faults(part, n_features)
    for name, cover in (("node_cover", part.node_cover), ("leaf_cover", part.leaf_cover)):
        if not ((cover > 0) & (cover <= MAX_COVER)).all():
            yield f"{name}: expected numbers in (0, 2**1000]"
    if _too_large(part.leaf):
        yield f"leaf: expected values within {MAX_SUM}"


def _node_faults(part: TreePart, n_features: int) -> Iterator[str]:
    if ((part.feature < 0) | (part.feature >= n_features)).any():
        yield f"feature: expected columns in [0, {n_features})"
    if np.isnan(part.threshold).any():
        yield "threshold: expected numbers, found NaN"
    if part.rule == "xgboost" and (part.threshold == -np.inf).any():
        yield "threshold: nothing is below -inf"
    if not np.isin(part.flags, list(_FLAGS[part.rule])).all():
        yield f"flags: found a combination that rule {part.rule} does not have"
    categorical = (part.flags & model.CATEGORICAL) != 0
    n_sets = len(part.set_start) - 1
    named = part.set_index[categorical]
    if ((named < 0) | (named >= n_sets)).any() or (part.set_index[~categorical] != -1).any():
        yield f"set_index: expected [0, {n_sets}) where categorical and -1 elsewhere"
    if part.threshold[categorical].view(np.int64).any():
        yield "threshold: expected 0.0 where categorical"


def _work_faults(shape: Shape, n_features: int) -> Iterator[str]:
    nodes = np.bincount(shape.tree, minlength=len(shape.depth))
    order = (np.minimum(shape.depth, n_features) + 1) // 2
    work = nodes * order
    if (work > MAX_TREE_WORK).any() or work.sum() > MAX_WORK:
        yield "the trees are too large for exact reasons in bounded memory and time"
    if n_features * int(order.max(initial=0)) > MAX_TOTALS:
        yield "the trees are too deep for so many columns: reasons would take too much memory"


def _linear_faults(part: LinearPart, n_features: int) -> Iterator[str]:
    _same_length(part, ("column", "center", "scale", "low", "high", "weight", "missing", "mean"))
    _same_length(part, ("table_column", "table_missing", "table_other", "table_mean"))
    n_tables = len(part.table_column)
    _ranges("table_start", part.table_start, n_tables, len(part.table_value))
    _ranges("cut_start", part.cut_start, n_tables, len(part.cut))
    for name, column in (("column", part.column), ("table_column", part.table_column)):
        if ((column < 0) | (column >= n_features)).any():
            yield f"{name}: expected columns in [0, {n_features})"
    finite = True
    for name in ("center", "scale", "low", "high", "weight", "cut"):
        if not np.isfinite(getattr(part, name)).all():
            finite = False
            yield f"{name}: expected finite numbers"
    if not (part.scale > 0).all():
        yield "scale: expected numbers above 0"
    elif finite:
        ends = np.abs(np.concatenate(_numeric_ends(part)))
        if not (ends <= float(MAX_SUM)).all():
            yield f"weight: expected terms within {MAX_SUM} between low and high"
    if not (part.low <= part.high).all():
        yield "low: expected low <= high"
    for name in ("missing", "mean", "table_value", "table_missing", "table_other", "table_mean"):
        if _too_large(getattr(part, name)):
            yield f"{name}: expected values within {MAX_SUM}"
    yield from _cut_faults(part)


def _cut_faults(part: LinearPart) -> Iterator[str]:
    n_cuts = np.diff(part.cut_start)
    n_values = np.diff(part.table_start)
    if ((n_cuts > 0) & (n_values != n_cuts + 1)).any():
        yield "table_start: expected one value more than there are cuts"
    rising = part.cut[1:] > part.cut[:-1]
    inner = np.ones(len(rising), bool)
    ends_at = part.cut_start[1:-1]
    inner[ends_at[(ends_at > 0) & (ends_at < len(part.cut))] - 1] = False
    if not rising[inner].all():
        yield "cut: expected cuts strictly ascending within a term"


_CHECKS: dict[type, Callable[..., Iterator[str]]] = {
    TreePart: _tree_faults,
    LinearPart: _linear_faults,
    KernelPart: prepared_faults,
    NetworkPart: prepared_faults,
    StackPart: _stack_faults,
}
