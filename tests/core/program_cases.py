"""Random programs, rows rich in traps, and Shapley values from their definition."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import fields, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft, DraftLinear, DraftTrees
from baluarte.core.program.edges import edges
from baluarte.core.program.format import dumps
from baluarte.core.program.model import CATEGORICAL, LinearPart, TreePart, columns_read
from baluarte.testing import reference

#: the evaluators that this machine has; without a compiler there is one
KERNELS = (
    ("c", "numpy") if importlib.util.find_spec("baluarte.core.program._kernel") else ("numpy",)
)
RULES = ("lightgbm", "sklearn", "xgboost")
_FLAGS = {"lightgbm": (0, 1, 2, 3, 4, 5), "sklearn": (0, 1), "xgboost": (0, 1)}
ZERO = reference.ZERO


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
    *(2.0**31, 2.0**32, -(2.0**31), 2.0**53, 2.0**53 + 2, -(2.0**53) - 2, 2.0**63),
    *(16777216.0, 16777217.0, -16777217.0, 31.0, 32.0, 63.999999999),
)


def plain_scorer(program):
    """A function from one row (a list) to its score: the readable specification's."""
    sound = reference.read(dumps(program))
    return partial(reference.score, sound)


def brute_shapley(program, row):
    """Shapley values from their definition, over all subsets of columns, and the empty set's worth.

    A worth is an array of 2^d: bit k of an index says whether column k is known.
    """
    d = program.n_features
    sets = np.arange(1 << d)
    sound = reference.read(dumps(program))
    worth = sum((_worths(part, row, sets) for part in sound.parts), np.zeros(1 << d, EXACT))
    sizes = sum((sets >> k) & 1 for k in range(d))
    ways = [math.factorial(s) * math.factorial(d - s - 1) for s in range(d)]
    chance = np.array(ways, EXACT) / math.factorial(d)
    phi = []
    for k in range(d):
        without = sets[(sets >> k) & 1 == 0]
        gain = worth[without | (1 << k)] - worth[without]
        phi.append((chance[sizes[without]] * gain).sum())
    return phi, worth[0]


def near_the_definition(program, row, base, found):
    """Each reason within one unit of the Shapley value, and the base of the expectation."""
    phi, expected = brute_shapley(program, row)
    assert abs(base - program.base - expected) <= 1
    assert max(abs(a - b) for a, b in zip(found, phi, strict=True)) <= 1 + 2.0**-20


EXACT = np.longdouble  #: a few bits more, so that the definition's own rounding doesn't show


def _worths(part, row, sets):
    if part.kind == "linear":
        total = np.zeros(len(sets), EXACT)
        for column, term, mean in reference.linear_terms(part, row):
            total += np.where((sets >> column) & 1, term, mean)
        return total

    def below(ref):
        if ref < 0:
            return np.full(len(sets), part.ints["leaf"][~ref], EXACT)
        children = part.ints["left"][ref], part.ints["right"][ref]
        left, right = map(below, children)
        cover = [
            EXACT(
                part.floats["leaf_cover"][~child] if child < 0 else part.floats["node_cover"][child]
            )
            for child in children
        ]
        column = part.ints["feature"][ref]
        taken = left if reference.goes_left(part, ref, row[column]) else right
        unknown = (cover[0] * left + cover[1] * right) / (cover[0] + cover[1])
        return np.where((sets >> column) & 1, taken, unknown)

    return sum((below(root) for root in part.ints["root"]), np.zeros(len(sets), EXACT))


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
