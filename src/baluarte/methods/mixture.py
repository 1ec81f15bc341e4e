"""A mixture of Shiryaev-Roberts e-detectors over many yes-or-no questions.

For each question whose true rate lies in ``[low, high]``, each shift h and each side there is one
component: the likelihood ratio of a rate h logits beyond the interval against its nearest end. Its
mean is at most 1 while the rate is in the interval, so ``M - t`` drifts downward and ``M`` passes
``A`` on average no sooner than after A batches, whatever the questions have to do with one another.

Source: Shin, Ramdas & Rinaldo, "E-detectors", arXiv 2203.03532.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHIFTS = (0.08, 0.16, 0.32, 0.64, 1.28, 2.5)  #: in logits beyond the interval
_MAX_LOG = 80.0  #: larger factors are cut, which keeps the promise and float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """The mixture passed its limit in one batch."""

    batch: int  #: index into the batches of the call
    evidence: float
    parts: NDArray[np.float64]  #: (q, 2) evidence by question and side: more often, less often


class Mixture:
    """Running state of all components.

    Args:
        low: (q,) lower end of each question's rate.
        high: (q,) upper end.
        channel: (q,) index of the channel each question belongs to, ascending from 0; channels
            weigh the same, and within one its components do.
        limit: the mixture crosses at this value and starts again from nothing.
    """

    def __init__(
        self,
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        channel: NDArray[np.int64],
        *,
        limit: float,
    ) -> None:
        shape = (len(low), 2, len(SHIFTS))
        hit, miss = np.zeros(shape), np.zeros(shape)
        for side, (end, sign) in enumerate(((high, 1.0), (low, -1.0))):
            inside = (end > 0) & (end < 1)  # an end at 0 or 1 leaves no room beyond it
            p = end[inside, None]
            q = 1 / (1 + (1 - p) / p * np.exp(-sign * np.array(SHIFTS)))
            hit[inside, side] = np.log(q / p)
            miss[inside, side] = np.log((1 - q) / (1 - p))
        alive = hit != 0
        per_channel = np.bincount(channel, weights=alive.sum(axis=(1, 2)))
        each = 1 / np.maximum(per_channel, 1) / np.count_nonzero(per_channel)
        self._weight = np.where(alive, each[channel][:, None, None], 0.0).ravel()
        self._gain = (hit - miss).reshape(len(low), -1)
        self._miss = miss.reshape(len(low), -1)
        self._shape = shape
        self.limit = limit
        self.running = np.zeros(len(self._weight))  #: (q · 2 · shifts,) R of each component

    def update(self, hits: NDArray[np.int64], batch: int) -> Iterator[Crossing]:
        """Take (b, q) hits of b full batches, oldest first."""
        log_e = hits[:, :, None] * self._gain
        log_e += batch * self._miss
        np.minimum(log_e, _MAX_LOG, out=log_e)
        e = np.exp(log_e.astype(np.float32)).reshape(len(hits), -1)
        for index in range(len(hits)):
            self.running += 1.0
            self.running *= e[index]
            evidence = float(self._weight @ self.running)
            if evidence >= self.limit:
                parts = (self._weight * self.running).reshape(self._shape).sum(axis=2)
                yield Crossing(batch=index, evidence=evidence, parts=parts)
                self.running[:] = 0.0
