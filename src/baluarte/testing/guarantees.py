"""The guarantees, shown by simulation: what is promised, what ours does, what usual practice does.

Each function is one promise. It draws worlds where the truth is known, counts how often the promise
is broken, and does the same to the practice that it replaces, so that the guarantee is seen to be
more than decoration. Fixed seeds, stated repetitions; the tests run short forms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.bounds import look_alpha, most_hits, smallest_rank
from baluarte.core.evalues import log_e_audited, log_e_discordant
from baluarte.ports import DriftDetector, DriftView

LOOKS = 100  #: tries of one who keeps resubmitting
POSITIVES = 300  #: in the proof rows of those tries
ASKED = 0.95  #: recall that they must show


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One guarantee, simulated.

    Attributes:
        promised: the largest rate of broken promises (or number of false alarms) that is allowed.
        measured: what ours did.
        usual: what each named practice did in the same worlds.
        n: repetitions (or events).
    """

    name: str
    promised: float
    measured: float
    usual: dict[str, float]
    n: int


def budget(seed: int, *, repetitions: int, n: int = 2_000, max_fpr: float = 0.01) -> Shown:
    """A false-positive budget holds: the umbrella against the empirical quantile."""
    rng = np.random.default_rng(seed)
    rank = smallest_rank(n, max_fpr=max_fpr, confidence=0.95)
    naive = math.ceil((1 - max_fpr) * n)
    broken = np.zeros(2)
    for _ in range(repetitions):
        # Uniform scores: the false-positive rate above a threshold t is 1 - t, exactly.
        both = np.partition(rng.random(n), [naive - 1, rank - 1])[[rank - 1, naive - 1]]
        broken += (1 - both) > max_fpr
    ours, quantile = (broken / repetitions).tolist()
    return Shown(
        name="false-positive budget broken",
        promised=0.05,
        measured=ours,
        usual={"empirical quantile": quantile},
        n=repetitions,
    )


def resubmissions(seed: int, *, repetitions: int, truth: float = 0.93) -> Shown:
    """A hundred tries at one holdout: bounds on the looks' budget against points and plain bounds.

    Args:
        truth: recall of every candidate, below what is asked.
    """
    rng = np.random.default_rng(seed)
    misses = rng.binomial(POSITIVES, 1 - truth, size=(repetitions, LOOKS))
    budgeted = np.array(
        [most_hits(POSITIVES, limit=1 - ASKED, alpha=look_alpha(0.05, i + 1)) for i in range(LOOKS)]
    )
    plain = most_hits(POSITIVES, limit=1 - ASKED, alpha=0.05)
    point = POSITIVES * (1 - ASKED)

    def passed(allowed: NDArray[np.int64] | float) -> float:
        return float((misses <= allowed).any(axis=1).mean())

    return Shown(
        name=f"bad candidate (recall {truth:g}, {ASKED:g} asked) passes within {LOOKS} looks",
        promised=0.05,
        measured=passed(budgeted),
        usual={"bound without a budget": passed(plain), "point estimate": passed(point)},
        n=repetitions,
    )


def best_segments(seed: int, *, repetitions: int, truth: float = 0.93, segments: int = 10) -> Shown:
    """The attack "keep the best segment of each try": failed looks that are blind, or that show.

    Every try is a fresh candidate of the same true recall. Who sees the figures of failed looks
    sends, segment by segment, the candidate that did best there; the looks' budget is the same.
    """
    rng = np.random.default_rng(seed)
    allowed = [
        most_hits(POSITIVES, limit=1 - ASKED, alpha=look_alpha(0.05, i + 1)) for i in range(LOOKS)
    ]
    fresh = rng.binomial(POSITIVES // segments, 1 - truth, size=(repetitions, LOOKS, segments))
    mosaic = np.minimum.accumulate(fresh, axis=1)
    passes = [
        float((tries.sum(axis=2) <= np.array(allowed)).any(axis=1).mean())
        for tries in (fresh, mosaic)
    ]
    return Shown(
        name="bad candidate passes by the best segment of each try",
        promised=0.05,
        measured=passes[0],
        usual={"figures shown after a failed look": passes[1]},
        n=repetitions,
    )


def challenger(seed: int, *, repetitions: int, pairs: int = 2_000, every: int = 50) -> Shown:
    """A challenger that is no better is promoted: e-value at every pair, McNemar at every fiftieth.

    McNemar's test is one-sided at .05, by the normal approximation with continuity correction.
    """
    rng = np.random.default_rng(seed)
    needed = _wins_needed(pairs, 0.05)
    promoted = np.zeros(2)
    n = np.arange(1, pairs + 1)
    looked = n % every == 0
    for _ in range(repetitions):
        wins = np.cumsum(rng.random(pairs) < 0.5)
        z = (2 * wins - n - 1) / np.sqrt(n)
        promoted += (wins >= needed).any(), (z[looked] >= 1.645).any()
    ours, mcnemar = (promoted / repetitions).tolist()
    return Shown(
        name="challenger that is no better is promoted",
        promised=0.05,
        measured=ours,
        usual={f"McNemar looked at every {every} pairs": mcnemar},
        n=repetitions,
    )


def pairs_until_promoted(seed: int, *, repetitions: int, wins: float = 0.6) -> float:
    """Median discordant pairs until a challenger that wins this share of them is promoted."""
    rng, most = np.random.default_rng(seed), 3_000
    needed = _wins_needed(most, 0.05)
    reached = np.cumsum(rng.random((repetitions, most)) < wins, axis=1) >= needed
    return float(np.median(np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, np.inf)))


