"""Random programs, rows rich in traps, and evaluators written a second time, plainly."""

from __future__ import annotations

import importlib.util
import itertools
import math
import struct
from dataclasses import fields, replace

import numpy as np
from dense_cases import plain_part
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft, DraftLinear, DraftTrees
from baluarte.core.program.edges import edges
from baluarte.core.program.model import (
    CATEGORICAL,
    DensePart,
    LinearPart,
    TreePart,
    columns_read,
)

#: the evaluators that this machine has; without a compiler there is one
KERNELS = (
    ("c", "numpy") if importlib.util.find_spec("baluarte.core.program._kernel") else ("numpy",)
)
RULES = ("lightgbm", "sklearn", "xgboost")
_FLAGS = {"lightgbm": (0, 1, 2, 3, 4, 5), "sklearn": (0, 1), "xgboost": (0, 1)}
ZERO = struct.unpack("f", struct.pack("f", 1e-35))[0]


def random_trees(rng, rule, *, n_trees, depth, n_features, leaf_scale=1.0):
    """Trees whose nodes and leaves are numbered as they are met, some of them a single leaf."""
    nodes, leaves, starts, words = [], [], [0], []

    def grow(levels, cover):
        if levels == 0 or rng.random() < 0.15:
            leaves.append((rng.normal() * leaf_scale, cover))
            return ~(len(leaves) - 1)
        at = len(nodes)
        nodes.append(None)
        flags, chosen = int(rng.choice(_FLAGS[rule])), -1
        threshold = random_threshold(rng)
        if rule == "xgboost" and threshold == -math.inf:
            threshold = 0.5
        if rule != "sklearn" and rng.random() < 0.2:
            flags, chosen, threshold = CATEGORICAL | (flags & 1), len(starts) - 1, 0.0
            words.extend(rng.integers(0, 1 << 32, int(rng.integers(0, 3))).tolist())
            starts.append(len(words))
        share = rng.uniform(0.05, 0.95)
        feature = int(rng.integers(n_features))
        left, right = grow(levels - 1, cover * share), grow(levels - 1, cover * (1 - share))
        nodes[at] = (feature, threshold, left, right, flags, chosen, cover)
        return at

    roots = [grow(depth, 1000.0) for _ in range(n_trees)]
    columns = list(zip(*nodes, strict=True)) if nodes else [[]] * 7
    dtypes = (np.int32, np.float64, np.int32, np.int32, np.uint8, np.int32, np.float64)
    of_nodes = [np.array(c, dtype) for c, dtype in zip(columns, dtypes, strict=True)]
    return DraftTrees(
        rule=rule,
        root=np.array(roots, np.int32),
        feature=of_nodes[0],
        threshold=of_nodes[1],
        left=of_nodes[2],
        right=of_nodes[3],
        flags=of_nodes[4],
        set_index=of_nodes[5],
        set_start=np.array(starts, np.int32),
        set_bits=np.array(words, np.uint32),
        leaf=np.array([value for value, _ in leaves]),
        node_cover=of_nodes[6],
        leaf_cover=np.array([cover for _, cover in leaves]),
    )


def random_threshold(rng):
    kind = rng.integers(8)
    special = (0.0, -0.0, 1e-40, ZERO, -ZERO, 3.5e38, 5e-324, math.inf, -3.5e38, 1.0, -math.inf)
    if kind == 0:
        return float(rng.choice(special))
    if kind == 1:
        return float(np.float32(rng.normal()))
    if kind == 2:
        return float(rng.integers(-3, 40))
    return float(rng.normal())


def random_linear(rng, *, n_numeric, n_tables, n_features):
    sizes = [int(rng.integers(1, 6)) for _ in range(n_tables)]
    with_cuts = [bool(rng.integers(2)) for _ in range(n_tables)]
    cuts = [
        np.sort(rng.choice(np.arange(-20, 40), size - 1, replace=False)) / 4 if has else []
        for size, has in zip(sizes, with_cuts, strict=True)
    ]
    low = rng.normal(size=n_numeric) - 2
    return DraftLinear(
        column=rng.integers(0, n_features, n_numeric).astype(np.int32),
        center=rng.normal(size=n_numeric),
        scale=rng.uniform(0.1, 3, n_numeric),
        low=low,
        high=low + rng.uniform(0, 6, n_numeric),
        weight=rng.normal(size=n_numeric),
        missing=rng.normal(size=n_numeric),
        mean=rng.normal(size=n_numeric),
        table_column=rng.integers(0, n_features, n_tables).astype(np.int32),
        table_start=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
        table_value=rng.normal(size=sum(sizes)),
        cut_start=np.concatenate([[0], np.cumsum([len(c) for c in cuts])]).astype(np.int32),
        cut=np.concatenate([np.zeros(0), *cuts]).astype(np.float64),
        table_missing=rng.normal(size=n_tables),
        table_other=rng.normal(size=n_tables),
        table_mean=rng.normal(size=n_tables),
    )


