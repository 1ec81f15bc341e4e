"""The e-detector: any change of the inputs, with a promised distance between false alarms.

While events keep coming as they did in the baseline, the expected number of false alarms among N
events is at most N / ARL, whatever the columns have to do with one another, with probability at
least ``1 - delta`` over the baseline. Events that depend on one another in time break the promise;
so the detector rehearses on held-out baseline rows and does not arm if it alarms there.

Source: Shin, Ramdas & Rinaldo, "E-detectors", arXiv 2203.03532; Clopper & Pearson 1934.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.bounds import clopper_pearson_high, clopper_pearson_low
from baluarte.core.drift import (
    MAHALANOBIS,
    RESIDUAL,
    SCORE,
    Alarm,
    Direction,
    Moved,
    Rehearsal,
)
from baluarte.errors import DataError, TrustError
from baluarte.methods.indicators import (
    Channel,
    Question,
    batch_hits,
    category_channel,
    number_channel,
)
from baluarte.methods.mixture import Crossing, Mixture
from baluarte.methods.novelty import Novelty, NoveltyScores, fit_novelty
from baluarte.ports import Matrix

Floats = NDArray[np.float64]

LEAST_ROWS = 1_000  #: of a baseline
HELD_OUT = 0.2  #: share of the baseline, its last rows, for the rehearsal
CHUNK = 32  #: batches that are counted at once
MOST_MOVED = 5  #: channels that an alarm names
SURPRISE = 0.05  #: a rehearsal contradicts the promise when its alarms are this improbable


class Baseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a sealed detector was armed with.

    ``form`` says which dependence in time it stands; ``iid`` is none.
    """

    arl: float
    batch: int
    delta: float
    n_columns: int
    channels: tuple[Channel, ...]  #: columns, then the score, then the two novelty scores
    novelty: Novelty | None
    low: tuple[float, ...]  #: rate of each question, at least
    high: tuple[float, ...]  #: at most
    rows: int  #: that the rates were counted on
    rehearsal: Rehearsal | None = None
    form: Literal["iid"] = "iid"
    format: Literal["baluarte-drift/1"] = "baluarte-drift/1"


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a monitor stands: counts and running statistics, no event."""

    seen: int
    pending: int  #: events of the batch that is not full yet
    hits: tuple[int, ...]  #: their true answers by question
    running: tuple[float, ...]


class EDetector:
    """The mixture of Shiryaev-Roberts e-detectors over all columns, the score and novelty.

    Args:
        batch: events that are taken together.
        delta: probability, over baselines, that the promise does not hold.
        slack: logits by which rates may drift without it being a change.
    """

    name: ClassVar[str] = "e_detector"
    kind: ClassVar[Literal["detector"]] = "detector"

    def __init__(self, *, batch: int = 128, delta: float = 0.05, slack: float = 0.0) -> None:
        self._batch, self._delta, self._slack = batch, delta, slack

    def arm(
        self,
        X: Matrix,
        scores: NDArray[np.int64],
        *,
        names: Sequence[str],
        categorical: Sequence[bool],
        arl: float,
    ) -> bytes:
        """Learn, rehearse and seal; see :class:`baluarte.ports.DriftDetector`."""
        if len(X) < LEAST_ROWS:
            raise DataError(
                f"expected at least {LEAST_ROWS} baseline rows, found {len(X)}",
                hint=f"Bring {LEAST_ROWS - len(X)} more.",
            )
        early = int(len(X) * (1 - HELD_OUT))
        fit = np.zeros(len(X), dtype=np.bool_)
        fit[:early:4] = True
        count = ~fit
        count[early:] = False
        channels, novelty = _channels(X[fit], scores[fit], names, categorical)
        reader = _Reader(channels, novelty, X.shape[1])
        hits = np.zeros(reader.n_questions, dtype=np.int64)
        rows = np.flatnonzero(count)
        for part in np.array_split(rows, max(1, len(rows) // (CHUNK * self._batch))):
            hits += reader.hits(X[part], scores[part], len(part))[0]
        low, high = _rates(hits, len(rows), self._delta, self._slack)
        baseline = Baseline(
            arl=arl,
            batch=self._batch,
            delta=self._delta,
            n_columns=X.shape[1],
            channels=tuple(channels),
            novelty=novelty,
            low=tuple(low),
            high=tuple(high),
            rows=len(rows),
        )
        rehearsal = _rehearse(baseline, X[early:], scores[early:])
        return msgspec.json.encode(msgspec.structs.replace(baseline, rehearsal=rehearsal))

    def open(self, baseline: bytes, state: bytes | None = None) -> EMonitor:
        """A monitor from the start, or from a state; see :class:`baluarte.ports.DriftDetector`."""
        try:
            decoded = msgspec.json.decode(baseline, type=Baseline)
            stood = None if state is None else msgspec.json.decode(state, type=State)
        except msgspec.DecodeError as error:
            raise TrustError(f"expected a drift baseline and state, found: {error}") from None
        _check(decoded, stood)
        return EMonitor(decoded, stood)


class EMonitor:
    """An armed e-detector; see :class:`baluarte.ports.DriftMonitor`."""

    def __init__(self, baseline: Baseline, state: State | None = None) -> None:
        self.baseline = baseline
        self._reader = _Reader(list(baseline.channels), baseline.novelty, baseline.n_columns)
        self._mixture = Mixture(
            np.array(baseline.low),
            np.array(baseline.high),
            self._reader.channel,
            limit=baseline.arl / baseline.batch,
        )
        self._seen, self._pending = 0, 0
        self._hits = np.zeros(self._reader.n_questions, dtype=np.int64)
        if state is not None:
            self._seen, self._pending = state.seen, state.pending
            self._hits[:] = state.hits
            self._mixture.running[:] = state.running

    def update(self, X: Matrix, scores: NDArray[np.int64]) -> list[Alarm]:
        """See further events, batch by batch; what fills no batch waits for the next call."""
        batch, start = self.baseline.batch, 0
        alarms: list[Alarm] = []
        while start < len(X):
            if self._pending or len(X) - start < batch:
                n, size = min(batch - self._pending, len(X) - start), 0
            else:
                size = batch
                n = min((len(X) - start) // batch, CHUNK) * batch
            rows = slice(start, start + n)
            hits = self._reader.hits(X[rows], scores[rows], size or n)
            start += n
            self._seen += n
            if not size:
                self._pending += n
                self._hits += hits[0]
                if self._pending < batch:
                    break
                hits = self._hits[None, :].copy()
                self._pending, self._hits[:] = 0, 0
            first = self._seen - len(hits) * batch
            alarms += [
                self._alarm(crossing, first + (crossing.batch + 1) * batch)
                for crossing in self._mixture.update(hits, batch)
            ]
        return alarms

    def state(self) -> bytes:
        """JSON to go on from; see :class:`baluarte.ports.DriftMonitor`."""
        state = State(
            seen=self._seen,
            pending=self._pending,
            hits=tuple(self._hits.tolist()),
            running=tuple(self._mixture.running.tolist()),
        )
        return msgspec.json.encode(state)

    def _alarm(self, crossing: Crossing, at: int) -> Alarm:
        by_question = crossing.parts.sum(axis=1)
        by_channel = np.bincount(self._reader.channel, weights=by_question)
        top = np.argsort(-by_channel, kind="stable")[:MOST_MOVED]
        return Alarm(
            at=at,
            evidence=crossing.evidence,
            limit=self._mixture.limit,
            arl=self.baseline.arl,
            moved=tuple(
                self._moved(int(channel), crossing.parts, by_channel[channel] / crossing.evidence)
                for channel in top
                if by_channel[channel] > 0
            ),
        )

    def _moved(self, channel: int, parts: Floats, share: float) -> Moved:
        questions = np.flatnonzero(self._reader.channel == channel)
        place, side = divmod(int(parts[questions].argmax()), 2)
        asked, value = self.baseline.channels[channel].questions[place]
        question = int(questions[place])
        return Moved(
            channel=self.baseline.channels[channel].name,
            share=float(share),
            direction=_DIRECTIONS[asked][side],
            value=value,
            low=self.baseline.low[question],
            high=self.baseline.high[question],
        )


#: what it means that a question is answered yes more often, and less often
_DIRECTIONS: dict[Question, tuple[Direction, Direction]] = {
    "at_most": ("down", "up"),
    "category": ("more", "less"),
    "other": ("more", "less"),
    "unseen": ("unseen", "less"),
    "missing": ("missing", "present"),
}


class _Reader:
    """Answers all questions of all channels about rows, and counts the answers."""

    def __init__(self, channels: list[Channel], novelty: Novelty | None, n_columns: int) -> None:
        self._channels, self._novelty, self._n_columns = channels, novelty, n_columns
        self._scorer = None if novelty is None else NoveltyScores(novelty)
        sizes = [len(channel.questions) for channel in channels]
        self.channel = np.repeat(np.arange(len(channels)), sizes)
        self.n_questions = len(self.channel)

    def hits(self, X: Matrix, scores: NDArray[np.int64], batch: int) -> NDArray[np.int64]:
        """(b, q) true answers in each batch of (b · batch, d) rows."""
        columns = np.ascontiguousarray(X.T)
        counted: list[NDArray[np.int64]] = []
        wanted = set() if self._novelty is None else set(self._novelty.columns)
        levels: list[NDArray[np.uint8]] = []
        missing: list[NDArray[np.bool_]] = []
        for j in range(self._n_columns):
            answers = self._channels[j].answers(columns[j])
            counted.append(batch_hits(answers, batch))
            if j in wanted:
                levels.append(answers[:-1].sum(axis=0, dtype=np.uint8))
                missing.append(answers[-1])
        extra = [scores.astype(np.float64)]
        if self._scorer is not None:
            extra += self._scorer.scores(levels, missing)
        for channel, values in zip(self._channels[self._n_columns :], extra, strict=True):
            counted.append(batch_hits(channel.answers(values), batch))
        return np.ascontiguousarray(np.concatenate(counted).T)


def _channels(
    X: Matrix, scores: NDArray[np.int64], names: Sequence[str], categorical: Sequence[bool]
) -> tuple[list[Channel], Novelty | None]:
    """Channels of all columns and the score, and the novelty model with its channels."""
    channels = [
        (category_channel if coded else number_channel)(name, X[:, j])
        for j, (name, coded) in enumerate(zip(names, categorical, strict=True))
    ]
    numeric = [j for j, coded in enumerate(categorical) if not coded]
    answers = {j: channels[j].answers(X[:, j]) for j in numeric}
    levels = {j: answers[j][:-1].sum(axis=0, dtype=np.uint8) for j in numeric}
    signed = [np.where(answers[j][-1], -1, levels[j].astype(np.int64)) for j in numeric]
    novelty = fit_novelty(numeric, signed, [len(channels[j].cuts) + 1 for j in numeric])
    channels.append(number_channel(SCORE, scores.astype(np.float64)))
    if novelty is not None:
        distance, residual = NoveltyScores(novelty).scores(
            [levels[j] for j in novelty.columns], [answers[j][-1] for j in novelty.columns]
        )
        channels += [number_channel(MAHALANOBIS, distance), number_channel(RESIDUAL, residual)]
    return channels, novelty


def _rates(
    hits: NDArray[np.int64], n: int, delta: float, slack: float
) -> tuple[list[float], list[float]]:
    """Clopper-Pearson intervals of all questions that hold together, widened by the slack."""
    alpha = delta / (2 * len(hits))
    ends = {
        k: (clopper_pearson_low(k, n, alpha), clopper_pearson_high(k, n, alpha))
        for k in set(hits.tolist())
    }

    def moved(p: float, by: float) -> float:
        return p if p in (0.0, 1.0) else 1 / (1 + (1 - p) / p * math.exp(-by))

    pairs = [ends[k] for k in hits.tolist()]
    return [moved(low, -slack) for low, _ in pairs], [moved(high, slack) for _, high in pairs]


def _rehearse(baseline: Baseline, X: Matrix, scores: NDArray[np.int64]) -> Rehearsal:
    """Run the held-out rows through the detector.

    Raises:
        DataError: more alarms than the promise leaves possible at ``SURPRISE`` (Markov).
    """
    alarms = EMonitor(baseline).update(X, scores)
    allowed = math.floor(len(X) / baseline.arl / SURPRISE)
    if len(alarms) > allowed:
        top = alarms[0].moved[0]
        raise DataError(
            f"the drift detector does not arm: {len(alarms)} alarms in {len(X)} held-out baseline "
            f"events, at most {allowed} would fit one in {baseline.arl:g}",
            where=top.channel,
            hint="The last fifth of the baseline is not like the rest, or events depend on one "
            "another in time: use a longer or a shuffled baseline, or a slack.",
        )
    return Rehearsal(events=len(X), alarms=len(alarms), allowed=allowed)


def _check(baseline: Baseline, state: State | None) -> None:
    """Refuse a baseline or a state whose parts do not fit one another."""
    extra = 1 if baseline.novelty is None else 3
    questions = sum(len(channel.questions) for channel in baseline.channels)
    fits = (
        len(baseline.channels) == baseline.n_columns + extra
        and len(baseline.low) == len(baseline.high) == questions
        and all(0 <= a <= b <= 1 for a, b in zip(baseline.low, baseline.high, strict=True))
        and baseline.batch > 0
        and baseline.arl > 0
    )
    if fits and state is not None:
        mixture = Mixture(
            np.array(baseline.low), np.array(baseline.high), np.zeros(questions, np.int64), limit=1
        )
        fits = (
            len(state.hits) == questions
            and len(state.running) == len(mixture.running)
            and 0 <= state.pending < baseline.batch
            and all(math.isfinite(r) and r >= 0 for r in state.running)
        )
    if not fits:
        raise TrustError("expected a drift baseline and state that fit each other, found others")
