"""The reasons of a sealed program a third time, by the standard library alone: ``reference.py``.

Exact Shapley values of trees and linear parts in the stated order of float64 operations, estimates
of the rest in whole numbers, and the rule that makes them add up to the score.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass, replace

from baluarte.testing.reference import (
    Part,
    Program,
    Row,
    clamp,
    goes_left,
    half_to_even,
    linear_terms,
    score,
    value,
)

_PI = 3.141592653589793
_NAN = bytes.fromhex("000000000000f87f")


def reasons(program: Program, row: Row) -> tuple[int, list[int]]:
    """The base and one whole number a column; together they are the score."""
    base, phi = _exact_reasons(program, row)
    columns = sorted(set().union(*(columns_read(part) for part in program.parts), set()))
    estimated = [(i, part) for i, part in enumerate(program.parts) if not _is_exact(part)]
    for i, part in estimated:
        own_base, own = _estimate(program, i, part, row)
        base += own_base
        for column, reason in own.items():
            phi[column] += reason
    if estimated:
        base = clamp(base)
        _share_out(score(program, row) - base, columns, phi)
    return base, phi


def columns_read(part: Part) -> set[int]:
    """The columns that some split, term, input or member reads."""
    if part.kind == "stack":
        return set().union(*(columns_read(own) for one in part.members for own in one.parts), set())
    names = ("feature",), ("column", "table_column", "flag_column")
    return {column for name in names[part.kind != "trees"] for column in part.ints.get(name, ())}


def _is_exact(part: Part) -> bool:
    return part.kind in {"trees", "linear"}


# --- exact ----------------------------------------------------------------------------------------


def _exact_reasons(program: Program, row: Row) -> tuple[int, list[int]]:
    """Of the trees and linear parts alone."""
    exact = replace(program, parts=tuple(part for part in program.parts if _is_exact(part)))
    trees = [(part, root) for part in exact.parts for root in part.ints.get("root", ())]
    base, expected, phi = program.base, 0.0, [0] * program.n_features
    for part in exact.parts:
        for column, term, mean in linear_terms(part, row) if part.kind == "linear" else ():
            phi[column] += term - mean
            base += mean
    totals: list[list[float]] = [[] for _ in range(program.n_features)]
    for part, root in trees:
        if root < 0:
            base += part.ints["leaf"][-root - 1]
        else:
            expected += _expectation(part, root)
            _add_tree(part, root, row, totals)
    base = clamp(base + round(expected))
    columns = sorted(set().union(*(columns_read(part) for part in exact.parts), set()))
    fraction: dict[int, float] = {}
    for column in columns:
        found = 0.0
        for total in totals[column]:
            found = found + total
        whole = math.floor(found)
        phi[column] += whole
        fraction[column] = found - whole
    ranked = sorted(columns, key=lambda column: (-fraction[column], column))
    _share_out(score(exact, row) - base, ranked, phi)
    return base, phi


def _share_out(target: int, columns: list[int], phi: list[int]) -> None:
    """Make the columns' reasons sum to ``target``: alike, and one more for the first of them."""
    if not columns:
        return
    each, more = divmod(target - sum(phi[column] for column in columns), len(columns))
    for place, column in enumerate(columns):
        phi[column] += each + (place < more)


@dataclass(slots=True, kw_only=True)
class _Edge:
    """From a node to its left or right child."""

    column: int
    share: float  #: of the training weight that arrived at the node
    merged: float  #: the product with the shares of the column's earlier edges on the path
    held: bool  #: the row satisfies this and all earlier splits of the column on the path
    rate: list[float]
    gain: list[float]


def _shares(part: Part, node: int) -> tuple[float, float]:
    covers = [
        part.floats["leaf_cover"][-child - 1] if child < 0 else part.floats["node_cover"][child]
        for child in (part.ints["left"][node], part.ints["right"][node])
    ]
    total = covers[0] + covers[1]
    return covers[0] / total, covers[1] / total


def _nodes(part: Part, root: int) -> list[int]:
    """A tree's nodes, parents first."""
    found, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        if node >= 0:
            found.append(node)
            waiting += [part.ints["right"][node], part.ints["left"][node]]
    return sorted(found)


def _expectation(part: Part, root: int) -> float:
    known: dict[int, float] = {}
    for node in reversed(_nodes(part, root)):
        left, right = (
            float(part.ints["leaf"][-child - 1]) if child < 0 else known[child]
            for child in (part.ints["left"][node], part.ints["right"][node])
        )
        share_left, share_right = _shares(part, node)
        known[node] = share_left * left + share_right * right
    return known[root]


