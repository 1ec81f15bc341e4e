"""Random kernel machines, networks and stacks."""

from __future__ import annotations

import numpy as np

from baluarte.core.program.draft import Draft, Member, stack
from baluarte.core.program.draft_dense import (
    DraftKernel,
    DraftNetwork,
    Layer,
    background_of,
)
from baluarte.core.program.model import Inputs

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