def mixed_draft(rng, *, n_features=6, n_trees=3, depth=5):
    """All three rules and a linear part over the same columns."""
    trees = [
        random_trees(rng, rule, n_trees=n_trees, depth=depth, n_features=n_features)
        for rule in RULES
    ]
    linear = random_linear(rng, n_numeric=3, n_tables=3, n_features=n_features)
    return Draft(n_features=n_features, base=float(rng.normal()), parts=(*trees, linear))


def trap_rows(program, rng, n):
    """(n, d) rows: half of the values are chosen where evaluators go wrong."""
    around = [np.array(_TRAPS)]
    for part in program.parts:
        if isinstance(part, TreePart):
            at = part.threshold
        elif isinstance(part, LinearPart):
            at = np.append(part.cut, part.low)
        else:
            own = [edges(replace(program, parts=(part,)), c) for c in columns_read(part).tolist()]
            at = np.concatenate([np.zeros(1), *own])
        with np.errstate(over="ignore"):
            near = at.astype(np.float32)
            half = (np.nextafter(near, np.float32(np.inf)).astype(float) + near.astype(float)) / 2
        for value in (at, near.astype(float), half):
            around += [value, np.nextafter(value, np.inf), np.nextafter(value, -np.inf)]
    values = np.concatenate(around)
    X = rng.normal(size=(n, program.n_features))
    trap = rng.random(X.shape) < 0.5
    X[trap] = rng.choice(values, int(trap.sum()))
    codes = rng.random(X.shape) < 0.2
    X[codes] = rng.integers(-2, 70, int(codes.sum()))
    return np.ascontiguousarray(X)


_TRAPS = (
    *(math.nan, math.nan, 0.0, -0.0, 5e-324, -5e-324, 2.2e-308, -2.2e-308, 1e-40, -1e-40),
    *(ZERO, -ZERO, math.nextafter(ZERO, 1), math.nextafter(-ZERO, -1), 1e-35, -0.5, -1.0),
    *(3.4028235677973366e38, 3.5e38, -3.5e38, 1e300, -1e300, math.inf, -math.inf),
    *(2.0**31, 2.0**32, -(2.0**31), 2.0**63, 16777216.0, 16777217.0, 31.0, 32.0, 63.999999999),
)


