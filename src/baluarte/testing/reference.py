"""The sealed program a third time: read and scored by the standard library alone.

This is the specification of ``docs/concepts/program.md`` as code that is meant to be read: from the
bytes of a program to the score of a row, one rule a function, nothing shared with the C kernel or
the NumPy evaluator. Python's float is float64, its ``round`` goes half to even, its integers don't
overflow. The tests hold the other evaluators to it; an auditor can hold ours to it too. Reasons:
``reference_reasons.py``.

It reads what is sound and checks nothing: ``core.program.format.loads`` does that.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

MAX_SCORE = 2**53 - 1
ZERO = struct.unpack("<f", struct.pack("<f", 1e-35))[0]  #: LightGBM's zero, rounded to float32
MISSING_LEFT, MISSING_ZERO, MISSING_NAN, CATEGORICAL = 1, 2, 4, 8
_FORMATS = {"|u1": "B", "<i4": "i", "<u4": "I", "<i8": "q", "<f8": "d"}

Row = Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind of terms and its arrays, by their names in the specification."""

    kind: str  #: trees, linear, kernel, network or stack
    rule: str | None  #: of trees
    ints: dict[str, list[int]]
    floats: dict[str, list[float]]
    members: tuple[Program, ...]  #: of a stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program as its bytes say it."""

    data: bytes
    n_features: int
    scale_bits: int
    base: int
    parts: tuple[Part, ...]


