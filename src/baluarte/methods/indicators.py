"""Yes-or-no questions about one event, and counting their answers batch by batch.

A channel asks, of a number, whether it is at most each of some baseline quantiles; of a category,
whether it is each of the frequent ones, another known one, or one that the baseline never had; of
both, whether the value is missing.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

QUANTILES = (0.002, 0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99, 0.998)
ATOM = 0.005  #: share of rows on one value from which "below it" is a question of its own
MAX_CATEGORIES = 64  #: categories with a question of their own

Question = Literal["at_most", "category", "other", "unseen", "missing"]


class Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One channel's questions, in the order: cuts or codes (then other, unseen), then missing.

    Attributes:
        cuts: of a number, strictly ascending; the question is ``x <= cut``.
        codes: of a category, ascending; those with a question of their own.
        known: of a category, all codes that the baseline had, ascending.
    """

    name: str
    categorical: bool
    cuts: tuple[float, ...] = ()
    codes: tuple[float, ...] = ()
    known: tuple[float, ...] = ()

    @property
    def questions(self) -> list[tuple[Question, float | None]]:
        """What is asked, with the cut or code it is about."""
        if not self.categorical:
            return [*(("at_most", cut) for cut in self.cuts), ("missing", None)]
        asked: list[tuple[Question, float | None]] = [("category", code) for code in self.codes]
        return [*asked, ("other", None), ("unseen", None), ("missing", None)]

    def answers(self, x: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(q, n) whether each question is true of each of (n,) values."""
        if not self.categorical:
            out = np.empty((len(self.cuts) + 1, len(x)), dtype=np.bool_)
            np.less_equal(x, np.array(self.cuts)[:, None], out=out[:-1])
            np.isnan(x, out=out[-1])
            return out
        out = np.empty((len(self.codes) + 3, len(x)), dtype=np.bool_)
        np.equal(x, np.array(self.codes)[:, None], out=out[:-3])
        np.isnan(x, out=out[-1])
        known = np.array(self.known)
        place = np.minimum(known.searchsorted(x), len(known) - 1) if len(known) else None
        seen = known[place] == x if place is not None else np.zeros(len(x), dtype=np.bool_)
        out[-2] = ~(seen | out[-1])
        out[-3] = seen & ~out[:-3].any(axis=0)
        return out


def number_channel(name: str, x: NDArray[np.float64]) -> Channel:
    """Cuts at the quantiles of (n,) values, and just below values that many rows share."""
    present = np.sort(x[~np.isnan(x)])
    if len(present) == 0:
        return Channel(name=name, categorical=False)
    ranks = np.ceil(np.array(QUANTILES) * len(present)).astype(np.int64) - 1
    at = np.unique(present[np.clip(ranks, 0, len(present) - 1)])
    shared = present.searchsorted(at, side="right") - present.searchsorted(at, side="left")
    below = np.nextafter(at[shared > ATOM * len(present)], -np.inf)
    cuts = np.unique(np.concatenate((at, below)))
    return Channel(name=name, categorical=False, cuts=tuple(cuts.tolist()))


def category_channel(name: str, x: NDArray[np.float64]) -> Channel:
    """The most frequent codes of (n,) values, the lower code first among equals."""
    known, counts = np.unique(x[~np.isnan(x)], return_counts=True)
    frequent = known[np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]]
    return Channel(
        name=name,
        categorical=True,
        codes=tuple(np.sort(frequent).tolist()),
        known=tuple(known.tolist()),
    )


def batch_hits(answers: NDArray[np.bool_], batch: int) -> NDArray[np.int64]:
    """(q, b) true answers of (q, b·batch) in each batch.

    Where the batch allows it, eight answers are added at once as the bytes of one 64-bit integer;
    no byte can overflow, since a batch of at most 2,040 has at most 255 of them.
    """
    q, n = answers.shape
    if batch % 8 or batch > 2040:
        plain: NDArray[np.int64] = answers.reshape(q, n // batch, batch).sum(axis=2, dtype=np.int64)
        return plain
    lanes = answers.view(np.uint64).reshape(q, n // batch, batch // 8).sum(axis=2, dtype=np.uint64)
    hits: NDArray[np.int64] = lanes.view(np.uint8).reshape(q, n // batch, 8).sum(axis=2)
    return hits.astype(np.int64)