def to_float32(x):
    try:
        return struct.unpack("f", struct.pack("f", x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)


def plain_goes_left(part, node, x):
    """One decision, as the library's own source has it."""
    flags, threshold = int(part.flags[node]), float(part.threshold[node])
    missing_left = bool(flags & 1)
    if flags & CATEGORICAL:
        chosen = int(part.set_index[node])
        start, end = int(part.set_start[chosen]), int(part.set_start[chosen + 1])
        if part.rule == "lightgbm":
            return not math.isnan(x) and x > -1 and _member(part, start, end, x)
        x = to_float32(x)
        if math.isnan(x):
            return missing_left
        return x < 0 or not _member(part, start, end, x)
    if part.rule == "lightgbm":
        if math.isnan(x) and not flags & 4:
            x = 0.0
        if (flags & 2 and -ZERO <= x <= ZERO) or (flags & 4 and math.isnan(x)):
            return missing_left
        return x <= threshold
    x = to_float32(x)
    if math.isnan(x):
        return missing_left
    return x <= threshold if part.rule == "sklearn" else x < threshold


def _member(part, start, end, x):
    if math.isinf(x) or int(x) // 32 >= end - start:
        return False
    code = int(x)
    return bool(int(part.set_bits[start + code // 32]) >> (code % 32) & 1)


def plain_term(part, m, x):
    if math.isnan(x):
        return int(part.missing[m])
    clipped = min(max(x, float(part.low[m])), float(part.high[m]))
    exact = ((clipped - float(part.center[m])) / float(part.scale[m])) * float(part.weight[m])
    return round(exact)


def plain_table(part, k, x):
    if math.isnan(x):
        return int(part.table_missing[k])
    values = part.table_value[part.table_start[k] : part.table_start[k + 1]].tolist()
    cuts = part.cut[part.cut_start[k] : part.cut_start[k + 1]].tolist()
    if cuts:
        return values[sum(cut <= x for cut in cuts)]
    if x in range(len(values)):
        return values[int(x)]
    return int(part.table_other[k])


def plain_scorer(program):
    """A function from one row (a list) to its score."""
    steps = []
    for part in program.parts:
        if isinstance(part, TreePart):
            left, right, feature = part.left.tolist(), part.right.tolist(), part.feature.tolist()
            leaf = part.leaf.tolist()
            for root in part.root.tolist():

                def walk(row, part=part, at=root, left=left, right=right, f=feature, leaf=leaf):
                    while at >= 0:
                        at = left[at] if plain_goes_left(part, at, row[f[at]]) else right[at]
                    return leaf[~at]

                steps.append(walk)
        elif isinstance(part, DensePart):
            steps.append(plain_part(part, plain_scorer))
        else:
            for m, c in enumerate(part.column.tolist()):
                steps.append(lambda row, part=part, m=m, c=c: plain_term(part, m, row[c]))
            for k, c in enumerate(part.table_column.tolist()):
                steps.append(lambda row, part=part, k=k, c=c: plain_table(part, k, row[c]))
    limit = 2**53 - 1
    return lambda row: max(-limit, min(limit, program.base + sum(step(row) for step in steps)))


def brute_shapley(program, row):
    """Shapley values from their definition, over every subset of columns; exact in ratio only."""
    d = program.n_features
    value = {
        known: sum(_expected(part, row, known) for part in program.parts)
        for size in range(d + 1)
        for known in itertools.combinations(range(d), size)
    }
    phi = []
    for k in range(d):
        total = 0.0
        for known, worth in value.items():
            if k in known:
                continue
            s = len(known)
            chance = math.factorial(s) * math.factorial(d - s - 1) / math.factorial(d)
            total += chance * (value[tuple(sorted((*known, k)))] - worth)
        phi.append(total)
    return phi, value[()]


def _expected(part, row, known):
    if isinstance(part, LinearPart):
        total = 0
        for m, column in enumerate(part.column.tolist()):
            total += plain_term(part, m, row[column]) if column in known else int(part.mean[m])
        for k, column in enumerate(part.table_column.tolist()):
            mean = int(part.table_mean[k])
            total += plain_table(part, k, row[column]) if column in known else mean
        return total

    def below(ref):
        if ref < 0:
            return float(part.leaf[~ref])
        left, right, column = int(part.left[ref]), int(part.right[ref]), int(part.feature[ref])
        if column in known:
            return below(left if plain_goes_left(part, ref, row[column]) else right)
        cover = [
            float(part.leaf_cover[~child] if child < 0 else part.node_cover[child])
            for child in (left, right)
        ]
        return (cover[0] * below(left) + cover[1] * below(right)) / sum(cover)

    return sum(below(int(root)) for root in part.root)


def damaged(program, rng):
    """A program with one to three of its numbers changed to what a liar would choose."""
    for _ in range(int(rng.integers(1, 4))):
        if not program.parts:
            break
        at = int(rng.integers(len(program.parts)))
        part = program.parts[at]
        names = [field.name for field in fields(part) if field.name != "rule"]
        name = names[int(rng.integers(len(names)))]
        if name == "members":
            j = int(rng.integers(len(part.members)))
            members = list(part.members)
            members[j] = damaged(members[j], rng)
            parts = list(program.parts)
            parts[at] = replace(part, members=tuple(members))
            program = replace(program, parts=tuple(parts))
            continue
        array: NDArray = getattr(part, name).copy()
        if array.size and rng.random() < 0.8:
            array[int(rng.integers(array.size))] = _lie(array.dtype, rng)
        elif rng.random() < 0.5:
            array = array[: int(rng.integers(array.size + 1))]
        else:
            array = np.append(array, _lie(array.dtype, rng)).astype(array.dtype)
        parts = list(program.parts)
        parts[at] = replace(part, **{name: array})
        program = replace(program, parts=tuple(parts))
    if rng.random() < 0.1:
        program = replace(program, n_features=int(rng.choice([-1, 0, 1, 2, 7, 1 << 20, 1 << 40])))
    if rng.random() < 0.1:
        program = replace(program, base=int(rng.choice([-(1 << 62), 1 << 62, 1 << 53, 5])))
    return program


def _lie(dtype, rng):
    if dtype.kind == "f":
        return rng.choice([math.nan, math.inf, -math.inf, 0.0, -1.0, 1e308, 5e-324, 1.0])
    info = np.iinfo(dtype)
    near = [0, 1, 2, 3, 5, 9, 17, 1 << 20, -1, -2, -3, -10]
    usable = [value for value in near if info.min <= value <= info.max]
    return rng.choice(np.array([*usable, info.min, info.max], dtype))