def read(data: bytes) -> Program:
    """The program that sound bytes hold."""
    length = int.from_bytes(data[8:12], "little")
    header = json.loads(data[12 : 12 + length])
    first = -(-(12 + length) // 64) * 64
    return Program(
        data=data,
        n_features=header["n_features"],
        scale_bits=header["scale_bits"],
        base=header["base"],
        parts=tuple(_read_part(described, data[first:]) for described in header["parts"]),
    )


def _read_part(described: dict[str, Any], data: bytes) -> Part:
    ints: dict[str, list[int]] = {}
    floats: dict[str, list[float]] = {}
    members: dict[int, Program] = {}
    for name, array in described["arrays"].items():
        form = f"<{array['shape'][0]}{_FORMATS[array['dtype']]}"
        values = struct.unpack_from(form, data, array["offset"])
        if name.startswith("member"):
            members[int(name.removeprefix("member"))] = read(bytes(values))
        elif array["dtype"] == "<f8":
            floats[name] = list(values)
        else:
            ints[name] = list(values)
    return Part(
        kind=described["kind"],
        rule=described["rule"],
        ints=ints,
        floats=floats,
        members=tuple(members[j] for j in sorted(members)),
    )


def score(program: Program, row: Row) -> int:
    """clamp(base + Σ terms)."""
    return clamp(program.base + sum(value(part, row) for part in program.parts))


def value(part: Part, row: Row) -> int:
    """The sum of a part's terms."""
    return _VALUES[part.kind](part, row)


def clamp(total: int) -> int:
    """Within ±(2^53 − 1)."""
    return max(-MAX_SCORE, min(MAX_SCORE, total))


# --- trees ----------------------------------------------------------------------------------------


def _trees(part: Part, row: Row) -> int:
    left, right, feature = part.ints["left"], part.ints["right"], part.ints["feature"]
    total = 0
    for at in part.ints["root"]:
        while at >= 0:
            at = left[at] if goes_left(part, at, row[feature[at]]) else right[at]  # noqa: PLW2901
        total += part.ints["leaf"][-at - 1]
    return total


def goes_left(part: Part, node: int, x: float) -> bool:
    """One decision, as the library that trained the tree makes it."""
    flags, threshold = part.ints["flags"][node], part.floats["threshold"][node]
    missing_left = bool(flags & MISSING_LEFT)
    if part.rule == "lightgbm":
        if flags & CATEGORICAL:
            return not math.isnan(x) and x > -1 and _is_member(part, node, x)
        if math.isnan(x) and not flags & MISSING_NAN:
            x = 0.0
        if math.isnan(x) or (flags & MISSING_ZERO and abs(x) <= ZERO):
            return missing_left
        return x <= threshold
    x = to_float32(x)
    if math.isnan(x):
        return missing_left
    if flags & CATEGORICAL:
        return x < 0 or not _is_member(part, node, x)
    return x <= threshold if part.rule == "sklearn" else x < threshold


def _is_member(part: Part, node: int, x: float) -> bool:
    """Whether x, cut to an integer, is a category of the node's set."""
    chosen = part.ints["set_index"][node]
    start, end = part.ints["set_start"][chosen : chosen + 2]
    if math.isinf(x) or int(x) // 32 >= end - start:
        return False
    word = part.ints["set_bits"][start + int(x) // 32]
    return bool(word >> (int(x) % 32) & 1)


def to_float32(x: float) -> float:
    """X rounded to float32, to infinity where it is too large."""
    try:
        rounded: float = struct.unpack("<f", struct.pack("<f", x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)
    return rounded


# --- linear parts ---------------------------------------------------------------------------------


def _linear(part: Part, row: Row) -> int:
    return sum(term for _, term, _ in linear_terms(part, row))


def linear_terms(part: Part, row: Row) -> list[tuple[int, int, int]]:
    """(column, term, mean) of each term."""
    numeric = [
        (column, _numeric_term(part, m, row[column]), part.ints["mean"][m])
        for m, column in enumerate(part.ints["column"])
    ]
    tables = [
        (column, _table_term(part, k, row[column]), part.ints["table_mean"][k])
        for k, column in enumerate(part.ints["table_column"])
    ]
    return numeric + tables


def _numeric_term(part: Part, m: int, x: float) -> int:
    if math.isnan(x):
        return part.ints["missing"][m]
    low, high = part.floats["low"][m], part.floats["high"][m]
    center, scale = part.floats["center"][m], part.floats["scale"][m]
    return round(((min(max(x, low), high) - center) / scale) * part.floats["weight"][m])


def _table_term(part: Part, k: int, x: float) -> int:
    if math.isnan(x):
        return part.ints["table_missing"][k]
    start, end = part.ints["table_start"][k : k + 2]
    cuts = part.floats["cut"][slice(*part.ints["cut_start"][k : k + 2])]
    if cuts:
        return part.ints["table_value"][start + sum(cut <= x for cut in cuts)]
    if 0 <= x < end - start and x == int(x):
        return part.ints["table_value"][start + int(x)]
    return part.ints["table_other"][k]


# --- kernel machines and networks -----------------------------------------------------------------


def _inputs(part: Part, row: Row) -> list[float]:
    """The numbers that a kernel machine or a network sees of a row."""
    z: list[float] = []
    for m, column in enumerate(part.ints["column"]):
        x = row[column]
        clipped = min(max(x, part.floats["low"][m]), part.floats["high"][m])
        prepared = (clipped - part.floats["center"][m]) / part.floats["scale"][m]
        z.append(part.floats["missing"][m] if math.isnan(x) else prepared)
    for k, column in enumerate(part.ints["flag_column"]):
        x, code = row[column], part.ints["code"][k]
        holds = math.isnan(x) if code == -1 else x == code
        z.append(part.floats["on"][k] if holds else part.floats["off"][k])
    return z


def _kernel(part: Part, row: Row) -> int:
    kind, degree, shift = part.ints["kernel"]
    gamma, coef0 = part.floats["coefficient"]
    z, vectors, total = _inputs(part, row), part.floats["vector"], 0
    for s, weight in enumerate(part.floats["weight"]):
        found = 0.0
        for one, other in zip(z, vectors[s * len(z) : (s + 1) * len(z)], strict=True):
            found = found + ((one - other) * (one - other) if kind == 0 else one * other)
        if kind == 0:
            similar = exp(-(gamma * found))
        else:
            similar = once = gamma * found + coef0
            for _ in range(degree - 1):
                similar = similar * once
        total += round(similar * weight)
    return half_to_even(total, 2**shift)


def _network(part: Part, row: Row) -> int:
    values = _inputs(part, row)
    weights, biases = iter(part.floats["layer_weight"]), iter(part.floats["bias"])
    for units, activation in zip(part.ints["size"], part.ints["activation"], strict=True):
        sums = [next(biases) for _ in range(units)]
        for x in values:
            sums = [total + next(weights) * x for total in sums]
        values = [FUNCTIONS[activation](total) for total in sums]
    return round(values[0] * part.floats["output"][0])


def _stack(part: Part, row: Row) -> int:
    total = 0
    for link, weight, member in zip(
        part.ints["link"], part.floats["weight"], part.members, strict=True
    ):
        margin = math.ldexp(float(score(member, row)), -member.scale_bits)
        total += round(FUNCTIONS[link](margin) * weight)
    return total


def half_to_even(total: int, parts: int) -> int:
    """``total / parts`` rounded, half to even."""
    whole, rest = divmod(total, parts)
    return whole + (2 * rest > parts or (2 * rest == parts and whole % 2 == 1))


# --- own functions --------------------------------------------------------------------------------


def _reduced(t: float) -> tuple[float, float]:
    """2^k and p with exp(t) = 2^k (1 + p), for t in [−708, 0]."""
    k = round(t * float.fromhex("0x1.71547652b82fep+0"))
    r = (t - k * float.fromhex("0x1.62e42fefa4p-1")) - k * float.fromhex("-0x1.8432a1b0e2634p-43")
    c = 1.0 / math.factorial(13)
    for n in range(12, 1, -1):
        c = c * r + 1.0 / math.factorial(n)
    return math.ldexp(1.0, k), r + (r * r) * c


def exp(t: float) -> float:
    """The exponential of t ≤ 0."""
    if t < -708.0:
        return 0.0
    power, p = _reduced(t)
    return (1.0 + p) * power


def logistic(x: float) -> float:
    """1 / (1 + exp(−x))."""
    e = exp(-abs(x))
    return (e if x < 0 else 1.0) / (1.0 + e)


def tanh(x: float) -> float:
    """The hyperbolic tangent."""
    power, p = _reduced(max(-2.0 * abs(x), -708.0))
    m = (power - 1.0) + power * p
    size = -m / (2.0 + m)
    return -size if x < 0 else size


#: of units, and 0 and 3 of a stack's links: identity, relu, tanh, logistic
FUNCTIONS: tuple[Callable[[float], float], ...] = (
    lambda x: x,
    lambda x: x if x > 0 else 0.0,
    tanh,
    logistic,
)
_VALUES: dict[str, Callable[[Part, Row], int]] = {
    "trees": _trees,
    "linear": _linear,
    "kernel": _kernel,
    "network": _network,
    "stack": _stack,
}
