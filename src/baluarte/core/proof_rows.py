"""The sealed proof rows as a gate sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRows:
    """Rows that no choice was made on, scored by the sealed program and placed by its bands.

    The stage that proves makes it, gates read it.
    """

    scores: NDArray[np.int64]  #: (n,)
    labels: NDArray[np.int8]  #: (n,) 1 attack, 0 not
    bands: NDArray[np.int64]  #: (n,) index of the band each row is in
    segments: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)  #: (n,) a field
    latency_ms: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))  #: (m,)
    cost_missed: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))  #: (n,) if missed
    cost_false_alarm: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))  #: (n,)
