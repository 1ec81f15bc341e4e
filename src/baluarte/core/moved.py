"""How far two samples of one column are apart: in [0, 1], whatever the column's unit."""

from __future__ import annotations

import math

import numpy as np

from baluarte.core.chance import CONFIDENCE
from baluarte.core.event import Column
from baluarte.core.evidence import Figure, Picture

PIECES = 10


def distance(a: Column, b: Column) -> float:
    """The largest difference of any event's probability: of a category, or of being below a value.

    For numbers the two-sample statistic of Kolmogorov and Smirnov, for texts the total variation of
    the categories; a missing value is a value like others. 0 where a sample is empty.
    """
    if not len(a) or not len(b):
        return 0.0
    if a.dtype == object:
        names = {text: i for i, text in enumerate(dict.fromkeys([*a.tolist(), *b.tolist()]))}
        p, q = (
            np.bincount([names[t] for t in part.tolist()], minlength=len(names)) / len(part)
            for part in (a, b)
        )
        return float(np.abs(p - q).sum() / 2)
    points = np.sort(np.concatenate([a[~np.isnan(a)], b[~np.isnan(b)]]))
    below = [
        np.searchsorted(np.sort(part[~np.isnan(part)]), points, side="right") / len(part)
        for part in (a, b)
    ]
    missing = abs(float(np.isnan(a).mean()) - float(np.isnan(b).mean()))
    return max(float(np.abs(below[0] - below[1]).max(initial=0.0)), missing)


def distance_figure(value: float, n_a: int, n_b: int) -> Figure:
    """The distance of numbers with an interval that holds for any distribution.

    Source: Massart, Annals of Probability 18(3), 1990 (the constant of Dvoretzky, Kiefer and
    Wolfowitz), for each of the two samples.
    """
    level = math.log(4 / (1 - CONFIDENCE)) / 2
    half = math.sqrt(level / n_a) + math.sqrt(level / n_b)
    return Figure(
        name="distance",
        value=value,
        low=max(value - half, 0.0),
        high=min(value + half, 1.0),
        confidence=CONFIDENCE,
        method="dvoretzky-kiefer-wolfowitz",
        n=n_a + n_b,
    )


def moved_picture(name: str, a: Column, b: Column) -> Picture:
    """What share of each sample is of each of the commonest values, or in each tenth of the first.

    Args:
        name: of the picture, which says what the two samples are.
    """
    if a.dtype == object:
        values, counts = np.unique([str(v) for v in a.tolist()], return_counts=True)
        shown = [str(values[at]) for at in np.argsort(-counts, kind="stable")[:PIECES]]
        texts = [np.array([str(v) for v in part.tolist()]) for part in (a, b)]
        shares = [tuple(float((part == value).mean()) for value in shown) for part in texts]
        return Picture(name=name, labels=tuple(shown), values=shares[0], others=shares[1])
    known = a[~np.isnan(a)]
    tenths = np.linspace(0, 1, PIECES + 1)[1:]
    edges = np.unique(np.quantile(known, tenths)) if len(known) else known
    labels = (*(f"≤ {edge:.4g}" for edge in edges[:-1]), "…")
    counted = [
        np.bincount(np.searchsorted(edges[:-1], part[~np.isnan(part)]), minlength=len(labels))
        / max(len(part), 1)
        for part in (a, b)
    ]
    first, second = (tuple(float(share) for share in part[: len(labels)]) for part in counted)
    return Picture(name=name, labels=labels, values=first, others=second)
