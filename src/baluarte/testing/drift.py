"""What every drift detector and every view must do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baluarte.errors import TrustError
from baluarte.ports import DriftDetector, DriftView
from baluarte.testing.expect import expect, refused
from baluarte.testing.guarantees import Stream

ARL = 100_000.0
COLUMNS = 8


def check_detector(detector: DriftDetector, *, seed: int = 0) -> None:
    """Run the conformance suite of a detector.

    Raises:
        AssertionError: what the plug-in got wrong.
    """
    stream = Stream(seed, COLUMNS)
    X, scores = stream.draw(20_000)
    arms = [
        detector.arm(X, scores, names=stream.names, categorical=stream.categorical, arl=ARL)
        for _ in range(2)
    ]
    expect(arms[0] == arms[1], "the same rows give the same baseline")

    now, now_scores = stream.draw(10_000, shift=0.5)
    whole = detector.open(arms[0])
    alarms = whole.update(now, now_scores)
    expect(
        bool(alarms), "half a standard deviation in three columns is noticed within 10,000 events"
    )
    expect(
        all(a.evidence >= a.limit and a.arl == ARL for a in alarms), "alarms show their evidence"
    )
    expect(all(0 < m.share <= 1 for a in alarms for m in a.moved), "shares are shares")
    expect([a.at for a in alarms] == sorted(a.at for a in alarms), "alarms come oldest first")

    pieces, monitor, start = [], detector.open(arms[0]), 0
    rng = np.random.default_rng(seed)
    while start < len(now):
        stop = start + int(rng.integers(1, 900))
        pieces += monitor.update(now[start:stop], now_scores[start:stop])
        monitor, start = detector.open(arms[0], monitor.state()), stop
    expect(pieces == alarms, "how events are cut into calls changes nothing, nor does a restart")
    expect(monitor.state() == whole.state(), "the states are the same, too")
    expect(detector.open(arms[0]).update(now[:0], now_scores[:0]) == [], "no events, no alarm")
    for damaged in (b"", b"{}", arms[0][:-1], arms[0].replace(b'"low"', b'"law"')):
        refused(TrustError, lambda sealed=damaged: detector.open(sealed))  # type: ignore[misc]


def check_view(view: DriftView, *, seed: int = 0) -> None:
    """Run the conformance suite of a view.

    Raises:
        AssertionError: what the plug-in got wrong.
    """
    stream = Stream(seed, COLUMNS)
    X, _ = stream.draw(4_000)
    quiet, _ = stream.draw(4_000)
    moved, _ = stream.draw(4_000, shift=1.0)

    def seen(now: NDArray[np.float64]) -> dict[str, float]:
        values = view.values(X, now, names=stream.names, categorical=stream.categorical)
        return {value.channel: value.value for value in values}

    same, calm, far = seen(X), seen(quiet), seen(moved)
    expect(set(same) <= set(stream.names), "a view speaks of columns")
    expect(all(value == 0 for value in same.values()), "nothing is at no distance from itself")
    expect(
        all(np.isfinite(value) and value >= 0 for value in far.values()), "distances are numbers"
    )
    expect(far["column_4"] > 3 * calm["column_4"], "a moved column is further than a quiet one")
    empty = np.full((5, COLUMNS), np.nan)
    expect(all(np.isfinite(value) for value in seen(empty).values()), "missing is no crash")
