"""Random kernel machines, networks and stacks, and each evaluated a second time, plainly."""

from __future__ import annotations

import math

import numpy as np

from baluarte.core.program.draft import Draft, Member, stack
from baluarte.core.program.draft_dense import (
    DraftKernel,
    DraftNetwork,
    Layer,
    background_of,
)
from baluarte.core.program.model import Inputs, KernelPart, NetworkPart

KINDS = ("rbf", "polynomial", "network", "stack")


def random_inputs(rng, *, n_numeric, n_flags, n_features):
    low = rng.normal(size=n_numeric) - 2
    return Inputs(
        column=rng.integers(0, n_features, n_numeric).astype(np.int32),
        center=rng.normal(size=n_numeric),
        scale=rng.uniform(0.1, 3, n_numeric),
        low=low,
        high=low + rng.uniform(0, 6, n_numeric),
        missing=rng.normal(size=n_numeric),
        flag_column=rng.integers(0, n_features, n_flags).astype(np.int32),
        code=rng.integers(-1, 4, n_flags).astype(np.int32),
        on=rng.normal(size=n_flags),
        off=rng.choice([0.0, 0.5], n_flags),
    )


def random_background(rng, n_features, n_rows):
    rows = rng.normal(size=(n_rows, n_features))
    rows[rng.random(rows.shape) < 0.2] = np.nan
    return background_of(rows, n_rows)


def random_kernel(rng, kernel, *, n_features, n_vectors, n_rows=4):
    inputs = random_inputs(
        rng,
        n_numeric=int(rng.integers(0, 6)),
        n_flags=int(rng.integers(0, 5)),
        n_features=n_features,
    )
    width = len(inputs.column) + len(inputs.flag_column)
    return DraftKernel(
        inputs=inputs,
        kernel=kernel,
        gamma=float(rng.choice([1e-3, 0.1, 1.0, 300.0])),
        degree=int(rng.integers(1, 5)) if kernel == "polynomial" else 0,
        coef0=float(rng.normal()) if kernel == "polynomial" else 0.0,
        vector=rng.normal(size=(n_vectors, width)) * float(rng.choice([0.1, 1.0])),
        weight=rng.normal(size=n_vectors) * 10.0 ** float(rng.integers(-3, 3)),
        background=random_background(rng, n_features, n_rows),
    )


def random_network(rng, *, n_features, n_rows=4, widest=40):
    inputs = random_inputs(
        rng,
        n_numeric=int(rng.integers(1, 6)),
        n_flags=int(rng.integers(0, 5)),
        n_features=n_features,
    )
    before = len(inputs.column) + len(inputs.flag_column)
    layers = []
    for units in [*rng.integers(1, widest, int(rng.integers(0, 4))).tolist(), 1]:
        activation = str(rng.choice(["identity", "relu", "tanh", "logistic"]))
        spread = float(rng.choice([0.3, 1.0, 5.0]))
        layers.append(
            Layer(
                weight=rng.normal(size=(before, units)) * spread,
                bias=rng.normal(size=units),
                activation=activation,
            )
        )
        before = units
    return DraftNetwork(
        inputs=inputs,
        layers=tuple(layers),
        weight=float(rng.normal()) * 3,
        background=random_background(rng, n_features, n_rows),
    )


def random_stack(rng, members, *, n_features, n_rows=4):
    """Each draft once by its probability, the first once more as it is."""
    chosen = [Member(draft=draft, weight=float(rng.normal()), link="logistic") for draft in members]
    chosen.append(Member(draft=members[0], weight=float(rng.normal()), link="identity"))
    background = random_background(rng, n_features, n_rows)
    return stack(chosen, base=float(rng.normal()), background=background)


def dense_draft(rng, kind, *, n_features=6, others=(), n_rows=4):
    """A draft with one part of a kind, or a stack of one of each and the given parts."""
    if kind == "stack":
        inner = [dense_draft(rng, k, n_features=n_features, n_rows=n_rows) for k in KINDS[:3]]
        inner.append(Draft(n_features=n_features, base=float(rng.normal()), parts=tuple(others)))
        first = random_stack(rng, inner[1:], n_features=n_features, n_rows=n_rows)
        return random_stack(rng, [inner[0], first], n_features=n_features, n_rows=n_rows)
    if kind == "network":
        part = random_network(rng, n_features=n_features, n_rows=n_rows)
    else:
        n_vectors = int(rng.integers(0, 40))
        part = random_kernel(rng, kind, n_features=n_features, n_vectors=n_vectors, n_rows=n_rows)
    return Draft(n_features=n_features, base=float(rng.normal()), parts=(part,))