def _add_tree(part: Part, root: int, row: Row, totals: list[list[float]]) -> None:
    """Add what a tree's nodes earn their columns to the running totals of each point."""
    nodes = _nodes(part, root)
    paths: dict[int, dict[int, _Edge]] = {root: {}}  # of each node: the last edge of each column
    q = -(-_most_columns(part, root) // 2)
    points, weights = gauss_legendre(q)
    product: dict[int, list[float]] = {root: list(weights)}
    edges: dict[int, list[_Edge]] = {}
    for node in nodes:  # down
        column = part.ints["feature"][node]
        edges[node] = _edges(part, node, paths[node].get(column), row[column], points)
        for side, child in enumerate((part.ints["left"][node], part.ints["right"][node])):
            edge = edges[node][side]
            if child >= 0:
                paths[child] = {**paths[node], column: edge}
                product[child] = [p * r for p, r in zip(product[node], edge.rate, strict=True)]
    sums: dict[int, list[float]] = {}
    for node in reversed(nodes):  # up
        below: list[list[float]] = []
        for side, child in enumerate((part.ints["left"][node], part.ints["right"][node])):
            rates = edges[node][side].rate
            leaf = float(part.ints["leaf"][-child - 1]) if child < 0 else 0.0
            reached = [(p * r) * leaf for p, r in zip(product[node], rates, strict=True)]
            below.append(reached if child < 0 else sums[child])
        earned = totals[part.ints["feature"][node]]
        earned += [0.0] * (q - len(earned))
        left, right = edges[node]
        for j in range(q):
            earned[j] = earned[j] + (below[0][j] * left.gain[j] + below[1][j] * right.gain[j])
        sums[node] = [a + b for a, b in zip(*below, strict=True)]


def _edges(
    part: Part, node: int, earlier: _Edge | None, x: float, points: list[float]
) -> list[_Edge]:
    """Both edges of a node, with their rates and gains at each point."""
    held = earlier is None or earlier.held
    before = 1.0 if earlier is None else earlier.merged
    left = goes_left(part, node, x)
    found: list[_Edge] = []
    for share, taken in zip(_shares(part, node), (left, not left), strict=True):
        z = share if earlier is None else before * share
        edge = _Edge(column=0, share=share, merged=z, held=held and taken, rate=[], gain=[])
        for t in points:
            u = 1.0 - t
            was = 1.0 if earlier is None else t + u * before
            had = (1.0 - before) / was
            if not held:
                edge.rate.append(share)
                edge.gain.append(0.0)
            elif taken:
                edge.rate.append((t + u * z) / was)
                edge.gain.append((1.0 - z) / (t + u * z) - had)
            else:
                edge.rate.append((u * z) / was)
                edge.gain.append((-1.0 / u) - had)
        found.append(edge)
    return found


def _most_columns(part: Part, root: int) -> int:
    """The most distinct columns on a path of the tree."""
    most, waiting = 0, [(root, frozenset[int]())]
    while waiting:
        node, seen = waiting.pop()
        if node < 0:
            most = max(most, len(seen))
            continue
        now = seen | {part.ints["feature"][node]}
        waiting += [(part.ints["left"][node], now), (part.ints["right"][node], now)]
    return most


def gauss_legendre(n: int) -> tuple[list[float], list[float]]:
    """Points of (0, 1), ascending, and their weights, by + − × ÷ alone."""
    angle, cos, sin, term = _PI / (4 * n + 2), 1.0, 0.0, 1.0
    for k in range(1, 20):  # Taylor's series
        term = term * angle / k
        if k % 2:
            sin = sin + term if k % 4 == 1 else sin - term
        else:
            cos = cos + term if k % 4 == 0 else cos - term
    one = cos, sin
    two = _turned(one, one)
    four, at = _turned(two, two), _turned(one, two)
    points: list[float] = []
    weights: list[float] = []
    for _ in range(n):
        x = at[0]
        for _ in range(8):  # Newton's method
            p, before = _legendre(n, x)
            x = x - p / (n * (before - x * p) / (1.0 - x * x))
        _, before = _legendre(n, x)
        points.insert(0, (1.0 + x) / 2.0)
        weights.insert(0, (1.0 - x * x) / ((n * before) * (n * before)))
        at = _turned(at, four)
    return points, weights


def _turned(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """Cosine and sine of the sum of two angles."""
    return a[0] * b[0] - a[1] * b[1], a[1] * b[0] + a[0] * b[1]


def _legendre(n: int, x: float) -> tuple[float, float]:
    """P_n(x) and P_{n−1}(x)."""
    before, p = 1.0, x
    for k in range(2, n + 1):
        before, p = p, ((2 * k - 1) * x * p - (k - 1) * before) / k
    return p, before


# --- estimates ------------------------------------------------------------------------------------


def _estimate(program: Program, index: int, part: Part, row: Row) -> tuple[int, dict[int, int]]:
    """A part's base and reasons, by permutations that its own bytes and the row draw."""
    columns = sorted(columns_read(part))
    n_rows, n_pairs = part.ints["sampling"]
    flat = part.floats["background"]
    background = [flat[b * len(columns) : (b + 1) * len(columns)] for b in range(n_rows)]
    own = [row[column] for column in columns]

    def worth(values: list[float]) -> int:
        full = list(row)
        for column, x in zip(columns, values, strict=True):
            full[column] = x
        return value(part, full)

    state = _seed(program, index, own)
    sums = [0] * len(columns)
    for b in range(n_rows):
        for pair in range(n_pairs):
            first = (b * n_pairs + pair) * len(columns) + 1
            keys = [_split_mix(state, first + k) for k in range(len(columns))]
            order = sorted(range(len(columns)), key=lambda k: (keys[k], k))
            for turns in (order, order[::-1]):
                values = list(background[b])
                before = worth(values)
                for k in turns:
                    values[k] = own[k]
                    now = worth(values)
                    sums[k] += now - before
                    before = now
    base = half_to_even(sum(worth(values) for values in background), n_rows)
    paths = 2 * n_rows * n_pairs
    phi = [total // paths for total in sums]
    ranked = sorted(range(len(columns)), key=lambda k: (-(sums[k] % paths), k))
    _share_out(worth(own) - base, ranked, phi)
    return base, dict(zip(columns, phi, strict=True))


def _seed(program: Program, index: int, own: list[float]) -> int:
    digest = hashlib.sha256(program.data).digest() + index.to_bytes(4, "little")
    drawn = [_NAN if math.isnan(x) else struct.pack("<d", x + 0.0) for x in own]
    return int.from_bytes(hashlib.sha256(digest + b"".join(drawn)).digest()[:8], "little")


def _split_mix(state: int, n: int) -> int:
    """The n-th output of SplitMix64.

    Source: Steele, Lea & Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    z = (state + n * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)