def _wins_needed(pairs: int, alpha: float) -> NDArray[np.int64]:
    """(pairs,) the fewest wins among the first n pairs at which the e-value reaches 1 / alpha."""
    goal, wins, needed = math.log(1 / alpha), 0, []
    for n in range(1, pairs + 1):
        while wins <= n and log_e_discordant(wins, n - wins) < goal:
            wins += 1
        needed.append(wins)
    return np.array(needed)


def audited_challenger(seed: int, *, repetitions: int, events: int = 4_000) -> Shown:
    """The same where labels are audited with probability π: its own e-value, or weighted counts.

    The challenger is no better: one event in four is discordant, half of them wins.
    """
    rng = np.random.default_rng(seed)
    floor, promoted = 0.05, np.zeros(2)
    for _ in range(repetitions):
        outcome = rng.choice(np.array([-1, 0, 0, 0, 0, 0, 0, 1], dtype=np.int8), size=events)
        pi = np.where(rng.random(events) < 0.5, floor, 0.5)
        audited = rng.random(events) < pi
        log_e = log_e_audited(audited, outcome, pi, floor=floor)
        weight = np.where(audited, 1 / pi, 0.0)
        wins, losses = (np.cumsum(weight * (outcome == side)).astype(int) for side in (1, -1))
        looked = np.arange(49, events, 50)
        misused = any(
            log_e_discordant(int(wins[i]), int(losses[i])) >= math.log(20) for i in looked
        )
        promoted += float(log_e.max()) >= math.log(20), misused
    ours, weighted = (promoted / repetitions).tolist()
    return Shown(
        name="challenger that is no better is promoted on audited labels",
        promised=0.05,
        measured=ours,
        usual={"weighted counts in the formula of pairs": weighted},
        n=repetitions,
    )


# --- drift -------------------------------------------------------------------------------------


class Stream:
    """An endless iid stream: correlated numbers, a heavy tail, a zero-heavy count, a category.

    Args:
        columns: of the matrix, at least 6.
    """

    def __init__(self, seed: int, columns: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._mix = np.eye(columns) + self._rng.normal(size=(columns, columns)) / math.sqrt(columns)
        self._sd = np.sqrt((self._mix**2).sum(axis=0))
        self.names = [f"column_{j}" for j in range(columns)]
        self.categorical = [j == 2 for j in range(columns)]

    def draw(
        self, n: int, *, shift: float = 0.0, family: float = 0.0
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """N events and scores.

        Args:
            shift: of three columns, in standard deviations.
            family: share of events of a kind that the baseline has not.
        """
        rng = self._rng
        X = rng.normal(size=(n, len(self.names))) @ self._mix
        X /= self._sd
        X[:, 3:6] += shift
        new = rng.random(n) < family
        X[new, 3:] = 1.5 * rng.normal(size=(int(new.sum()), len(self.names) - 3)) + 1
        X[:, 0] = rng.pareto(1.2, n)
        X[:, 1] = np.where(rng.random(n) < 0.8, 0, rng.geometric(0.1, n))
        X[:, 2] = np.minimum(rng.geometric(0.2, n), 30)
        X[rng.random(n) < 0.02, 0] = np.nan
        scores = np.rint((X[:, 3] + X[:, 4]) * 2**30).astype(np.int64)
        return X, scores


def quiet(
    detector: DriftDetector,
    view: DriftView,
    seed: int,
    *,
    events: int,
    arl: float,
    columns: int = 41,
    baseline: int = 60_000,
    window: int = 1_000,
) -> Shown:
    """False alarms among so many quiet events: the detector, and a p-value looked at each window.

    The usual practice alarms when any column's p is below .05, or below .05 over the columns.
    """
    stream = Stream(seed, columns)
    monitor = detector.open(_sealed(detector, stream, arl, baseline))
    X, _ = stream.draw(5_000)
    alarms, plain, corrected = 0, 0, 0
    for _ in range(events // window):
        now, scores = stream.draw(window)
        alarms += len(monitor.update(now, scores))
        values = view.values(X, now, names=stream.names, categorical=stream.categorical)
        smallest = min(value.p for value in values if value.p is not None)
        plain += smallest < 0.05
        corrected += smallest < 0.05 / len(values)
    return Shown(
        name=f"false drift alarms in {events} quiet events",
        promised=events / arl,
        measured=alarms,
        usual={
            f"{view.name} p < .05 each {window} events": plain,
            f"{view.name} p < .05 / {columns}": corrected,
        },
        n=events,
    )


def delays(
    detector: DriftDetector,
    seed: int,
    *,
    arl: float,
    shifts: Sequence[float] = (),
    families: Sequence[float] = (),
    repetitions: int = 5,
    columns: int = 41,
    baseline: int = 60_000,
    patience: int = 40_000,
) -> dict[str, float]:
    """Median events from a change, after 20,000 quiet ones, to its alarm; infinite without one."""
    stream = Stream(seed, columns)
    sealed = _sealed(detector, stream, arl, baseline)
    changes = {f"shift {s:g} sd": (s, 0.0) for s in shifts}
    changes |= {f"new family {f:.1%}": (0.0, f) for f in families}
    found: dict[str, float] = {}
    for name, (shift, family) in changes.items():
        waited = []
        for _ in range(repetitions):
            monitor = detector.open(sealed)
            before = 20_000
            monitor.update(*stream.draw(before))
            alarms = monitor.update(*stream.draw(patience, shift=shift, family=family))
            waited.append(float(alarms[0].at - before) if alarms else math.inf)
        found[name] = float(np.median(waited))
    return found


def _sealed(detector: DriftDetector, stream: Stream, arl: float, rows: int) -> bytes:
    X, scores = stream.draw(rows)
    return detector.arm(X, scores, names=stream.names, categorical=stream.categorical, arl=arl)