# --- evaluated plainly: Python's float is float64, and its round goes half to even ----------------


def plain_inputs(part, row):
    z = []
    for m, column in enumerate(part.column.tolist()):
        x = row[column]
        clipped = min(max(x, float(part.low[m])), float(part.high[m]))
        z.append(
            float(part.missing[m])
            if math.isnan(x)
            else (clipped - float(part.center[m])) / float(part.scale[m])
        )
    for k, column in enumerate(part.flag_column.tolist()):
        x, code = row[column], int(part.code[k])
        holds = math.isnan(x) if code == -1 else x == code
        z.append(float(part.on[k] if holds else part.off[k]))
    return z


def plain_reduced(t):
    k = round(t * float.fromhex("0x1.71547652b82fep+0"))
    r = (t - k * float.fromhex("0x1.62e42fefa4p-1")) - k * float.fromhex("-0x1.8432a1b0e2634p-43")
    series = 1.0 / math.factorial(13)
    for n in range(12, 1, -1):
        series = series * r + 1.0 / math.factorial(n)
    return math.ldexp(1.0, k), r + (r * r) * series


def plain_exp(t):
    if t < -708.0:
        return 0.0
    scale, p = plain_reduced(t)
    return (1.0 + p) * scale


def plain_logistic(x):
    e = plain_exp(-abs(x))
    return (e if x < 0 else 1.0) / (1.0 + e)


def plain_tanh(x):
    scale, p = plain_reduced(max(-2.0 * abs(x), -708.0))
    m = (scale - 1.0) + scale * p
    size = -m / (2.0 + m)
    return -size if x < 0 else size


PLAIN = (lambda x: x, lambda x: x if x > 0 else 0.0, plain_tanh, plain_logistic)


def plain_kernel(part, row):
    kind, degree, shift = part.kernel.tolist()
    gamma, coef0 = part.coefficient.tolist()
    z, total = plain_inputs(part, row), 0
    vectors, weights = part.vector.tolist(), part.weight.tolist()
    for s, weight in enumerate(weights):
        sum_ = 0.0
        for one, other in zip(z, vectors[s * len(z) : (s + 1) * len(z)], strict=True):
            sum_ = sum_ + ((one - other) * (one - other) if kind == 0 else one * other)
        if kind == 0:
            value = plain_exp(-(gamma * sum_))
        else:
            value = once = gamma * sum_ + coef0
            for _ in range(degree - 1):
                value = value * once
        total += round(value * weight)
    whole, rest = divmod(total, 1 << shift)
    return whole + (2 * rest > 1 << shift or (2 * rest == 1 << shift and whole % 2 == 1))


def plain_network(part, row):
    values = plain_inputs(part, row)
    weights, biases = iter(part.layer_weight.tolist()), iter(part.bias.tolist())
    for units, activation in zip(part.size.tolist(), part.activation.tolist(), strict=True):
        matrix = [[next(weights) for _ in range(units)] for _ in values]
        sums = [next(biases) for _ in range(units)]
        for k, value in enumerate(values):
            sums = [sum_ + matrix[k][j] * value for j, sum_ in enumerate(sums)]
        values = [PLAIN[activation](sum_) for sum_ in sums]
    return round(values[0] * float(part.output[0]))


def plain_stack(part, row, scorers):
    total = 0
    for link, weight, member, score in zip(
        part.link.tolist(), part.weight.tolist(), part.members, scorers, strict=True
    ):
        margin = math.ldexp(float(score(row)), -member.scale_bits)
        total += round(PLAIN[link](margin) * weight)
    return total


def plain_part(part, plain_scorer):
    """A function from one row to a dense part's value."""
    if isinstance(part, KernelPart):
        return lambda row: plain_kernel(part, row)
    if isinstance(part, NetworkPart):
        return lambda row: plain_network(part, row)
    scorers = [plain_scorer(member) for member in part.members]
    return lambda row: plain_stack(part, row, scorers)
